//! What one worker and the writer tell each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use portcullis_cells::RingConsumer;

/// What one worker and the writer tell each other. Each side writes a line of its own.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) worker: u32,
    /// Most records that a crash can take of it.
    pub(crate) at_most: u32,
    /// Whether a batch on the device names it.
    pub(crate) announced: AtomicBool,
    pushed: Line,
    durable: Line,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Line(AtomicU64);

impl Lane {
    pub(crate) fn new(worker: u32, at_most: u32) -> Self {
        let (pushed, durable) = (Line::default(), Line::default());
        Self { worker, at_most, announced: AtomicBool::new(false), pushed, durable, refused: AtomicU64::new(0) }
    }

    pub(crate) fn set_pushed(&self, number: u64) {
        // ORDERING: Release, pairs with Acquire in `pushed`: whoever sees the number may wait for it.
        self.pushed.0.store(number, Ordering::Release);
    }

    pub(crate) fn pushed(&self) -> u64 {
        self.pushed.0.load(Ordering::Acquire)
    }

    pub(crate) fn set_durable(&self, number: u64) {
        // ORDERING: Release, pairs with Acquire in `durable`: the sync is over.
        self.durable.0.store(number, Ordering::Release);
    }

    #[inline]
    pub(crate) fn durable(&self) -> u64 {
        self.durable.0.load(Ordering::Acquire)
    }

    pub(crate) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// A new worker on its way to the writer.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) lane: Arc<Lane>,
    pub(crate) ring: RingConsumer,
}
