//! A stable cell that keeps its last two values, each stamped with the revision from which it holds.

use std::{error::Error, fmt};

use crate::{
    sequence::Sequence,
    sync::{AtomicU64, Ordering, spin_loop},
};

/// Two versions of `N` words; readers at a stamp get the newest version that is not after it.
///
/// With `N <= 6` a version is one 64-byte line, and the two are neighbours. One thread writes; any number read.
///
/// INVARIANT (the writer's duty): versions are written before the stamp they carry is told to readers (a Release store of an
/// `effective` stamp that readers load with Acquire). Then a read at `effective` is exact: it returns the value as of that
/// stamp, or [`ReadLate`] if the writer has since moved on twice.
#[derive(Debug)]
#[repr(align(128))]
pub struct Versioned<const N: usize> {
    versions: [Version<N>; 2],
}

impl<const N: usize> Versioned<N> {
    /// A cell that has held `value` since `stamp`. Before it, reads are [`ReadLate`]: use 0 for a cell that readers may
    /// meet before its first write.
    pub fn new(stamp: u64, value: [u64; N]) -> Self {
        Self { versions: [Version::written(stamp, value), Version::unwritten()] }
    }

    /// Makes the cell hold `value` from `stamp` on, in place of the older of its two versions.
    ///
    /// With the newest version's stamp again, that version is replaced: no reader is at a stamp that is still being written.
    /// Stamps never decrease; a lower one counts as the newest. One thread at a time: two at once could mix their values.
    pub fn write(&self, stamp: u64, value: [u64; N]) {
        let (newest, older) = self.by_age();
        let newest_stamp = newest.stamp.load(Ordering::Relaxed);
        let target = if stamp > newest_stamp { older } else { newest };
        target.store(stamp.max(newest_stamp), value);
    }

    /// The value at `at`: that of the newest version whose stamp is not above it.
    ///
    /// Lock-free, at most `READ_ATTEMPTS_MAX` (8) attempts; two cache lines.
    ///
    /// # Errors
    /// [`ReadLate`]: load the effective stamp again and restart.
    pub fn read(&self, at: u64) -> Result<[u64; N], ReadLate> {
        let [first, second] = &self.versions;
        for _ in 0..READ_ATTEMPTS_MAX {
            // A version being written is passed over: what it will hold is after `at`, or `at` would have come with it.
            let (version, seen) = match (first.settled_at(at), second.settled_at(at)) {
                (Some(a), Some(b)) if a.stamp < b.stamp => (second, b),
                (Some(a), _) => (first, a),
                (None, Some(b)) => (second, b),
                (None, None) => return Err(ReadLate),
            };
            let value = version.load();
            // ORDERING: also refuses a version that had become the older one before it was read. If the other was passed
            // over because its next write had begun, this one had been overwritten before that, and the writer's fence in
            // between makes whoever saw the former see the latter here.
            if version.sequence.is_unchanged(seen.sequence) {
                return Ok(value);
            }
            spin_loop();
        }
        Err(ReadLate)
    }

    /// The newest stamp and value. For the writer: while another thread writes, the words may be mixed.
    pub fn newest(&self) -> (u64, [u64; N]) {
        let (newest, _) = self.by_age();
        (newest.stamp.load(Ordering::Relaxed), newest.load())
    }

    /// Newest and older version, as the writer sees them.
    fn by_age(&self) -> (&Version<N>, &Version<N>) {
        let [first, second] = &self.versions;
        let second_is_newest =
            second.sequence.is_written() && second.stamp.load(Ordering::Relaxed) > first.stamp.load(Ordering::Relaxed);
        if second_is_newest { (second, first) } else { (first, second) }
    }
}

/// Both versions are after the stamp that was asked for: the reader's stamp is out of date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLate;

impl fmt::Display for ReadLate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("cell has moved past the revision being read")
    }
}

impl Error for ReadLate {}

/// One value, the stamp from which it holds, and the sequence that guards both.
#[derive(Debug)]
#[repr(align(64))]
struct Version<const N: usize> {
    sequence: Sequence,
    stamp: AtomicU64,
    words: [AtomicU64; N],
}

impl<const N: usize> Version<N> {
    fn written(stamp: u64, value: [u64; N]) -> Self {
        Self { sequence: Sequence::written(), stamp: AtomicU64::new(stamp), words: value.map(AtomicU64::new) }
    }

    fn unwritten() -> Self {
        Self { sequence: Sequence::unwritten(), stamp: AtomicU64::new(0), words: [0; N].map(AtomicU64::new) }
    }

    fn store(&self, stamp: u64, value: [u64; N]) {
        self.sequence.write(|| {
            self.stamp.store(stamp, Ordering::Relaxed);
            for (word, new) in self.words.iter().zip(value) {
                word.store(new, Ordering::Relaxed);
            }
        });
    }

    /// What a reader at `at` saw, if this version is not being written and not after `at`.
    fn settled_at(&self, at: u64) -> Option<Seen> {
        let sequence = self.sequence.settled()?;
        let stamp = self.stamp.load(Ordering::Relaxed);
        (stamp <= at).then_some(Seen { sequence, stamp })
    }

    fn load(&self) -> [u64; N] {
        std::array::from_fn(|index| self.words[index].load(Ordering::Relaxed))
    }
}

/// A version's sequence and stamp before its words were read.
struct Seen {
    sequence: u64,
    stamp: u64,
}

/// BOUND: under the invariant a version is overwritten at most once before the read turns out late; the rest is for readers
/// at a stamp that nobody promised them.
const READ_ATTEMPTS_MAX: usize = 8;

#[cfg(all(test, not(loom)))]
mod tests;
