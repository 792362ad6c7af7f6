//! The handle that joins everything: what transports, embedders and the node call.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use portcullis_audit::{Audit, Entry, EntryKind};
use portcullis_cells::Handle;
use portcullis_directory::{Earlier, EntityPage, Folder, GrantState, WorldView};
use portcullis_model::limits::{CHAIN_MAX, SESSION_LIFE_MAX, TOMBSTONES_MAX};
use portcullis_model::{
    Change, EntityIndex, EntityRecord, EntityUid, EntityView, ErrorCode, GrantRecord, Origin, Reason, Refusal,
    Revision, RevokeScope, SessionId, SessionTerms, SetHash, Standing, Timestamp,
};
use portcullis_policy::compile_condition;
use tokio::sync::watch;

use crate::alive::{first_dead, of_agent, of_user};
use crate::counters::Counters;
use crate::decide::{AuditMode, Decider};
use crate::delegation::{Coverage, Miss, search};
use crate::ended::Notices;
use crate::policy_actor::PolicyHandle;
use crate::session_actors::SessionActors;
use crate::sessions::SessionSlot;
use crate::shared::Shared;
use crate::start::Running;

/// How long a session is remembered after its end, so that asking for it is still a decision.
pub(crate) const ENDED_GRACE: Duration = Duration::from_secs(60);
/// How far the clock of an issuer may be ahead of ours: a credential counts as issued that much earlier.
const CREDENTIAL_SKEW: Duration = Duration::from_secs(5);

/// One organisation's policies, directory, grants, log and audit. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) actors: Arc<SessionActors>,
    pub(crate) policy: PolicyHandle,
    pub(crate) audit_mode: AuditMode,
    pub(crate) run: u64,
    pub(crate) deciders: std::sync::atomic::AtomicU64,
    pub(crate) running: Running,
}

/// When the credentials that prove a session's terms were issued; [`Timestamp::MAX`] for what a client
/// asserts for this session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The subject's.
    pub subject: Timestamp,
    /// Each agent's, outermost first.
    pub agents: Vec<Timestamp>,
}

/// A session that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedSession {
    /// Its handle: belongs to whoever opened it, and to nobody else.
    pub handle: Handle,
    /// Its id.
    pub id: SessionId,
    /// The revision it was born at.
    pub born_at: Revision,
    /// When it ends by itself.
    pub expires: Timestamp,
}

/// Why a session was not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Asking for a dead subject or agent, or an agent without a grant, is a decision: deny.
    #[error("denied: {0}")]
    Denied(Reason),
    /// No decision was reached.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// A session as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// Its id.
    pub id: SessionId,
    /// Its subject.
    pub subject: EntityUid,
    /// Its chain, outermost first.
    pub agents: Vec<EntityUid>,
    /// The client that opened it.
    pub client: String,
    /// The revision it was born at.
    pub born_at: u64,
    /// When it ends by itself.
    pub expires: Timestamp,
    /// Why it may do nothing any more; `None` while it is alive.
    pub ended: Option<Reason>,
}

/// What an engine looks like from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What decisions see.
    pub effective: Revision,
    /// The policy set in force.
    pub policy: Option<(SetHash, usize)>,
    /// Names known.
    pub names: u32,
    /// Sessions held.
    pub sessions: u64,
    /// Sessions opened since the start.
    pub opened: u64,
    /// Resident session actors.
    pub resident: usize,
    /// Why nothing is decided; `None` while decisions are made.
    pub halted: Option<Refusal>,
}

impl Engine {
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    /// A decider for one thread.
    ///
    /// # Errors
    /// [`ErrorCode::Overloaded`] when 64 exist, [`ErrorCode::AuditUnavailable`] without an audit log.
    pub fn decider(&self) -> Result<Decider, Refusal> {
        let overloaded = || Refusal::new(ErrorCode::Overloaded, "at most 64 deciders exist at a time");
        let worker = self.shared().boundary.join().ok_or_else(overloaded)?;
        let producer = match self.inner.audit_mode {
            AuditMode::Off => None,
            _ => Some(
                self.shared()
                    .audit
                    .producer()
                    .map_err(|_| Refusal::new(ErrorCode::AuditUnavailable, "the audit log takes no more producers"))?,
            ),
        };
        let number = self.inner.deciders.fetch_add(1, Ordering::Relaxed);
        let run = self.inner.run.wrapping_add(number << 32);
        Ok(Decider::new(Arc::clone(self.shared()), worker, producer, self.inner.audit_mode, run))
    }

