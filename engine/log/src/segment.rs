//! A segment's bytes: its header, the walk over its frames, and the judgement over its end.

use std::ops::Range;
use std::path::PathBuf;

use crc32c::{crc32c, crc32c_append};
use portcullis_model::EventId;

use crate::error::{Damage, LogError};
use crate::frame::{FRAME_ALIGN, FRAME_HEADER_BYTES, FrameHeader, FrameKind, MAGIC, frame_bytes, u32_at, u64_at};
use crate::ordered::PAYLOAD_BYTES_MAX;

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) epoch: u32,
    pub(crate) log_id: u64,
    pub(crate) first_seq: u64,
    pub(crate) chain_before: u32,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[..8].copy_from_slice(SEGMENT_MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.log_id.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first_seq.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.chain_before.to_le_bytes());
        let checksum = crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Damage> {
        let bytes = bytes.first_chunk::<SEGMENT_HEADER_BYTES>().ok_or(Damage::Header)?;
        if &bytes[..8] != SEGMENT_MAGIC || u32_at(bytes, 60) != crc32c(&bytes[..60]) {
            return Err(Damage::Header);
        }
        let version = u32_at(bytes, 8);
        if version != FORMAT_VERSION {
            return Err(Damage::Version(version));
        }
        let header = Self {
            epoch: u32_at(bytes, 12),
            log_id: u64_at(bytes, 16),
            first_seq: u64_at(bytes, 24),
            chain_before: u32_at(bytes, 32),
        };
        // Sequence numbers begin with 1, and the last one is never reached.
        if header.first_seq == 0 || header.first_seq > u64::MAX / 2 {
            return Err(Damage::Foreign);
        }
        Ok(header)
    }

    /// What the checksums of this segment's frames begin with.
    pub(crate) fn seed(&self) -> u32 {
        let seed = crc32c_append(crc32c(&self.log_id.to_le_bytes()), &self.epoch.to_le_bytes());
        crc32c_append(seed, &self.first_seq.to_le_bytes())
    }
}

/// A place between two frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) offset: usize,
    pub(crate) batch_start: usize,
    pub(crate) chain: u32,
    pub(crate) next_seq: u64,
}

/// What a cursor stepped over.
pub(crate) enum Step<'a> {
    Entry { seq: u64, id: EventId, payload: &'a [u8] },
    Commit,
    Stop(Damage),
}

impl Cursor {
    /// The place of a segment's first frame.
    pub(crate) fn at_start(header: &SegmentHeader) -> Self {
        Self {
            offset: SEGMENT_HEADER_BYTES,
            batch_start: SEGMENT_HEADER_BYTES,
            chain: header.chain_before,
            next_seq: header.first_seq,
        }
    }

    /// Steps over the next frame, if there is a valid one.
    pub(crate) fn step<'a>(&mut self, seed: u32, bytes: &'a [u8]) -> Step<'a> {
        self.try_step(seed, bytes).unwrap_or_else(Step::Stop)
    }

    fn try_step<'a>(&mut self, seed: u32, bytes: &'a [u8]) -> Result<Step<'a>, Damage> {
        let ends = Damage::Ends(self.next_seq);
        let bad = Damage::Frame(self.next_seq);
        let rest = bytes.get(self.offset..).ok_or(ends)?;
        let header = rest.first_chunk::<FRAME_HEADER_BYTES>().ok_or(ends)?;
        let offset = u32::try_from(self.offset).map_err(|_| Damage::TooLong)?;
        let Some((frame, chain)) = FrameHeader::decode(seed, offset, header) else {
            return Err(if header.iter().all(|byte| *byte == 0) { ends } else { bad });
        };
        let in_place = frame.chain_before == self.chain
            && usize::try_from(frame.batch_start).is_ok_and(|start| start == self.batch_start);
        let payload_bytes = usize::try_from(frame.payload_bytes).map_err(|_| bad)?;
        if !in_place || payload_bytes > PAYLOAD_BYTES_MAX {
            return Err(bad);
        }
        let padded = rest.get(FRAME_HEADER_BYTES..frame_bytes(payload_bytes)).ok_or(ends)?;
        let payload = padded.get(..payload_bytes).ok_or(ends)?;
        if crc32c(padded) != frame.payload_checksum {
            return Err(bad);
        }
        let step = match frame.kind {
            FrameKind::Entry if frame.seq == self.next_seq => {
                self.next_seq += 1;
                Step::Entry { seq: frame.seq, id: EventId::from_bytes(frame.id), payload }
            }
            FrameKind::Commit if frame.seq.checked_add(1) == Some(self.next_seq) && payload.is_empty() => Step::Commit,
            FrameKind::Entry | FrameKind::Commit => return Err(bad),
        };
        self.chain = chain;
        self.offset += FRAME_HEADER_BYTES + padded.len();
        if matches!(step, Step::Commit) {
            self.batch_start = self.offset;
        }
        Ok(step)
    }
}

