//! Where batches go: one write and one sync each, in the current segment or the next.

use std::sync::Arc;

use portcullis_model::Revision;

use crate::batch::{BATCH_HEAD_BYTES, BatchHead, Closes, WORKER_ROW_BYTES, WorkerRow, checksum_of};
use crate::code;
use crate::disk::{Disk, write_whole};
use crate::error::AuditError;
use crate::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, ENTRY_BYTES_MAX, PRODUCERS_MAX};
use crate::scan::SEGMENT_HEAD_BYTES;
use crate::segment::{Segment, Spares, size};

/// Sizes of segments in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) first: u64,
    pub(crate) most: u64,
}

/// The writing end of the log.
pub(crate) struct Store {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) sizes: Sizes,
    pub(crate) segment: Segment,
    /// Prepared segments found at the start, in descending order of number.
    pub(crate) found: Vec<Segment>,
    pub(crate) spares: Spares,
    /// Number of the segment that `spares` is making.
    pub(crate) ordered: Option<u64>,
    pub(crate) end: u64,
    pub(crate) place: Place,
}

/// Where the log stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) run: u32,
    /// Sequence of the last batch.
    pub(crate) sequence: u64,
    /// Checksum of its head.
    pub(crate) checksum: u32,
    /// Number of the next entry.
    pub(crate) next_number: u64,
    /// Revision of the last change recorded.
    pub(crate) change: Revision,
}

impl Store {
    /// Makes room for a batch and says how many bytes of entries it may have.
    pub(crate) fn room(&mut self) -> Result<usize, AuditError> {
        if self.left() < BATCH_ROOM_MIN {
            self.rotate()?;
        }
        Ok((self.left() - OVERHEAD_BYTES_MAX).min(BATCH_BYTES_MAX))
    }

    fn left(&self) -> usize {
        usize::try_from(self.segment.bytes.saturating_sub(self.end)).unwrap_or(usize::MAX)
    }

    fn rotate(&mut self) -> Result<(), AuditError> {
        self.segment = match self.found.pop() {
            Some(segment) => segment,
            None => {
                self.order()?;
                self.ordered = None;
                self.spares.take()?
            }
        };
        self.end = u64::try_from(SEGMENT_HEAD_BYTES).unwrap_or(u64::MAX);
        self.order()
    }

    /// Has the next segment made, unless it is there or under way.
    pub(crate) fn order(&mut self) -> Result<(), AuditError> {
        if self.ordered.is_none() && self.found.is_empty() {
            let number = self.segment.number + 1;
            self.spares.order(number, size(number, self.sizes.first, self.sizes.most))?;
            self.ordered = Some(number);
        }
        Ok(())
    }

    /// Writes and syncs `draft`. After an error the store must not be used again.
    pub(crate) fn commit(&mut self, draft: &mut Draft, rows: &[WorkerRow], closes: Closes) -> Result<(), AuditError> {
        rows.iter().for_each(|row| row.encode(&mut draft.bytes));
        let body = draft.bytes.get(BATCH_HEAD_BYTES..).unwrap_or_default();
        // INVARIANT: a draft has at most `BATCH_BYTES_MAX` and the overhead, far below 4 GiB.
        let word = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let head = BatchHead {
            segment: self.segment.number,
            offset: self.end,
            sequence: self.place.sequence + 1,
            first_number: self.place.next_number,
            count: word(draft.count),
            run: self.place.run,
            workers: word(rows.len()),
            body_bytes: word(body.len()),
            change: draft.change.unwrap_or(self.place.change),
            previous: self.place.checksum,
            body_checksum: crc32c::crc32c(body),
            closes,
        };
        let encoded = head.encode();
        if let Some(front) = draft.bytes.get_mut(..BATCH_HEAD_BYTES) {
            front.copy_from_slice(&encoded);
        }
        draft.bytes.resize(usize::try_from(head.stored_bytes()).unwrap_or(usize::MAX), 0);
        let failed = || AuditError::io("write", self.segment.path.as_path());
        write_whole(self.disk.as_ref(), &self.segment.file, &draft.bytes, self.end).map_err(failed())?;
        self.disk.sync_data(&self.segment.file).map_err(AuditError::io("sync", self.segment.path.as_path()))?;
        self.end += head.stored_bytes();
        self.place.sequence = head.sequence;
        self.place.checksum = checksum_of(&encoded).unwrap_or(0);
        self.place.next_number = head.next_number();
        self.place.change = head.change;
        Ok(())
    }

