//! Virtual actors: one for each user with live sessions, one for each agent session.
//!
//! Each is a record that is always there (slots and lists of [`crate::sessions`]) and, while there is
//! something to do, a resident ractor task. A task owns what takes time: watchers, timers, the record
//! of what ended. It never decides and never restricts: cells have done that before it hears of it.
//! A task that panics is started again from its record by the supervisor.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry as MapEntry;
use portcullis_audit::{Entry, EntryKind};
use portcullis_directory::Ended;
use portcullis_model::{EntityIndex, Reason, Revision, SessionId};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::alive::first_dead;
use crate::shared::Shared;

/// Most resident tasks. An actor task takes about 7 KB, so this is about 350 MB.
const RESIDENT_MAX: usize = 50_000;
/// Messages on their way to all session actors. When full, tasks are not told one by one: cells and
/// the feed of ended scopes have done what must not wait.
const PENDING_MAX: usize = 65_536;
/// How long a task without work stays resident.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// Whom an actor stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    User(EntityIndex),
    Session(SessionId),
}

/// What a session actor is asked.
pub(crate) enum SessionMessage {
    /// Something ended that may concern it.
    Ended { revision: Revision, _permit: OwnedSemaphorePermit },
    /// Somebody wants to know when the session ends.
    Watch { watcher: watch::Sender<Option<Reason>>, _permit: OwnedSemaphorePermit },
    /// A timer: look whether there is still work.
    Tick,
    /// Makes the task fail, to show that it comes back. Only the tests of this crate send it.
    #[cfg(test)]
    Fail,
}

/// The resident session actors of one engine.
pub(crate) struct SessionActors {
    residents: DashMap<Key, ActorRef<SessionMessage>>,
    pending: Arc<Semaphore>,
    runtime: tokio::runtime::Handle,
    shared: Arc<Shared>,
    supervisor: std::sync::OnceLock<ActorRef<SupervisorMessage>>,
}

impl SessionActors {
    pub(crate) fn new(shared: Arc<Shared>, runtime: tokio::runtime::Handle) -> Arc<Self> {
        Arc::new(Self {
            residents: DashMap::new(),
            pending: Arc::new(Semaphore::new(PENDING_MAX)),
            runtime,
            shared,
            supervisor: std::sync::OnceLock::new(),
        })
    }

    /// Starts the supervisor of session actors.
    pub(crate) async fn start(self: &Arc<Self>) -> Result<ActorRef<SupervisorMessage>, ractor::SpawnErr> {
        let (supervisor, _) = Actor::spawn(None, SessionSupervisor { actors: Arc::clone(self) }, ()).await?;
        let _ = self.supervisor.set(supervisor.clone());
        Ok(supervisor)
    }

    pub(crate) fn resident(&self) -> usize {
        self.residents.len()
    }

    /// Tells those concerned that something ended. Called by the applier; never waits.
    pub(crate) fn ended(self: &Arc<Self>, ended: &[(Revision, Ended)]) {
        for (revision, what) in ended {
            match what {
                Ended::Session { id, .. } => self.tell(Key::Session(*id), *revision, Activate::IfResident),
                Ended::Subject(subject) => {
                    if self.shared.sessions.count_of(*subject) > 0 {
                        self.tell(Key::User(*subject), *revision, Activate::Always);
                    }
                }
                // Chains are not listed by agent: the tasks there are look for themselves.
                Ended::Agent(_) | Ended::Grant(_) | Ended::Everything => self.tell_all(*revision),
            }
        }
    }

    /// Completes with the reason when a session is found ended; activates its actor.
    pub(crate) fn watch(self: &Arc<Self>, session: SessionId) -> Option<watch::Receiver<Option<Reason>>> {
        let (watcher, receiver) = watch::channel(None);
        let permit = Arc::clone(&self.pending).try_acquire_owned().ok()?;
        self.send(Key::Session(session), SessionMessage::Watch { watcher, _permit: permit }, Activate::Always);
        Some(receiver)
    }

    fn tell(self: &Arc<Self>, key: Key, revision: Revision, activate: Activate) {
        let Ok(permit) = Arc::clone(&self.pending).try_acquire_owned() else { return };
        self.send(key, SessionMessage::Ended { revision, _permit: permit }, activate);
    }

    fn tell_all(self: &Arc<Self>, revision: Revision) {
        let keys: Vec<_> = self.residents.iter().map(|entry| *entry.key()).collect();
        for key in keys {
            self.tell(key, revision, Activate::IfResident);
        }
    }

