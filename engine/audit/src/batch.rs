//! The stored form of a batch: a checksummed head, the entries, and how far each worker was drained.
//!
//! Head, 80 bytes, little-endian: magic, schema u16, flags u16, segment, own offset (everything before
//! it in the file is synced), sequence, number of the first entry, entry count, run, worker count, body
//! bytes, revision of the last change (seq, epoch), checksum of the previous batch's head, of the body,
//! of this head. Body: each entry as length u32 and bytes; then a row of 16 bytes a worker. A batch
//! ends at a multiple of 8.

use portcullis_model::Revision;

use crate::code::{decode, u16_at, u32_at, u64_at};
use crate::entry::AuditEntry;

/// What the head of a batch says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHead {
    /// Segment that it belongs to, so that bytes of another never pass.
    pub(crate) segment: u64,
    /// Its own offset: everything before it was synced before it was written.
    pub(crate) offset: u64,
    /// Running number of batches, from 1.
    pub(crate) sequence: u64,
    /// Number of its first entry, or of the next one where it has none.
    pub(crate) first_number: u64,
    /// How many entries.
    pub(crate) count: u32,
    /// Which opening of the log wrote it, from 1.
    pub(crate) run: u32,
    /// Rows of the worker table.
    pub(crate) workers: u32,
    /// Bytes of entries and table.
    pub(crate) body_bytes: u32,
    /// Revision of the last change recorded in the log so far; zero for none.
    pub(crate) change: Revision,
    /// Checksum of the previous batch's head; zero for the first.
    pub(crate) previous: u32,
    /// Checksum of the body.
    pub(crate) body_checksum: u32,
    /// Whether the run ended here with nothing left in any queue.
    pub(crate) closes: Closes,
}

/// Whether a batch is the last of its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closes {
    No,
    Run,
}

impl BatchHead {
    pub(crate) fn encode(&self) -> [u8; BATCH_HEAD_BYTES] {
        let mut head = Vec::with_capacity(BATCH_HEAD_BYTES);
        head.extend_from_slice(&BATCH_MAGIC);
        head.extend_from_slice(&BATCH_SCHEMA.to_le_bytes());
        head.extend_from_slice(&u16::from(self.closes == Closes::Run).to_le_bytes());
        for word in [self.segment, self.offset, self.sequence, self.first_number] {
            head.extend_from_slice(&word.to_le_bytes());
        }
        for word in [self.count, self.run, self.workers, self.body_bytes] {
            head.extend_from_slice(&word.to_le_bytes());
        }
        head.extend_from_slice(&self.change.seq.to_le_bytes());
        for word in [self.change.epoch, self.previous, self.body_checksum] {
            head.extend_from_slice(&word.to_le_bytes());
        }
        head.extend_from_slice(&crc32c::crc32c(&head).to_le_bytes());
        let mut bytes = [0; BATCH_HEAD_BYTES];
        bytes.copy_from_slice(&head);
        bytes
    }

    /// The head at the front of `bytes`; `None` where there is none or its checksum is wrong.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..BATCH_HEAD_BYTES)?;
        if head.first_chunk() != Some(&BATCH_MAGIC) || u16_at(head, 4)? != BATCH_SCHEMA {
            return None;
        }
        if crc32c::crc32c(head.get(..BATCH_HEAD_BYTES - 4)?) != checksum_of(head)? {
            return None;
        }
        Some(Self {
            closes: if u16_at(head, 6)? & 1 == 1 { Closes::Run } else { Closes::No },
            segment: u64_at(head, 8)?,
            offset: u64_at(head, 16)?,
            sequence: u64_at(head, 24)?,
            first_number: u64_at(head, 32)?,
            count: u32_at(head, 40)?,
            run: u32_at(head, 44)?,
            workers: u32_at(head, 48)?,
            body_bytes: u32_at(head, 52)?,
            change: Revision::new(u32_at(head, 64)?, u64_at(head, 56)?),
            previous: u32_at(head, 68)?,
            body_checksum: u32_at(head, 72)?,
        })
    }

    /// Number of the entry after its last.
    pub(crate) fn next_number(&self) -> u64 {
        self.first_number.saturating_add(u64::from(self.count))
    }

    /// Bytes from its offset to the next batch's.
    pub(crate) fn stored_bytes(&self) -> u64 {
        (u64::try_from(BATCH_HEAD_BYTES).unwrap_or(u64::MAX) + u64::from(self.body_bytes)).next_multiple_of(ALIGNMENT)
    }
}