    /// Where the next batch goes, for readers: everything before it is synced.
    pub(crate) fn synced(&self) -> Synced {
        Synced { segment: self.segment.number, end: self.end, next_number: self.place.next_number }
    }
}

/// How far the log is synced.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Synced {
    pub(crate) segment: u64,
    pub(crate) end: u64,
    pub(crate) next_number: u64,
}

/// A batch while it is formed.
pub(crate) struct Draft {
    bytes: Vec<u8>,
    count: usize,
    room: usize,
    first_number: u64,
    /// Revision of the last change in it.
    pub(crate) change: Option<Revision>,
}

impl Draft {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::with_capacity(BATCH_BYTES_MAX / 4), count: 0, room: 0, first_number: 0, change: None }
    }

    /// Begins the next batch of `store`.
    pub(crate) fn begin(&mut self, store: &mut Store) -> Result<(), AuditError> {
        self.room = store.room()?;
        self.first_number = store.place.next_number;
        self.bytes.clear();
        self.bytes.resize(BATCH_HEAD_BYTES, 0);
        (self.count, self.change) = (0, None);
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn entries(&self) -> usize {
        self.count
    }

    /// Bytes of entries so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len().saturating_sub(BATCH_HEAD_BYTES)
    }

    /// Whether one more entry, of whatever size, has no place.
    pub(crate) fn is_full(&self) -> bool {
        self.count >= BATCH_ENTRIES_MAX || self.len() + ENTRY_BYTES_MAX + LENGTH_BYTES > self.room
    }

    /// Adds the entry that `write` appends, as the next number. `None` from `write` adds nothing.
    pub(crate) fn add<T>(
        &mut self,
        worker: u32,
        worker_number: u64,
        write: impl FnOnce(&mut Vec<u8>) -> Option<T>,
    ) -> Option<T> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; LENGTH_BYTES]);
        let written = write(&mut self.bytes);
        let length = self.bytes.len() - start - LENGTH_BYTES;
        if written.is_none() || length > ENTRY_BYTES_MAX {
            self.bytes.truncate(start);
            return None;
        }
        let number = self.first_number + u64::try_from(self.count).unwrap_or(u64::MAX);
        let (length_place, stored) = self.bytes.get_mut(start..)?.split_at_mut(LENGTH_BYTES);
        length_place.copy_from_slice(&u32::try_from(length).ok()?.to_le_bytes());
        code::number(stored, number, worker, worker_number);
        self.count += 1;
        written
    }
}

/// Bytes before each entry.
const LENGTH_BYTES: usize = 4;
/// Most bytes of a batch that are not entries: head, one row for each producer, for the control side
/// and for producers that left while their last records were drained, and padding.
const OVERHEAD_BYTES_MAX: usize = BATCH_HEAD_BYTES + WORKER_ROW_BYTES * ROWS_MAX + 8;
/// Most rows of the worker table.
pub(crate) const ROWS_MAX: usize = 2 * PRODUCERS_MAX + 1;
/// A batch is begun only where one entry of any size fits.
const BATCH_ROOM_MIN: usize = OVERHEAD_BYTES_MAX + LENGTH_BYTES + ENTRY_BYTES_MAX;

const _: () = assert!(crate::limits::SEGMENT_BYTES_MIN > (BATCH_ROOM_MIN + SEGMENT_HEAD_BYTES) as u64 * 3 / 2);
