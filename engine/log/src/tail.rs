//! The segment that is being written.

use std::fs::File;

use crate::disk::DiskTarget;
use crate::error::{Damage, LogError};
use crate::folder::{Folder, damaged};
use crate::frame::{FRAME_ALIGN, FrameHeader, FrameKind, frame_bytes, payload_checksum};
use crate::ordered::Committed;
use crate::segment::{Cursor, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::spare::Spare;

/// The last segment and the place of its next batch.
pub(crate) struct Tail {
    pub(crate) file: File,
    pub(crate) header: SegmentHeader,
    /// Between two batches.
    pub(crate) cursor: Cursor,
    pub(crate) capacity: usize,
}

impl Tail {
    /// Makes a segment, in `spare` where there is one, and gives it its name.
    pub(crate) fn create(
        folder: &Folder,
        header: SegmentHeader,
        capacity: usize,
        spare: Option<Spare>,
    ) -> Result<Self, LogError> {
        let spare = match spare {
            Some(spare) => spare,
            None => zeroed(folder, capacity)?,
        };
        let disk = &folder.disk;
        disk.write_whole(DiskTarget::Segment, &spare.file, &header.encode(), 0)
            .and_then(|()| disk.sync_data(DiskTarget::Segment, &spare.file))
            .map_err(LogError::io("write the header of", &spare.path))?;
        folder.publish(&spare.path, &folder.segment_path(header.first_seq))?;
        Ok(Self { file: spare.file, header, cursor: Cursor::at_start(&header), capacity: spare.capacity })
    }

    /// Whether a batch of `bytes` fits.
    pub(crate) fn fits(&self, bytes: usize) -> bool {
        self.cursor.offset + bytes <= self.capacity
    }

    /// Writes and syncs one batch, which fits; `buffer` is scratch space.
    pub(crate) fn append(
        &mut self,
        folder: &Folder,
        entries: &[Committed],
        buffer: &mut Vec<u8>,
    ) -> Result<(), LogError> {
        buffer.clear();
        let path = || folder.segment_path(self.header.first_seq);
        let start = self.cursor.offset;
        let mut cursor = self.cursor;
        let encoded = entries.iter().try_for_each(|entry| {
            cursor.next_seq = entry.revision.seq + 1;
            let frame = Frame {
                kind: FrameKind::Entry,
                seq: entry.revision.seq,
                id: entry.id.to_bytes(),
                payload: &entry.payload,
            };
            frame.encode(self.header.seed(), &mut cursor, buffer)
        });
        let commit = Frame { kind: FrameKind::Commit, seq: cursor.next_seq - 1, id: [0; 16], payload: &[] };
        encoded
            .and_then(|()| commit.encode(self.header.seed(), &mut cursor, buffer))
            .map_err(|what| damaged(&path(), start, what))?;
        folder
            .disk
            .write_whole(DiskTarget::Entries, &self.file, buffer, start as u64)
            .map_err(LogError::io("write to", path()))?;
        folder.disk.sync_data(DiskTarget::Entries, &self.file).map_err(LogError::io("sync", path()))?;
        cursor.batch_start = cursor.offset;
        self.cursor = cursor;
        Ok(())
    }
}

/// Length of a batch with payloads of these lengths.
pub(crate) fn batch_bytes(payloads: impl Iterator<Item = usize>) -> usize {
    payloads.map(frame_bytes).sum::<usize>() + frame_bytes(0)
}

/// Length of a segment that holds a first batch of `bytes`.
pub(crate) fn segment_bytes(bytes: usize) -> usize {
    (SEGMENT_HEADER_BYTES + bytes).next_multiple_of(FRAME_ALIGN)
}

struct Frame<'a> {
    kind: FrameKind,
    seq: u64,
    id: [u8; 16],
    payload: &'a [u8],
}

impl Frame<'_> {
    /// Appends the frame to `buffer` and moves `cursor` behind it.
    fn encode(&self, seed: u32, cursor: &mut Cursor, buffer: &mut Vec<u8>) -> Result<(), Damage> {
        let narrow = |number: usize| u32::try_from(number).map_err(|_| Damage::TooLong);
        let header = FrameHeader {
            kind: self.kind,
            payload_bytes: narrow(self.payload.len())?,
            batch_start: narrow(cursor.batch_start)?,
            chain_before: cursor.chain,
            seq: self.seq,
            id: self.id,
            payload_checksum: payload_checksum(self.payload),
        };
        let (bytes, chain) = header.encode(seed, narrow(cursor.offset)?);
        buffer.extend_from_slice(&bytes);
        buffer.extend_from_slice(self.payload);
        buffer.resize(buffer.len().next_multiple_of(FRAME_ALIGN), 0);
        cursor.chain = chain;
        cursor.offset += frame_bytes(self.payload.len());
        Ok(())
    }
}

fn zeroed(folder: &Folder, capacity: usize) -> Result<Spare, LogError> {
    let path = folder.scratch_path("segment");
    let file = folder.create(&path)?;
    let zeros = folder.disk.write_zeros(DiskTarget::Segment, &file, 0, capacity as u64, &|| true);
    zeros.map_err(LogError::io("write zeros to", &path))?;
    Ok(Spare { file, path, capacity })
}
