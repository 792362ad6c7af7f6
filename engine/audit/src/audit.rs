//! The handle of an open audit log.

use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use portcullis_cells::ring;
use portcullis_model::Revision;
use serde_json::json;

use crate::code::{HEAD_BYTES, encode};
use crate::control::ControlEntry;
use crate::entry::{Entry, EntryKind};
use crate::error::{AuditError, PushError};
use crate::health::{Health, HealthState};
use crate::hot::HOT_HEAD_BYTES;
use crate::lane::{Arrival, Lane};
use crate::limits::{BATCH_ENTRIES_MAX, CONTROL_ENTRIES_MAX, PRODUCERS_MAX, WAKERS_MAX};
use crate::lock;
use crate::options::AuditOptions;
use crate::producer::{Producer, Ticket};
use crate::reader::AuditReader;
use crate::recovery::{Found, Recovery, recover};
use crate::refusals::Refusals;
use crate::scan::SEGMENT_HEAD_BYTES;
use crate::segment::{Spares, create, remove_unfinished, size};
use crate::shared::{POISONED, Shared, Stage, held};
use crate::store::{Draft, Place, Sizes, Store};
use crate::writer::{CONTROL, REST_MIN, Writer};

/// An open audit log: one folder, one writer's thread, up to [`PRODUCERS_MAX`] producers and a control
/// side. Dropping it closes it.
pub struct Audit {
    shared: Arc<Shared>,
    ring_bytes: usize,
    /// Number of the next producer.
    next_worker: Mutex<u32>,
    running: Mutex<Option<Running>>,
}

struct Running {
    thread: JoinHandle<()>,
    /// Held for as long as the thread may write.
    _lock: File,
}