    /// Opens a session for proven terms, on behalf of a client registration.
    ///
    /// # Errors
    /// [`OpenError::Denied`] if the subject or an agent is dead or no grant path exists;
    /// [`OpenError::Refused`] if the terms are malformed or the node is full.
    pub fn open_session(&self, terms: &SessionTerms, client: &str) -> Result<OpenedSession, OpenError> {
        let shared = self.shared();
        shared.may_decide()?;
        if shared.sessions.tombstones() >= TOMBSTONES_MAX {
            return Err(Refusal::new(ErrorCode::TombstonesFull, "the memory of ended sessions is full").into());
        }
        let (slot, dead) = self.slot_of(terms, client)?;
        if let Some(reason) = dead {
            self.record_open(terms, client, &slot, Some(reason))?;
            return Err(OpenError::Denied(reason));
        }
        let full = || Refusal::new(ErrorCode::Overloaded, "the node holds as many sessions as it may");
        let handle = shared.sessions.insert(slot).ok_or_else(full)?;
        if let Err(refusal) = self.record_open(terms, client, &slot, None) {
            shared.sessions.remove(handle);
            return Err(refusal.into());
        }
        let born_at = Revision::new(shared.world.effective().epoch, slot.born_at);
        Ok(OpenedSession { handle, id: slot.id, born_at, expires: slot.expires })
    }

    /// As [`Engine::open_session`], for terms that foreign credentials prove: each is dead if it was
    /// issued before its principal's credentials were ended.
    ///
    /// # Errors
    /// As [`Engine::open_session`].
    pub fn open_proven(&self, terms: &SessionTerms, issued: &Issued, client: &str) -> Result<OpenedSession, OpenError> {
        if issued.agents.len() != terms.agents.len() {
            return Err(Refusal::new(ErrorCode::Internal, "a chain with another number of credentials").into());
        }
        let Some(reason) = self.shared().read(|view| stale_credential(view, terms, issued))? else {
            return self.open_session(terms, client);
        };
        let slot = self.slot_at(terms, client, new_session_id(), self.effective().seq)?;
        self.record_open(terms, client, &slot, Some(reason))?;
        Err(OpenError::Denied(reason))
    }

    /// A slot of its own for asking one question, alive or not, held by nobody else.
    pub(crate) fn open_transient(&self, terms: &SessionTerms, client: &str) -> Result<OpenedSession, Refusal> {
        let (slot, _) = self.slot_of(terms, client)?;
        let full = || Refusal::new(ErrorCode::Overloaded, "the node holds as many sessions as it may");
        let handle = self.shared().sessions.insert(slot).ok_or_else(full)?;
        let born_at = Revision::new(self.shared().world.effective().epoch, slot.born_at);
        Ok(OpenedSession { handle, id: slot.id, born_at, expires: slot.expires })
    }

    fn slot_of(&self, terms: &SessionTerms, client: &str) -> Result<(SessionSlot, Option<Reason>), Refusal> {
        let slot = self.slot_at(terms, client, new_session_id(), self.effective().seq)?;
        Ok((slot, self.why_dead(&slot, self.shared().clock.now())?))
    }

    /// A slot for terms; names that nothing is stored under get a number that nothing has.
    pub(crate) fn slot_at(
        &self,
        terms: &SessionTerms,
        client: &str,
        id: SessionId,
        born_at: u64,
    ) -> Result<SessionSlot, Refusal> {
        let shared = self.shared();
        if terms.agents.len() > CHAIN_MAX {
            let message = format!("a chain has at most {CHAIN_MAX} agents");
            return Err(Refusal::of_field(ErrorCode::TooLarge, "agents", message));
        }
        let number = |uid: &EntityUid| shared.world.names().find(uid).unwrap_or(EntityIndex::new(u32::MAX));
        let chain: Vec<_> = terms.agents.iter().map(number).collect();
        let expires = terms.expires.min(shared.clock.now().plus(SESSION_LIFE_MAX));
        Ok(SessionSlot::new(id, born_at, expires, number(&terms.subject), &chain, shared.clients.number(client)))
    }

