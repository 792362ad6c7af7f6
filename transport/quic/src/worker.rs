//! One worker: the thread's decider and what its connections share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_model::Refusal;
use portcullis_runtime::{Decider, Engine, Notices};
use tokio::sync::{Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval};

use crate::connection::{Link, serve};
use crate::counters::{Counters, count};
use crate::doors::Doors;
use crate::lock::held;
use crate::options::TokenIssue;
use crate::push::{Pace, too_slow};
use crate::threads::{Phase, Serve};
use crate::waiting::Waiting;

/// How often a worker looks whether the node may decide at all.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Connections that are told of ends before others get their turn.
const TELL_AT_ONCE: usize = 32;

/// What the connections of one thread share. Its mutexes are never contended for long: only control
/// tasks come from other threads, and nobody holds one across an await.
pub(crate) struct Worker {
    pub(crate) engine: Engine,
    pub(crate) doors: Doors,
    pub(crate) decider: Mutex<Decider>,
    pub(crate) waiting: Arc<Waiting>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) control: tokio::runtime::Handle,
    /// A permit for each call on the control runtime, of all workers.
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) tokens: TokenIssue,
    /// Whether the node may decide, as last seen.
    pub(crate) may_decide: AtomicBool,
    links: Mutex<HashMap<u64, Arc<Link>>>,
    numbers: AtomicU64,
}

/// What all workers of a server share.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) engine: Engine,
    pub(crate) doors: Doors,
    pub(crate) counters: Arc<Counters>,
    pub(crate) control: tokio::runtime::Handle,
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) tokens: TokenIssue,
}

impl Worker {
    pub(crate) fn new(common: Common) -> Result<Self, Refusal> {
        let decider = common.engine.decider()?;
        let may_decide = common.engine.status().halted.is_none();
        let Common { engine, doors, counters, control, permits, phase, tokens } = common;
        Ok(Self {
            engine,
            doors,
            decider: Mutex::new(decider),
            waiting: Arc::default(),
            counters,
            control,
            permits,
            phase,
            tokens,
            may_decide: AtomicBool::new(may_decide),
            links: Mutex::default(),
            numbers: AtomicU64::new(0),
        })
    }

    /// A number that nothing else on this worker has.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn is_running(&self) -> bool {
        *self.phase.borrow() == Phase::Running
    }

    /// From now on the connection is told what ends.
    pub(crate) fn enter(&self, link: &Arc<Link>) {
        held(&self.links).insert(link.number, Arc::clone(link));
    }

    pub(crate) fn leave(&self, link: &Link) {
        held(&self.links).remove(&link.number);
    }

    /// Tells every connection what has ended, each by what concerns it.
    async fn tell_ends(&self) {
        let mut head = self.engine.ended_watch();
        let mut place = *head.borrow_and_update();
        while head.changed().await.is_ok() {
            head.borrow_and_update();
            let notices = self.engine.ended_since(place);
            place = notices.next;
            let links: Vec<_> = held(&self.links).values().cloned().collect();
            for some in links.chunks(TELL_AT_ONCE) {
                some.iter().for_each(|link| self.tell(link, &notices));
                tokio::task::yield_now().await;
            }
        }
    }

    fn tell(&self, link: &Link, notices: &Notices) {
        if notices.gap {
            link.push.gap();
        }
        let table = held(&link.table);
        for notice in &notices.notices {
            if link.push.tell(notice, table.sessions.concerned(&notice.scope)) == Pace::TooSlow {
                return too_slow(self, link);
            }
        }
        count(&self.counters.ends_told, u64::try_from(notices.notices.len()).unwrap_or(0));
    }

    /// Looks whether the node may decide. Where it may not, lanes refuse what waits for a record that
    /// will never be durable.
    async fn look(&self) {
        let mut tick = interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let may_decide = self.engine.status().halted.is_none();
            self.may_decide.store(may_decide, Ordering::Release);
            if !may_decide {
                self.waiting.wake();
            }
        }
    }
}

impl Serve for Worker {
    async fn serve(self: Arc<Self>, connection: quinn::Connection) {
        serve(self, connection).await;
    }

    async fn background(self: Arc<Self>) {
        tokio::join!(self.tell_ends(), self.look());
    }
}
