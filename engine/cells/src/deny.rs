//! The table of early restrictions: what decisions must refuse before the log says so.

use std::{error::Error, fmt};

use crate::{
    line::CacheLine,
    sequence::Sequence,
    sync::{AtomicU64, Mutex, Ordering, lock, spin_loop},
};

/// At most [`DENY_MAX`] restrictions, set by any thread and read by every decision.
///
/// A decision loads [`DenyTable::pending`] and looks further only if it is not 0. Setting and clearing take turns at a mutex;
/// reading never locks. What has been set before a read began (by happens-before, or by a [`crate::Boundary`] passed since) is
/// seen by it; an entry that cannot be read whole counts as a match.
pub struct DenyTable {
    summary: CacheLine<Summary>,
    entries: Box<[Entry]>,
    setter: Mutex<()>,
}

/// One restriction. Equal entries are one; entries that share a key are cleared together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DenyEntry {
    /// Id of the event whose own effect clears the entry.
    pub key: [u64; 2],
    /// What `target` names; means nothing here.
    pub kind: u64,
    /// Who or what is restricted; means nothing here.
    pub target: [u64; 2],
}

impl DenyTable {
    /// An empty table.
    pub fn new() -> Self {
        Self {
            summary: CacheLine::default(),
            entries: (0..DENY_MAX).map(|_| Entry::unwritten()).collect(),
            setter: Mutex::new(()),
        }
    }

    /// Adds `entry`, unless it is there already. Every read that begins after the return sees it.
    ///
    /// # Errors
    /// [`TableFull`]: nothing was added; the caller waits for its event's own effect instead.
    pub fn set(&self, entry: DenyEntry) -> Result<(), TableFull> {
        let _turn = lock(&self.setter);
        let summary = &self.summary.value;
        if !summary.occupied().any(|index| self.entries[index].load() == entry) {
            let free = summary.first_free().ok_or(TableFull)?;
            self.entries[free].store(entry);
            // ORDERING: the entry, then its bit, then the counts, each Release: whoever sees a later one (Acquire) sees
            // the earlier ones. So a counted entry is found, and an unchanged `changes` means that nothing was missed.
            summary.occupy(free);
            summary.pending.fetch_add(1, Ordering::Release);
        }
        summary.changes.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Removes the entries under `key`; whether there were any.
    ///
    /// A decision reads the state first and this table last. So that none falls between the two, clear only when a
    /// [`crate::Mark`] taken after the event's own effect became effective has passed.
    pub fn clear(&self, key: [u64; 2]) -> bool {
        let _turn = lock(&self.setter);
        let summary = &self.summary.value;
        let mut cleared = false;
        for index in summary.occupied().filter(|index| self.entries[*index].load().key == key) {
            summary.vacate(index);
            summary.pending.fetch_sub(1, Ordering::Relaxed);
            cleared = true;
        }
        cleared
    }

    /// How many entries are set: one load of a line that only `set` and `clear` write.
    #[inline]
    pub fn pending(&self) -> u64 {
        self.summary.value.pending.load(Ordering::Acquire)
    }

    /// How often `set` has succeeded, ever. If it is the same after a scan's caller has waited as it was before the scan, no
    /// restriction came between.
    #[inline]
    pub fn changes(&self) -> u64 {
        self.summary.value.changes.load(Ordering::Acquire)
    }

    /// Whether an entry matches. Lock-free; one line an entry; stops at the first match.
    ///
    /// An entry that changes under every one of `SCAN_ATTEMPTS_MAX` (64) reads counts as a match.
    pub fn any(&self, mut matches: impl FnMut(&DenyEntry) -> bool) -> bool {
        self.summary.value.occupied().any(|index| self.entries[index].read().is_none_or(|entry| matches(&entry)))
    }
}

impl Default for DenyTable {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for DenyTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DenyTable")
            .field("pending", &self.pending())
            .field("changes", &self.changes())
            .finish_non_exhaustive()
    }
}

/// The table has no room: retry when an entry has been cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableFull;

impl fmt::Display for TableFull {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{DENY_MAX} restrictions are already waiting for their commit")
    }
}

impl Error for TableFull {}

/// The line that every decision loads, and the map of the entries in use.
#[derive(Debug, Default)]
struct Summary {
    pending: AtomicU64,
    changes: AtomicU64,
    occupied: [AtomicU64; DENY_MAX.div_ceil(BITS)],
}

impl Summary {
    /// Indexes of the entries in use.
    fn occupied(&self) -> impl Iterator<Item = usize> {
        self.occupied.iter().enumerate().flat_map(|(position, word)| {
            // ORDERING: pairs with Release in `occupy`: the bit comes with the entry.
            let mut bits = word.load(Ordering::Acquire);
            std::iter::from_fn(move || {
                let lowest = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
                bits &= bits - 1;
                Some(position * BITS + lowest)
            })
        })
    }

    fn first_free(&self) -> Option<usize> {
        self.occupied.iter().enumerate().find_map(|(position, word)| {
            let free = word.load(Ordering::Relaxed).trailing_ones() as usize;
            let index = position * BITS + free;
            (free < BITS && index < DENY_MAX).then_some(index)
        })
    }

    fn occupy(&self, index: usize) {
        self.occupied[index / BITS].fetch_or(1 << (index % BITS), Ordering::Release);
    }

    fn vacate(&self, index: usize) {
        self.occupied[index / BITS].fetch_and(!(1 << (index % BITS)), Ordering::Relaxed);
    }
}

/// Room for one restriction, on a line of its own.
#[derive(Debug)]
#[repr(align(64))]
struct Entry {
    sequence: Sequence,
    words: [AtomicU64; 5],
}

impl Entry {
    fn unwritten() -> Self {
        Self { sequence: Sequence::unwritten(), words: [0; 5].map(AtomicU64::new) }
    }

    fn store(&self, entry: DenyEntry) {
        let [key_high, key_low] = entry.key;
        let [target_high, target_low] = entry.target;
        self.sequence.write(|| {
            for (word, new) in self.words.iter().zip([key_high, key_low, entry.kind, target_high, target_low]) {
                word.store(new, Ordering::Relaxed);
            }
        });
    }

    /// The words as they are: whole only under the setter's lock or inside a sequence check.
    fn load(&self) -> DenyEntry {
        let [key_high, key_low, kind, target_high, target_low] =
            std::array::from_fn(|index| self.words[index].load(Ordering::Relaxed));
        DenyEntry { key: [key_high, key_low], kind, target: [target_high, target_low] }
    }

    fn read(&self) -> Option<DenyEntry> {
        for _ in 0..SCAN_ATTEMPTS_MAX {
            if let Some(sequence) = self.sequence.settled() {
                let entry = self.load();
                if self.sequence.is_unchanged(sequence) {
                    return Some(entry);
                }
            }
            spin_loop();
        }
        None
    }
}

/// Entries of a table.
///
/// BOUND: a scan of all is 16 KiB, a few microseconds, and lasts as long as the commits it bridges. Under loom 2: each atomic
/// costs schedules.
pub const DENY_MAX: usize = if cfg!(loom) { 2 } else { 256 };

/// BOUND: a write is six stores; a setter stopped in the middle must not stop decisions, so they refuse instead. Under loom 1.
const SCAN_ATTEMPTS_MAX: usize = if cfg!(loom) { 1 } else { 64 };

/// Bits of a word of the map.
const BITS: usize = 64;

#[cfg(all(test, not(loom)))]
mod tests;
