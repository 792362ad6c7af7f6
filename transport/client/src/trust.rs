//! Whether what the node says may be relied on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use portcullis_wire::frames::{EndedV1, HeartbeatV1};
use tokio::time::Instant;

use crate::error::DecideError;

/// Part of a lease that is not used, for clocks that run unequally: one hundredth.
const DRIFT_DIVISOR: u32 = 100;

/// The lease and the completeness of the push stream, of one connection.
///
/// The lease runs from when this client sent the stamp that a heartbeat echoes, so delay shortens it.
/// The clock does not count a suspended machine's sleep; after one, the connection's own idle timeout
/// ends trust. No answer is stored, so a lease too long by that never revives an old decision.
#[derive(Debug)]
pub(crate) struct Trust {
    base: Instant,
    /// Nanoseconds after `base` until which the lease lasts.
    lease_until: AtomicU64,
    is_in_sync: AtomicBool,
    /// Number of the newest push frame seen.
    last: Mutex<u64>,
}

/// Whether a push frame left a gap before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sequence {
    /// Nothing is missing, or it is known already that something is.
    Complete,
    /// Something is missing since now: subscribe again.
    Gap,
}

impl Trust {
    /// Trust that begins with the hello, which carries [`Trust::stamp`].
    pub(crate) fn new(base: Instant) -> Self {
        let (lease_until, is_in_sync) = (AtomicU64::new(0), AtomicBool::new(true));
        Self { base, lease_until, is_in_sync, last: Mutex::new(0) }
    }

    /// This moment, as frames carry it: nanoseconds, from 1.
    pub(crate) fn stamp(&self) -> u64 {
        nanoseconds(self.base.elapsed()).saturating_add(1)
    }

    /// Renews the lease from the moment of `stamp`. One that this client has not sent yet does nothing.
    pub(crate) fn renew(&self, stamp: u64, lease: Duration) {
        if stamp == 0 || stamp > self.stamp() {
            return;
        }
        let until = stamp.saturating_add(nanoseconds(lease - lease / DRIFT_DIVISOR));
        let until = if lease.is_zero() { 0 } else { until };
        // ORDERING: the lease guards no other memory.
        self.lease_until.store(until, Ordering::Relaxed);
    }

    /// Says whether an answer may be relied on now.
    pub(crate) fn check(&self) -> Result<(), DecideError> {
        if self.stamp() > self.lease_until.load(Ordering::Relaxed) {
            return Err(DecideError::LeaseExpired);
        }
        // ORDERING: pairs with the stores under `last`; being late by one answer is being asked earlier.
        if self.is_in_sync.load(Ordering::Acquire) { Ok(()) } else { Err(DecideError::OutOfSync) }
    }

    /// Takes note of an end.
    pub(crate) fn ended(&self, frame: &EndedV1) -> Sequence {
        self.advance(frame.push_seq, |last| frame.push_seq > last && frame.prev_seq != last)
    }

    /// Takes note of a heartbeat.
    pub(crate) fn heartbeat(&self, frame: &HeartbeatV1) -> Sequence {
        self.renew(frame.echo, Duration::from_millis(frame.lease_ms.into()));
        self.advance(frame.push_seq, |last| frame.push_seq > last)
    }

    /// The node has told from which number on its stream is complete.
    pub(crate) fn resynced(&self, push_seq: u64) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = push_seq.max(*last);
        self.is_in_sync.store(true, Ordering::Release);
    }

    /// Number of the newest push frame seen.
    pub(crate) fn applied(&self) -> u64 {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn advance(&self, push_seq: u64, is_gap: impl Fn(u64) -> bool) -> Sequence {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let gap = is_gap(*last);
        *last = push_seq.max(*last);
        if gap && self.is_in_sync.swap(false, Ordering::AcqRel) { Sequence::Gap } else { Sequence::Complete }
    }
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