impl Audit {
    /// Opens the log in `folder`, making it where there is none: recovers, records what recovery
    /// found, then starts the writer's thread. Cost: reads [`AuditOptions::verify_bytes`] or more.
    ///
    /// # Errors
    /// [`AuditError::Locked`] while another node runs on it; [`AuditError::Damaged`] naming file and
    /// offset where bytes that were stored are gone, before anything is changed.
    pub fn open(folder: &Path, options: AuditOptions) -> Result<(Self, Recovery), AuditError> {
        options.check()?;
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(AuditError::io("create", folder))?;
        let lock = lock::take(folder)?;
        remove_unfinished(folder)?;
        let mut found = recover(folder, options.verify_bytes)?;
        found.recovery.poisoned = poisoned(folder);
        let store = store(folder, &options, &found)?;
        let control = Arc::new(Lane::new(CONTROL, bound(CONTROL_ENTRIES_MAX)));
        let shared = Arc::new(Shared::new(folder.to_owned(), control, store.synced()));
        let mut writer = writer(store, Arc::clone(&shared), &options);
        record_start(&mut writer, &found.recovery)?;
        writer.store.order()?;
        if found.recovery.poisoned.is_some() {
            let marker = folder.join(POISONED);
            fs::remove_file(&marker).map_err(AuditError::io("remove", marker.as_path()))?;
        }
        let thread = thread::Builder::new()
            .name("audit-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(AuditError::io("start the thread for", folder))?;
        shared.set_writer(thread.thread().clone());
        let running = Mutex::new(Some(Running { thread, _lock: lock }));
        let audit = Self { shared, ring_bytes: options.ring_bytes, next_worker: Mutex::new(CONTROL + 1), running };
        Ok((audit, found.recovery))
    }

    /// A producer for one deciding thread. Waits for one sync: a producer is named on the device
    /// before it can lose a record, so that a gap can name it.
    ///
    /// # Errors
    /// [`AuditError::TooMany`] beyond [`PRODUCERS_MAX`]; [`AuditError::Poisoned`] or [`AuditError::Closed`].
    pub fn producer(&self) -> Result<Producer, AuditError> {
        let limit = PRODUCERS_MAX;
        let claim = |live: usize| (live < limit).then_some(live + 1);
        let claimed = self.shared.live.fetch_update(Ordering::AcqRel, Ordering::Acquire, claim);
        claimed.map_err(|_| AuditError::TooMany { of: "producers", limit })?;
        let worker = {
            let mut next = held(&self.next_worker);
            *next += 1;
            *next - 1
        };
        let (producer, consumer) = ring(self.ring_bytes);
        let records = self.ring_bytes.next_power_of_two() / (HOT_HEAD_BYTES + RING_WORD_BYTES);
        let lane = Arc::new(Lane::new(worker, bound(records)));
        let producer = Producer::new(producer, Arc::clone(&lane), Arc::clone(&self.shared));
        self.shared.takes().map_err(refused)?;
        self.shared.arrive(Arrival { lane: Arc::clone(&lane), ring: consumer });
        self.shared.wait(|| lane.announced.load(Ordering::Acquire))?;
        Ok(producer)
    }

    /// Takes an entry of the control side: a change, an administrator's call, a session opened or
    /// ended, a refusal. Allocates and locks; not for deciding threads.
    ///
    /// # Errors
    /// [`PushError`]; whatever the entry is about must then be refused, if it can be.
    pub fn append(&self, entry: &Entry) -> Result<Ticket, PushError> {
        let mut stored = Vec::with_capacity(8 * HEAD_BYTES);
        encode(entry, &mut stored);
        let change = entry.revision.filter(|_| entry.kind == EntryKind::Change);
        let number = self.shared.enqueue(ControlEntry { stored, change })?;
        Ok(Ticket { worker: CONTROL, number })
    }

    /// Whether a control entry is on the device. Of a producer's ticket it knows nothing: false.
    pub fn is_durable(&self, ticket: Ticket) -> bool {
        ticket.worker == CONTROL && self.shared.control.durable() >= ticket.number
    }

    /// Waits until a control entry or a live producer's record is on the device.
    ///
    /// # Errors
    /// [`AuditError::Poisoned`] or [`AuditError::Closed`] if it will not be.
    pub fn wait_durable(&self, ticket: Ticket) -> Result<(), AuditError> {
        self.shared.hurry();
        let lanes = self.shared.lanes();
        match lanes.iter().find(|lane| lane.worker == ticket.worker) {
            Some(lane) => self.shared.wait(|| lane.durable() >= ticket.number),
            // A worker is forgotten only when all its records are on the device.
            None => Ok(()),
        }
    }

    /// Has `wake` called after each move of the watermark, and when the log is poisoned or closed. It
    /// runs on the writer's thread: it must return at once and must not panic.
    ///
    /// # Errors
    /// [`AuditError::TooMany`] beyond [`WAKERS_MAX`].
    pub fn on_durable(&self, wake: Arc<dyn Fn() + Send + Sync>) -> Result<(), AuditError> {
        self.shared.add_wake(wake, WAKERS_MAX)
    }

    /// Waits until everything that was pushed or appended before this call is on the device.
    ///
    /// # Errors
    /// [`AuditError::Poisoned`] or [`AuditError::Closed`] if it will not be.
    pub fn flush(&self) -> Result<(), AuditError> {
        let targets: Vec<_> = self.shared.lanes().into_iter().map(|lane| (lane.pushed(), lane)).collect();
        self.shared.hurry();
        self.shared.wait(|| targets.iter().all(|(pushed, lane)| lane.durable() >= *pushed))
    }

    /// How the log stands now.
    pub fn health(&self) -> Health {
        let lanes = self.shared.lanes();
        let queued = lanes.iter().map(|lane| lane.pushed().saturating_sub(lane.durable())).sum();
        let state = match (self.shared.stage(), self.shared.cause()) {
            (Stage::Running, _) => HealthState::Good,
            (Stage::Closing | Stage::Closed, _) => HealthState::Closed,
            (Stage::Poisoned, cause) => HealthState::Poisoned { cause: cause.unwrap_or_default().to_owned() },
        };
        Health {
            state,
            producers: self.shared.live.load(Ordering::Acquire),
            queued,
            refused: lanes.iter().map(|lane| lane.refused()).sum(),
            entries: self.shared.synced().next_number.saturating_sub(1),
            batches: self.shared.counters.batches.load(Ordering::Relaxed),
            bytes: self.shared.counters.bytes.load(Ordering::Relaxed),
        }
    }

    /// A reader that sees exactly what this log has synced.
    pub fn reader(&self) -> AuditReader {
        AuditReader::of(self.shared.folder.clone(), Arc::clone(&self.shared))
    }

    /// Takes nothing more, writes what was taken, records the stop and lets go of the folder. Drop all
    /// producers first: while one is left the run does not count as closed, and the next start
    /// records a gap for it. Closing again does nothing.
    ///
    /// # Errors
    /// [`AuditError::Poisoned`] if not everything could be written.
    pub fn close(&self) -> Result<(), AuditError> {
        self.shared.set_stage(Stage::Closing);
        self.shared.hurry();
        let Some(running) = held(&self.running).take() else { return Ok(()) };
        let panicked = running.thread.join().is_err();
        if panicked || self.shared.stage() == Stage::Poisoned { Err(AuditError::Poisoned) } else { Ok(()) }
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "audit log was not closed");
        }
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").field("health", &self.health()).finish_non_exhaustive()
    }
}