/// What a segment holds up to its last commit, and why reading stopped.
pub(crate) struct Scanned {
    /// The place after the last commit.
    pub(crate) end: Cursor,
    /// The last committed batch; empty where there is none.
    pub(crate) last_batch: Range<usize>,
    /// Where the first thing that is no frame is, and what it is.
    pub(crate) stop_offset: usize,
    pub(crate) stop: Damage,
}

/// Walks a segment's `bytes`; `on_batch` gets the ids of each committed batch, in order.
pub(crate) fn scan(header: &SegmentHeader, bytes: &[u8], on_batch: &mut dyn FnMut(&[EventId])) -> Scanned {
    let seed = header.seed();
    let mut cursor = Cursor::at_start(header);
    let mut end = cursor;
    let mut last_batch = cursor.offset..cursor.offset;
    let mut ids = Vec::new();
    loop {
        match cursor.step(seed, bytes) {
            Step::Entry { id, .. } => ids.push(id),
            Step::Commit => {
                on_batch(&ids);
                ids.clear();
                last_batch = end.offset..cursor.offset;
                end = cursor;
            }
            Step::Stop(stop) => return Scanned { end, last_batch, stop_offset: cursor.offset, stop },
        }
    }
}

/// Where the torn bytes behind the last commit of the last segment end; `scanned.end.offset` where there are none.
///
/// # Errors
/// If a frame behind the bad place proves that the bad bytes had been synced.
pub(crate) fn torn_end(header: &SegmentHeader, bytes: &[u8], scanned: &Scanned) -> Result<usize, Damage> {
    let start = scanned.end.offset;
    let rest = bytes.get(start..).unwrap_or_default();
    // Compared by blocks: the unused part of a segment is long and nearly always zeros.
    let zeros = |block: &[u8]| ZERO_BLOCK.get(..block.len()) == Some(block);
    let Some(block) = rest.chunks(ZERO_BLOCK.len()).rposition(|block| !zeros(block)) else { return Ok(start) };
    let begin = block * ZERO_BLOCK.len();
    let last = rest.iter().skip(begin).take(ZERO_BLOCK.len()).rposition(|byte| *byte != 0).unwrap_or_default();
    let end = start + begin + last + 1;
    let seed = header.seed();
    let later_batch = (start..end).step_by(FRAME_ALIGN).any(|offset| began_after(seed, bytes, offset, start));
    if later_batch { Err(scanned.stop) } else { Ok(end) }
}

/// Whether a frame at `offset` says that its batch began after `start`.
fn began_after(seed: u32, bytes: &[u8], offset: usize, start: usize) -> bool {
    let rest = bytes.get(offset..).unwrap_or_default();
    let Some(header) = rest.first_chunk::<FRAME_HEADER_BYTES>().filter(|header| header.starts_with(MAGIC)) else {
        return false;
    };
    let Ok(place) = u32::try_from(offset) else { return false };
    FrameHeader::decode(seed, place, header)
        .is_some_and(|(frame, _)| usize::try_from(frame.batch_start).is_ok_and(|began| began > start))
}

/// Counts the committed entries of a segment given as bytes, judged as the last of its log.
///
/// Takes anything and never panics; the cost is linear in the length. Meant for fuzzing and offline checks;
/// errors name the file `segment`.
///
/// # Errors
/// [`LogError::Damaged`] where [`crate::EmbeddedLog::open`] would refuse the segment.
pub fn scan_segment(bytes: &[u8]) -> Result<usize, LogError> {
    let damaged = |offset: usize, what| LogError::Damaged {
        file: PathBuf::from("segment"),
        offset: u64::try_from(offset).unwrap_or(u64::MAX),
        what,
    };
    let header = SegmentHeader::decode(bytes).map_err(|what| damaged(0, what))?;
    let mut entries = 0;
    let scanned = scan(&header, bytes, &mut |ids| entries += ids.len());
    torn_end(&header, bytes, &scanned).map_err(|what| damaged(scanned.stop_offset, what))?;
    Ok(entries)
}

pub(crate) const SEGMENT_HEADER_BYTES: usize = 64;
/// A segment is rolled when the next batch does not fit; one whose first batch is larger is made as large as that.
pub(crate) const SEGMENT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest segment file: the largest entry with its frame, commit and header.
pub(crate) const SEGMENT_FILE_BYTES_MAX: usize = SEGMENT_BYTES_MAX + PAYLOAD_BYTES_MAX;
/// The epoch of a log made by this version; another comes with the cluster.
pub(crate) const FIRST_EPOCH: u32 = 1;
const FORMAT_VERSION: u32 = 1;
const SEGMENT_MAGIC: &[u8; 8] = b"PORTCLOG";
static ZERO_BLOCK: [u8; 4_096] = [0; 4_096];
