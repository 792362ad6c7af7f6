//! The log kept in files of one folder.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use portcullis_model::Revision;

use crate::disk::{Disk, StdDisk};
use crate::error::{AppendError, LogError};
use crate::folder::Folder;
use crate::frame::FRAME_ALIGN;
use crate::ordered::{AppendDone, Committed, Entry, OrderedLog, PAYLOAD_BYTES_MAX};
use crate::queue::{Answer, Pending, Queue};
use crate::recent::Recent;
use crate::recover::{self, Recovered, Recovery};
use crate::replay::Replay;
use crate::segment::SEGMENT_BYTES_MAX;
use crate::snapshot::{self, LogIdentity, SnapshotReader};
use crate::spare::Spares;
use crate::writer::{FEED_BATCHES_MAX, Writer};

/// An open log; there is one per folder. Dropping it closes it.
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

/// How a log is kept. The default is right for a node.
#[derive(Clone)]
pub struct LogOptions {
    /// What writes and syncs; other than [`StdDisk`] only to inject faults.
    pub disk: Arc<dyn Disk>,
    /// Length of the first segment in bytes, from 4 KiB; default 256 KiB. A longer one makes the first start slower.
    pub segment_bytes_first: usize,
    /// Length in bytes to which segments grow, up to 64 MiB, the default. A shorter one makes more files.
    pub segment_bytes_max: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { disk: Arc::new(StdDisk), segment_bytes_first: SEGMENT_BYTES_FIRST, segment_bytes_max: SEGMENT_BYTES_MAX }
    }
}

/// A log just opened, with the state to begin with: first the snapshot, then the replay, then the feed.
#[non_exhaustive]
pub struct Opened {
    /// The log.
    pub log: EmbeddedLog,
    /// The newest snapshot and its place, its checksums verified; none if none was ever put.
    pub snapshot: Option<(Revision, SnapshotReader)>,
    /// What was committed after it, up to the opening.
    pub replay: Replay,
    /// What was found and done.
    pub recovered: Recovery,
    /// What is committed from now on: whole batches, in order, after their callbacks. Holds at most
    /// [`FEED_BATCHES_MAX`]; then the log waits, so it must be read by its one consumer, or dropped. Disconnects
    /// when the log was closed or poisoned.
    pub committed: Receiver<Vec<Committed>>,
}

/// What callers and the writer thread share.
pub(crate) struct Shared {
    pub(crate) folder: Arc<Folder>,
    pub(crate) queue: Queue,
    pub(crate) durable: AtomicU64,
    pub(crate) recent: Mutex<Recent>,
    /// First sequence numbers of the segments, ascending.
    pub(crate) segments: Mutex<Vec<u64>>,
    log: LogIdentity,
    /// The newest whole snapshot; 0 for none. Its lock also makes snapshots one at a time.
    newest_snapshot: Mutex<u64>,
}

