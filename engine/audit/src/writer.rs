//! The writer's thread: drains every queue into a batch, writes it, syncs it, moves the watermark.
//!
//! There is no timer under load: while one batch syncs, the next one gathers in the rings. A batch
//! of buffered records only waits for company for at most [`crate::AuditOptions::buffered_wait`], so
//! that a quiet node does not sync for each record; anything that somebody waits for goes at once.
//! With nothing to do the thread looks again after 50 us, doubling up to 1 ms: about a thousand
//! short looks a second, in exchange for pushes that never enter the kernel.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use portcullis_cells::RingConsumer;
use serde_json::json;

use crate::batch::{Closes, WorkerRow};
use crate::code::encode;
use crate::control::ControlEntry;
use crate::entry::{Durability, Entry, EntryKind};
use crate::error::AuditError;
use crate::lane::{Arrival, Lane};
use crate::names::Names;
use crate::options::Clock;
use crate::refusals::Refusals;
use crate::resolve::resolve;
use crate::shared::{Shared, Stage};
use crate::store::{Draft, ROWS_MAX, Store};

pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) store: Store,
    pub(crate) names: Arc<dyn Names>,
    pub(crate) clock: Clock,
    pub(crate) buffered_wait: Duration,
    pub(crate) summary_every: Duration,
    pub(crate) draft: Draft,
    pub(crate) sources: Vec<Source>,
    pub(crate) control_drained: u64,
    pub(crate) refusals: Refusals,
    pub(crate) scratch: Vec<u8>,
    pub(crate) rest: Duration,
    /// Which source is drained first; moves on, so that none is always last.
    pub(crate) turn: usize,
}

/// One worker as the writer sees it.
pub(crate) struct Source {
    lane: Arc<Lane>,
    ring: RingConsumer,
    drained: u64,
    /// Its producer is gone and its ring is empty.
    over: bool,
}

/// Whether somebody waits for what was drained.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Haste {
    None,
    Now,
}

impl Writer {
    /// Runs until the log is closed or poisoned.
    pub(crate) fn run(mut self) {
        let watch = Watch(Arc::clone(&self.shared));
        loop {
            match self.round() {
                Ok(Stage::Closed) => break,
                Ok(_) => {}
                Err(error) => return watch.0.poison(&chain(&error)),
            }
        }
        self.shared.set_stage(Stage::Closed);
        self.shared.wake_all();
    }

    fn round(&mut self) -> Result<Stage, AuditError> {
        let stage = self.shared.stage();
        let mut haste = if stage == Stage::Running && !self.shared.take_urgent() { Haste::None } else { Haste::Now };
        let arrived = self.take_arrivals();
        self.draft.begin(&mut self.store)?;
        if self.fill()? == Haste::Now || arrived {
            haste = Haste::Now;
        }
        if haste == Haste::None && !self.draft.is_empty() {
            self.gather()?;
        }
        self.summarize(stage);
        if !self.draft.is_empty() || arrived {
            self.commit(Closes::No)?;
            self.rest = REST_MIN;
            return Ok(Stage::Running);
        }
        self.forget_sources();
        if stage == Stage::Closing {
            return self.stop();
        }
        self.idle();
        Ok(stage)
    }

    fn take_arrivals(&mut self) -> bool {
        let mut arrivals = self.shared.arrivals();
        let room = (ROWS_MAX - 1).saturating_sub(self.sources.len()).min(arrivals.len());
        let source = |Arrival { lane, ring }| Source { lane, ring, drained: 0, over: false };
        self.sources.extend(arrivals.drain(..room).map(source));
        if !arrivals.is_empty() {
            self.shared.hurry();
        }
        room > 0
    }

    /// Drains every queue until all are empty or the batch is full.
    fn fill(&mut self) -> Result<Haste, AuditError> {
        let mut haste = self.fill_control();
        self.turn = self.turn.wrapping_add(1);
        let count = self.sources.len();
        loop {
            let before = self.draft.entries();
            for step in 0..count {
                let place = self.turn.wrapping_add(step) % count;
                let Some(source) = self.sources.get_mut(place) else { continue };
                // Asked before the last pop: once true, a pop that finds nothing is final.
                let closed = source.ring.is_closed();
                for _ in 0..BURST {
                    if self.draft.is_full() {
                        return Ok(haste);
                    }
                    if !source.ring.pop(&mut self.scratch) {
                        source.over = closed;
                        break;
                    }
                    source.drained += 1;
                    let (hot, names) = (&self.scratch, self.names.as_ref());
                    let mode = self.draft.add(source.lane.worker, source.drained, |out| resolve(hot, names, out));
                    match mode.ok_or(AuditError::Defect("a record in a ring cannot be read"))? {
                        Durability::Durable => haste = Haste::Now,
                        Durability::Buffered => {}
                    }
                }
            }
            if self.draft.entries() == before {
                return Ok(haste);
            }
        }
    }

