//! The deciding thread's end of the audit log.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use portcullis_cells::RingProducer;

use crate::error::PushError;
use crate::hot::HotRecord;
use crate::lane::Lane;
use crate::shared::Shared;

/// Pushes one thread's records. Dropping it lets its number go once its records are written.
pub struct Producer {
    ring: RingProducer,
    lane: Arc<Lane>,
    shared: Arc<Shared>,
}

/// A record that was taken: in memory now, on the device once the watermark has reached it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a record is durable only when the watermark has reached its ticket"]
pub struct Ticket {
    /// Who took it: 0 is the control side.
    pub worker: u32,
    /// Its running number among this worker's records, from 1.
    pub number: u64,
}

impl Producer {
    pub(crate) fn new(ring: RingProducer, lane: Arc<Lane>, shared: Arc<Shared>) -> Self {
        Self { ring, lane, shared }
    }

    /// This producer's number in entries, gaps and summaries; never 0, never used again in this run.
    pub fn worker(&self) -> u32 {
        self.lane.worker
    }

    /// Takes one record, all or nothing. Cost: one copy; no allocation, no lock, no system call.
    ///
    /// # Errors
    /// [`PushError`]; whatever the record was about must then be refused.
    #[inline]
    pub fn push(&mut self, record: &HotRecord<'_>) -> Result<Ticket, PushError> {
        self.shared.takes()?;
        let ring = &mut self.ring;
        let Ok(number) = record.encode(|parts| ring.push(parts))? else {
            self.lane.refuse();
            return Err(PushError::Full);
        };
        self.lane.set_pushed(number);
        Ok(Ticket { worker: self.lane.worker, number })
    }

    /// The watermark: this producer's records up to this number are on the device. Never moves again
    /// once the log is poisoned.
    #[inline]
    pub fn durable(&self) -> u64 {
        self.lane.durable()
    }

    /// Another view of this producer's watermark, for whoever answers in its place.
    pub fn watermark(&self) -> Watermark {
        Watermark { lane: Arc::clone(&self.lane) }
    }

    /// Wakes the writer if it rests. To be called once after pushing records whose answers wait for
    /// them; without it an idle writer takes up to a millisecond to look. At most one system call.
    pub fn nudge(&self) {
        self.shared.nudge();
    }

    /// Whether the log still takes records; false is for good.
    pub fn is_open(&self) -> bool {
        self.shared.takes().is_ok()
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.shared.live.fetch_sub(1, Ordering::AcqRel);
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("lane", &self.lane).finish_non_exhaustive()
    }
}

/// A producer's watermark.
#[derive(Clone, Debug)]
pub struct Watermark {
    lane: Arc<Lane>,
}

impl Watermark {
    /// Records up to this number are on the device.
    #[inline]
    pub fn durable(&self) -> u64 {
        self.lane.durable()
    }
}
