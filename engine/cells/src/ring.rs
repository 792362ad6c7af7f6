//! A bounded queue of byte records from one thread to one other.

use std::{error::Error, fmt};

use crate::{
    line::CacheLine,
    sync::{Arc, AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

/// A ring for at least `capacity_bytes` of words, rounded up to a power of two; never less than one longest record needs,
/// never more than [`RING_BYTES_MAX`].
///
/// A record takes a word for its length and its bytes rounded up to words. All memory is taken here: neither end allocates
/// for the ring afterwards, blocks, or writes to a line that the other end writes.
pub fn ring(capacity_bytes: usize) -> (RingProducer, RingConsumer) {
    let words =
        capacity_bytes.clamp(RECORD_BYTES_MAX + WORD_BYTES, RING_BYTES_MAX).div_ceil(WORD_BYTES).next_power_of_two();
    let shared = Arc::new(Shared {
        words: (0..words).map(|_| AtomicU64::new(0)).collect(),
        produced: CacheLine::new(Progress::new()),
        consumed: CacheLine::new(Progress::new()),
        closed: AtomicBool::new(false),
    });
    let producer = RingProducer { shared: Arc::clone(&shared), position: 0, consumed_seen: 0, records: 0 };
    (producer, RingConsumer { shared, position: 0, produced_seen: 0, records: 0 })
}

/// The end that pushes. Dropping it closes the ring; what is inside can still be popped.
pub struct RingProducer {
    shared: Arc<Shared>,
    /// Words ever pushed, modulo the word size, as all positions.
    position: usize,
    /// The consumer's position when last looked at.
    consumed_seen: usize,
    records: u64,
}

impl RingProducer {
    /// Pushes one record, the parts joined, and returns its number: 1 for this ring's first, then one more each.
    ///
    /// All or nothing. Costs a store for each 8 bytes; looks at the consumer's line only when the ring seems full.
    ///
    /// # Errors
    /// [`RingFull`]: no room until the consumer pops. Longer than [`RECORD_BYTES_MAX`] never fits; bound records by it.
    pub fn push(&mut self, parts: &[&[u8]]) -> Result<u64, RingFull> {
        let bytes = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
        if bytes > RECORD_BYTES_MAX {
            return Err(RingFull);
        }
        let needed = 1 + bytes.div_ceil(WORD_BYTES);
        if needed > self.free() {
            // ORDERING: pairs with Release in `pop`: the consumer has read the words that are overwritten next.
            self.consumed_seen = self.shared.consumed.value.position.load(Ordering::Acquire);
            if needed > self.free() {
                return Err(RingFull);
            }
        }
        let mut writer = Writer::new(&self.shared.words, self.position);
        writer.put(bytes as u64);
        for part in parts {
            writer.append(part);
        }
        writer.finish();
        self.position = self.position.wrapping_add(needed);
        self.records += 1;
        let produced = &self.shared.produced.value;
        produced.records.store(self.records, Ordering::Relaxed);
        // ORDERING: Release, pairs with Acquire in `pop`: the position comes with the record.
        produced.position.store(self.position, Ordering::Release);
        Ok(self.records)
    }

    /// Records inside; the consumer may be popping some of them now.
    pub fn len_records(&self) -> u64 {
        self.records.saturating_sub(self.shared.consumed.value.records.load(Ordering::Acquire))
    }

    /// Words that are free as far as this end knows.
    fn free(&self) -> usize {
        self.shared.words.len() - self.position.wrapping_sub(self.consumed_seen)
    }
}

impl Drop for RingProducer {
    fn drop(&mut self) {
        // ORDERING: Release, pairs with Acquire in `is_closed`: the end comes with the last record.
        self.shared.closed.store(true, Ordering::Release);
    }
}

impl fmt::Debug for RingProducer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RingProducer").field("records", &self.records).finish_non_exhaustive()
    }
}

/// The end that pops, in the order of pushing.
pub struct RingConsumer {
    shared: Arc<Shared>,
    position: usize,
    /// The producer's position when last looked at.
    produced_seen: usize,
    records: u64,
}

impl RingConsumer {
    /// Replaces what is in `out` by the next record, or leaves it as it is and returns `false` if there is none.
    ///
    /// Allocates only if `out` has no room for the record rounded up to 8 bytes.
    pub fn pop(&mut self, out: &mut Vec<u8>) -> bool {
        if self.position == self.produced_seen {
            // ORDERING: pairs with Release in `push`.
            self.produced_seen = self.shared.produced.value.position.load(Ordering::Acquire);
            if self.position == self.produced_seen {
                return false;
            }
        }
        let length = &self.shared.words[index_of(&self.shared.words, self.position)];
        let bytes = length.load(Ordering::Relaxed) as usize;
        let words = bytes.div_ceil(WORD_BYTES);
        out.resize(words * WORD_BYTES, 0);
        copy_out(&self.shared.words, self.position.wrapping_add(1), out);
        out.truncate(bytes);
        self.position = self.position.wrapping_add(1 + words);
        self.records += 1;
        let consumed = &self.shared.consumed.value;
        consumed.records.store(self.records, Ordering::Relaxed);
        // ORDERING: Release, pairs with Acquire in `push`: the words have been read.
        consumed.position.store(self.position, Ordering::Release);
        true
    }

