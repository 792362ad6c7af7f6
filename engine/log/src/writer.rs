//! The one thread that writes: takes what is queued, one write, one sync, then answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use portcullis_model::Revision;

use crate::embedded::{Shared, lock};
use crate::error::LogError;
use crate::ordered::Committed;
use crate::queue::{Answer, Pending};
use crate::segment::SegmentHeader;
use crate::spare::Spares;
use crate::tail::{Tail, batch_bytes, segment_bytes};

pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) tail: Tail,
    pub(crate) spares: Spares,
    /// The live feed; none once nobody reads it.
    pub(crate) feed: Option<SyncSender<Vec<Committed>>>,
    pub(crate) segment_bytes_first: usize,
    pub(crate) segment_bytes_max: usize,
    pub(crate) buffer: Vec<u8>,
    /// Whether entries were written since the log was opened.
    pub(crate) wrote: bool,
}

impl Writer {
    /// Runs until the queue is closed and empty, or poisoned.
    pub(crate) fn run(mut self) {
        // Whatever ends this thread, nobody waits for it.
        let _poison = PoisonAtPanic(Arc::clone(&self.shared));
        self.spares.order(self.next_capacity());
        let mut batch = Vec::new();
        while self.shared.queue.take(&mut batch) {
            let (answers, fresh) = self.place(&mut batch);
            if let Err(error) = self.store(&fresh) {
                self.poison(&error);
                return;
            }
            self.answer(answers);
            self.tell(fresh);
        }
        if let Err(error) = self.seal() {
            self.poison(&error);
        }
    }

    /// Gives every entry its place; those that have one already are only answered.
    fn place(&self, batch: &mut Vec<Pending>) -> (Vec<(Answer, u64)>, Vec<Committed>) {
        let mut recent = lock(&self.shared.recent);
        let mut answers = Vec::with_capacity(batch.len());
        let mut fresh = Vec::with_capacity(batch.len());
        for Pending { entry, answer } in batch.drain(..) {
            let seq = recent.place_of(entry.id).unwrap_or_else(|| {
                let seq = recent.push(entry.id);
                let revision = Revision::new(self.tail.header.epoch, seq);
                fresh.push(Committed { revision, id: entry.id, payload: entry.payload.into() });
                seq
            });
            answers.push((answer, seq));
        }
        (answers, fresh)
    }

    fn store(&mut self, fresh: &[Committed]) -> Result<(), LogError> {
        let Some(last) = fresh.last() else { return Ok(()) };
        let bytes = batch_bytes(fresh.iter().map(|entry| entry.payload.len()));
        if !self.tail.fits(bytes) {
            self.roll(segment_bytes(bytes))?;
        }
        self.tail.append(&self.shared.folder, fresh, &mut self.buffer)?;
        self.buffer.shrink_to(2 * BATCH_BYTES_MAX);
        self.wrote = true;
        // ORDERING: Release, with the Acquire in `tail()`: who reads a place sees what was done before it.
        self.shared.durable.store(last.revision.seq, Ordering::Release);
        Ok(())
    }

    /// Goes on in a new segment of at least `bytes_min`.
    fn roll(&mut self, bytes_min: usize) -> Result<(), LogError> {
        let header = SegmentHeader {
            first_seq: self.tail.cursor.next_seq,
            chain_before: self.tail.cursor.chain,
            ..self.tail.header
        };
        let spare = self.spares.take(bytes_min);
        // Without a spare the append waits for the zeros, so there are few.
        let capacity = bytes_min.max(self.segment_bytes_first);
        self.tail = Tail::create(&self.shared.folder, header, capacity, spare)?;
        let mut segments = lock(&self.shared.segments);
        // Where the first batch does not fit, the new file has taken the name and place of the empty one.
        if segments.last() != Some(&header.first_seq) {
            segments.push(header.first_seq);
        }
        drop(segments);
        self.spares.order(self.next_capacity());
        Ok(())
    }

    fn next_capacity(&self) -> usize {
        self.tail.capacity.saturating_mul(SEGMENT_GROWTH).min(self.segment_bytes_max)
    }

    fn answer(&self, answers: Vec<(Answer, u64)>) {
        let epoch = self.tail.header.epoch;
        for (answer, seq) in answers {
            answer.give(Ok(Revision::new(epoch, seq)));
        }
    }

    /// Hands a batch to the live feed, and waits while that is full.
    fn tell(&mut self, mut batch: Vec<Committed>) {
        let Some(feed) = self.feed.as_ref().filter(|_| !batch.is_empty()) else { return };
        let mut closing_since = None;
        loop {
            batch = match feed.try_send(batch) {
                Ok(()) => return,
                Err(TrySendError::Disconnected(_)) => break,
                Err(TrySendError::Full(batch)) => batch,
            };
            if self.shared.queue.is_closing() {
                let since = *closing_since.get_or_insert_with(Instant::now);
                if since.elapsed() > FEED_CLOSE_WAIT_MAX {
                    tracing::warn!("the log's feed is not read; the next start replays the rest");
                    break;
                }
            }
            std::thread::park_timeout(FEED_POLL);
        }
        self.feed = None;
    }

    /// Says, on a clean close, that the last batch was synced: damage in it is then no tear.
    fn seal(&mut self) -> Result<(), LogError> {
        if self.wrote && self.tail.fits(batch_bytes(std::iter::empty())) {
            self.tail.append(&self.shared.folder, &[], &mut self.buffer)?;
        }
        Ok(())
    }

    fn poison(&self, error: &LogError) {
        tracing::error!(error = error as &dyn std::error::Error, "the log stopped: nothing more is acknowledged");
        self.shared.queue.poison();
        self.shared.folder.mark_poisoned(error);
    }
}

struct PoisonAtPanic(Arc<Shared>);

impl Drop for PoisonAtPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.queue.poison();
        }
    }
}

/// Most entries of one batch; a commit's answers are given in one go.
pub const BATCH_ENTRIES_MAX: usize = 1_024;
/// Most bytes of one batch, frames included, unless a single entry is larger. BOUND: about 2 ms to sync.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Most batches that wait in the live feed; then the log waits, its queue fills and appends are refused.
pub const FEED_BATCHES_MAX: usize = 64;
/// How often a full feed is looked at; nothing waits for it while its reader keeps up.
const FEED_POLL: Duration = Duration::from_micros(500);
/// How long closing waits for a reader that does not read.
const FEED_CLOSE_WAIT_MAX: Duration = Duration::from_secs(5);
/// From 256 KiB to 64 MiB in four steps, so that zeroing ahead never costs much more than what was written.
const SEGMENT_GROWTH: usize = 4;
