//! Numbered slots that are claimed, read by handle, and released for the next.

use std::fmt;

use crate::{
    chunked::Chunked,
    sync::{AtomicU64, Mutex, Ordering, fence, lock},
};

/// Up to a maximum of slots with `N` words each (`N <= 7` fits one 64-byte line); grows by chunks, never shrinks.
///
/// A slot's generation rises at each release, so a handle reads its own claim's words or nothing. Reading is lock-free and
/// never retries; claiming, storing and releasing take turns at a mutex.
pub struct Slots<const N: usize> {
    slots: Chunked<Slot<N>>,
    vacant: Mutex<Vacant>,
    occupied: AtomicU64,
    generation_first: u32,
}

/// Names one claim of one slot. Any value may be asked for; one that was never given, or was released, finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    /// Which slot.
    pub index: u32,
    /// Which of the slot's claims, from 1.
    pub generation: u32,
}

impl Handle {
    /// Generation in the high half, index in the low. Never 0 for a handle that was claimed.
    pub fn to_word(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The handle of a word; every word has one.
    pub fn from_word(word: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = word.to_be_bytes();
        Self { generation: u32::from_be_bytes([a, b, c, d]), index: u32::from_be_bytes([e, f, g, h]) }
    }

    fn index(self) -> usize {
        self.index as usize
    }
}

impl<const N: usize> Slots<N> {
    /// No slot occupied, at most `capacity_max` ever.
    pub fn with_capacity_max(capacity_max: u32) -> Self {
        Self::with_generation_first(capacity_max, GENERATION_FIRST)
    }

    fn with_generation_first(capacity_max: u32, generation_first: u32) -> Self {
        Self {
            slots: Chunked::with_capacity_max(capacity_max as usize),
            vacant: Mutex::new(Vacant { released: Vec::new(), untouched: 0, capacity_max }),
            occupied: AtomicU64::new(0),
            generation_first,
        }
    }

    /// Occupies a slot with `value`; `None` if all are occupied or used up.
    pub fn claim(&self, value: [u64; N]) -> Option<Handle> {
        let mut vacant = lock(&self.vacant);
        let index = vacant.peek()?;
        let slot = self.slots.ensure(index as usize, || Slot::new(self.generation_first))?;
        vacant.take(index);
        let generation = slot.occupy(value);
        self.occupied.fetch_add(1, Ordering::Relaxed);
        Some(Handle { index, generation })
    }

    /// The words of the claim that `handle` names, `None` once it is released.
    ///
    /// Never a word of another claim. Words stored apart by [`Slots::store_word`] may be seen apart.
    #[inline]
    pub fn read(&self, handle: Handle) -> Option<[u64; N]> {
        self.slots.get(handle.index())?.read(handle.generation)
    }

    /// Replaces word `word` of the claim that `handle` names; `false` if it is released or has no such word.
    pub fn store_word(&self, handle: Handle, word: usize, value: u64) -> bool {
        let Some(slot) = self.slots.get(handle.index()) else { return false };
        // The lock keeps the claim from being released, and the slot claimed anew, between the check and the store.
        let _turn = lock(&self.vacant);
        slot.is_occupied_by(handle.generation) && slot.store_word(word, value)
    }

    /// Ends the claim that `handle` names; `false` if it is over already. A slot out of generations is not used again.
    pub fn release(&self, handle: Handle) -> bool {
        let Some(slot) = self.slots.get(handle.index()) else { return false };
        let mut vacant = lock(&self.vacant);
        if !slot.is_occupied_by(handle.generation) {
            return false;
        }
        if slot.vacate(handle.generation) {
            vacant.released.push(handle.index);
        }
        self.occupied.fetch_sub(1, Ordering::Relaxed);
        true
    }

    /// How many slots are occupied.
    pub fn occupied(&self) -> u64 {
        self.occupied.load(Ordering::Relaxed)
    }
}

impl<const N: usize> fmt::Debug for Slots<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Slots").field("occupied", &self.occupied()).finish_non_exhaustive()
    }
}

/// Which slots may be claimed: the last released first, while its line is warm.
struct Vacant {
    released: Vec<u32>,
    /// The lowest index never claimed.
    untouched: u32,
    capacity_max: u32,
}

impl Vacant {
    fn peek(&self) -> Option<u32> {
        self.released.last().copied().or((self.untouched < self.capacity_max).then_some(self.untouched))
    }

    /// Takes the index that `peek` returned.
    fn take(&mut self, index: u32) {
        if self.released.pop().is_none() {
            self.untouched = index + 1;
        }
    }
}

/// The claim's generation in the high half and 1 in the low while occupied; while vacant the next claim's and 0 (all 0: none
/// left). Then the words.
#[derive(Debug)]
#[repr(align(64))]
struct Slot<const N: usize> {
    claim: AtomicU64,
    words: [AtomicU64; N],
}

impl<const N: usize> Slot<N> {
    fn new(generation: u32) -> Self {
        Self { claim: AtomicU64::new(vacant(generation)), words: [0; N].map(AtomicU64::new) }
    }

    fn read(&self, generation: u32) -> Option<[u64; N]> {
        // ORDERING: Acquire, pairs with Release in `occupy`: the claim comes with its words.
        if self.claim.load(Ordering::Acquire) != occupied(generation) {
            return None;
        }
        let value = std::array::from_fn(|index| self.words[index].load(Ordering::Relaxed));
        // ORDERING: pairs with the Release fence in `occupy`: whoever saw a word of a later claim sees this one's end.
        fence(Ordering::Acquire);
        self.is_occupied_by(generation).then_some(value)
    }

    fn is_occupied_by(&self, generation: u32) -> bool {
        self.claim.load(Ordering::Relaxed) == occupied(generation)
    }

    /// Writes the words of a vacant slot's next claim and returns its generation.
    fn occupy(&self, value: [u64; N]) -> u32 {
        let next = self.claim.load(Ordering::Relaxed);
        // ORDERING: pairs with the Acquire fence in `read`; covers the store in `vacate`, which the lock put before it.
        fence(Ordering::Release);
        for (word, new) in self.words.iter().zip(value) {
            word.store(new, Ordering::Relaxed);
        }
        self.claim.store(next + 1, Ordering::Release);
        Handle::from_word(next).generation
    }

    /// Ends the claim of `generation`; whether the slot has another generation left.
    fn vacate(&self, generation: u32) -> bool {
        let next = generation.checked_add(1);
        // ORDERING: the fence in the next `occupy` publishes it before any word of that claim.
        self.claim.store(next.map_or(0, vacant), Ordering::Relaxed);
        next.is_some()
    }

    fn store_word(&self, word: usize, value: u64) -> bool {
        // ORDERING: Release, pairs with the Acquire fence in `read`: the word comes with what was stored before it.
        self.words.get(word).map(|word| word.store(value, Ordering::Release)).is_some()
    }
}

fn vacant(generation: u32) -> u64 {
    u64::from(generation) << 32
}

fn occupied(generation: u32) -> u64 {
    vacant(generation) | 1
}

/// Not 0, so that no handle is the word 0 and a used-up slot is recognised.
const GENERATION_FIRST: u32 = 1;

#[cfg(all(test, not(loom)))]
mod tests;