    /// Records inside; more may be on their way.
    pub fn len_records(&self) -> u64 {
        self.shared.produced.value.records.load(Ordering::Acquire).saturating_sub(self.records)
    }

    /// Whether the producer is gone. Ask before the last `pop`, not after: once true, a `pop` that finds nothing is final.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }
}

impl fmt::Debug for RingConsumer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RingConsumer").field("records", &self.records).finish_non_exhaustive()
    }
}

/// The record does not fit now: refuse what it was to witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingFull;

impl fmt::Display for RingFull {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ring has no room for the record")
    }
}

impl Error for RingFull {}

struct Shared {
    /// A power of two of them.
    words: Box<[AtomicU64]>,
    produced: CacheLine<Progress>,
    consumed: CacheLine<Progress>,
    closed: AtomicBool,
}

/// How far one end has come.
struct Progress {
    position: AtomicUsize,
    records: AtomicU64,
}

impl Progress {
    fn new() -> Self {
        Self { position: AtomicUsize::new(0), records: AtomicU64::new(0) }
    }
}

/// Joins byte strings of any lengths into little-endian words.
struct Writer<'a> {
    words: &'a [AtomicU64],
    position: usize,
    /// Bytes that do not fill a word yet, in the low bits.
    carry: u64,
    carry_bits: u32,
}

impl<'a> Writer<'a> {
    fn new(words: &'a [AtomicU64], position: usize) -> Self {
        Self { words, position, carry: 0, carry_bits: 0 }
    }

    fn put(&mut self, word: u64) {
        self.words[index_of(self.words, self.position)].store(word, Ordering::Relaxed);
        self.position = self.position.wrapping_add(1);
    }

    fn append(&mut self, part: &[u8]) {
        let (chunks, rest) = part.as_chunks();
        let index = index_of(self.words, self.position);
        let (before_end, from_start) = chunks.split_at(chunks.len().min(self.words.len() - index));
        self.put_run(before_end, index);
        self.put_run(from_start, 0);
        self.position = self.position.wrapping_add(chunks.len());
        self.append_rest(rest);
    }

    /// Stores whole words from `index` on, shifted behind the carry.
    fn put_run(&mut self, chunks: &[[u8; WORD_BYTES]], index: usize) {
        let slots = self.words[index..].iter().zip(chunks);
        let (mut carry, bits) = (self.carry, self.carry_bits);
        if bits == 0 {
            for (slot, chunk) in slots {
                slot.store(u64::from_le_bytes(*chunk), Ordering::Relaxed);
            }
        } else {
            for (slot, chunk) in slots {
                let word = u64::from_le_bytes(*chunk);
                slot.store(carry | word << bits, Ordering::Relaxed);
                carry = word >> (u64::BITS - bits);
            }
        }
        self.carry = carry;
    }

    /// Adds fewer than 8 bytes to the carry, and puts it if that fills a word.
    fn append_rest(&mut self, rest: &[u8]) {
        let (mut value, mut bits) = (0, 0);
        for byte in rest {
            value |= u64::from(*byte) << bits;
            bits += u8::BITS;
        }
        let joined = self.carry | value << self.carry_bits;
        let joined_bits = self.carry_bits + bits;
        if joined_bits < u64::BITS {
            (self.carry, self.carry_bits) = (joined, joined_bits);
        } else {
            self.put(joined);
            // Here the old carry is not empty: `bits` alone is at most 56.
            (self.carry, self.carry_bits) = (value >> (u64::BITS - self.carry_bits), joined_bits - u64::BITS);
        }
    }

    fn finish(mut self) {
        if self.carry_bits > 0 {
            self.put(self.carry);
        }
    }
}

/// Fills `out`, whole words long, from `position` on.
fn copy_out(words: &[AtomicU64], position: usize, out: &mut [u8]) {
    let (from_start, before_end) = words.split_at(index_of(words, position));
    let (chunks, _) = out.as_chunks_mut();
    let (near, far) = chunks.split_at_mut(chunks.len().min(before_end.len()));
    copy_run(before_end, near);
    copy_run(from_start, far);
}

fn copy_run(words: &[AtomicU64], chunks: &mut [[u8; WORD_BYTES]]) {
    for (word, chunk) in words.iter().zip(chunks) {
        *chunk = word.load(Ordering::Relaxed).to_le_bytes();
    }
}

fn index_of(words: &[AtomicU64], position: usize) -> usize {
    position & (words.len() - 1)
}

/// Bytes of the longest record.
///
/// BOUND: 4 KiB of raw input and the ids of a decision with room to spare. Under loom 16: each atomic costs schedules.
pub const RECORD_BYTES_MAX: usize = if cfg!(loom) { 16 } else { 8 * 1_024 };

/// Bytes of the largest ring.
///
/// BOUND: seconds of records at any rate one worker reaches; more only hides a stuck writer.
pub const RING_BYTES_MAX: usize = 256 * 1_024 * 1_024;

/// Bytes of a word.
const WORD_BYTES: usize = 8;

#[cfg(all(test, not(loom)))]
mod tests;
