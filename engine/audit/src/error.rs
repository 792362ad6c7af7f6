//! What can go wrong, by who must act.

use std::io;
use std::path::PathBuf;

/// Why the audit log does not open or cannot do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The operator's: a file or folder cannot be used. Retry after mending it.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The operator's: another node runs on this folder.
    #[error("`{}` is in use by another node", folder.display())]
    Locked {
        /// The folder.
        folder: PathBuf,
    },
    /// The operator's: bytes that were stored are not there any more. Nothing is opened or changed;
    /// restore the file from a copy.
    #[error("`{}` is damaged at offset {offset}: {what}", file.display())]
    Damaged {
        /// The segment.
        file: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// The caller's: an option is outside its range.
    #[error("audit option `{option}` is outside {range}")]
    Option {
        /// Which.
        option: &'static str,
        /// What it may be.
        range: &'static str,
    },
    /// The caller's: a bound is reached.
    #[error("the audit log has at most {limit} {of}")]
    TooMany {
        /// Of what.
        of: &'static str,
        /// The bound.
        limit: usize,
    },
    /// Ours: a defect.
    #[error("the audit log has a defect: {0}")]
    Defect(&'static str),
    /// Ours: an earlier write failed; nothing is recorded until the node has been restarted.
    #[error("the audit log failed earlier and records nothing until the node is restarted")]
    Poisoned,
    /// Ours: the log is closed.
    #[error("the audit log is closed")]
    Closed,
}

impl AuditError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

/// Why a record was not taken. Whatever it was about must then be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The queue is full: retry after a pause. The refusal is counted and will be recorded.
    #[error("the audit queue is full")]
    Full,
    /// An earlier write failed: no retry helps until the node has been restarted.
    #[error("the audit log failed earlier and records nothing until the node is restarted")]
    Poisoned,
    /// The log is closed.
    #[error("the audit log is closed")]
    Closed,
    /// The caller's: a field of the record is larger than its limit.
    #[error("`{0}` of an audit record is larger than its limit")]
    Limit(&'static str),
}
