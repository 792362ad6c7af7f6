//! What the writer's thread shares with those who push and those who wait.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use crate::control::{ControlEntry, ControlQueue};
use crate::error::{AuditError, PushError};
use crate::lane::{Arrival, Lane};
use crate::store::Synced;

/// A callback that hears of the watermark.
pub(crate) type Wake = Arc<dyn Fn() + Send + Sync>;

/// How the log stands. Only ever moves down this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Running,
    /// Nothing is taken any more; what was taken is still being written.
    Closing,
    Closed,
    Poisoned,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) batches: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

pub(crate) struct Shared {
    pub(crate) folder: PathBuf,
    pub(crate) control: Arc<Lane>,
    pub(crate) live: AtomicUsize,
    pub(crate) counters: Counters,
    stage: AtomicU8,
    cause: OnceLock<String>,
    queue: Mutex<ControlQueue>,
    lanes: Mutex<Vec<Arc<Lane>>>,
    arrivals: Mutex<Vec<Arrival>>,
    wakes: Mutex<Vec<Wake>>,
    synced: Mutex<Synced>,
    gate: Mutex<()>,
    moved: Condvar,
    urgent: AtomicBool,
    resting: AtomicBool,
    writer: OnceLock<Thread>,
}

impl Shared {
    pub(crate) fn new(folder: PathBuf, control: Arc<Lane>, synced: Synced) -> Self {
        Self {
            folder,
            lanes: Mutex::new(vec![Arc::clone(&control)]),
            control,
            live: AtomicUsize::new(0),
            counters: Counters::default(),
            stage: AtomicU8::new(0),
            cause: OnceLock::new(),
            queue: Mutex::default(),
            arrivals: Mutex::default(),
            wakes: Mutex::default(),
            synced: Mutex::new(synced),
            gate: Mutex::default(),
            moved: Condvar::new(),
            urgent: AtomicBool::new(false),
            resting: AtomicBool::new(false),
            writer: OnceLock::new(),
        }
    }

    pub(crate) fn set_writer(&self, thread: Thread) {
        // Set once, by the one call that starts the thread.
        let _ = self.writer.set(thread);
    }

