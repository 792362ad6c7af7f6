//! Withdrawing, and everything else that changes state through the log.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use portcullis_directory::Earlier;
use portcullis_log::{AppendError, Entry as LogEntry};
use portcullis_model::{
    Change, ErrorCode, Event, EventId, Origin, Refusal, Revision, RevokeScope, SessionId, Timestamp,
};
use tokio::sync::oneshot;

use crate::engine::Engine;
use crate::restriction;
use crate::shared::Halt;

/// How long a change waits to be committed and effective before its caller is told that it is not known.
const CHANGE_WAIT_MAX: Duration = Duration::from_secs(30);
/// How often a revocation looks whether every worker has passed a batch boundary. Workers pass one
/// every few tens of microseconds; an inline step takes at most 200.
const BOUNDARY_POLL: Duration = Duration::from_micros(50);

/// Longest that a decider may be inside one batch; a batch takes well under a millisecond.
const BOUNDARY_WAIT_MAX: Duration = Duration::from_secs(10);
/// Longest that a restoration waits for the early restriction it lifts: many times what a batch takes.
const CLEAR_WAIT_MAX: Duration = Duration::from_secs(1);

/// What a revocation achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Its place in the log.
    pub revision: Revision,
    /// Sessions of this node that name what was withdrawn, those that were dead already among them.
    pub sessions: u64,
    /// From the call to the acknowledgement.
    pub elapsed: Duration,
}

impl Engine {
    /// Withdraws. When this returns, no allow that rests on what was withdrawn leaves this node any
    /// more, and none is given for a request sent from now on.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] if it names nothing that is stored; [`ErrorCode::LogUnavailable`] if
    /// it is not known to be committed, in which case it restricts until the node is restarted.
    ///
    /// # Cancel safety
    /// Once called, the revocation goes on whether or not its caller waits.
    pub async fn revoke(&self, scope: RevokeScope, by: Origin) -> Result<Revoked, Refusal> {
        let started = Instant::now();
        self.shared().world.check(&Change::Revoke(scope.clone()), &Earlier::default())?;
        let engine = self.clone();
        let task = tokio::spawn(async move { engine.revoke_to_the_end(scope, by, started).await });
        task.await.unwrap_or_else(|_| Err(Refusal::new(ErrorCode::Internal, "the revocation was interrupted")))
    }

    async fn revoke_to_the_end(&self, scope: RevokeScope, by: Origin, started: Instant) -> Result<Revoked, Refusal> {
        let event = self.event(by, Change::Revoke(scope.clone()));
        let shared = self.shared();
        let early = restriction::entry(&shared.world, event.id, &scope);
        // A full table makes the revocation wait until it is effective.
        let early = early.is_some_and(|entry| shared.deny.set(entry).is_ok());
        let sessions = self.count_ended_by(&scope);
        let key = event.id.to_words();
        let revision = match self.append(event).await {
            Ok(revision) => revision,
            Err(Appending::Refused(refusal)) => {
                // It never will commit: the early restriction has nothing to wait for.
                shared.deny.clear(key);
                return Err(refusal);
            }
            Err(Appending::Unknown(refusal)) => return Err(refusal),
        };
        if !early {
            self.wait_effective(revision).await?;
        }
        self.wait_boundary(revision).await?;
        if scope == RevokeScope::Everything {
            // Sessions opened from now on are not meant: its entry has to be gone before they ask.
            self.wait_effective(revision).await?;
            self.wait_cleared(&scope).await;
        }
        shared.counters.revocations.fetch_add(1, Ordering::Relaxed);
        Ok(Revoked { revision, sessions, elapsed: started.elapsed() })
    }

