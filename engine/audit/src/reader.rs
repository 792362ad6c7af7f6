//! Reads a log in either order, one segment in memory at a time, and nothing that is not synced.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::batch::{BATCH_HEAD_BYTES, Batch, BatchHead, head_at};
use crate::entry::AuditEntry;
use crate::error::AuditError;
use crate::lock;
use crate::recovery::{damaged, read_segment};
use crate::scan::{SEGMENT_HEAD_BYTES, Tail, scan};
use crate::segment::{list, segment_path};
use crate::shared::Shared;
use crate::store::Synced;

/// Reads a log without changing it, while a node runs on it or not. Cheap to make; every call reads
/// what is there then.
#[derive(Clone)]
pub struct AuditReader {
    folder: PathBuf,
    /// The log's own state where this process writes it: then exactly what is synced is known.
    shared: Option<Arc<Shared>>,
}

impl AuditReader {
    /// A reader of the log in `folder`. If a node runs on it, its newest batch is left out, since
    /// only the node knows whether it is synced; ask the node itself to see that too.
    ///
    /// # Errors
    /// [`AuditError::Io`] if there is no such folder.
    pub fn open(folder: &Path) -> Result<Self, AuditError> {
        fs::read_dir(folder).map_err(AuditError::io("read", folder))?;
        Ok(Self { folder: folder.to_owned(), shared: None })
    }

    pub(crate) fn of(folder: PathBuf, shared: Arc<Shared>) -> Self {
        Self { folder, shared: Some(shared) }
    }

    /// Entries after number `after`, ascending; 0 begins with the first.
    ///
    /// # Errors
    /// [`AuditError::Io`]; later errors come from the iterator, which then ends.
    pub fn oldest_first(&self, after: u64) -> Result<Entries, AuditError> {
        let mut segments = list(&self.folder)?;
        // The last segment that begins at or before the entry wanted holds it.
        let holds = |number: &u64| {
            first_head(&self.folder, *number).is_some_and(|head| head.first_number <= after.saturating_add(1))
        };
        let skipped = segments.iter().rposition(holds).unwrap_or(0);
        segments.drain(..skipped);
        segments.reverse();
        Ok(self.entries(segments, Order::Oldest { after }))
    }

    /// Entries before number `before`, descending; `u64::MAX` begins with the last.
    ///
    /// # Errors
    /// [`AuditError::Io`]; later errors come from the iterator, which then ends.
    pub fn newest_first(&self, before: u64) -> Result<Entries, AuditError> {
        let segments = list(&self.folder)?;
        Ok(self.entries(segments, Order::Newest { before }))
    }

    fn entries(&self, segments: Vec<u64>, order: Order) -> Entries {
        let synced = self.shared.as_ref().map(|shared| shared.synced());
        let elsewhere = synced.is_none() && lock::is_held(&self.folder);
        let folder = self.folder.clone();
        Entries { folder, order, elsewhere, synced, segments, loaded: None, batch: Vec::new(), expected: None }
    }
}

/// Entries of a log, one after the other. Ends after its first error.
pub struct Entries {
    folder: PathBuf,
    order: Order,
    /// Another node writes: a batch is known to be synced only when a later one stands after it.
    elsewhere: bool,
    /// How far this process has synced, if it writes.
    synced: Option<Synced>,
    /// Segments still to be read, the next one last.
    segments: Vec<u64>,
    loaded: Option<Loaded>,
    /// Entries of the batch at hand, the next one last.
    batch: Vec<AuditEntry>,
    /// Number that the next batch must begin with, or end before.
    expected: Option<u64>,
}

#[derive(Clone, Copy)]
enum Order {
    Oldest { after: u64 },
    Newest { before: u64 },
}

struct Loaded {
    number: u64,
    bytes: Vec<u8>,
    /// Batches still to be read, the next one last.
    offsets: Vec<usize>,
}

