//! The two system calls on which durability rests, so that tests can make them fail.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Writes and syncs segments. Reading, creating and renaming go to the file system directly.
pub trait Disk: Send + Sync {
    /// Writes at `offset` and returns how many bytes were taken. Fewer than given is a failure to the
    /// audit log; it does not write the rest.
    ///
    /// # Errors
    /// The system's.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Returns once everything written to `file` is on the device. Never called again on a file for
    /// which it failed.
    ///
    /// # Errors
    /// The system's.
    fn sync_data(&self, file: &File) -> io::Result<()>;
}

/// The machine's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileSystem;

impl Disk for FileSystem {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        // An interrupted write has written nothing, so it may be repeated; a failed sync may not.
        for _ in 1..INTERRUPTS_MAX {
            match file.write_at(bytes, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
        file.write_at(bytes, offset)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}

/// BOUND: a write interrupted more often than this has something else wrong with it.
const INTERRUPTS_MAX: u32 = 16;

/// Writes all of `bytes` or fails; a short write is a failure.
pub(crate) fn write_whole(disk: &dyn Disk, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let taken = disk.write_at(file, bytes, offset)?;
    if taken == bytes.len() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::WriteZero, format!("{taken} of {} bytes were written", bytes.len())))
}

/// Writes zeros over `from..until` in pieces.
pub(crate) fn write_zeros(disk: &dyn Disk, file: &File, from: u64, until: u64) -> io::Result<()> {
    let zeros = vec![0; ZEROS_BYTES];
    let mut offset = from;
    while offset < until {
        let bytes = usize::try_from(until - offset).map_or(ZEROS_BYTES, |rest| rest.min(ZEROS_BYTES));
        write_whole(disk, file, &zeros[..bytes], offset)?;
        offset += u64::try_from(bytes).unwrap_or(u64::MAX);
    }
    Ok(())
}

const ZEROS_BYTES: usize = 256 * 1_024;
