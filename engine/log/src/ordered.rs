//! What an ordered log is, whoever keeps it.

use std::io;
use std::sync::Arc;

use portcullis_model::{EventId, Revision};

use crate::error::{AppendError, LogError};

/// One change to be given a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its id: appending an id twice is one append.
    pub id: EventId,
    /// Opaque bytes, at most [`PAYLOAD_BYTES_MAX`].
    pub payload: Vec<u8>,
}

/// One change with its place, on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its place.
    pub revision: Revision,
    /// Its id.
    pub id: EventId,
    /// The bytes that were appended.
    pub payload: Arc<[u8]>,
}

/// Told once what became of an append. Runs on the log's thread: it must be short and never block; if it
/// panics, the log says so and goes on.
pub type AppendDone = Box<dyn FnOnce(Result<Revision, AppendError>) + Send>;

/// One ordered log of changes; nothing above it knows how it is kept.
pub trait OrderedLog: Send + Sync {
    /// Enqueues an entry; never waits.
    ///
    /// `done` is called exactly once, after the entry is on disk or has failed; where this returns an error it is
    /// dropped uncalled. [`AppendError::Poisoned`] given to `done` leaves open whether the entry is there after a restart;
    /// an error returned from here means that it is not. An id already appended is answered with its revision.
    fn append(&self, entry: Entry, done: AppendDone) -> Result<(), AppendError>;

    /// Place of the last entry on disk; seq 0 for an empty log.
    fn tail(&self) -> Revision;

    /// Stores the folded state after entry `at`, which `write` writes, then lets go of the log behind the
    /// snapshot before it.
    ///
    /// Runs on the caller's thread and does not hold up appends; a second caller waits for the first. An error leaves the
    /// log and the snapshots before it as they were. `at` equal to the newest snapshot's place does nothing.
    fn put_snapshot(
        &self,
        at: Revision,
        write: &mut dyn FnMut(&mut dyn io::Write) -> io::Result<()>,
    ) -> Result<(), LogError>;
}

/// Longest payload: a policy set is at most 32 MiB of text, a membership change of a million members fits as well.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024 * 1024;