impl Iterator for Entries {
    type Item = Result<AuditEntry, AuditError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.batch.pop() {
                match self.order {
                    Order::Oldest { after } if entry.number <= after => continue,
                    Order::Newest { before } if entry.number >= before => continue,
                    _ => return Some(Ok(entry)),
                }
            }
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.segments.clear();
                    self.loaded = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

impl Entries {
    /// Takes the next batch or loads the next segment; `false` at the end.
    fn advance(&mut self) -> Result<bool, AuditError> {
        if let Some(loaded) = &mut self.loaded {
            match loaded.offsets.pop() {
                Some(offset) => return self.take_batch(offset).map(|()| true),
                None => self.loaded = None,
            }
        }
        let Some(number) = self.segments.pop() else { return Ok(false) };
        if self.is_wanted(number) {
            self.loaded = self.load(number)?;
        }
        Ok(true)
    }

    fn is_wanted(&self, number: u64) -> bool {
        let reached = self.synced.is_none_or(|synced| number <= synced.segment);
        let begins = || first_head(&self.folder, number).map(|head| head.first_number);
        match self.order {
            Order::Newest { before } => reached && begins().is_none_or(|first| first < before),
            Order::Oldest { .. } => reached,
        }
    }

    fn take_batch(&mut self, offset: usize) -> Result<(), AuditError> {
        let Some(loaded) = &self.loaded else { return Ok(()) };
        let failed = |what| damaged(&segment_path(&self.folder, loaded.number), offset, what);
        let batch = Batch::at(&loaded.bytes, loaded.number, offset).ok_or_else(|| failed("a batch cannot be read"))?;
        let (first, next) = (batch.head.first_number, batch.head.next_number());
        let (meets, leaves) = match self.order {
            Order::Oldest { .. } => (first, next),
            Order::Newest { .. } => (next, first),
        };
        if self.expected.is_some_and(|expected| expected != meets) {
            return Err(failed("entries are missing"));
        }
        let entries: Option<Vec<AuditEntry>> = batch.entries().collect();
        let mut entries = entries.ok_or_else(|| failed("an entry cannot be read"))?;
        if matches!(self.order, Order::Oldest { .. }) {
            entries.reverse();
        }
        self.expected = Some(leaves);
        self.batch = entries;
        Ok(())
    }

    /// Reads a segment; `None` if it holds no batch that is known to be synced.
    fn load(&mut self, number: u64) -> Result<Option<Loaded>, AuditError> {
        let path = segment_path(&self.folder, number);
        for attempt in 1.. {
            // Looked at before the read: a segment that is followed then has all its batches.
            let followed = first_head(&self.folder, number + 1).is_some();
            let end = self.synced.filter(|synced| synced.segment == number).map(|synced| synced.end);
            let bytes = read_segment(&path, end.unwrap_or(u64::MAX))?;
            let mut found = scan(&bytes, number);
            let whole = match found.tail {
                Tail::Clean => true,
                Tail::Torn => !followed && end.is_none(),
                Tail::Damaged => false,
            };
            if whole {
                if self.elsewhere && !followed {
                    found.offsets.pop();
                }
                if matches!(self.order, Order::Oldest { .. }) {
                    found.offsets.reverse();
                    if self.elsewhere && !followed {
                        // What the next segments got since does not join what was read of this one.
                        self.segments.clear();
                    }
                }
                let offsets = found.offsets;
                return Ok((!offsets.is_empty()).then_some(Loaded { number, bytes, offsets }));
            }
            // A node elsewhere may have written between two parts of the read: then another read is whole.
            if !self.elsewhere || attempt == READS_MAX {
                return Err(damaged(&path, found.end, "a batch that was stored cannot be read"));
            }
        }
        Ok(None)
    }
}

/// The head of a segment's first batch.
fn first_head(folder: &Path, number: u64) -> Option<BatchHead> {
    let mut front = Vec::new();
    let most = u64::try_from(SEGMENT_HEAD_BYTES + BATCH_HEAD_BYTES).unwrap_or(u64::MAX);
    File::open(segment_path(folder, number)).ok()?.take(most).read_to_end(&mut front).ok()?;
    head_at(&front, number, SEGMENT_HEAD_BYTES)
}

/// BOUND: how often a segment is read while another process writes it; each read that still looks
/// damaged is less likely a coincidence.
const READS_MAX: u32 = 3;