    fn send(self: &Arc<Self>, key: Key, message: SessionMessage, activate: Activate) {
        match self.residents.entry(key) {
            MapEntry::Occupied(resident) => {
                let _ = resident.get().send_message(message);
            }
            MapEntry::Vacant(_) if activate == Activate::IfResident => {}
            MapEntry::Vacant(vacant) => {
                // The count may run over by the number of threads that activate at the same moment.
                let Some(supervisor) = self.supervisor.get() else { return };
                let actor = SessionActor { key, actors: Arc::clone(self) };
                let _entered = self.runtime.enter();
                if let Ok((reference, _)) =
                    ractor::ActorRuntime::spawn_linked_instant(None, actor, (), supervisor.get_cell())
                {
                    let _ = reference.send_message(message);
                    vacant.insert(reference);
                }
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Activate {
    Always,
    IfResident,
}

struct SessionActor {
    key: Key,
    actors: Arc<SessionActors>,
}

/// What is lost when a task panics: watchers then see their channel close and ask again.
struct Resident {
    watchers: Vec<watch::Sender<Option<Reason>>>,
    idle_since: tokio::time::Instant,
    reported: Option<Revision>,
}

impl Actor for SessionActor {
    type Msg = SessionMessage;
    type State = Resident;
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Self::Msg>, (): ()) -> Result<Self::State, ActorProcessingErr> {
        myself.send_interval(IDLE_MAX / 5, || SessionMessage::Tick);
        Ok(Resident { watchers: Vec::new(), idle_since: tokio::time::Instant::now(), reported: None })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SessionMessage::Ended { revision, .. } => self.ended(revision, state),
            SessionMessage::Watch { watcher, .. } => {
                state.watchers.push(watcher);
                self.look(state);
            }
            SessionMessage::Tick => {
                self.look(state);
                self.passivate(&myself, state);
            }
            #[cfg(test)]
            SessionMessage::Fail => return Err("asked to fail".into()),
        }
        Ok(())
    }
}

impl SessionActor {
    /// Records once what ended with a revision, and tells watchers.
    fn ended(&self, revision: Revision, state: &mut Resident) {
        state.idle_since = tokio::time::Instant::now();
        self.look(state);
        if let Key::User(user) = self.key
            && state.reported != Some(revision)
        {
            state.reported = Some(revision);
            self.record(user, revision);
        }
    }

    fn record(&self, user: EntityIndex, revision: Revision) {
        let shared = &self.actors.shared;
        let now = shared.clock.now();
        let view = shared.world.view();
        let handles = shared.sessions.of_subject(user);
        let dead = handles.into_iter().filter_map(|handle| shared.sessions.read(handle));
        let dead = dead.filter(|slot| first_dead(&view, slot, now).is_some()).count();
        let entry = Entry {
            subject: shared.world.names().uid(user).cloned(),
            revision: Some(revision),
            detail: Some(serde_json::json!({ "sessions": dead })),
            ..Entry::new(EntryKind::End, now)
        };
        // A full queue is counted and recorded by the audit room; what ended is in the log already.
        let _ = shared.audit.append(&entry);
    }

    /// Tells watchers if the session has ended.
    fn look(&self, state: &mut Resident) {
        state.watchers.retain(|watcher| !watcher.is_closed());
        let Key::Session(id) = self.key else { return };
        if state.watchers.is_empty() {
            return;
        }
        if let Some(reason) = ended_reason(&self.actors.shared, id) {
            for watcher in state.watchers.drain(..) {
                watcher.send_replace(Some(reason));
            }
        }
    }

    /// Leaves when there has been no work for a while. Draining hands on what arrived meanwhile.
    fn passivate(&self, myself: &ActorRef<SessionMessage>, state: &Resident) {
        let crowded = self.actors.resident() > RESIDENT_MAX;
        if state.watchers.is_empty() && (crowded || state.idle_since.elapsed() >= IDLE_MAX) {
            self.actors.residents.remove_if(&self.key, |_, resident| resident.get_id() == myself.get_id());
            let _ = myself.drain();
        }
    }
}

/// Why a session has ended; `None` while it is alive.
fn ended_reason(shared: &Shared, id: SessionId) -> Option<Reason> {
    let Some(slot) = shared.sessions.find(id).and_then(|handle| shared.sessions.read(handle)) else {
        return Some(Reason::SessionEnded);
    };
    // Not known is not ended: the next look tells.
    shared.read(|view| first_dead(view, &slot, shared.clock.now())).unwrap_or(None)
}

/// What the supervisor of session actors is asked: nothing.
pub(crate) enum SupervisorMessage {}

/// Restarts a session actor from its record when it fails; never gives up, because a task that fails
/// again and again costs only itself.
struct SessionSupervisor {
    actors: Arc<SessionActors>,
}

impl Actor for SessionSupervisor {
    type Msg = SupervisorMessage;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Self::Msg>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(failed, cause) = event {
            tracing::error!(%cause, "a session actor failed: it starts again from its record");
            self.actors.shared.counters.restarts.fetch_add(1, Ordering::Relaxed);
            let key = self
                .actors
                .residents
                .iter()
                .find(|entry| entry.value().get_id() == failed.get_id())
                .map(|entry| *entry.key());
            if let Some(key) = key {
                self.actors.residents.remove(&key);
                self.actors.tell(key, self.actors.shared.world.effective(), Activate::Always);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
impl SessionActors {
    /// Makes the resident task of a user fail.
    pub(crate) fn fail_user(&self, user: EntityIndex) -> bool {
        let resident = self.residents.get(&Key::User(user)).map(|entry| entry.value().clone());
        resident.is_some_and(|resident| resident.send_message(SessionMessage::Fail).is_ok())
    }
}
