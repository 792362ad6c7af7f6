//! The decision way.

use std::sync::Arc;
use std::time::Instant;

use portcullis_audit::{Durability, HotRecord, Name, Outcome, POLICIES_MAX, Producer, PushError, Ticket};
use portcullis_cells::{Handle, Worker};
use portcullis_directory::{GrantBody, GrantIndex, WorldView};
use portcullis_model::{
    Decision, DecisionId, EntityIndex, EntityUid, EntityView, ErrorCode, PolicyRef, Reason, Refusal, Request,
    Timestamp, Verdict,
};
use portcullis_policy::{Ask, EngineContext, PassOutcome, PolicyNumber, Prepared};

use crate::alive::first_dead;
use crate::delegation::{Coverage, Miss, Path, search};
use crate::force::InForce;
use crate::restriction;
use crate::sessions::SessionSlot;
use crate::shared::Shared;

/// How often a decision starts again on a newer world before it gives up.
const ATTEMPTS_MAX: u32 = 3;

/// Whether the caller wants to know which policies determined the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Verdict and reason.
    Brief,
    /// Policies with file and line as well.
    Policies,
}

/// Whether decisions are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditMode {
    /// As the action's class says.
    ByClass,
    /// Every answer waits for the record.
    Durable,
    /// No answer waits.
    Buffered,
    /// Nothing is recorded: for measuring only.
    Off,
}

/// A decision and what must happen before it leaves.
#[derive(Debug)]
#[must_use]
pub struct Answer {
    /// The decision.
    pub decision: Decision,
    /// The record that must be durable first; `None` if nothing need be waited for.
    pub durable: Option<Ticket>,
}

/// Decides on one thread, with its own audit ring, counters and place among the batch boundaries.
///
/// It never waits: what has to be waited for (a revision, a watermark) is told to the caller.
/// Between [`Decider::begin`] and [`Decider::idle`] a revocation's acknowledgement waits for it.
pub struct Decider {
    shared: Arc<Shared>,
    worker: Worker,
    producer: Option<Producer>,
    mode: AuditMode,
    run: u64,
    count: u64,
}

/// What the permission steps found.
struct Judgement {
    verdict: Verdict,
    reason: Reason,
    policies: Vec<PolicyNumber>,
    path: Option<Path>,
    durability: Durability,
    force: Option<Arc<InForce>>,
    revision: portcullis_model::Revision,
}

impl Judgement {
    fn deny(reason: Reason, view: &WorldView<'_>) -> Self {
        Self {
            verdict: Verdict::Deny,
            reason,
            policies: Vec::new(),
            path: None,
            durability: Durability::Buffered,
            force: None,
            revision: view.revision(),
        }
    }
}

impl Decider {
    pub(crate) fn new(
        shared: Arc<Shared>,
        worker: Worker,
        producer: Option<Producer>,
        mode: AuditMode,
        run: u64,
    ) -> Self {
        Self { shared, worker, producer, mode, run, count: 0 }
    }

    /// Begins a batch: answers of the batch before have left, or are answered for by their writer.
    pub fn begin(&mut self) {
        self.worker.begin();
    }

    /// Says that nothing is being decided here, so that no revocation waits for this thread.
    pub fn idle(&mut self) {
        self.worker.idle();
    }

    /// The highest record of this decider that is durable.
    pub fn durable(&self) -> u64 {
        self.producer.as_ref().map_or(u64::MAX, Producer::durable)
    }

    /// Wakes the audit writer. To be called once after a batch with answers that wait for it.
    pub fn nudge(&self) {
        if let Some(producer) = &self.producer {
            producer.nudge();
        }
    }

    /// A number that changes whenever a restriction may have come: answers that were decided at
    /// another number and have not left are decided again.
    pub fn restrictions(&self) -> u64 {
        self.shared.restrictions()
    }

    /// Decides one request of one session.
    ///
    /// # Errors
    /// A [`Refusal`] when no decision was reached: [`ErrorCode::NotFresh`] for a revision that is
    /// not here yet, [`ErrorCode::UnknownHandle`], the typed refusals of a malformed request, and
    /// what makes the node unable to decide. The enforcement point then refuses.
    pub fn decide(&mut self, handle: Handle, request: &Request, detail: Detail) -> Result<Answer, Refusal> {
        self.decide_at(handle, request, detail, self.shared.clock.now())
    }

    /// As [`Decider::decide`], at a given time.
    ///
    /// # Errors
    /// As [`Decider::decide`].
    pub fn decide_at(
        &mut self,
        handle: Handle,
        request: &Request,
        detail: Detail,
        now: Timestamp,
    ) -> Result<Answer, Refusal> {
        let started = Instant::now();
        self.count += 1;
        let session = self.shared.sessions.read(handle).ok_or_else(unknown_handle)?;
        let agents = session.agents().collect();
        let asked = Asked { id: self.decision_id(), session: &session, request, agents, now, started };
        match self.judge(&session, request, now) {
            Ok(judgement) => self.answer(&asked, judgement, detail),
            // Asked again by whoever waits for the revision: the last answer is what is recorded.
            Err(refusal) if refusal.code == ErrorCode::NotFresh => Err(refusal),
            Err(refusal) => {
                self.shared.counters.refused(refusal.code);
                // The caller is refused either way; a full ring counts what it did not take.
                let _ = self.push(&asked, Outcome::Error(refusal.code), |record| record);
                Err(refusal)
            }
        }
    }

