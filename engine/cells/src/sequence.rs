//! The counter of a sequence lock: odd while words are being written, 0 before the first write.

use crate::sync::{AtomicU64, Ordering, fence};

/// Tells readers whether the words beside it stayed the same while they were read.
///
/// The words are relaxed atomics. One thread writes at a time; that is the owner's duty.
#[derive(Debug)]
pub(crate) struct Sequence(AtomicU64);

impl Sequence {
    /// Before the first write: [`Sequence::settled`] answers `None`.
    pub(crate) fn unwritten() -> Self {
        Self(AtomicU64::new(0))
    }

    /// After a first write done by the constructor.
    pub(crate) fn written() -> Self {
        Self(AtomicU64::new(2))
    }

    /// Whether there was ever a write. For the writer.
    pub(crate) fn is_written(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Runs `store`, which writes the words with relaxed stores, so that no reader takes a mixture for a value.
    pub(crate) fn write(&self, store: impl FnOnce()) {
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(before + 1, Ordering::Relaxed);
        // ORDERING: pairs with the fence in `is_unchanged`: a reader that saw any word stored below, or anything this
        // writer stores later (the odd number of another sequence included), sees at least the odd number above there.
        fence(Ordering::Release);
        store();
        // ORDERING: Release, pairs with Acquire in `settled`: the even number comes with the words.
        self.0.store(before + 2, Ordering::Release);
    }

    /// The number to hand to [`Sequence::is_unchanged`], or `None` while a write is going on or before the first.
    pub(crate) fn settled(&self) -> Option<u64> {
        let now = self.0.load(Ordering::Acquire);
        (now != 0 && now.is_multiple_of(2)).then_some(now)
    }

    /// Whether the words read since `settled` returned `before` belong together.
    pub(crate) fn is_unchanged(&self, before: u64) -> bool {
        // ORDERING: pairs with the Release fence in `write`.
        fence(Ordering::Acquire);
        self.0.load(Ordering::Relaxed) == before
    }
}
