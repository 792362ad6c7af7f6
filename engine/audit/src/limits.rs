//! Bounds of the audit log, each with what happens at it.

use portcullis_model::limits::{ID_BYTES_MAX, INPUT_BYTES_MAX, TYPE_BYTES_MAX};

/// Most live producers; one more is refused. One per thread that decides, and machines with more
/// than 64 such threads run more than one engine.
pub const PRODUCERS_MAX: usize = 64;
/// Most callbacks that hear of the watermark; one more is refused. A callback per deciding thread and
/// as many for the control side.
pub const WAKERS_MAX: usize = 2 * PRODUCERS_MAX;
/// Most determining policies that one record names; a record with more is refused.
pub const POLICIES_MAX: usize = 8;
/// Longest client registration name in a record, in bytes; a longer one is refused.
pub const CLIENT_BYTES_MAX: usize = 128;
/// Longest policy id or file name in an entry, in bytes; a longer one is cut and ends in `…`.
pub const POLICY_TEXT_BYTES_MAX: usize = 1_024;
/// Longest details of an entry as JSON, in bytes; longer ones are replaced by their length and hash.
pub const DETAIL_BYTES_MAX: usize = 24 * 1_024;
/// Longest name of who caused a change, in bytes; a longer one is cut and ends in `…`.
pub const BY_BYTES_MAX: usize = 1_024;
/// Longest stored entry in bytes: what all limits above allow together, with room for tags.
pub const ENTRY_BYTES_MAX: usize = 64 * 1_024;
/// Most bytes of entries in one batch: 1 MiB syncs in about 2 ms on a virtual disk, and more makes
/// waiting longer without making writing cheaper.
pub const BATCH_BYTES_MAX: usize = 1_024 * 1_024;
/// Most entries in one batch; with it the loss of a crash has a number.
pub const BATCH_ENTRIES_MAX: usize = 8_192;
/// Most entries and bytes of the control queue; one more entry is refused. Control calls are rare, and
/// their callers wait.
pub const CONTROL_ENTRIES_MAX: usize = 8_192;
/// Most bytes of the control queue.
pub const CONTROL_BYTES_MAX: usize = 32 * 1_024 * 1_024;
/// Smallest ring of a producer in bytes.
pub const RING_BYTES_MIN: usize = 16 * 1_024;
/// Largest ring of a producer in bytes; 64 of them are 4 GiB.
pub const RING_BYTES_MAX: usize = 64 * 1_024 * 1_024;
/// Smallest segment in bytes: one batch with one entry of the longest kind fits.
pub const SEGMENT_BYTES_MIN: u64 = 128 * 1_024;
/// Largest segment in bytes: readers hold one in memory.
pub const SEGMENT_BYTES_MAX: u64 = 64 * 1_024 * 1_024;
/// Most segments in one folder; at 64 MiB each this is 64 TiB, far beyond any disk. Listing stops there.
pub const SEGMENTS_MAX: usize = 1_000_000;
/// Most entries of one page of a search; more are refused with an error.
pub const PAGE_MAX: usize = 1_000;

const _: () = assert!(
    11 * (TYPE_BYTES_MAX + ID_BYTES_MAX) + 2 * POLICIES_MAX * POLICY_TEXT_BYTES_MAX + DETAIL_BYTES_MAX + BY_BYTES_MAX
        < ENTRY_BYTES_MAX - 1_024
);
const _: () = assert!(
    2 * (TYPE_BYTES_MAX + ID_BYTES_MAX) + CLIENT_BYTES_MAX + INPUT_BYTES_MAX + 256 < portcullis_cells::RECORD_BYTES_MAX
);
