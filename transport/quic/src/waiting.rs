//! Lanes whose answers wait for the audit record to be durable.

use std::collections::HashMap;
use std::sync::Mutex;
use std::task::Waker;

use crate::lock::held;

/// Wakers of one worker's waiting lanes, one for each at most.
#[derive(Default)]
pub(crate) struct Waiting {
    wakers: Mutex<HashMap<u64, Waker>>,
}

impl Waiting {
    /// Has a lane woken at the next move of the watermark. Look at the watermark after this.
    pub(crate) fn register(&self, lane: u64, waker: &Waker) {
        held(&self.wakers).insert(lane, waker.clone());
    }

    /// Forgets a lane that is over.
    pub(crate) fn forget(&self, lane: u64) {
        held(&self.wakers).remove(&lane);
    }

    /// Wakes all, once. Called from the audit writer's thread: it must not take long.
    pub(crate) fn wake(&self) {
        let wakers = std::mem::take(&mut *held(&self.wakers));
        wakers.into_values().for_each(Waker::wake);
    }
}