    fn judge(&self, session: &SessionSlot, request: &Request, now: Timestamp) -> Result<Judgement, Refusal> {
        self.shared.may_decide()?;
        for _ in 0..ATTEMPTS_MAX {
            let view = self.shared.world.view();
            if request.at_least.is_some_and(|wanted| !view.revision().covers(wanted)) {
                return Err(Refusal::of_field(
                    ErrorCode::NotFresh,
                    "at_least",
                    "the revision asked for is not here yet",
                ));
            }
            let judged = judge_at(&self.shared, &view, session, request, now);
            // The policy set in force may have moved on twice as well, which it says by itself.
            let moved_on = judged.as_ref().is_err_and(|refusal| refusal.code == ErrorCode::Overloaded);
            if view.is_late() || moved_on {
                continue;
            }
            let mut judgement = judged?;
            if judgement.verdict == Verdict::Allow && self.shared.deny.pending() != 0 {
                self.restrict(session, &mut judgement);
            }
            return Ok(judgement);
        }
        Err(Refusal::new(ErrorCode::Overloaded, "the world changed faster than it could be read"))
    }

    /// Applies the deny table, which is read last.
    fn restrict(&self, session: &SessionSlot, judgement: &mut Judgement) {
        let mut found = None;
        let view = self.shared.world.view();
        let sponsor = view.sponsor(session.subject);
        let denied = self.shared.deny.any(|entry| {
            found = restriction::denies(entry, session, sponsor, judgement.path.as_ref());
            found.is_some()
        });
        // A sponsor that cannot be read may be the one that is restricted.
        if denied || view.is_late() {
            judgement.verdict = Verdict::Deny;
            judgement.reason = found.unwrap_or(Reason::EverythingRevoked);
            judgement.policies.clear();
            judgement.durability = Durability::Buffered;
        }
    }

    fn answer(&mut self, asked: &Asked<'_>, judgement: Judgement, detail: Detail) -> Result<Answer, Refusal> {
        let mode = match (self.mode, judgement.verdict) {
            (AuditMode::Durable, Verdict::Allow) => Durability::Durable,
            (AuditMode::ByClass, Verdict::Allow) => judgement.durability,
            _ => Durability::Buffered,
        };
        let numbers: Vec<u32> = judgement.policies.iter().take(POLICIES_MAX).map(|policy| policy.number()).collect();
        let leaf = judgement.path.as_ref().and_then(Path::leaf).and_then(|grant| self.shared.world.grant(grant));
        let grant = leaf.map(GrantBody::id);
        let outcome = Outcome::Decision(judgement.verdict, judgement.reason);
        let ticket = self.push(asked, outcome, |record| HotRecord {
            revision: judgement.revision,
            policy_set: judgement.force.as_ref().map_or(0, |force| force.tag),
            policies: &numbers,
            grant,
            mode,
            ..record
        })?;
        self.shared.counters.decided(judgement.verdict, judgement.reason);
        let policies = match (&judgement.force, detail) {
            (Some(force), Detail::Policies) => refs(force, &judgement.policies),
            _ => Vec::new(),
        };
        let decision = Decision::new(asked.id, judgement.verdict, judgement.reason, policies, judgement.revision);
        Ok(Answer { decision, durable: ticket.filter(|_| mode == Durability::Durable) })
    }

    /// Records one evaluation. A record that is not taken means that there is no answer.
    fn push<'r>(
        &'r mut self,
        asked: &'r Asked<'_>,
        outcome: Outcome,
        complete: impl FnOnce(HotRecord<'r>) -> HotRecord<'r>,
    ) -> Result<Option<Ticket>, Refusal> {
        let Some(producer) = self.producer.as_mut() else { return Ok(None) };
        let record = complete(HotRecord {
            decision_id: asked.id,
            time: asked.now,
            session: Some(asked.session.id),
            subject: asked.session.subject,
            agents: &asked.agents,
            action: Name::Uid(&asked.request.action),
            resource: Name::Uid(&asked.request.resource),
            outcome,
            revision: self.shared.world.effective(),
            policy_set: 0,
            policies: &[],
            grant: None,
            intent: asked.request.intent,
            mode: Durability::Buffered,
            latency_ns: u64::try_from(asked.started.elapsed().as_nanos()).unwrap_or(u64::MAX),
            client: self.shared.clients.name(asked.session.client),
            input: asked.request.input.as_deref().map(str::as_bytes),
        });
        producer.push(&record).map(Some).map_err(|error| match error {
            PushError::Full => Refusal::new(ErrorCode::AuditBackpressure, "the audit queue is full"),
            PushError::Limit(field) => {
                Refusal::of_field(ErrorCode::TooLarge, field, format!("`{field}` is too large to be recorded"))
            }
            _ => Refusal::new(ErrorCode::AuditUnavailable, "the audit log cannot be written"),
        })
    }