    fn fill_control(&mut self) -> Haste {
        let mut haste = Haste::None;
        let mut queue = self.shared.queue();
        while !self.draft.is_full() {
            let Some(ControlEntry { stored, change }) = queue.pop() else { break };
            self.control_drained += 1;
            // INVARIANT: an encoded entry is within `ENTRY_BYTES_MAX`, so it is always added.
            let added = self.draft.add(CONTROL, self.control_drained, |out| {
                out.extend_from_slice(&stored);
                Some(())
            });
            debug_assert!(added.is_some());
            self.draft.change = change.or(self.draft.change);
            haste = Haste::Now;
        }
        haste
    }

    /// Waits for company, while nobody waits for what is there.
    fn gather(&mut self) -> Result<(), AuditError> {
        let began = Instant::now();
        while self.draft.len() < GATHER_BYTES && began.elapsed() < self.buffered_wait {
            let shared = Arc::clone(&self.shared);
            let step = self.buffered_wait.min(GATHER_STEP);
            shared.rest(step, || self.has_work());
            if self.fill()? == Haste::Now || shared.is_urgent() || shared.stage() != Stage::Running {
                break;
            }
        }
        Ok(())
    }

    fn commit(&mut self, closes: Closes) -> Result<(), AuditError> {
        let row = |lane: &Lane, drained| WorkerRow { worker: lane.worker, at_most: lane.at_most, drained };
        let mut rows = vec![row(&self.shared.control, self.control_drained)];
        rows.extend(self.sources.iter().map(|source| row(&source.lane, source.drained)));
        let before = self.store.end;
        self.store.commit(&mut self.draft, &rows, closes)?;
        self.shared.counters.batches.fetch_add(1, Ordering::Relaxed);
        self.shared.counters.bytes.fetch_add(self.store.end - before, Ordering::Relaxed);
        self.shared.set_synced(self.store.synced());
        self.shared.control.set_durable(self.control_drained);
        for source in &self.sources {
            source.lane.announced.store(true, Ordering::Release);
            source.lane.set_durable(source.drained);
        }
        self.forget_sources();
        self.shared.announce();
        self.shared.wake_all();
        Ok(())
    }

    /// Lets go of workers that have left and whose last record is on the device.
    fn forget_sources(&mut self) {
        let gone = |source: &Source| source.over && source.lane.durable() == source.drained;
        for source in self.sources.iter().filter(|source| gone(source)) {
            self.refusals.keep(&source.lane);
            self.shared.leave(source.lane.worker);
        }
        self.sources.retain(|source| !gone(source));
    }

    /// Adds one entry with the refusals since the last one, if it is time and there is room.
    fn summarize(&mut self, stage: Stage) {
        let due = stage != Stage::Running || self.refusals.age() >= self.summary_every;
        if !due || self.draft.is_full() {
            return;
        }
        let lanes = self.sources.iter().map(|source| source.lane.as_ref());
        if let Some(detail) = self.refusals.take(lanes.chain([self.shared.control.as_ref()])) {
            let mut entry = Entry::new(EntryKind::RefusalSummary, (self.clock)());
            entry.detail = Some(detail);
            self.add_own(&entry);
        }
    }

    /// Adds an entry of the log itself.
    pub(crate) fn add_own(&mut self, entry: &Entry) {
        let added = self.draft.add(CONTROL, 0, |out| {
            encode(entry, out);
            Some(())
        });
        debug_assert!(added.is_some());
    }

    /// Writes and syncs what was added, before the thread runs.
    pub(crate) fn commit_own(&mut self) -> Result<(), AuditError> {
        self.commit(Closes::No)
    }

    /// Ends the run. It is closed only if no producer is left who might still push.
    fn stop(&mut self) -> Result<Stage, AuditError> {
        let closes =
            if self.sources.is_empty() && self.shared.arrivals().is_empty() { Closes::Run } else { Closes::No };
        let mut entry = Entry::new(EntryKind::Stop, (self.clock)());
        entry.detail = Some(json!({ "run": self.store.place.run, "producers_left": self.sources.len() }));
        self.add_own(&entry);
        self.commit(closes)?;
        Ok(Stage::Closed)
    }

    fn idle(&mut self) {
        self.shared.rest(self.rest, || self.has_work());
        self.rest = (self.rest * 2).min(REST_MAX);
    }

    fn has_work(&self) -> bool {
        self.shared.is_urgent()
            || self.shared.stage() != Stage::Running
            || self.sources.iter().any(|source| source.ring.len_records() > 0)
            || !self.shared.queue().is_empty()
    }
}

/// Poisons the log if the writer's thread ends by a panic.
struct Watch(Arc<Shared>);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison("the writer's thread ended by a defect");
        }
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |cause| cause.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Worker number of the control side and of the log itself.
pub(crate) const CONTROL: u32 = 0;
/// Records taken from one ring before the next one's turn.
const BURST: usize = 64;
/// A batch of this size is worth a sync by itself.
const GATHER_BYTES: usize = 128 * 1_024;
const GATHER_STEP: Duration = Duration::from_micros(500);
pub(crate) const REST_MIN: Duration = Duration::from_micros(50);
const REST_MAX: Duration = Duration::from_millis(1);
