//! The ids of the last entries, so that appending one twice is one append.

use std::collections::{HashMap, VecDeque};

use portcullis_model::EventId;

/// The ids of the last entries and their places, without a gap.
pub(crate) struct Recent {
    ids: VecDeque<EventId>,
    places: HashMap<EventId, u64>,
    last: u64,
    ids_max: usize,
}

impl Recent {
    /// Remembers `ids`, of which the last has place `last`.
    pub(crate) fn new(ids: VecDeque<EventId>, last: u64, ids_max: usize) -> Self {
        let first = last + 1 - ids.len() as u64;
        let places = ids.iter().copied().zip(first..).collect();
        Self { ids, places, last, ids_max }
    }

    pub(crate) fn place_of(&self, id: EventId) -> Option<u64> {
        self.places.get(&id).copied()
    }

    /// Gives `id` the next place and forgets the oldest where there are too many.
    pub(crate) fn push(&mut self, id: EventId) -> u64 {
        self.last += 1;
        self.places.insert(id, self.last);
        self.ids.push_back(id);
        if self.ids.len() > self.ids_max {
            let oldest_place = self.first();
            if let Some(oldest) = self.ids.pop_front()
                && self.places.get(&oldest) == Some(&oldest_place)
            {
                self.places.remove(&oldest);
            }
        }
        self.last
    }

    /// At most `count` ids of places up to `at`, newest first, appended to `bytes`; answers how many.
    pub(crate) fn write_before(&self, at: u64, count: usize, bytes: &mut Vec<u8>) -> usize {
        let newer = usize::try_from(self.last.saturating_sub(at)).unwrap_or(usize::MAX);
        let before = bytes.len();
        for id in self.ids.iter().rev().skip(newer).take(count) {
            bytes.extend_from_slice(&id.to_bytes());
        }
        (bytes.len() - before) / EVENT_ID_BYTES
    }

    fn first(&self) -> u64 {
        self.last + 1 - self.ids.len() as u64
    }
}

pub(crate) const EVENT_ID_BYTES: usize = 16;
/// How many entries back an id is still known as appended.
///
/// BOUND: a minute's worth of retries at 16,000 events a second; about 70 MB when full, 16 MB in a snapshot.
pub const REMEMBERED_IDS_MAX: usize = 1_000_000;
