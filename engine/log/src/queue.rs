//! The bounded queue before the writer thread, and the answers that must not get lost.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use portcullis_model::Revision;

use crate::error::AppendError;
use crate::frame::frame_bytes;
use crate::ordered::{AppendDone, Entry};
use crate::writer::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX};

/// A caller's callback, called exactly once: dropping it unanswered says that the log is poisoned.
pub(crate) struct Answer(Option<AppendDone>);

impl Answer {
    pub(crate) fn new(done: AppendDone) -> Self {
        Self(Some(done))
    }

    pub(crate) fn give(mut self, result: Result<Revision, AppendError>) {
        self.call(result);
    }

    /// Lets go of the callback without calling it.
    fn withdraw(mut self) {
        self.0 = None;
    }

    fn call(&mut self, result: Result<Revision, AppendError>) {
        if let Some(done) = self.0.take()
            && catch_unwind(AssertUnwindSafe(|| done(result))).is_err()
        {
            tracing::error!("a caller's callback panicked on the log's thread");
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.call(Err(AppendError::Poisoned));
    }
}

/// An entry that waits for its place.
pub(crate) struct Pending {
    pub(crate) entry: Entry,
    pub(crate) answer: Answer,
}

/// What callers put in and the writer takes out.
pub(crate) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
}

struct State {
    pending: VecDeque<Pending>,
    bytes: usize,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Closing,
    Poisoned,
}

impl Queue {
    pub(crate) fn new() -> Self {
        let state = State { pending: VecDeque::new(), bytes: 0, phase: Phase::Open };
        Self { state: Mutex::new(state), filled: Condvar::new() }
    }

    /// Puts an entry in, or refuses it and lets go of its callback.
    pub(crate) fn push(&self, pending: Pending) -> Result<(), AppendError> {
        let bytes = frame_bytes(pending.entry.payload.len());
        let mut state = self.lock();
        let full = state.pending.len() >= QUEUE_ENTRIES_MAX || state.bytes + bytes > QUEUE_BYTES_MAX;
        let refused = match state.phase {
            Phase::Poisoned => Some(AppendError::Poisoned),
            Phase::Closing => Some(AppendError::Closed),
            Phase::Open => full.then_some(AppendError::Overloaded),
        };
        if let Some(error) = refused {
            drop(state);
            pending.answer.withdraw();
            return Err(error);
        }
        state.bytes += bytes;
        state.pending.push_back(pending);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for entries and moves as many as one batch may have to `batch`; false when there will be no more.
    pub(crate) fn take(&self, batch: &mut Vec<Pending>) -> bool {
        let mut state = self.lock();
        while state.pending.is_empty() {
            if state.phase != Phase::Open {
                return false;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let mut batch_bytes = 0;
        while let Some(next) = state.pending.front()
            && batch.len() < BATCH_ENTRIES_MAX
        {
            let bytes = frame_bytes(next.entry.payload.len());
            if !batch.is_empty() && batch_bytes + bytes > BATCH_BYTES_MAX {
                break;
            }
            batch_bytes += bytes;
            batch.extend(state.pending.pop_front());
        }
        state.bytes = state.bytes.saturating_sub(batch_bytes);
        true
    }

    /// Refuses further entries; what is in is still taken.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Closing;
        }
        drop(state);
        self.filled.notify_all();
    }

    /// Refuses further entries for good and answers those that wait.
    pub(crate) fn poison(&self) {
        let mut state = self.lock();
        state.phase = Phase::Poisoned;
        state.bytes = 0;
        let waiting = std::mem::take(&mut state.pending);
        drop(state);
        // Dropped without the lock: each answers its caller, who may append again.
        drop(waiting);
        self.filled.notify_all();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.lock().phase == Phase::Closing
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.lock().phase == Phase::Poisoned
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Most entries that wait. BOUND: about a second's worth at the rate one writer syncs.
pub const QUEUE_ENTRIES_MAX: usize = 65_536;
/// Most bytes that wait, frames included. BOUND: three of the largest entries.
pub const QUEUE_BYTES_MAX: usize = 256 * 1024 * 1024;