impl EmbeddedLog {
    /// Opens the log in `folder`, made where it is missing, and starts its thread.
    ///
    /// Reads and checks the whole log, cuts a torn last batch, and verifies the snapshot. Cost: one pass over
    /// the files, about 1 s per GiB.
    ///
    /// # Errors
    /// [`LogError::Locked`] if another node has it open, [`LogError::Damaged`] if acknowledged bytes are not what
    /// was written (nothing was changed then), [`LogError::Io`] where the operating system refused.
    pub fn open(folder: &Path, options: LogOptions) -> Result<Opened, LogError> {
        let aligned = |bytes: usize| bytes.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX).next_multiple_of(FRAME_ALIGN);
        let segment_bytes_first = aligned(options.segment_bytes_first);
        let folder = Arc::new(Folder::open(folder, options.disk)?);
        let listing = folder.list()?;
        let recovered = if listing.segments.is_empty() {
            recover::create(&folder, &listing, segment_bytes_first)?
        } else {
            recover::recover(&folder, listing)?
        };
        let Recovered { log, segments, tail, recent, snapshot, report } = recovered;
        let tail_seq = tail.cursor.next_seq - 1;
        let snapshot_seq = snapshot.as_ref().map_or(0, |snapshot| snapshot.seq);
        let replay = replay(&folder, log, &segments, snapshot_seq, tail_seq);
        let shared = Arc::new(Shared {
            folder: Arc::clone(&folder),
            queue: Queue::new(),
            durable: AtomicU64::new(tail_seq),
            recent: Mutex::new(recent),
            segments: Mutex::new(segments),
            log,
            newest_snapshot: Mutex::new(snapshot_seq),
        });
        let (feed, committed) = sync_channel(FEED_BATCHES_MAX);
        let writer = Writer {
            shared: Arc::clone(&shared),
            tail,
            spares: Spares::start(&folder)?,
            feed: Some(feed),
            segment_bytes_first,
            segment_bytes_max: aligned(options.segment_bytes_max),
            buffer: Vec::new(),
            wrote: false,
        };
        let thread = std::thread::Builder::new().name("log-writer".into()).spawn(move || writer.run());
        let thread = thread.map_err(LogError::io("start the thread that writes", folder.segment_path(tail_seq)))?;
        let snapshot = snapshot.map(|snapshot| (Revision::new(log.epoch, snapshot.seq), snapshot.reader));
        let log = Self { shared, writer: Some(thread) };
        Ok(Opened { log, snapshot, replay, recovered: report, committed })
    }

    /// Refuses further entries, writes and answers those in the queue, and stops the thread.
    ///
    /// Waits at most 5 s for a feed that is full and not read; what did not fit comes with the next replay.
    ///
    /// # Errors
    /// [`LogError::Poisoned`] if a write or sync has failed since the log was opened.
    pub fn close(mut self) -> Result<(), LogError> {
        self.stop();
        if self.shared.queue.is_poisoned() { Err(LogError::Poisoned) } else { Ok(()) }
    }

    fn stop(&mut self) {
        self.shared.queue.close();
        let Some(writer) = self.writer.take() else { return };
        // A callback may drop the last handle: the thread cannot wait for itself.
        if writer.thread().id() != std::thread::current().id() && writer.join().is_err() {
            tracing::error!("the log's thread panicked");
        }
    }

    fn revision(&self, seq: u64) -> Revision {
        Revision::new(self.shared.log.epoch, seq)
    }

    /// Removes what the snapshot at `newest`, which follows the one at `previous`, makes superfluous.
    fn compact(&self, previous: u64, newest: u64) -> Result<(), LogError> {
        let folder = &self.shared.folder;
        let mut obsolete: Vec<PathBuf> = {
            let mut segments = lock(&self.shared.segments);
            // A segment is behind a snapshot when its successor begins at most one entry after it.
            let behind = segments.windows(2).take_while(|pair| pair.last().is_some_and(|next| *next <= previous + 1));
            let count = behind.count();
            segments.drain(..count).map(|first| folder.segment_path(first)).collect()
        };
        let snapshots = folder.list()?.snapshots.into_iter();
        obsolete
            .extend(snapshots.filter(|seq| *seq != previous && *seq != newest).map(|seq| folder.snapshot_path(seq)));
        folder.remove(&obsolete)
    }
}

impl OrderedLog for EmbeddedLog {
    fn append(&self, entry: Entry, done: AppendDone) -> Result<(), AppendError> {
        let bytes = entry.payload.len();
        if bytes > PAYLOAD_BYTES_MAX {
            return Err(AppendError::TooLarge { bytes, limit: PAYLOAD_BYTES_MAX });
        }
        self.shared.queue.push(Pending { entry, answer: Answer::new(done) })
    }

    fn tail(&self) -> Revision {
        // ORDERING: Acquire, with the writer's Release after its sync.
        self.revision(self.shared.durable.load(Ordering::Acquire))
    }

    fn put_snapshot(
        &self,
        at: Revision,
        write: &mut dyn FnMut(&mut dyn io::Write) -> io::Result<()>,
    ) -> Result<(), LogError> {
        let mut newest = lock(&self.shared.newest_snapshot);
        let (newest_at, tail) = (self.revision(*newest), self.tail());
        if at == newest_at {
            return Ok(());
        }
        if !at.covers(newest_at) || !tail.covers(at) {
            return Err(LogError::SnapshotPlace { at, newest: newest_at, tail });
        }
        snapshot::write(&self.shared.folder, self.shared.log, at.seq, &self.shared.recent, write)?;
        let previous = std::mem::replace(&mut *newest, at.seq);
        self.compact(previous, at.seq)
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The guarded value, also after another holder panicked: no invariant spans a panic here.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn replay(folder: &Folder, log: LogIdentity, segments: &[u64], after: u64, end: u64) -> Replay {
    let behind = segments.partition_point(|first| *first <= after + 1).saturating_sub(1);
    let paths = segments.iter().skip(behind).rev().map(|first| folder.segment_path(*first)).collect();
    Replay { epoch: log.epoch, segments: paths, current: None, at: after, end }
}

/// BOUND: about 2 ms to make, out of the 300 ms a first start may take.
const SEGMENT_BYTES_FIRST: usize = 256 * 1024;
/// Shorter segments would hold little more than their header.
const SEGMENT_BYTES_MIN: usize = 4 * 1024;