    /// Why a session would do nothing: dead, or without any grant.
    ///
    /// # Errors
    /// [`ErrorCode::Overloaded`] if the world could not be read.
    pub(crate) fn why_dead(&self, slot: &SessionSlot, now: Timestamp) -> Result<Option<Reason>, Refusal> {
        self.shared().read(|view| first_dead(view, slot, now).or_else(|| without_grant(view, slot, now)))
    }

    pub(crate) fn record_open(
        &self,
        terms: &SessionTerms,
        client: &str,
        slot: &SessionSlot,
        denied: Option<Reason>,
    ) -> Result<(), Refusal> {
        if self.inner.audit_mode == AuditMode::Off {
            return Ok(());
        }
        let entry = Entry {
            session: denied.is_none().then_some(slot.id),
            subject: Some(terms.subject.clone()),
            chain: terms.agents.clone(),
            client: Some(client.to_owned()),
            verdict: denied.map(|_| portcullis_model::Verdict::Deny),
            reason: denied,
            revision: Some(self.shared().world.effective()),
            ..Entry::new(if denied.is_none() { EntryKind::Open } else { EntryKind::Refused }, self.shared().clock.now())
        };
        self.record(&entry)
    }

    /// Records something that is neither a decision nor a change, for example a refused credential.
    ///
    /// # Errors
    /// [`ErrorCode::AuditUnavailable`] or [`ErrorCode::AuditBackpressure`]: refuse what it was about.
    pub fn record(&self, entry: &Entry) -> Result<(), Refusal> {
        match self.shared().audit.append(entry) {
            Ok(_) => Ok(()),
            Err(portcullis_audit::PushError::Full) => {
                Err(Refusal::new(ErrorCode::AuditBackpressure, "the audit queue is full"))
            }
            Err(_) => Err(Refusal::new(ErrorCode::AuditUnavailable, "the audit log cannot be written")),
        }
    }

    /// Takes a session away from this node: its handle is stale from now on. A token of it may resume
    /// it; [`Engine::end_session`] ends it for good.
    pub fn close_session(&self, handle: Handle) -> bool {
        self.take_session(handle).is_some()
    }

    /// Removes a session and records that; returns what it was.
    pub(crate) fn take_session(&self, handle: Handle) -> Option<SessionSlot> {
        let slot = self.shared().sessions.remove(handle)?;
        if self.inner.audit_mode != AuditMode::Off {
            let entry = Entry {
                session: Some(slot.id),
                subject: self.shared().world.names().uid(slot.subject).cloned(),
                reason: Some(Reason::SessionEnded),
                ..Entry::new(EntryKind::End, self.shared().clock.now())
            };
            // A full queue is counted by the audit room; the session is closed either way.
            let _ = self.record(&entry);
        }
        Some(slot)
    }

    /// Issues a grant or delegation.
    ///
    /// # Errors
    /// A [`Refusal`] that names what does not fit.
    pub async fn grant(&self, record: GrantRecord, by: Origin) -> Result<Revision, Refusal> {
        self.apply(vec![Change::Grant(record)], by).await
    }

    /// Lifts the revocation of a user or agent.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] if no such entity is stored.
    pub async fn restore(&self, uid: EntityUid, by: Origin) -> Result<Revision, Refusal> {
        let early = RevokeScope::Agent(uid.clone());
        let revision = self.apply(vec![Change::Restore(uid)], by).await?;
        self.wait_cleared(&early).await;
        Ok(revision)
    }

    pub(crate) fn check_change(&self, change: &Change, earlier: &Earlier) -> Result<(), Refusal> {
        self.shared().world.check(change, earlier)?;
        match change {
            Change::PutEntity(record) => match self.snapshot() {
                Some(force) => force.snapshot.check_entity(record),
                None => Ok(()),
            },
            Change::Grant(record) => self.check_grant(record),
            _ => Ok(()),
        }
    }