    fn count_ended_by(&self, scope: &RevokeScope) -> u64 {
        let shared = self.shared();
        let find = |uid| shared.world.names().find(uid);
        match scope {
            RevokeScope::Session { id, .. } => u64::from(shared.sessions.find(*id).is_some()),
            RevokeScope::User(uid) => find(uid).map_or(0, |user| shared.sessions.count_of(user)),
            RevokeScope::Agent(uid) => find(uid)
                .map_or(0, |agent| shared.sessions.count(|session| session.agents().any(|other| other == agent))),
            RevokeScope::Grant(id) | RevokeScope::Subtree(id) => {
                let body = shared.world.find_grant(*id).and_then(|grant| shared.world.grant(grant));
                body.map_or(0, |body| {
                    shared.sessions.count(|session| {
                        session.subject == body.subject && session.agents().any(|agent| agent == body.agent)
                    })
                })
            }
            RevokeScope::Everything => shared.sessions.occupied(),
        }
    }

    /// Until every worker that was deciding has begun another batch or gone idle.
    async fn wait_boundary(&self, revision: Revision) -> Result<(), Refusal> {
        let boundary = &self.shared().boundary;
        let mark = boundary.mark();
        let deadline = Instant::now() + BOUNDARY_WAIT_MAX;
        while !boundary.passed(&mark) {
            if Instant::now() >= deadline {
                tracing::error!(%revision, "a decider does not end its batch: a revocation is committed, not enforced");
                let message =
                    format!("the revocation is committed at {revision}, but a decider does not end its batch");
                return Err(Refusal::new(ErrorCode::Internal, message));
            }
            tokio::time::sleep(BOUNDARY_POLL).await;
        }
        Ok(())
    }

    /// Until no early restriction of a user or agent is left whose effect the world has. Gives up after
    /// [`CLEAR_WAIT_MAX`]: what is left then is a revocation that is not known to be committed.
    pub(crate) async fn wait_cleared(&self, scope: &RevokeScope) {
        let shared = self.shared();
        let deadline = Instant::now() + CLEAR_WAIT_MAX;
        let left =
            || shared.deny.pending() != 0 && shared.deny.any(|entry| restriction::names(&shared.world, entry, scope));
        while left() && Instant::now() < deadline {
            tokio::time::sleep(BOUNDARY_POLL).await;
        }
    }

    /// Revokes a session by id, for as long as a token of it may be shown.
    ///
    /// # Errors
    /// As [`Engine::revoke`].
    pub async fn revoke_session(&self, id: SessionId, by: Origin) -> Result<Revoked, Refusal> {
        let until = self.shared().clock.now().plus(portcullis_model::limits::TOKEN_LIFE_MAX);
        self.revoke(RevokeScope::Session { id, until }, by).await
    }

    /// Applies changes in order and waits until the last is effective on this node.
    ///
    /// # Errors
    /// The refusal of the first change that cannot be applied, before anything is appended; or what
    /// makes the log unable to take them, in which case some may have been committed.
    pub async fn apply(&self, changes: Vec<Change>, by: Origin) -> Result<Revision, Refusal> {
        let revision = self.commit(changes, by).await?;
        self.wait_effective(revision).await?;
        Ok(revision)
    }

    /// As [`Engine::apply`], without waiting for the effect.
    ///
    /// # Errors
    /// As [`Engine::apply`].
    pub async fn commit(&self, changes: Vec<Change>, by: Origin) -> Result<Revision, Refusal> {
        let mut waiting = Vec::with_capacity(changes.len());
        let mut earlier = Earlier::default();
        for change in &changes {
            self.check_change(change, &earlier)?;
            earlier.note(change);
        }
        for change in changes {
            let event = self.event(by.clone(), change);
            waiting.push(self.enqueue(event).await.map_err(Appending::into_refusal)?);
        }
        let mut last = self.shared().world.effective();
        for done in waiting {
            last = committed(done).await.map_err(|error| self.failed(error).into_refusal())?;
        }
        Ok(last)
    }

    /// Waits until `revision` is what decisions see.
    ///
    /// # Errors
    /// [`ErrorCode::NotFresh`] after half a minute, or for a revision of another epoch.
    pub async fn wait_effective(&self, revision: Revision) -> Result<(), Refusal> {
        self.wait_for(revision, CHANGE_WAIT_MAX).await
    }

