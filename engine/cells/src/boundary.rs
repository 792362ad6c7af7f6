//! Batch boundaries: how a writer learns that every worker has begun anew since a point in time.

use std::fmt;

use crate::{
    line::CacheLine,
    sync::{Arc, AtomicU64, Mutex, Ordering, fence, lock},
};

/// The workers that decide in batches, at most [`WORKERS_MAX`].
///
/// A writer stores what workers must see (a deny entry, a new index), takes a [`Mark`], and waits until it is
/// [`passed`](Boundary::passed). From then on no worker decides by what it read before: each has begun a batch whose reads see
/// those stores, or does so when it next begins one. Costs a worker one store and one fence a batch.
#[derive(Clone)]
pub struct Boundary {
    shared: Arc<Shared>,
}

impl Boundary {
    /// A boundary without workers.
    pub fn new() -> Self {
        let states = (0..WORKERS_MAX).map(|_| CacheLine::new(AtomicU64::new(0))).collect();
        Self { shared: Arc::new(Shared { states, taken: Mutex::new(0) }) }
    }

    /// A place for one more worker, idle; `None` if all [`WORKERS_MAX`] are taken.
    pub fn join(&self) -> Option<Worker> {
        let mut taken = lock(&self.shared.taken);
        let index = (0..WORKERS_MAX).find(|index| *taken & (1 << index) == 0)?;
        *taken |= 1 << index;
        // The count goes on where the place's last worker left it, so that an old mark never matches again.
        let state = self.shared.states[index].value.load(Ordering::Relaxed);
        Some(Worker { shared: Arc::clone(&self.shared), index, state })
    }

    /// How many workers there are.
    pub fn workers(&self) -> u32 {
        lock(&self.shared.taken).count_ones()
    }

    /// Notes which workers are inside a batch now. What the caller (or a thread before it) has stored is seen by every batch
    /// that is not in the mark.
    pub fn mark(&self) -> Mark {
        // ORDERING: with the fence in `Worker::begin`, one of the two comes first. If it is this one, the worker's batch sees
        // what was stored before the mark; if it is the worker's, the load below sees the batch.
        fence(Ordering::SeqCst);
        Mark { states: std::array::from_fn(|index| self.shared.states[index].value.load(Ordering::Acquire)) }
    }

    /// Whether every worker that was inside a batch at `mark` has since begun another, gone idle or left. Never waits.
    ///
    /// Once true for a mark, always true. A worker stuck in its batch keeps it false: the caller says how long it asks.
    pub fn passed(&self, mark: &Mark) -> bool {
        // ORDERING: Acquire, pairs with the Release stores of `Worker`: all reads of the marked batch are over.
        mark.states
            .iter()
            .zip(self.shared.states.iter())
            .all(|(marked, state)| is_idle(*marked) || state.value.load(Ordering::Acquire) != *marked)
    }
}

impl Default for Boundary {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Boundary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Boundary").field("workers", &self.workers()).finish_non_exhaustive()
    }
}

/// Which workers were inside which batch when it was taken.
#[derive(Clone, Debug)]
pub struct Mark {
    states: [u64; WORKERS_MAX],
}

/// One worker's place; it leaves on drop. Decisions outside a batch are not waited for: make none.
pub struct Worker {
    shared: Arc<Shared>,
    index: usize,
    state: u64,
}

impl Worker {
    /// Begins a batch, and so ends the one before. What a mark taken before this stored is seen by every later read.
    pub fn begin(&mut self) {
        self.advance(if is_idle(self.state) { 1 } else { 2 });
        // ORDERING: pairs with the fence in `Boundary::mark`; keeps the batch's reads behind the store above.
        fence(Ordering::SeqCst);
    }

    /// Ends the batch, if one is going on: nobody waits for this worker until it begins another.
    pub fn idle(&mut self) {
        if !is_idle(self.state) {
            self.advance(1);
        }
    }

    fn advance(&mut self, steps: u64) {
        self.state += steps;
        // ORDERING: Release, pairs with Acquire in `passed` and `mark`: the batch before is over.
        self.shared.states[self.index].value.store(self.state, Ordering::Release);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.idle();
        *lock(&self.shared.taken) &= !(1 << self.index);
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Worker")
            .field("index", &self.index)
            .field("is_idle", &is_idle(self.state))
            .finish_non_exhaustive()
    }
}

/// One count per place (odd inside a batch, never reset), and which places are taken.
struct Shared {
    states: Box<[CacheLine<AtomicU64>]>,
    taken: Mutex<u64>,
}

fn is_idle(state: u64) -> bool {
    state.is_multiple_of(2)
}

/// Workers of a boundary.
///
/// BOUND: one bit each in a word, and a mark reads one line each. Under loom 2: each atomic costs schedules.
pub const WORKERS_MAX: usize = if cfg!(loom) { 2 } else { 64 };

#[cfg(all(test, not(loom)))]
mod tests;
