//! Names of client registrations and their short numbers.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use dashmap::DashMap;
use portcullis_cells::Chunked;

/// Most registrations of one node's life. Numbers are never reused, so that a slot or a record of an
/// earlier configuration still names its client.
const CLIENTS_MAX: usize = 65_536;

/// Registrations by number. Number 0 is the node itself.
pub(crate) struct Clients {
    numbers: DashMap<String, u32>,
    names: Chunked<OnceLock<String>>,
    count: AtomicU32,
}

impl Clients {
    pub(crate) fn new() -> Self {
        Self { numbers: DashMap::new(), names: Chunked::with_capacity_max(CLIENTS_MAX), count: AtomicU32::new(1) }
    }

    /// The number of a registration; 0 once the table is full.
    pub(crate) fn number(&self, name: &str) -> u32 {
        *self.numbers.entry(name.to_owned()).or_insert_with(|| {
            let number = self.count.fetch_add(1, Ordering::Relaxed);
            let slot = usize::try_from(number).ok().and_then(|index| self.names.ensure(index, OnceLock::new));
            slot.map_or(0, |slot| {
                slot.get_or_init(|| name.to_owned());
                number
            })
        })
    }

    pub(crate) fn name(&self, number: u32) -> &str {
        let slot = usize::try_from(number).ok().and_then(|index| self.names.get(index));
        slot.and_then(OnceLock::get).map_or("node", String::as_str)
    }
}