    fn check_grant(&self, record: &GrantRecord) -> Result<(), Refusal> {
        if let Some(text) = &record.condition {
            compile_condition(text)
                .map_err(|errors| Refusal::of_field(ErrorCode::PolicyInvalid, "condition", errors.to_string()))?;
        }
        let Some(force) = self.snapshot() else { return Ok(()) };
        let known = |action: &&EntityUid| {
            let group = || force.snapshot.actions().iter().filter_map(|other| force.snapshot.action(other));
            force.snapshot.action(action).is_some() || group().any(|number| force.snapshot.action_is_in(number, action))
        };
        match record.actions.iter().find(|action| !known(action)) {
            None => Ok(()),
            Some(unknown) => {
                let near =
                    force.snapshot.nearest_action(unknown.id()).map(|near| format!(", did you mean `{}`", near.id()));
                let message = format!("the schema declares no action `{}`{}", unknown.id(), near.unwrap_or_default());
                Err(Refusal::of_field(ErrorCode::UnknownAction, "actions", message))
            }
        }
    }

    pub(crate) fn snapshot(&self) -> Option<Arc<crate::force::InForce>> {
        self.shared().in_force(&self.shared().world.view()).ok()
    }

    /// Completes with a reason when a session has ended.
    pub fn watch_session(&self, id: SessionId) -> Option<watch::Receiver<Option<Reason>>> {
        self.inner.actors.watch(id)
    }

    /// Tells when the feed of ended scopes has grown.
    pub fn ended_watch(&self) -> watch::Receiver<u64> {
        self.shared().ended.watch()
    }

    /// Ended scopes since a place in the feed.
    pub fn ended_since(&self, place: u64) -> Notices {
        self.shared().ended.since(place)
    }

    /// The revision that decisions see.
    pub fn effective(&self) -> Revision {
        self.shared().world.effective()
    }

    /// The session that a handle names.
    pub fn session(&self, handle: Handle) -> Option<SessionView> {
        let slot = self.shared().sessions.read(handle)?;
        self.view_of(&slot)
    }

    /// The session of an id.
    pub fn session_by_id(&self, id: SessionId) -> Option<SessionView> {
        self.session(self.shared().sessions.find(id)?)
    }

    /// At most `limit` sessions that fit, in no order.
    pub fn sessions(&self, subject: Option<&EntityUid>, agent: Option<&EntityUid>, limit: usize) -> Vec<SessionView> {
        let names = self.shared().world.names();
        let find = |uid: Option<&EntityUid>| uid.map(|uid| names.find(uid));
        let (subject, agent) = (find(subject), find(agent));
        let mut found = Vec::new();
        self.shared().sessions.each(|_, slot| {
            let fits = subject.is_none_or(|wanted| wanted == Some(slot.subject))
                && agent.is_none_or(|wanted| slot.agents().any(|agent| wanted == Some(agent)));
            if fits && found.len() < limit {
                found.extend(self.view_of(slot));
            }
        });
        found
    }

    fn view_of(&self, slot: &SessionSlot) -> Option<SessionView> {
        let names = self.shared().world.names();
        let named = |index: EntityIndex| names.uid(index).cloned();
        let view = self.shared().world.view();
        Some(SessionView {
            id: slot.id,
            subject: named(slot.subject)?,
            agents: slot.agents().filter_map(named).collect(),
            client: self.shared().clients.name(slot.client).to_owned(),
            born_at: slot.born_at,
            expires: slot.expires,
            ended: first_dead(&view, slot, self.shared().clock.now()),
        })
    }

    /// A stored entity and how it stands.
    pub fn entity(&self, uid: &EntityUid) -> Option<(EntityRecord, Standing)> {
        self.with_folder(|folder| folder.entity(uid)).flatten()
    }

    /// A page of stored entities.
    pub fn entities(&self, of_type: Option<&str>, after: u32, limit: usize) -> EntityPage {
        self.with_folder(|folder| folder.entities(of_type, after, limit)).unwrap_or_default()
    }

