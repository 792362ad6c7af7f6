//! Why a decision is what it is, in full. Off the decision way: it evaluates everything.

use std::time::{Duration, Instant};

use portcullis_cells::Handle;
use portcullis_directory::GrantState;
use portcullis_model::{
    EntityUid, ErrorCode, GrantId, PolicyRef, Reason, Refusal, Request, Revision, SessionId, SessionTerms, Verdict,
};
use portcullis_policy::{PassExplanation, PassOutcome, PolicyNumber};

use crate::alive::first_dead;
use crate::decide::{Answer, Decider, Detail, Question};
use crate::delegation::{Coverage, Path};
use crate::engine::Engine;
use crate::force::InForce;
use crate::sessions::SessionSlot;

/// One principal's pass of the intersection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrincipalPass {
    /// Who was asked about.
    pub principal: EntityUid,
    /// What the policy set says.
    pub outcome: PassOutcome,
    /// Exactly the policies that Cedar names as determining.
    pub policies: Vec<PolicyRef>,
    /// Exactly the policies that Cedar names as erroring, each with Cedar's words.
    pub errors: Vec<(PolicyRef, String)>,
    /// Whether the schema lets this principal's type do the action at all.
    pub applicable: bool,
}

/// One grant of the path that covered a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathStep {
    /// The grant.
    pub grant: GrantId,
    /// For whom.
    pub subject: EntityUid,
    /// Who may act.
    pub agent: EntityUid,
    /// How it stands.
    pub state: GrantState,
}

/// Everything that made a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// The revision it was explained at.
    pub revision: Revision,
    /// The subject, then each agent of the chain. Empty where the session is dead.
    pub passes: Vec<PrincipalPass>,
    /// The grant path; empty for a session without agents or without a path.
    pub path: Vec<PathStep>,
}

/// One question that was decided, recorded and explained.
#[derive(Debug)]
pub struct Checked {
    /// The session that was made for it, and is gone.
    pub session: SessionId,
    /// The decision, and what must be durable before it leaves.
    pub answer: Answer,
    /// Why.
    pub explanation: Explanation,
    /// How long the decision took, its record in the ring included, the explanation not.
    pub latency: Duration,
}

impl Engine {
    /// Explains what a request of a session would be answered now. Records nothing.
    ///
    /// # Errors
    /// As [`Decider::decide`].
    pub fn explain(&self, handle: Handle, request: &Request) -> Result<Explanation, Refusal> {
        let unknown = || Refusal::of_field(ErrorCode::UnknownHandle, "session", "no such session is open here");
        let session = self.shared().sessions.read(handle).ok_or_else(unknown)?;
        self.shared().may_decide()?;
        self.explain_slot(&session, request)
    }

    fn explain_slot(&self, session: &SessionSlot, request: &Request) -> Result<Explanation, Refusal> {
        let shared = self.shared();
        let now = shared.clock.now();
        let view = shared.world.view();
        let mut explanation = Explanation {
            verdict: Verdict::Deny,
            reason: Reason::NoPermit,
            revision: view.revision(),
            passes: Vec::new(),
            path: Vec::new(),
        };
        if let Some(reason) = first_dead(&view, session, now) {
            explanation.reason = reason;
            return Ok(explanation);
        }
        let force = shared.in_force(&view)?;
        let question = Question::new(&view, session, request, &force)?;
        let has_agents = session.agents().next().is_some();
        let missed = match question.delegated(shared, &view, session, now) {
            Coverage::Covered(path) => {
                explanation.path = self.steps(&path);
                None
            }
            Coverage::Missed(miss) => Some(miss.reason()).filter(|_| has_agents),
        };
        for principal in std::iter::once(session.subject).chain(session.agents()) {
            let pass = force.snapshot.explain(&question.prepared, principal, &view)?;
            let name = shared.world.names().uid(principal).cloned();
            explanation.passes.extend(name.map(|name| describe(&force, name, pass)));
        }
        if view.is_late() {
            return Err(Refusal::new(ErrorCode::Overloaded, "the world changed while it was explained"));
        }
        let failed = explanation.passes.iter().find(|pass| pass.outcome != PassOutcome::Permit);
        explanation.reason = match (missed, failed.map(|pass| pass.outcome)) {
            (Some(reason), _) => reason,
            (None, None) => Reason::Permitted,
            (None, Some(PassOutcome::Forbid)) => Reason::Forbidden,
            (None, Some(PassOutcome::Error)) => Reason::PolicyError,
            (None, Some(PassOutcome::NoPermit | PassOutcome::Permit)) => Reason::NoPermit,
        };
        if explanation.reason == Reason::Permitted {
            explanation.verdict = Verdict::Allow;
        }
        Ok(explanation)
    }

    fn steps(&self, path: &Path) -> Vec<PathStep> {
        let view = self.shared().world.view();
        let step = |grant| {
            let body = self.shared().world.grant(grant)?;
            let record = &body.record;
            let state = view.grant_state(grant);
            Some(PathStep { grant: record.id, subject: record.subject.clone(), agent: record.agent.clone(), state })
        };
        path.grants().filter_map(step).collect()
    }

    /// Asks one question for terms that need no open session: decides it, records it, explains it.
    /// A dead subject or agent is a decision like any other.
    ///
    /// # Errors
    /// As [`Decider::decide`].
    pub fn check(
        &self,
        decider: &mut Decider,
        terms: &SessionTerms,
        client: &str,
        request: &Request,
    ) -> Result<Checked, Refusal> {
        let opened = self.open_transient(terms, client)?;
        let started = Instant::now();
        decider.begin();
        let answer = decider.decide(opened.handle, request, Detail::Policies);
        decider.idle();
        let latency = started.elapsed();
        let explanation = self.explain(opened.handle, request);
        self.shared().sessions.remove(opened.handle);
        Ok(Checked { session: opened.id, answer: answer?, explanation: explanation?, latency })
    }
}

fn describe(force: &InForce, principal: EntityUid, pass: PassExplanation) -> PrincipalPass {
    let named = |policy: &PolicyNumber| force.snapshot.policy(*policy).cloned();
    PrincipalPass {
        principal,
        outcome: pass.outcome,
        policies: pass.reason.iter().filter_map(named).collect(),
        errors: pass.errors.iter().filter_map(|(policy, words)| Some((named(policy)?, words.clone()))).collect(),
        applicable: pass.applicable,
    }
}
