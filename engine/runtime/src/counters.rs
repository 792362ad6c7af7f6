//! What is counted, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_model::{ErrorCode, Reason, Verdict};

/// Slots of the two tables: reasons have numbers below 128, error codes from 100 to 227.
const TABLE: usize = 128;
const FIRST_CODE: u16 = 100;

/// Decisions by reason and refusals by code.
///
/// Shared by all deciders and written with relaxed adds: exact, and only as costly as one contended
/// line while several deciders run on several cores.
pub struct Counters {
    reasons: [AtomicU64; TABLE],
    codes: [AtomicU64; TABLE],
    pub(crate) revocations: AtomicU64,
    pub(crate) quarantined: AtomicU64,
    pub(crate) folded: AtomicU64,
    pub(crate) restarts: AtomicU64,
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self {
            reasons: [const { AtomicU64::new(0) }; TABLE],
            codes: [const { AtomicU64::new(0) }; TABLE],
            revocations: AtomicU64::new(0),
            quarantined: AtomicU64::new(0),
            folded: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(crate) fn decided(&self, _verdict: Verdict, reason: Reason) {
        if let Some(count) = self.reasons.get(usize::from(reason.number())) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn refused(&self, code: ErrorCode) {
        if let Some(count) = self.codes.get(usize::from(code.number().saturating_sub(FIRST_CODE))) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Decisions by reason.
    pub fn reasons(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.iter().map(|reason| (*reason, read(&self.reasons, reason.number())))
    }

    /// Refusals by code.
    pub fn codes(&self) -> impl Iterator<Item = (ErrorCode, u64)> + '_ {
        ErrorCode::ALL.iter().map(|code| (*code, read(&self.codes, code.number().saturating_sub(FIRST_CODE))))
    }

    /// Revocations that were acknowledged.
    pub fn revocations(&self) -> u64 {
        self.revocations.load(Ordering::Relaxed)
    }

    /// Events that could not be applied.
    pub fn quarantined(&self) -> u64 {
        self.quarantined.load(Ordering::Relaxed)
    }

    /// Events folded.
    pub fn folded(&self) -> u64 {
        self.folded.load(Ordering::Relaxed)
    }

    /// Runtime actors that were restarted.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }
}

fn read(table: &[AtomicU64; TABLE], place: u16) -> u64 {
    table.get(usize::from(place)).map_or(0, |count| count.load(Ordering::Relaxed))
}
