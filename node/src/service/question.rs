//! `check` and `explain`: decides about named subjects, and says why.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_identity::Registration;
use portcullis_model::limits::{CHAIN_MAX, FRESH_WAIT_MAX, INPUT_BYTES_MAX};
use portcullis_model::{
    Decision, EntityUid, ErrorCode, PolicyRef, Reason, Refusal, Request, Revision, SessionId, SessionTerms, Verdict,
};
use portcullis_runtime::{Checked, Decider, Engine, Explanation};
use portcullis_wire::Role;
use portcullis_wire::admin::{
    DecisionReport, PassOutcome, PolicyFault, PrincipalPass, Question, REPORT_SCHEMA_VERSION,
};
use tokio::sync::Semaphore;

use crate::service::caller::role_of;
use crate::service::directory;
use crate::service::words::{self, Told};
use crate::shell::Program;

/// How much of the answer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// One sufficient set of policies.
    Check,
    /// Every policy and every error.
    Explain,
}

/// Decides questions, a few at a time, each on a thread that may wait for the disk.
pub(crate) struct Asker {
    engine: Engine,
    deciders: Mutex<Vec<Decider>>,
    permits: Arc<Semaphore>,
    program: Program,
}

/// One decided question.
struct Decided {
    session: SessionId,
    decision: Decision,
    explanation: Explanation,
    latency: Duration,
}

impl Asker {
    pub(crate) fn new(engine: Engine, program: Program) -> Self {
        let permits = Arc::new(Semaphore::new(DECIDERS_MAX));
        Self { engine, deciders: Mutex::new(Vec::new()), permits, program }
    }

    /// Lets go of every decider, so that the audit log can be closed; questions are refused from then on.
    pub(crate) fn close(&self) {
        self.permits.close();
        self.deciders.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Decides one question, records it, and explains it.
    ///
    /// # Errors
    /// A refusal when no decision was reached, or a name is not known.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        client: &Registration,
        mut question: Question,
        depth: Depth,
    ) -> Result<DecisionReport, Refusal> {
        let role = role_of(client);
        self.complete(role, &mut question, depth)?;
        let request = request_of(&question)?;
        if let Some(revision) = question.at_least {
            self.engine.wait_for(revision, FRESH_WAIT_MAX).await?;
        }
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| Refusal::new(ErrorCode::ShuttingDown, "the node is stopping"))?;
        let (asker, client_name) = (Arc::clone(self), client.name.clone());
        let task = tokio::task::spawn_blocking(move || {
            let terms = SessionTerms {
                subject: question.subject.clone(),
                agents: question.agents.clone(),
                expires: asker.engine.now().plus(QUESTION_LIFE),
            };
            let decided = asker.decide(&terms, &client_name, &request);
            drop(permit);
            decided.map(|decided| asker.report(role, question, decided, depth))
        });
        task.await.unwrap_or_else(|_| Err(Refusal::new(ErrorCode::Internal, "the question failed")))
    }

    /// Fills in the chain that an agent implies, and tells an operator of names that are mistyped. For
    /// everybody else, asking about somebody who is not stored is a decision like any other.
    fn complete(&self, role: Role, question: &mut Question, depth: Depth) -> Result<(), Refusal> {
        if question.agents.len() > CHAIN_MAX {
            let message = format!("a chain has at most {CHAIN_MAX} agents");
            return Err(Refusal::of_field(ErrorCode::TooLarge, "agents", message));
        }
        if role == Role::Operator {
            directory::require(&self.engine, "user", &question.subject)?;
            for agent in &question.agents {
                directory::require(&self.engine, "agent", agent)?;
            }
            // A resource need not be stored; but one that is nearly a stored one is probably mistyped.
            let resource = &question.resource;
            let is_unknown = depth == Depth::Check && !self.engine.is_stored(resource);
            if is_unknown && directory::near(&self.engine, resource).is_some() {
                return Err(directory::unknown(&self.engine, "resource", resource));
            }
        }
        if let [agent] = question.agents.as_slice() {
            question.agents = self.engine.chain_of(agent);
        }
        Ok(())
    }

    /// Blocks until the answer may leave.
    fn decide(&self, terms: &SessionTerms, client: &str, request: &Request) -> Result<Decided, Refusal> {
        let kept = self.deciders.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut decider = match kept {
            Some(decider) => decider,
            None => self.engine.decider()?,
        };
        let decided = self.decide_with(&mut decider, terms, client, request);
        if !self.permits.is_closed() {
            self.deciders.lock().unwrap_or_else(PoisonError::into_inner).push(decider);
        }
        decided
    }

    fn decide_with(
        &self,
        decider: &mut Decider,
        terms: &SessionTerms,
        client: &str,
        request: &Request,
    ) -> Result<Decided, Refusal> {
        for _ in 0..ATTEMPTS_MAX {
            let restrictions = decider.restrictions();
            let Checked { session, answer, mut explanation, latency } =
                self.engine.check(decider, terms, client, request)?;
            if let Some(ticket) = answer.durable {
                decider.nudge();
                let waited = self.engine.audit().wait_durable(ticket);
                waited.map_err(|_| Refusal::new(ErrorCode::AuditUnavailable, "the audit log cannot be written"))?;
            }
            // The wait may have been long: an allow from before a restriction does not leave.
            if answer.decision.verdict != Verdict::Allow || decider.restrictions() == restrictions {
                self.reconcile(&answer.decision, &mut explanation);
                return Ok(Decided { session, decision: answer.decision, explanation, latency });
            }
        }
        Err(Refusal::new(ErrorCode::Overloaded, "restrictions came faster than the question could be answered"))
    }

    /// A restriction denies before the world shows it: the explanation then still says allow. What it
    /// says of the dead is nothing; and the world, for the words, is waited for a little.
    fn reconcile(&self, decision: &Decision, explanation: &mut Explanation) {
        if decision.verdict == Verdict::Allow || explanation.verdict != Verdict::Allow {
            return;
        }
        explanation.verdict = decision.verdict;
        explanation.reason = decision.reason;
        explanation.path.clear();
        if decision.reason != Reason::GrantRevoked {
            explanation.passes.clear();
        }
        let shown = Revision { seq: explanation.revision.seq.saturating_add(1), ..explanation.revision };
        let waiting = self.engine.wait_for(shown, FRESH_WAIT_MAX);
        // Without it the words are less exact, and the decision the same.
        let _ = tokio::runtime::Handle::current().block_on(waiting);
    }

    fn report(&self, role: Role, question: Question, decided: Decided, depth: Depth) -> DecisionReport {
        let Decided { session, decision, explanation, latency } = decided;
        let told = Told { engine: &self.engine, question: &question, decision: &decision, explanation: &explanation };
        let words = words::sentence(&told);
        let delegation = words::delegation(&told);
        let fix = (role == Role::Operator).then(|| words::fix(&told, &delegation, &self.program)).flatten();
        let principals = principals(&question, &explanation);
        let policies = match depth {
            Depth::Check => decision.policies,
            Depth::Explain => every_policy(&principals, decision.policies),
        };
        DecisionReport {
            schema_version: REPORT_SCHEMA_VERSION,
            decision_id: decision.id,
            verdict: decision.verdict,
            reason: decision.reason,
            words,
            policies,
            revision: decision.revision,
            latency_ns: u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX),
            session: Some(session),
            chain: question.agents,
            subject: question.subject,
            action: question.action,
            resource: question.resource,
            principals,
            delegation,
            fix,
        }
    }
}