/// The checksum that an encoded head carries, by which the next batch names it.
pub(crate) fn checksum_of(head: &[u8]) -> Option<u32> {
    u32_at(head, BATCH_HEAD_BYTES - 4)
}

/// How far one worker was drained when a batch was formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WorkerRow {
    /// Which; 0 is the control side.
    pub(crate) worker: u32,
    /// Most records that it can have pushed and a crash can take.
    pub(crate) at_most: u32,
    /// Its last record in this or an earlier batch.
    pub(crate) drained: u64,
}

impl WorkerRow {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.worker.to_le_bytes());
        out.extend_from_slice(&self.at_most.to_le_bytes());
        out.extend_from_slice(&self.drained.to_le_bytes());
    }
}

/// A whole batch whose checksums are right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch<'a> {
    pub(crate) head: BatchHead,
    /// Checksum of the head.
    pub(crate) checksum: u32,
    body: &'a [u8],
}

impl<'a> Batch<'a> {
    /// The batch at `offset` of a segment's bytes.
    pub(crate) fn at(segment: &'a [u8], number: u64, offset: usize) -> Option<Self> {
        let bytes = segment.get(offset..)?;
        let head = head_at(segment, number, offset)?;
        let body = bytes.get(BATCH_HEAD_BYTES..)?.get(..usize::try_from(head.body_bytes).ok()?)?;
        let padding = bytes.get(..usize::try_from(head.stored_bytes()).ok()?)?.get(BATCH_HEAD_BYTES + body.len()..)?;
        let sound = crc32c::crc32c(body) == head.body_checksum && padding.iter().all(|byte| *byte == 0);
        if !sound || rows_bytes(&head)? > body.len() {
            return None;
        }
        Some(Self { head, checksum: checksum_of(bytes)?, body })
    }

    /// The entries in order; `None` in place of one that cannot be read, which ends them.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Option<AuditEntry>> + use<'a> {
        let mut rest = rows_bytes(&self.head).and_then(|rows| self.body.get(..self.body.len() - rows));
        let (first, count) = (self.head.first_number, u64::from(self.head.count));
        (first..first.saturating_add(count)).map_while(move |number| {
            let entry = take_entry(rest?);
            rest = entry.as_ref().map(|(_, after)| *after);
            Some(entry.map(|(entry, _)| entry).filter(|entry| entry.number == number))
        })
    }

    /// The worker table.
    pub(crate) fn workers(&self) -> Vec<WorkerRow> {
        let rows = rows_bytes(&self.head).and_then(|rows| self.body.get(self.body.len() - rows..)).unwrap_or_default();
        let row = |row: &[u8]| {
            Some(WorkerRow { worker: u32_at(row, 0)?, at_most: u32_at(row, 4)?, drained: u64_at(row, 8)? })
        };
        rows.chunks_exact(WORKER_ROW_BYTES).filter_map(row).collect()
    }
}

/// The head at `offset`, if it says that it belongs there.
pub(crate) fn head_at(segment: &[u8], number: u64, offset: usize) -> Option<BatchHead> {
    let head = BatchHead::decode(segment.get(offset..)?)?;
    (head.segment == number && head.offset == u64::try_from(offset).ok()?).then_some(head)
}

fn rows_bytes(head: &BatchHead) -> Option<usize> {
    usize::try_from(head.workers).ok()?.checked_mul(WORKER_ROW_BYTES)
}

fn take_entry(bytes: &[u8]) -> Option<(AuditEntry, &[u8])> {
    let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
    let (stored, rest) = bytes.get(4..)?.split_at_checked(length)?;
    Some((decode(stored)?, rest))
}

pub(crate) const BATCH_HEAD_BYTES: usize = 80;
pub(crate) const WORKER_ROW_BYTES: usize = 16;
/// Batches begin at multiples of it, so that a head's length word cannot tear.
pub(crate) const ALIGNMENT: u64 = 8;
const BATCH_MAGIC: [u8; 4] = *b"PCAB";
const BATCH_SCHEMA: u16 = 1;
