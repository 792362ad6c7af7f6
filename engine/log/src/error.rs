//! What can go wrong, and who must act.

use std::io;
use std::path::PathBuf;

use portcullis_model::Revision;

/// Why an entry was not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The queue is full: the same append may be tried again later.
    #[error("the log's queue is full")]
    Overloaded,
    /// A write or sync failed: nothing is appended until the node was restarted. Trying again cannot help.
    #[error("the log stopped after a failed write or sync; free the disk or replace it, then restart the node")]
    Poisoned,
    /// The log is being closed.
    #[error("the log is closed")]
    Closed,
    /// The caller's fault: the payload is longer than the limit.
    #[error("an entry of {bytes} bytes is longer than the limit of {limit} bytes")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The longest allowed.
        limit: usize,
    },
}

/// Why a log could not be opened, read, closed, or given a snapshot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// Another node has this log open.
    #[error("another node holds `{}`; stop it, or give this one another data directory", folder.display())]
    Locked {
        /// The log's folder.
        folder: PathBuf,
    },
    /// Acknowledged bytes are not what was written. Nothing was changed on disk.
    #[error("`{}` is damaged at byte {offset}: {what}; nothing was changed: restore the folder `{}` whole from a backup",
        file.display(), file.parent().unwrap_or(file).display())]
    Damaged {
        /// The damaged file.
        file: PathBuf,
        /// Where in it the damage was noticed, in bytes from its start.
        offset: u64,
        /// What is wrong there.
        what: Damage,
    },
    /// The operating system refused.
    #[error("could not {action} `{}`", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
    /// A write or sync failed since the log was opened: what was not acknowledged may be lost.
    #[error("the log stopped after a failed write or sync; free the disk or replace it, then restart the node")]
    Poisoned,
    /// The caller's fault: a snapshot is of this log, not beyond its end and not before the newest snapshot.
    #[error("a snapshot at revision {at} is not between the newest one, {newest}, and the log's end, {tail}")]
    SnapshotPlace {
        /// The revision given.
        at: Revision,
        /// The newest snapshot's; seq 0 where there is none.
        newest: Revision,
        /// The log's last.
        tail: Revision,
    },
}

impl LogError {
    /// Makes an [`LogError::Io`] from what was being done.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// Its header does not match its checksum.
    #[error("the header does not match its checksum")]
    Header,
    /// Written by another version of Portcullis, or by nobody.
    #[error("format version {0} is not known; start the version of portcullis that wrote it")]
    Version(u32),
    /// Its header belongs to another log, epoch or file name.
    #[error("the file belongs to another log or was renamed")]
    Foreign,
    /// A frame does not match its checksum or its place.
    #[error("what should be entry {0} or its commit does not match its checksum or place")]
    Frame(u64),
    /// The file ends too early.
    #[error("the file ends where entry {0} or its commit should be")]
    Ends(u64),
    /// Entries are missing between the file before it and this one.
    #[error("entries from {expected} on should come first, but the file begins with {found}")]
    Gap {
        /// The first missing entry.
        expected: u64,
        /// What the file begins with.
        found: u64,
    },
    /// It does not continue the file before it.
    #[error("the file does not continue the one before it")]
    Chain,
    /// The log's files are gone, or end before the newest snapshot.
    #[error("the log ends with entry {tail}, before the snapshot")]
    BehindSnapshot {
        /// The last entry found; 0 for none.
        tail: u64,
    },
    /// A snapshot does not match its checksums, and no earlier state is left.
    #[error("the snapshot does not match its checksums, and what came before it is gone")]
    Snapshot,
    /// A file is longer than any this version writes.
    #[error("the file is longer than any that portcullis writes")]
    TooLong,
}