    #[inline]
    pub(crate) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Running,
            1 => Stage::Closing,
            2 => Stage::Closed,
            _ => Stage::Poisoned,
        }
    }

    pub(crate) fn set_stage(&self, stage: Stage) {
        let number = match stage {
            Stage::Running => 0,
            Stage::Closing => 1,
            Stage::Closed => 2,
            Stage::Poisoned => 3,
        };
        self.stage.fetch_max(number, Ordering::AcqRel);
        self.announce();
    }

    /// What a push gets while the log takes nothing.
    #[inline]
    pub(crate) fn takes(&self) -> Result<(), PushError> {
        match self.stage() {
            Stage::Running => Ok(()),
            Stage::Closing | Stage::Closed => Err(PushError::Closed),
            Stage::Poisoned => Err(PushError::Poisoned),
        }
    }

    /// Stops everything for good: nothing is acknowledged from here on.
    pub(crate) fn poison(&self, cause: &str) {
        if self.cause.set(cause.to_owned()).is_ok() {
            tracing::error!(folder = %self.folder.display(), cause, "audit log failed; nothing is allowed any more");
            // Best effort: the disk may be the one that failed.
            let _ = std::fs::write(self.folder.join(POISONED), cause);
        }
        self.set_stage(Stage::Poisoned);
        self.wake_all();
    }

    pub(crate) fn cause(&self) -> Option<&str> {
        self.cause.get().map(String::as_str)
    }

    /// Wakes the writer if it rests.
    #[inline]
    pub(crate) fn nudge(&self) {
        // ORDERING: pairs with the fence in `rest`: either this sees the writer resting, or the
        // writer sees what was pushed before it rests.
        fence(Ordering::SeqCst);
        if self.resting.load(Ordering::Relaxed)
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }

    /// Has the writer write at once what is there.
    pub(crate) fn hurry(&self) {
        self.urgent.store(true, Ordering::Release);
        self.nudge();
    }

    pub(crate) fn take_urgent(&self) -> bool {
        self.urgent.load(Ordering::Relaxed) && self.urgent.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn is_urgent(&self) -> bool {
        self.urgent.load(Ordering::Acquire)
    }

    /// The writer sleeps for `span` or until nudged, unless `has_work` says otherwise.
    pub(crate) fn rest(&self, span: Duration, has_work: impl FnOnce() -> bool) {
        self.resting.store(true, Ordering::Relaxed);
        // ORDERING: pairs with the fence in `nudge`.
        fence(Ordering::SeqCst);
        if !has_work() {
            std::thread::park_timeout(span);
        }
        self.resting.store(false, Ordering::Relaxed);
    }

    /// Queues a control entry and returns its number.
    pub(crate) fn enqueue(&self, entry: ControlEntry) -> Result<u64, PushError> {
        let mut queue = held(&self.queue);
        // Under the queue's lock, so that the writer's last look at it comes after every entry taken.
        self.takes()?;
        let Some(number) = queue.push(entry) else {
            drop(queue);
            self.control.refuse();
            return Err(PushError::Full);
        };
        self.control.set_pushed(number);
        drop(queue);
        self.nudge();
        Ok(number)
    }

    pub(crate) fn queue(&self) -> MutexGuard<'_, ControlQueue> {
        held(&self.queue)
    }

    pub(crate) fn arrive(&self, arrival: Arrival) {
        held(&self.lanes).push(Arc::clone(&arrival.lane));
        held(&self.arrivals).push(arrival);
        self.hurry();
    }

    pub(crate) fn arrivals(&self) -> MutexGuard<'_, Vec<Arrival>> {
        held(&self.arrivals)
    }

    pub(crate) fn leave(&self, worker: u32) {
        held(&self.lanes).retain(|lane| lane.worker != worker);
    }

    pub(crate) fn lanes(&self) -> Vec<Arc<Lane>> {
        held(&self.lanes).clone()
    }

    pub(crate) fn add_wake(&self, wake: Wake, limit: usize) -> Result<(), AuditError> {
        let mut wakes = held(&self.wakes);
        if wakes.len() >= limit {
            return Err(AuditError::TooMany { of: "callbacks", limit });
        }
        wakes.push(wake);
        Ok(())
    }

    pub(crate) fn synced(&self) -> Synced {
        *held(&self.synced)
    }

    pub(crate) fn set_synced(&self, synced: Synced) {
        *held(&self.synced) = synced;
    }

    /// Tells everyone who waits that something moved.
    pub(crate) fn announce(&self) {
        drop(held(&self.gate));
        self.moved.notify_all();
    }

    pub(crate) fn wake_all(&self) {
        // Cloned, so that a callback may register another.
        let wakes = held(&self.wakes).clone();
        wakes.iter().for_each(|wake| wake());
    }

    /// Waits until `done`, or until it never will be.
    pub(crate) fn wait(&self, done: impl Fn() -> bool) -> Result<(), AuditError> {
        let mut gate = held(&self.gate);
        loop {
            // Read before `done`, so that what became durable last is still seen.
            let stage = self.stage();
            if done() {
                return Ok(());
            }
            match stage {
                Stage::Running | Stage::Closing => {}
                Stage::Closed => return Err(AuditError::Closed),
                Stage::Poisoned => return Err(AuditError::Poisoned),
            }
            let waited = self.moved.wait_timeout(gate, WAIT_STEP);
            gate = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// No lock here is held across code that can panic half way through a change.
pub(crate) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Name of the file that a poisoned log leaves.
pub(crate) const POISONED: &str = "POISONED";
/// How often a waiter looks without being told; it is always told, so this is only a second reason.
const WAIT_STEP: Duration = Duration::from_millis(100);