fn request_of(question: &Question) -> Result<Request, Refusal> {
    let input = question.input.as_ref().map(ToString::to_string);
    if question.input.as_ref().is_some_and(|input| !input.is_object()) {
        return Err(Refusal::of_field(ErrorCode::BadRequest, "input", "a tool's input is a JSON object"));
    }
    if input.as_ref().is_some_and(|input| input.len() > INPUT_BYTES_MAX) {
        let message = format!("a tool's input has at most {INPUT_BYTES_MAX} bytes");
        return Err(Refusal::of_field(ErrorCode::TooLarge, "input", message));
    }
    Ok(Request {
        context: question.context.clone(),
        input: input.map(Arc::from),
        at_least: question.at_least,
        ..Request::new(question.action.clone(), question.resource.clone())
    })
}

/// What policy says for each principal; where none was asked, that it was not.
fn principals(question: &Question, explanation: &Explanation) -> Vec<PrincipalPass> {
    let not_asked = |principal: &EntityUid| PrincipalPass {
        principal: principal.clone(),
        outcome: PassOutcome::NotAsked,
        policies: Vec::new(),
        errors: Vec::new(),
    };
    if explanation.passes.is_empty() {
        return std::iter::once(&question.subject).chain(&question.agents).map(not_asked).collect();
    }
    let told = |pass: &portcullis_runtime::PrincipalPass| PrincipalPass {
        principal: pass.principal.clone(),
        outcome: match pass.outcome {
            portcullis_policy::PassOutcome::Permit => PassOutcome::Allow,
            portcullis_policy::PassOutcome::NoPermit => PassOutcome::NoPermit,
            portcullis_policy::PassOutcome::Forbid => PassOutcome::Forbidden,
            portcullis_policy::PassOutcome::Error => PassOutcome::PolicyError,
        },
        policies: pass.policies.clone(),
        errors: pass
            .errors
            .iter()
            .map(|(policy, message)| PolicyFault { policy: Arc::clone(&policy.id), message: message.clone() })
            .collect(),
    };
    explanation.passes.iter().map(told).collect()
}

fn every_policy(principals: &[PrincipalPass], decided: Vec<PolicyRef>) -> Vec<PolicyRef> {
    let all: BTreeSet<PolicyRef> =
        principals.iter().flat_map(|pass| pass.policies.iter().cloned()).chain(decided).collect();
    all.into_iter().collect()
}

/// Questions decided at a time. BOUND: the engine has 64 deciders, and connections' workers come first.
const DECIDERS_MAX: usize = 4;
/// How often a question is decided again because a restriction came while its record was written.
const ATTEMPTS_MAX: u32 = 3;
/// How long the session lives that a question is decided in; it is closed at once.
const QUESTION_LIFE: Duration = Duration::from_secs(60);
