//! The control side's queue: entries in their stored form, bounded by number and by bytes.

use std::collections::VecDeque;

use portcullis_model::Revision;

use crate::limits::{CONTROL_BYTES_MAX, CONTROL_ENTRIES_MAX};

/// The control side's queue.
#[derive(Default)]
pub(crate) struct ControlQueue {
    entries: VecDeque<ControlEntry>,
    bytes: usize,
    pushed: u64,
}

/// An entry in its stored form, and the revision if it is a change.
pub(crate) struct ControlEntry {
    pub(crate) stored: Vec<u8>,
    pub(crate) change: Option<Revision>,
}

impl ControlQueue {
    /// Takes an entry and gives it its number; `None` when the queue is full.
    pub(crate) fn push(&mut self, entry: ControlEntry) -> Option<u64> {
        let bytes = self.bytes + entry.stored.len();
        if self.entries.len() >= CONTROL_ENTRIES_MAX || bytes > CONTROL_BYTES_MAX {
            return None;
        }
        self.bytes = bytes;
        self.pushed += 1;
        self.entries.push_back(entry);
        Some(self.pushed)
    }

    pub(crate) fn pop(&mut self) -> Option<ControlEntry> {
        let entry = self.entries.pop_front()?;
        self.bytes -= entry.stored.len();
        Some(entry)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