fn refused(error: PushError) -> AuditError {
    if error == PushError::Closed { AuditError::Closed } else { AuditError::Poisoned }
}

/// Most records a crash can take: what a queue holds and what was drained into a batch not yet synced.
fn bound(queue: usize) -> u32 {
    u32::try_from(queue + BATCH_ENTRIES_MAX).unwrap_or(u32::MAX)
}

fn poisoned(folder: &Path) -> Option<String> {
    let mut cause = Vec::new();
    File::open(folder.join(POISONED)).ok()?.take(CAUSE_BYTES_MAX).read_to_end(&mut cause).ok()?;
    Some(String::from_utf8_lossy(&cause).into_owned())
}

/// The writing end, after what recovery found.
fn store(folder: &Path, options: &AuditOptions, found: &Found) -> Result<Store, AuditError> {
    let disk = Arc::clone(&options.disk);
    let sizes = Sizes { first: options.segment_bytes_first, most: options.segment_bytes_max };
    let repaired = found.repair(folder, disk.as_ref())?;
    let beginning = u64::try_from(SEGMENT_HEAD_BYTES).unwrap_or(u64::MAX);
    let (segment, end) = match repaired.current {
        Some(current) => current,
        None => (create(folder, disk.as_ref(), 1, size(1, sizes.first, sizes.most))?, beginning),
    };
    let place = Place {
        run: found.recovery.run,
        sequence: found.last.map_or(0, |(head, _)| head.sequence),
        checksum: found.last.map_or(0, |(_, checksum)| checksum),
        next_number: found.recovery.entries + 1,
        change: found.recovery.last_change.unwrap_or(Revision::new(0, 0)),
    };
    let spares = Spares::start(folder, Arc::clone(&disk))?;
    Ok(Store { disk, sizes, segment, found: repaired.spares, spares, ordered: None, end, place })
}

fn writer(store: Store, shared: Arc<Shared>, options: &AuditOptions) -> Writer {
    Writer {
        shared,
        store,
        names: Arc::clone(&options.names),
        clock: Arc::clone(&options.clock),
        buffered_wait: options.buffered_wait,
        summary_every: options.summary_every,
        draft: Draft::new(),
        sources: Vec::new(),
        control_drained: 0,
        refusals: Refusals::new(),
        scratch: Vec::with_capacity(portcullis_cells::RECORD_BYTES_MAX),
        rest: REST_MIN,
        turn: 0,
    }
}

/// Writes the gaps of the run before and the start of this one, as one batch: both or neither.
fn record_start(writer: &mut Writer, recovery: &Recovery) -> Result<(), AuditError> {
    writer.draft.begin(&mut writer.store)?;
    let now = (writer.clock)();
    for gap in &recovery.gaps {
        let mut entry = Entry::new(EntryKind::Gap, now);
        entry.detail =
            Some(json!({ "run": gap.run, "worker": gap.worker, "after": gap.after, "at_most": gap.at_most }));
        writer.add_own(&entry);
    }
    let file = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let torn = recovery.torn.as_ref();
    let mut entry = Entry::new(EntryKind::Start, now);
    entry.detail = Some(json!({
        "run": recovery.run,
        "clean": recovery.clean,
        "segments": recovery.segments,
        "verified_bytes": recovery.verified_bytes,
        "entries": recovery.entries,
        "gaps": recovery.gaps.len(),
        "torn": torn.map(|torn| json!({ "file": file(&torn.file), "offset": torn.offset, "bytes": torn.bytes })),
        "poisoned": recovery.poisoned,
    }));
    writer.add_own(&entry);
    writer.commit_own()
}

/// A ring takes a word for each record's length.
const RING_WORD_BYTES: usize = 8;
const CAUSE_BYTES_MAX: u64 = 1_024;
