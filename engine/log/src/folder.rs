//! The log's folder: its lock, its file names, and changes to them that survive a crash.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, DiskTarget};
use crate::error::{Damage, LogError};

/// A locked folder. The lock is held as long as this lives.
pub(crate) struct Folder {
    path: PathBuf,
    handle: File,
    pub(crate) disk: Arc<dyn Disk>,
    _lock: File,
}

/// The files of a folder, by kind; numbers ascend.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) segments: Vec<u64>,
    pub(crate) snapshots: Vec<u64>,
    pub(crate) scratch: Vec<PathBuf>,
    pub(crate) poisoned: bool,
}

impl Folder {
    /// Makes the folder where it is missing, and locks it.
    pub(crate) fn open(path: &Path, disk: Arc<dyn Disk>) -> Result<Self, LogError> {
        if !path.exists() {
            fs::create_dir_all(path).map_err(LogError::io("make", path))?;
            if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                let sync = File::open(parent).and_then(|parent| disk.sync_data(DiskTarget::Folder, &parent));
                sync.map_err(LogError::io("sync", parent))?;
            }
        }
        let lock_path = path.join("LOCK");
        let lock = private().truncate(false).open(&lock_path).map_err(LogError::io("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LogError::Locked { folder: path.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(LogError::io("lock", &lock_path)(error)),
        }
        let handle = File::open(path).map_err(LogError::io("open", path))?;
        Ok(Self { path: path.to_owned(), handle, disk, _lock: lock })
    }

    pub(crate) fn list(&self) -> Result<Listing, LogError> {
        let mut listing = Listing::default();
        for item in fs::read_dir(&self.path).map_err(LogError::io("read", &self.path))? {
            let item = item.map_err(LogError::io("read", &self.path))?;
            let name = item.file_name();
            let Some(name) = name.to_str() else { continue };
            if let Some(seq) = numbered(name, "log-", ".seg") {
                listing.segments.push(seq);
            } else if let Some(seq) = numbered(name, "snapshot-", ".snap") {
                listing.snapshots.push(seq);
            } else if name.ends_with(".tmp") {
                listing.scratch.push(item.path());
            } else if name == POISONED {
                listing.poisoned = true;
            }
        }
        listing.segments.sort_unstable();
        listing.snapshots.sort_unstable();
        Ok(listing)
    }

    pub(crate) fn segment_path(&self, first_seq: u64) -> PathBuf {
        self.path.join(format!("log-{first_seq:020}.seg"))
    }

    pub(crate) fn snapshot_path(&self, seq: u64) -> PathBuf {
        self.path.join(format!("snapshot-{seq:020}.snap"))
    }

    /// Path of a half-made file; such files are removed at open.
    pub(crate) fn scratch_path(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.tmp"))
    }

    /// Makes an empty file, readable by its owner only, in place of any other of that name.
    pub(crate) fn create(&self, path: &Path) -> Result<File, LogError> {
        private().truncate(true).open(path).map_err(LogError::io("create", path))
    }

    /// Gives a synced file its final name, durably.
    pub(crate) fn publish(&self, scratch: &Path, path: &Path) -> Result<(), LogError> {
        fs::rename(scratch, path).map_err(LogError::io("rename", scratch))?;
        self.sync()
    }

    /// Removes files, in order, durably.
    pub(crate) fn remove(&self, paths: &[PathBuf]) -> Result<(), LogError> {
        for path in paths {
            fs::remove_file(path).map_err(LogError::io("remove", path))?;
        }
        if paths.is_empty() { Ok(()) } else { self.sync() }
    }

    pub(crate) fn sync(&self) -> Result<(), LogError> {
        self.disk.sync_data(DiskTarget::Folder, &self.handle).map_err(LogError::io("sync", &self.path))
    }

    /// Reads a whole file of at most `bytes_max`.
    pub(crate) fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, LogError> {
        let read_error = || LogError::io("read", path);
        let file = File::open(path).map_err(LogError::io("open", path))?;
        let length = file.metadata().map_err(read_error())?.len();
        let capacity = usize::try_from(length).ok().filter(|length| *length <= bytes_max);
        let capacity = capacity.ok_or_else(|| damaged(path, bytes_max, Damage::TooLong))?;
        let mut bytes = Vec::with_capacity(capacity);
        file.take(length).read_to_end(&mut bytes).map_err(read_error())?;
        Ok(bytes)
    }

    /// Says in the folder that a write or sync failed. Best effort: the disk may be the one that failed.
    pub(crate) fn mark_poisoned(&self, reason: &LogError) {
        let path = self.poisoned_path();
        let marked = fs::write(&path, format!("{reason}\n")).and_then(|()| self.handle.sync_all());
        if let Err(error) = marked {
            tracing::warn!(%error, path = %path.display(), "could not leave a mark that the log stopped");
        }
    }

    pub(crate) fn poisoned_path(&self) -> PathBuf {
        self.path.join(POISONED)
    }
}

/// A damage report.
pub(crate) fn damaged(file: &Path, offset: usize, what: Damage) -> LogError {
    LogError::Damaged { file: file.to_owned(), offset: u64::try_from(offset).unwrap_or(u64::MAX), what }
}

/// Removes a file that nothing depends on; it may be gone already.
pub(crate) fn discard(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(%error, path = %path.display(), "could not remove a half-made file"),
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600);
    options
}

fn numbered(name: &str, prefix: &str, suffix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

const POISONED: &str = "POISONED";
