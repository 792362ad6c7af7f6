//! Reads the bytes of one segment and tells a torn end from damage.
//!
//! Sectors of a batch that was never synced may reach the device in any order, so a bad batch at the
//! end is a tear and is cut. A head after a bad batch says that everything before it was synced:
//! then bytes are gone that were there, and that is damage.

use crate::batch::{ALIGNMENT, Batch, BatchHead, head_at};
use crate::code::{u16_at, u32_at, u64_at};

/// The first bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHead {
    /// Its number, from 1; also its file's name.
    pub(crate) number: u64,
    /// Its size in bytes, all of them written before it was put in use.
    pub(crate) bytes: u64,
}

impl SegmentHead {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEAD_BYTES] {
        let mut head = [0; SEGMENT_HEAD_BYTES];
        head[..8].copy_from_slice(SEGMENT_MAGIC);
        head[8..10].copy_from_slice(&SEGMENT_SCHEMA.to_le_bytes());
        head[16..24].copy_from_slice(&self.number.to_le_bytes());
        head[24..32].copy_from_slice(&self.bytes.to_le_bytes());
        let checksum = crc32c::crc32c(&head[..CHECKSUM_AT]);
        head[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        head
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..CHECKSUM_AT)?;
        let known = head.starts_with(SEGMENT_MAGIC) && u16_at(head, 8)? == SEGMENT_SCHEMA;
        let sound = known && u32_at(bytes, CHECKSUM_AT)? == crc32c::crc32c(head);
        sound.then_some(Self { number: u64_at(head, 16)?, bytes: u64_at(head, 24)? })
    }
}

/// What a segment's bytes hold.
#[derive(Clone, Debug)]
pub(crate) struct Scan {
    /// Offset of each whole batch, ascending.
    pub(crate) offsets: Vec<usize>,
    /// Head and checksum of the first and last.
    pub(crate) first: Option<BatchHead>,
    pub(crate) last: Option<(BatchHead, u32)>,
    /// Where the next batch goes.
    pub(crate) end: usize,
    /// What stands there.
    pub(crate) tail: Tail,
}

/// What follows the last whole batch of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Zeros, or nothing.
    Clean,
    /// A batch that was not finished.
    Torn,
    /// A batch that was finished, and cannot be read any more.
    Damaged,
}

/// Walks the batches of segment `number`. Cost: one pass over the bytes.
pub(crate) fn scan(segment: &[u8], number: u64) -> Scan {
    let mut found = Scan { offsets: Vec::new(), first: None, last: None, end: SEGMENT_HEAD_BYTES, tail: Tail::Clean };
    while let Some(batch) = Batch::at(segment, number, found.end) {
        if found.last.is_some_and(|last| !follows(&batch.head, last)) {
            break;
        }
        found.offsets.push(found.end);
        found.first.get_or_insert(batch.head);
        found.last = Some((batch.head, batch.checksum));
        found.end = found.end.saturating_add(usize::try_from(batch.head.stored_bytes()).unwrap_or(usize::MAX));
    }
    found.tail = tail(segment, number, found.end);
    found
}

/// Whether `head` is what was written after the batch of `last`.
pub(crate) fn follows(head: &BatchHead, (last, checksum): (BatchHead, u32)) -> bool {
    head.previous == checksum
        && last.sequence.checked_add(1) == Some(head.sequence)
        && last.next_number() == head.first_number
}

fn tail(segment: &[u8], number: u64, end: usize) -> Tail {
    let rest = segment.get(end..).unwrap_or_default();
    if is_zero(rest) {
        return Tail::Clean;
    }
    let step = usize::try_from(ALIGNMENT).unwrap_or(1);
    // A head with a bad body at `end` is the unfinished batch itself; a whole batch there does not
    // follow what stands before it, so something between them is gone.
    let unfinished = Batch::at(segment, number, end).is_none();
    let from = if unfinished { end.saturating_add(step) } else { end };
    let later = (from..segment.len()).step_by(step).any(|offset| head_at(segment, number, offset).is_some());
    if later { Tail::Damaged } else { Tail::Torn }
}

/// Whether all bytes are zero; by pieces, each without a branch.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(4_096).all(|piece| piece.iter().fold(0, |sum, byte| sum | byte) == 0)
}

/// What [`scan_segment`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentScan {
    /// Number of the segment; `None` if the bytes do not begin as one.
    pub segment: Option<u64>,
    /// Whole batches.
    pub batches: usize,
    /// Entries in them that can be read.
    pub entries: usize,
    /// Whether every entry that the batches announce can be read.
    pub readable: bool,
    /// Offset after the last whole batch.
    pub end: usize,
    /// What stands there.
    pub tail: Tail,
}

/// Reads a segment's bytes, whatever they are, and decodes every entry. Never panics; memory is
/// bounded by a small multiple of the bytes.
pub fn scan_segment(bytes: &[u8]) -> SegmentScan {
    let Some(head) = SegmentHead::decode(bytes) else {
        let tail = if is_zero(bytes) { Tail::Clean } else { Tail::Damaged };
        return SegmentScan { segment: None, batches: 0, entries: 0, readable: true, end: 0, tail };
    };
    let found = scan(bytes, head.number);
    let (mut entries, mut announced) = (0, 0_u64);
    for offset in &found.offsets {
        let Some(batch) = Batch::at(bytes, head.number, *offset) else { continue };
        announced += u64::from(batch.head.count);
        entries += batch.entries().flatten().count();
        let _ = batch.workers();
    }
    SegmentScan {
        segment: Some(head.number),
        batches: found.offsets.len(),
        entries,
        readable: u64::try_from(entries) == Ok(announced),
        end: found.end,
        tail: found.tail,
    }
}

/// Bytes before the first batch.
pub(crate) const SEGMENT_HEAD_BYTES: usize = 64;
const CHECKSUM_AT: usize = SEGMENT_HEAD_BYTES - 4;
const SEGMENT_MAGIC: &[u8; 8] = b"PCAUDIT\0";
const SEGMENT_SCHEMA: u16 = 1;
