//! Which answer belongs to whom.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_model::EntityUid;
use portcullis_wire::limits::IN_FLIGHT_MAX;
use tokio::sync::{Notify, oneshot};

use crate::error::DecideError;
use crate::reply::Reply;

/// Bits of a correlation number that name the slot; the others are its generation, from 1.
const SLOT_BITS: u32 = IN_FLIGHT_MAX.next_power_of_two().trailing_zeros();
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;

/// What to do with an answer.
#[derive(Debug)]
pub(crate) enum Waiter {
    /// Give it to a future that waits.
    Answer(oneshot::Sender<Reply>),
    /// Remember the numbers of these names.
    Names(Vec<EntityUid>),
    /// Trust the push stream again.
    Resync,
    /// Nobody waits any more for the session that it opens: close it.
    CloseOpened,
    /// Nothing.
    Nothing,
}

/// The requests in flight on one connection: at most as many as the node allows; when all slots are
/// taken, requests are refused. A slot's correlation number changes with every use, so that a late
/// answer finds nobody.
#[derive(Debug)]
pub(crate) struct Slots {
    table: Mutex<Table>,
    idle: Notify,
}

#[derive(Debug)]
struct Table {
    entries: Vec<Entry>,
    free: Vec<u32>,
    slots_max: usize,
    is_closed: bool,
}

#[derive(Debug)]
struct Entry {
    generation: u32,
    waiter: Option<Waiter>,
}

impl Slots {
    pub(crate) fn new(slots_max: usize) -> Self {
        let slots_max = slots_max.min(IN_FLIGHT_MAX);
        let table = Table { entries: Vec::new(), free: Vec::new(), slots_max, is_closed: false };
        Self { table: Mutex::new(table), idle: Notify::new() }
    }

    /// Takes a slot and returns its correlation number.
    pub(crate) fn take(&self, waiter: Waiter) -> Result<u32, DecideError> {
        let mut table = self.lock();
        if table.is_closed {
            return Err(DecideError::ConnectionLost);
        }
        let slot = match table.free.pop() {
            Some(slot) => slot,
            None if table.entries.len() < table.slots_max => {
                table.entries.push(Entry { generation: 0, waiter: None });
                u32::try_from(table.entries.len() - 1).unwrap_or(SLOT_MASK)
            }
            None => return Err(DecideError::Overloaded),
        };
        let entry = table.entry(slot).ok_or(DecideError::Overloaded)?;
        entry.generation = (entry.generation + 1) & (u32::MAX >> SLOT_BITS);
        // Number 0 is for frames without an answer.
        entry.generation = entry.generation.max(1);
        entry.waiter = Some(waiter);
        Ok(entry.generation << SLOT_BITS | slot)
    }

    /// Takes a slot for a future that waits.
    pub(crate) fn wait(self: &Arc<Self>, abandon: Abandon) -> Result<Pending, DecideError> {
        let (sender, receiver) = oneshot::channel();
        let corr = self.take(Waiter::Answer(sender))?;
        Ok(Pending { slots: Arc::clone(self), corr, receiver, abandon })
    }

    /// Frees the slot of an answer that has come, and says who waits for it.
    pub(crate) fn finish(&self, corr: u32) -> Option<Waiter> {
        let mut table = self.lock();
        let waiter = table.release(corr);
        if table.free.len() == table.entries.len() {
            self.idle.notify_waiters();
        }
        waiter
    }

    /// Whether an answer with this number is still expected.
    pub(crate) fn is_expected(&self, corr: u32) -> bool {
        self.lock().live(corr).is_some()
    }

    /// Puts another waiter in the place of one that has gone.
    fn replace(&self, corr: u32, waiter: Waiter) {
        if let Some(entry) = self.lock().live(corr) {
            entry.waiter = Some(waiter);
        }
    }

    /// Ends all waiting; nothing can be taken from now on.
    pub(crate) fn close(&self) {
        let mut table = self.lock();
        table.is_closed = true;
        table.entries.clear();
        table.free.clear();
        self.idle.notify_waiters();
    }

    /// How many slots are taken.
    pub(crate) fn in_flight(&self) -> usize {
        let table = self.lock();
        table.entries.len() - table.free.len()
    }

    /// Waits until no slot is taken.
    pub(crate) async fn until_idle(&self) {
        loop {
            let notified = self.idle.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.in_flight() == 0 {
                return;
            }
            notified.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn entry(&mut self, slot: u32) -> Option<&mut Entry> {
        self.entries.get_mut(usize::try_from(slot).ok()?)
    }

    /// The entry of a correlation number, if that is still in use.
    fn live(&mut self, corr: u32) -> Option<&mut Entry> {
        let entry = self.entry(corr & SLOT_MASK)?;
        (entry.generation == corr >> SLOT_BITS && entry.waiter.is_some()).then_some(entry)
    }

    fn release(&mut self, corr: u32) -> Option<Waiter> {
        let waiter = self.live(corr)?.waiter.take();
        self.free.push(corr & SLOT_MASK);
        waiter
    }
}

/// What becomes of an answer for which nobody waits any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Abandon {
    /// Its slot is free at once; the answer is discarded.
    Free,
    /// The session that it opens is closed.
    CloseOpened,
}

/// A request in flight. Dropping it abandons the request.
#[derive(Debug)]
pub(crate) struct Pending {
    slots: Arc<Slots>,
    corr: u32,
    receiver: oneshot::Receiver<Reply>,
    abandon: Abandon,
}

impl Pending {
    /// The number that the frame must carry.
    pub(crate) const fn corr(&self) -> u32 {
        self.corr
    }

    /// The request was not sent after all.
    pub(crate) fn unsent(mut self) {
        self.abandon = Abandon::Free;
    }

    /// The answer.
    pub(crate) async fn reply(mut self) -> Result<Reply, DecideError> {
        (&mut self.receiver).await.map_err(|_| DecideError::ConnectionLost)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // After an answer the slot has another generation or none, and nothing happens here.
        match self.abandon {
            Abandon::Free => drop(self.slots.finish(self.corr)),
            Abandon::CloseOpened => self.slots.replace(self.corr, Waiter::CloseOpened),
        }
    }
}
