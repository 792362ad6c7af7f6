//! Numbers that the node gave to names.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_model::EntityUid;
use portcullis_wire::frames::{LimitsV1, RegisteredV1};

/// The names of one connection: at most as many, and as many bytes, as the node allows. Names beyond
/// that travel as text.
#[derive(Debug)]
pub(crate) struct Names {
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    /// `None` while the node is being asked.
    numbers: HashMap<EntityUid, Option<u32>>,
    bytes: usize,
    names_max: usize,
    bytes_max: usize,
}

/// What is known of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    /// Its number.
    Known(u32),
    /// None, and the caller shall ask for one.
    Ask,
    /// None now, or ever.
    Unknown,
}

impl Names {
    pub(crate) fn new(limits: &LimitsV1) -> Self {
        let number = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
        let (names_max, bytes_max) = (number(limits.names), number(limits.name_bytes));
        Self { table: Mutex::new(Table { numbers: HashMap::new(), bytes: 0, names_max, bytes_max }) }
    }

    /// The number of a name. [`Number::Ask`] is said once: then [`Names::registered`] or
    /// [`Names::refused`] must follow.
    pub(crate) fn find(&self, name: &EntityUid) -> Number {
        let mut table = self.lock();
        match table.numbers.get(name) {
            Some(Some(number)) => return Number::Known(*number),
            Some(None) => return Number::Unknown,
            None => {}
        }
        if table.numbers.len() >= table.names_max {
            return Number::Unknown;
        }
        let bytes = table.bytes.saturating_add(name.to_string().len());
        if bytes > table.bytes_max {
            return Number::Unknown;
        }
        table.bytes = bytes;
        table.numbers.insert(name.clone(), None);
        Number::Ask
    }

    /// The node has numbered names.
    pub(crate) fn registered(&self, names: Vec<EntityUid>, numbers: RegisteredV1) {
        if usize::try_from(numbers.count).ok() != Some(names.len()) {
            return self.refused(names);
        }
        let mut table = self.lock();
        for (name, number) in names.into_iter().zip(numbers.first..) {
            table.numbers.insert(name, Some(number));
        }
    }

    /// The node has not numbered names: none are registered any more.
    pub(crate) fn refused(&self, names: Vec<EntityUid>) {
        let mut table = self.lock();
        table.names_max = 0;
        for name in names {
            table.numbers.remove(&name);
        }
    }

    /// Names were not sent to the node after all.
    pub(crate) fn unsent(&self, name: &EntityUid) {
        let mut table = self.lock();
        table.numbers.remove(name);
        table.bytes = table.bytes.saturating_sub(name.to_string().len());
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
