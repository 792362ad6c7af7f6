//! The ordered log: where every change gets its place before anybody acts on it.
//!
//! Owns one folder of files and one thread that writes them. Never reads a payload, never asks the time of day, never
//! retries a failed write or sync, never acknowledges what a sync did not confirm.
//!
//! # What is promised
//!
//! - An entry acknowledged with a [`Revision`] is there after a crash, at that place, with those bytes.
//! - Entries are numbered 1, 2, 3... without a gap, in the order in which they were taken from the queue.
//! - The same event id is appended once: among the last [`REMEMBERED_IDS_MAX`] entries, across restarts, a
//!   second append of an id answers with the first one's revision and writes nothing.
//! - Bad bytes in the last batch are a torn write: they are cut and reported. Bad bytes before it are damage:
//!   [`EmbeddedLog::open`] refuses, names file and offset, and changes nothing.
//! - An entry that was not acknowledged may or may not be there after a crash.
//!
//! # The folder
//!
//! | file | is |
//! |---|---|
//! | `LOCK` | locked by the node that has the log open |
//! | `log-<first seq, 20 digits>.seg` | a segment |
//! | `snapshot-<seq, 20 digits>.snap` | the folded state after entry `seq`; the newest two are kept |
//! | `POISONED` | a write or sync failed; removed by the next open, once the tail is on disk again |
//! | `*.tmp` | half made, removed at open |
//!
//! Integers are little-endian, checksums are CRC-32C. Every file gets its final name by a rename, after its
//! bytes were synced and before the folder is.
//!
//! # A segment
//!
//! Zeros are written to the whole file before it is used, so that a batch changes neither its size nor its
//! extents. The first has 256 KiB, so that a first start is fast; each further one four times its predecessor,
//! up to 64 MiB (more only where one entry needs more), zeroed ahead by a second thread.
//!
//! Header, 64 bytes: magic `PORTCLOG` · format version `u32` · epoch `u32` · log id `u64` (random, made with
//! the log) · first seq `u64` · chain value at the end of the segment before it, `u32` · 24 zero bytes ·
//! checksum `u32`. Then frames, 8-byte aligned, up to the first that is not one:
//!
//! | bytes | field |
//! |---|---|
//! | 3, 1 | magic `PCL`; kind: 1 entry, 2 commit |
//! | 4 | payload length, padding excluded |
//! | 4 | offset in this file at which the batch begins; **all bytes before it were synced** when this was written |
//! | 4 | chain value before: the header checksum of the frame before it, the segment's start value for the first |
//! | 8 | seq: an entry's own; for a commit, that of the last entry before it |
//! | 16 | event id; zero in a commit |
//! | 4 | checksum of the payload with its padding |
//! | 4 | checksum of the 44 bytes above, seeded by log id, epoch, the segment's first seq and the frame's offset |
//!
//! A frame of another log, segment or offset never verifies. A batch is its entries and one commit frame,
//! written by one write and followed by one sync; it counts only with its commit. Closing the log writes a
//! batch of a commit alone.
//!
//! # Torn or damaged
//!
//! At the first frame that does not verify, the rest of the last segment is searched for a frame that does, and
//! that says that its batch began later: its writer had seen the bad bytes synced, so they are damage. Without
//! one the bad batch was the last, and is cut. The last batch before a crash is therefore the one whose damage
//! cannot be told from a tear. A segment with a successor was synced whole: anything bad in it is damage.
//! Reading stops at the end that its successor's header names; the unused zeros behind it are not looked at.
//!
//! After a crash the page cache may show bytes that never reached the disk, so the last batch is written and
//! synced again before the log is used.
//!
//! # A snapshot
//!
//! Header, 64 bytes: magic `PORTCSNP` · format version `u32` · epoch `u32` · log id `u64` · seq `u64` · payload
//! length `u64` · number of ids `u32` · checksum of the payload `u32` · checksum of the ids `u32` · 8 zero
//! bytes · checksum `u32`. Then the payload, then the event ids of the entries up to seq, newest first, at most
//! [`REMEMBERED_IDS_MAX`], 16 bytes each.
//!
//! After a snapshot the segments wholly behind the *previous* snapshot are removed: if the newest turns out
//! bad, the one before it and the log from there still give everything.
#![warn(missing_docs)]

mod disk;
mod embedded;
mod error;
mod folder;
mod frame;
mod ordered;
mod queue;
mod recent;
mod recover;
mod replay;
mod segment;
mod snapshot;
mod spare;
mod tail;
mod writer;

pub use disk::{Disk, DiskTarget, StdDisk};
pub use embedded::{EmbeddedLog, LogOptions, Opened};
pub use error::{AppendError, Damage, LogError};
pub use ordered::{AppendDone, Committed, Entry, OrderedLog, PAYLOAD_BYTES_MAX};
pub use portcullis_model::{EventId, Revision};
pub use queue::{QUEUE_BYTES_MAX, QUEUE_ENTRIES_MAX};
pub use recent::REMEMBERED_IDS_MAX;
pub use recover::Recovery;
pub use replay::Replay;
pub use segment::scan_segment;
pub use snapshot::SnapshotReader;
pub use writer::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, FEED_BATCHES_MAX};

#[cfg(test)]
mod tests;
