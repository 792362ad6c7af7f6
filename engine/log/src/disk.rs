//! The few disk operations on which durability hangs, so that tests can make them fail.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Writes and syncs. An implementation other than [`StdDisk`] exists to inject faults.
pub trait Disk: Send + Sync {
    /// Writes `bytes` at `offset`; answers how many were written. Fewer than given counts as a failure.
    fn write_at(&self, target: DiskTarget, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Returns once what was written to `file` is on disk.
    fn sync_data(&self, target: DiskTarget, file: &File) -> io::Result<()>;
}

/// What is being written or synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DiskTarget {
    /// A batch, in a segment.
    Entries,
    /// A new segment: its zeros, then its header.
    Segment,
    /// The next segment, zeroed ahead on a thread of its own; a failure here poisons nothing.
    Spare,
    /// A snapshot; a failure here poisons nothing.
    Snapshot,
    /// The folder itself, synced after files were renamed or removed.
    Folder,
}

/// The operating system's `pwrite` and `fdatasync` (`fsync` for the folder).
#[derive(Clone, Copy, Debug, Default)]
pub struct StdDisk;

impl Disk for StdDisk {
    fn write_at(&self, _target: DiskTarget, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        file.write_at(bytes, offset)
    }

    fn sync_data(&self, target: DiskTarget, file: &File) -> io::Result<()> {
        match target {
            DiskTarget::Folder => file.sync_all(),
            _ => file.sync_data(),
        }
    }
}

impl dyn Disk {
    /// Writes all of `bytes` in one call, or fails.
    pub(crate) fn write_whole(&self, target: DiskTarget, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let written = self.write_at(target, file, bytes, offset)?;
        if written == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// Writes zeros to `offset..end`, at most [`PIECE_BYTES`] a call, while `wanted` says so.
    pub(crate) fn write_zeros(
        &self,
        target: DiskTarget,
        file: &File,
        mut offset: u64,
        end: u64,
        wanted: &dyn Fn() -> bool,
    ) -> io::Result<()> {
        while offset < end && wanted() {
            let rest = usize::try_from(end - offset).unwrap_or(PIECE_BYTES);
            let piece = ZEROS.get(..rest).unwrap_or(&ZEROS);
            self.write_whole(target, file, piece, offset)?;
            offset += piece.len() as u64;
        }
        Ok(())
    }
}

/// BOUND: large enough that the call costs nothing beside the copy, small enough to stop between two.
pub(crate) const PIECE_BYTES: usize = 1024 * 1024;
static ZEROS: [u8; PIECE_BYTES] = [0; PIECE_BYTES];