    /// At most `limit` grants after the first `skip`, with how they stand.
    pub fn grants(&self, skip: usize, limit: usize) -> Vec<(GrantRecord, GrantState)> {
        self.with_folder(|folder| {
            folder.grants().skip(skip).take(limit).map(|(record, state)| (record.clone(), state)).collect()
        })
        .unwrap_or_default()
    }

    /// The agent and, outermost first, whom it acts through.
    pub fn chain_of(&self, agent: &EntityUid) -> Vec<EntityUid> {
        let view = self.shared().world.view();
        let mut chain = vec![agent.clone()];
        let mut at = view.find(agent).and_then(|agent| view.acts_through(agent));
        while let Some(through) = at.filter(|_| chain.len() < CHAIN_MAX) {
            chain.extend(view.uid(through).cloned());
            at = view.acts_through(through);
        }
        chain.reverse();
        chain
    }

    /// Whether an entity of the name is stored.
    pub fn is_stored(&self, uid: &EntityUid) -> bool {
        let view = self.shared().world.view();
        view.find(uid).is_some_and(|entity| view.exists(entity))
    }

    /// How the engine looks from outside.
    pub fn status(&self) -> Status {
        let shared = self.shared();
        Status {
            effective: shared.world.effective(),
            policy: self.snapshot().map(|force| (force.hash(), force.snapshot.policy_count())),
            names: shared.world.names().count(),
            sessions: shared.sessions.occupied(),
            opened: shared.sessions.opened(),
            resident: self.inner.actors.resident(),
            halted: shared.may_decide().err(),
        }
    }

    /// What has been counted since the start.
    pub fn counters(&self) -> &Counters {
        &self.shared().counters
    }

    /// The audit log.
    pub fn audit(&self) -> &Arc<Audit> {
        &self.shared().audit
    }

    /// Waits until everything pushed to the audit log before is durable.
    ///
    /// # Errors
    /// [`ErrorCode::AuditUnavailable`] if the log cannot be written.
    pub async fn flush_audit(&self) -> Result<(), Refusal> {
        let audit = Arc::clone(self.audit());
        let flushed = tokio::task::spawn_blocking(move || audit.flush()).await;
        match flushed {
            Ok(Ok(())) => Ok(()),
            _ => Err(Refusal::new(ErrorCode::AuditUnavailable, "the audit log cannot be written")),
        }
    }

    pub(crate) fn with_folder<T>(&self, ask: impl FnOnce(&Folder) -> T) -> Option<T> {
        self.shared().folder.lock().ok().map(|folder| ask(&folder))
    }
}

/// Why a chain has no grant at all; `None` if it has one, or there is no chain. Grants that only begin
/// later keep the session closed until then.
fn without_grant(view: &WorldView<'_>, slot: &SessionSlot, now: Timestamp) -> Option<Reason> {
    slot.agents().next()?;
    match search(view, slot, now, &mut |_, _| Ok(())) {
        Coverage::Covered(_) => None,
        Coverage::Missed(miss) => Some(Miss::reason(miss)),
    }
}

/// The first principal whose credential was issued before its credentials were ended, as a reason.
fn stale_credential(view: &WorldView<'_>, terms: &SessionTerms, issued: &Issued) -> Option<Reason> {
    let killed_by = |uid: &EntityUid, issued: Timestamp| {
        let entity = view.find(uid)?;
        let ended = view.credentials_after(entity);
        let cell = view.entity(entity);
        let is_stale = ended != Timestamp::default() && issued <= ended.plus(CREDENTIAL_SKEW);
        is_stale.then_some(cell.standing.max(cell.killed_by))
    };
    let subject = killed_by(&terms.subject, issued.subject).map(of_user);
    let mut agents = terms.agents.iter().zip(&issued.agents);
    subject.or_else(|| agents.find_map(|(uid, issued)| killed_by(uid, *issued).map(of_agent)))
}

fn new_session_id() -> SessionId {
    SessionId::from_bytes(*uuid::Uuid::now_v7().as_bytes())
}