    /// Waits at most `longest` until `revision` is what decisions see.
    ///
    /// # Errors
    /// [`ErrorCode::NotFresh`] when the time is over, or for a revision of another epoch.
    pub async fn wait_for(&self, revision: Revision, longest: Duration) -> Result<(), Refusal> {
        let not_fresh = || Refusal::of_field(ErrorCode::NotFresh, "at_least", "the revision asked for is not here yet");
        if revision.epoch != self.shared().world.effective().epoch {
            return Err(not_fresh());
        }
        let mut effective = self.shared().effective.subscribe();
        let reached = effective.wait_for(|seq| *seq >= revision.seq);
        match tokio::time::timeout(longest, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(not_fresh()),
        }
    }

    pub(crate) fn event(&self, by: Origin, change: Change) -> Event {
        Event { id: EventId::from_bytes(*uuid::Uuid::now_v7().as_bytes()), at: self.shared().clock.now(), by, change }
    }

    /// Appends one event and waits until it is committed.
    pub(crate) async fn append(&self, event: Event) -> Result<Revision, Appending> {
        let done = self.enqueue(event).await?;
        committed(done).await.map_err(|error| self.failed(error))
    }

    /// Enqueues one event, waiting a little while the queue is full.
    async fn enqueue(&self, event: Event) -> Result<oneshot::Receiver<Result<Revision, AppendError>>, Appending> {
        let payload = serde_json::to_vec(&event)
            .map_err(|_| Appending::Refused(Refusal::new(ErrorCode::Internal, "the event cannot be encoded")))?;
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let (sender, receiver) = oneshot::channel();
            let entry = LogEntry { id: event.id, payload: payload.clone() };
            let done = Box::new(move |result| {
                // Nobody may be waiting any more.
                let _ = sender.send(result);
            });
            let Some(log) = self.shared().log() else {
                return Err(Appending::Refused(Refusal::new(ErrorCode::ShuttingDown, "the node is stopping")));
            };
            match log.append(entry, done) {
                Ok(()) => return Ok(receiver),
                Err(AppendError::Overloaded) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(1)).await
                }
                Err(AppendError::Overloaded) => {
                    return Err(Appending::Refused(Refusal::new(
                        ErrorCode::Overloaded,
                        "the change log's queue is full",
                    )));
                }
                Err(AppendError::TooLarge { .. }) => {
                    return Err(Appending::Refused(Refusal::new(
                        ErrorCode::TooLarge,
                        "the change is larger than the log takes",
                    )));
                }
                Err(_) => {
                    self.shared().halt(Halt::Log);
                    return Err(Appending::Refused(Refusal::new(
                        ErrorCode::LogUnavailable,
                        "the change log cannot be written",
                    )));
                }
            }
        }
    }

    /// A failed append of an entry that had been queued: whether it is there is not known.
    fn failed(&self, _: AppendError) -> Appending {
        self.shared().halt(Halt::Log);
        Appending::Unknown(Refusal::new(ErrorCode::LogUnavailable, "the change log cannot be written"))
    }

    /// The time now, by the engine's clock.
    pub fn now(&self) -> Timestamp {
        self.shared().clock.now()
    }
}

/// Why an append gave no revision.
pub(crate) enum Appending {
    /// It was never queued.
    Refused(Refusal),
    /// It was queued; whether it is there after a restart is not known.
    Unknown(Refusal),
}

impl Appending {
    pub(crate) fn into_refusal(self) -> Refusal {
        match self {
            Self::Refused(refusal) | Self::Unknown(refusal) => refusal,
        }
    }
}

async fn committed(done: oneshot::Receiver<Result<Revision, AppendError>>) -> Result<Revision, AppendError> {
    done.await.unwrap_or(Err(AppendError::Poisoned))
}
