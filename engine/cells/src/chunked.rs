//! A growing array whose items never move.

use std::{fmt, sync::OnceLock};

/// Items by index in chunks of [`CHUNK_LEN`], built on first use and kept until the array is dropped.
///
/// Reads take no lock. Costs 16 bytes for each possible chunk from the start.
pub struct Chunked<T> {
    chunks: Box<[OnceLock<Box<[T; CHUNK_LEN]>>]>,
    capacity_max: usize,
}

impl<T> Chunked<T> {
    /// An empty array for the indexes below `capacity_max`.
    pub fn with_capacity_max(capacity_max: usize) -> Self {
        let chunks = (0..capacity_max.div_ceil(CHUNK_LEN)).map(|_| OnceLock::new()).collect();
        Self { chunks, capacity_max }
    }

    /// The item at `index`, if its chunk has been built. Lock-free.
    pub fn get(&self, index: usize) -> Option<&T> {
        if index >= self.capacity_max {
            return None;
        }
        self.chunks.get(index / CHUNK_LEN)?.get()?.get(index % CHUNK_LEN)
    }

    /// The item at `index`; builds its whole chunk with `make` if it is the first there. `None` beyond the maximum.
    ///
    /// Of two threads that build the same chunk at once, one's items are dropped unseen.
    pub fn ensure(&self, index: usize, make: impl Fn() -> T) -> Option<&T> {
        if index >= self.capacity_max {
            return None;
        }
        let chunk = self.chunks.get(index / CHUNK_LEN)?;
        let items = match chunk.get() {
            Some(items) => items,
            None => {
                // Built on the heap: an array of large items would not fit a small stack.
                let items: Vec<T> = (0..CHUNK_LEN).map(|_| make()).collect();
                let items = Box::try_from(items).ok()?;
                chunk.get_or_init(|| items)
            }
        };
        items.get(index % CHUNK_LEN)
    }

    /// How many items there can be.
    pub fn capacity_max(&self) -> usize {
        self.capacity_max
    }
}

impl<T> fmt::Debug for Chunked<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let built = self.chunks.iter().filter(|chunk| chunk.get().is_some()).count();
        formatter
            .debug_struct("Chunked")
            .field("chunks_built", &built)
            .field("capacity_max", &self.capacity_max)
            .finish_non_exhaustive()
    }
}

/// Items of a chunk.
///
/// BOUND: 1,024 lines of 64 bytes are 64 KiB, built in microseconds. Under loom 2: each atomic costs schedules.
pub const CHUNK_LEN: usize = if cfg!(loom) { 2 } else { 1_024 };

#[cfg(all(test, not(loom)))]
mod tests;