    /// Unique for this run of the node, this decider and this call; it says nothing else.
    fn decision_id(&self) -> DecisionId {
        DecisionId::from_words([self.count, self.run])
    }
}

/// One question as it was put.
struct Asked<'a> {
    id: DecisionId,
    session: &'a SessionSlot,
    request: &'a Request,
    agents: Vec<EntityIndex>,
    now: Timestamp,
    started: Instant,
}

fn judge_at(
    shared: &Shared,
    view: &WorldView<'_>,
    session: &SessionSlot,
    request: &Request,
    now: Timestamp,
) -> Result<Judgement, Refusal> {
    if let Some(reason) = first_dead(view, session, now) {
        return Ok(Judgement::deny(reason, view));
    }
    let force = shared.in_force(view)?;
    let question = Question::new(view, session, request, &force)?;
    let path = match question.delegated(shared, view, session, now) {
        Coverage::Covered(path) => Some(path),
        Coverage::Missed(_) if session.agents().next().is_none() => None,
        Coverage::Missed(miss) => return Ok(Judgement::deny(miss.reason(), view)),
    };
    let mut policies = Vec::new();
    for principal in std::iter::once(session.subject).chain(session.agents()) {
        let pass = force.snapshot.decide(&question.prepared, principal, view)?;
        let reason = match pass.outcome {
            PassOutcome::Permit => {
                policies.extend(pass.policies);
                continue;
            }
            PassOutcome::Forbid => Reason::Forbidden,
            PassOutcome::NoPermit => Reason::NoPermit,
            PassOutcome::Error => Reason::PolicyError,
        };
        return Ok(Judgement { policies: pass.policies, path, force: Some(force), ..Judgement::deny(reason, view) });
    }
    policies.sort_unstable();
    policies.dedup();
    Ok(Judgement {
        verdict: Verdict::Allow,
        reason: Reason::Permitted,
        policies,
        path,
        durability: question.prepared.action().map_or(Durability::Durable, |action| force.durability(action)),
        revision: view.revision(),
        force: Some(force),
    })
}

/// A request typed for one policy set.
pub(crate) struct Question {
    pub(crate) prepared: Prepared,
    resource: EntityUid,
    resource_index: Option<EntityIndex>,
}

impl Question {
    pub(crate) fn new(
        view: &WorldView<'_>,
        session: &SessionSlot,
        request: &Request,
        force: &InForce,
    ) -> Result<Self, Refusal> {
        let nameless = || Refusal::new(ErrorCode::Internal, "a session names an entity that has no name");
        let user = view.uid(session.subject).ok_or_else(nameless)?;
        let agents = session.agents().map(|agent| view.uid(agent).cloned().ok_or_else(nameless));
        let agents = agents.collect::<Result<Vec<_>, _>>()?;
        let resource_index = view.find(&request.resource);
        let engine = EngineContext { user, agents: &agents };
        let prepared = force.snapshot.prepare(&Ask { request, resource: resource_index, engine })?;
        Ok(Self { prepared, resource: request.resource.clone(), resource_index })
    }

    /// The grant path of a session with agents.
    pub(crate) fn delegated(
        &self,
        shared: &Shared,
        view: &WorldView<'_>,
        session: &SessionSlot,
        now: Timestamp,
    ) -> Coverage {
        let Ok(force) = shared.in_force(view) else { return Coverage::Missed(Miss::Scope) };
        search(view, session, now, &mut |grant, body| self.covers(shared, &force, view, grant, body))
    }

    fn covers(
        &self,
        shared: &Shared,
        force: &InForce,
        view: &WorldView<'_>,
        grant: GrantIndex,
        body: &GrantBody,
    ) -> Result<(), Miss> {
        let action = self.prepared.action().ok_or(Miss::Scope)?;
        if !body.record.actions.iter().any(|granted| force.snapshot.action_is_in(action, granted)) {
            return Err(Miss::Scope);
        }
        let is_in = |group| self.resource_index.is_some_and(|resource| view.is_in(resource, group));
        if !body.covers_resource(&self.resource, is_in) {
            return Err(Miss::Scope);
        }
        if body.record.condition.is_none() {
            return Ok(());
        }
        let condition = shared.condition(grant).ok_or(Miss::Condition)?;
        match condition.holds(&force.snapshot, &self.prepared, body.agent, view) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Miss::Condition),
        }
    }
}

fn refs(force: &InForce, policies: &[PolicyNumber]) -> Vec<PolicyRef> {
    policies.iter().filter_map(|policy| force.snapshot.policy(*policy).cloned()).collect()
}

fn unknown_handle() -> Refusal {
    Refusal::of_field(ErrorCode::UnknownHandle, "session", "no session of this connection has this handle")
}
