//! One frame of a segment: a 48-byte header and a payload padded to 8 bytes.

use crc32c::{crc32c, crc32c_append};

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    Entry,
    Commit,
}

/// A frame's header; its layout is in the crate's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) kind: FrameKind,
    pub(crate) payload_bytes: u32,
    pub(crate) batch_start: u32,
    pub(crate) chain_before: u32,
    pub(crate) seq: u64,
    pub(crate) id: [u8; 16],
    pub(crate) payload_checksum: u32,
}

impl FrameHeader {
    /// The header's bytes at `offset` of the segment with `seed`, and the chain value after it.
    pub(crate) fn encode(&self, seed: u32, offset: u32) -> ([u8; FRAME_HEADER_BYTES], u32) {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        bytes[..3].copy_from_slice(MAGIC);
        bytes[3] = match self.kind {
            FrameKind::Entry => KIND_ENTRY,
            FrameKind::Commit => KIND_COMMIT,
        };
        bytes[4..8].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.batch_start.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.chain_before.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.seq.to_le_bytes());
        bytes[24..40].copy_from_slice(&self.id);
        bytes[40..44].copy_from_slice(&self.payload_checksum.to_le_bytes());
        let chain = checksum(seed, offset, &bytes);
        bytes[44..].copy_from_slice(&chain.to_le_bytes());
        (bytes, chain)
    }

    /// The header at `offset` of a segment's `bytes`, if a frame of this segment was written there, and the
    /// chain value after it. Says nothing about the payload.
    pub(crate) fn decode(seed: u32, offset: u32, bytes: &[u8; FRAME_HEADER_BYTES]) -> Option<(Self, u32)> {
        let kind = match bytes {
            [b'P', b'C', b'L', KIND_ENTRY, ..] => FrameKind::Entry,
            [b'P', b'C', b'L', KIND_COMMIT, ..] => FrameKind::Commit,
            _ => return None,
        };
        let chain = u32_at(bytes, 44);
        if checksum(seed, offset, bytes) != chain {
            return None;
        }
        let mut id = [0; 16];
        id.copy_from_slice(&bytes[24..40]);
        let header = Self {
            kind,
            payload_bytes: u32_at(bytes, 4),
            batch_start: u32_at(bytes, 8),
            chain_before: u32_at(bytes, 12),
            seq: u64_at(bytes, 16),
            id,
            payload_checksum: u32_at(bytes, 40),
        };
        Some((header, chain))
    }
}

/// Length of a frame with a payload of `payload_bytes`.
pub(crate) fn frame_bytes(payload_bytes: usize) -> usize {
    FRAME_HEADER_BYTES + payload_bytes.next_multiple_of(FRAME_ALIGN)
}

/// Checksum of a payload and its padding.
pub(crate) fn payload_checksum(payload: &[u8]) -> u32 {
    let padding = payload.len().next_multiple_of(FRAME_ALIGN) - payload.len();
    crc32c_append(crc32c(payload), &[0; FRAME_ALIGN][..padding])
}

/// The little-endian integer at a constant place of a header.
pub(crate) fn u32_at<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

/// The little-endian integer at a constant place of a header.
pub(crate) fn u64_at<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

fn checksum(seed: u32, offset: u32, bytes: &[u8; FRAME_HEADER_BYTES]) -> u32 {
    crc32c_append(crc32c_append(seed, &offset.to_le_bytes()), &bytes[..44])
}

pub(crate) const FRAME_HEADER_BYTES: usize = 48;
/// Frames begin at multiples of this, so that none begins in the middle of a disk's sector word.
pub(crate) const FRAME_ALIGN: usize = 8;
pub(crate) const MAGIC: &[u8; 3] = b"PCL";
const KIND_ENTRY: u8 = 1;
const KIND_COMMIT: u8 = 2;
