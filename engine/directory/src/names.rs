//! Names and their dense numbers.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use foldhash::fast::RandomState;
use portcullis_cells::Chunked;
use portcullis_model::limits::ENTITIES_MAX;
use portcullis_model::{EntityIndex, EntityUid, Intern};

/// Every entity name that events or policies have mentioned, numbered in order of appearance.
///
/// A name keeps its number for the life of the process. Requests never add names: what a client
/// asks about and nobody stored stays text, so callers cannot fill the table.
pub struct Names {
    numbers: DashMap<EntityUid, EntityIndex, RandomState>,
    uids: Chunked<OnceLock<EntityUid>>,
    count: AtomicU32,
}

impl Names {
    /// An empty table for at most [`ENTITIES_MAX`] names.
    pub fn new() -> Self {
        Self {
            numbers: DashMap::with_hasher(RandomState::default()),
            uids: Chunked::with_capacity_max(ENTITIES_MAX),
            count: AtomicU32::new(0),
        }
    }

    /// The number of a name that is known.
    pub fn find(&self, uid: &EntityUid) -> Option<EntityIndex> {
        self.numbers.get(uid).map(|number| *number)
    }

    /// The name of a number that was given out.
    pub fn uid(&self, entity: EntityIndex) -> Option<&EntityUid> {
        self.uids.get(entity.index())?.get()
    }

    /// How many names there are.
    pub fn count(&self) -> u32 {
        self.count.load(Ordering::Acquire)
    }

    fn number(&self, uid: &EntityUid) -> Option<EntityIndex> {
        let claimed = self.count.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
            (count.try_into().is_ok_and(|count: usize| count < ENTITIES_MAX)).then(|| count + 1)
        });
        let index = EntityIndex::new(claimed.ok()?);
        let slot = self.uids.ensure(index.index(), OnceLock::new)?;
        slot.get_or_init(|| uid.clone());
        Some(index)
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::new()
    }
}

impl Intern for Names {
    fn intern(&self, uid: &EntityUid) -> Option<EntityIndex> {
        if let Some(known) = self.find(uid) {
            return Some(known);
        }
        match self.numbers.entry(uid.clone()) {
            Entry::Occupied(known) => Some(*known.get()),
            Entry::Vacant(vacant) => {
                let index = self.number(uid)?;
                vacant.insert(index);
                Some(index)
            }
        }
    }
}
