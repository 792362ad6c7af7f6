//! What to type next: found by asking the engine, so that every line does what it is there for.

use portcullis_identity::{Asserts, Credentials, Registration, Role};
use portcullis_model::{EntityUid, Reason, Standing, Verdict};
use portcullis_runtime::Engine;
use portcullis_sample::{PolicyTest, PolicyTestFile};
use portcullis_wire::admin::{AdminReply, AdminRequest, DecisionReport, Question};

use crate::service::Service;
use crate::shell::Program;

/// Commands: an allow, a deny, the revocation of the allowed agent, and the record of it all. Where
/// that agent is revoked already, its restoration comes first. Fewer where the engine allows nothing.
pub(crate) async fn lines(service: &Service, engine: &Engine, program: &Program) -> Vec<String> {
    let candidates = candidates();
    let mut lines = Vec::new();
    let allowed = first_allowed(service, engine, &candidates).await;
    let denied = first_denied(service, &candidates).await;
    if let Some((candidate, Standing::Revoked)) = &allowed {
        lines.push(program.line(&["restore", "agent", candidate.agent.id()]));
    }
    lines.extend(allowed.iter().map(|(candidate, _)| candidate.command(program)));
    lines.extend(denied.map(|candidate| candidate.command(program)));
    lines.extend(allowed.iter().map(|(candidate, _)| program.line(&["revoke", "agent", candidate.agent.id()])));
    lines.push(program.line(&["audit", "search"]));
    lines
}

/// A question worth asking.
#[derive(Clone, Debug, PartialEq)]
struct Candidate {
    agent: EntityUid,
    question: Question,
    expected: Verdict,
}

impl Candidate {
    /// The question of a policy test, where an agent asks it; its chain is left to the directory.
    fn of(case: &PolicyTest) -> Option<Self> {
        let agent = EntityUid::of("Agent", case.agents.last()?).ok()?;
        let question = Question {
            agents: vec![agent.clone()],
            subject: EntityUid::of("User", &case.subject).ok()?,
            action: EntityUid::of("Action", &case.action).ok()?,
            resource: case.resource.clone(),
            input: case.input.clone(),
            context: std::collections::BTreeMap::new(),
            at_least: None,
        };
        // A further context cannot be typed.
        case.context.is_empty().then_some(Self { agent, question, expected: case.expect })
    }

    fn command(&self, program: &Program) -> String {
        let question = &self.question;
        let (resource, input) = (question.resource.shown(), question.input.as_ref().map(ToString::to_string));
        // An id that is not bare is typed in Cedar's form, which is what `shown` gives.
        let mut words = vec!["check", "--agent", self.agent.id(), "--for", question.subject.id()];
        words.extend([question.action.id(), resource.as_str()]);
        if let Some(input) = &input {
            words.extend(["--input", input]);
        }
        program.line(&words)
    }
}

/// The sample's policy tests that an agent asks, most telling first: with an input, then the others.
fn candidates() -> Vec<Candidate> {
    let tests: Option<PolicyTestFile> = serde_json::from_str(portcullis_sample::tests_json()).ok();
    let cases = tests.map(|tests| tests.cases).unwrap_or_default();
    let mut candidates: Vec<_> = cases.iter().filter_map(Candidate::of).collect();
    candidates.sort_by_key(|candidate| candidate.question.input.is_none());
    candidates
}

/// The first candidate that is allowed, or that would be were its agent not revoked.
async fn first_allowed<'a>(
    service: &Service,
    engine: &Engine,
    candidates: &'a [Candidate],
) -> Option<(&'a Candidate, Standing)> {
    for candidate in candidates.iter().filter(|candidate| candidate.expected == Verdict::Allow) {
        let Some(report) = ask(service, candidate).await else { continue };
        if report.verdict == Verdict::Allow {
            return Some((candidate, Standing::Active));
        }
        let standing = |uid: &EntityUid| engine.entity(uid).map(|(_, standing)| standing);
        let is_alone =
            report.chain.iter().all(|agent| *agent == candidate.agent || standing(agent) == Some(Standing::Active));
        if report.reason == Reason::AgentRevoked && is_alone && standing(&candidate.agent) == Some(Standing::Revoked) {
            return Some((candidate, Standing::Revoked));
        }
    }
    None
}

/// The first candidate that a policy denies; else the first that anything denies.
async fn first_denied<'a>(service: &Service, candidates: &'a [Candidate]) -> Option<&'a Candidate> {
    let mut otherwise = None;
    for candidate in candidates.iter().filter(|candidate| candidate.expected == Verdict::Deny) {
        match ask(service, candidate).await {
            Some(report) if report.reason == Reason::Forbidden => return Some(candidate),
            Some(report) if report.verdict == Verdict::Deny => otherwise = otherwise.or(Some(candidate)),
            _ => {}
        }
    }
    otherwise
}

/// Asks as the node itself. `None` where no decision was reached.
async fn ask(service: &Service, candidate: &Candidate) -> Option<DecisionReport> {
    let asker = Registration {
        name: ASKER.to_owned(),
        role: Role::Operator,
        credentials: Credentials::default(),
        asserts: Asserts::default(),
        subject: None,
        agent: None,
        direct: false,
        attributes: Vec::new(),
    };
    match service.carry_out(&asker, AdminRequest::Check(candidate.question.clone())).await {
        Ok(AdminReply::Report(report)) => Some(*report),
        Ok(_) => None,
        Err(refusal) => {
            tracing::debug!(%refusal, "a question of the sample was refused");
            None
        }
    }
}

/// What the audit record calls the node where it asks itself.
const ASKER: &str = "node";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]
    use super::*;
    use std::path::Path;

    #[test]
    fn the_first_question_is_asked_by_an_agent_with_an_input() {
        let candidates = candidates();
        let allow = candidates.iter().find(|candidate| candidate.expected == Verdict::Allow).unwrap();
        let program = Program::new(Path::new("/w/target/release/portcullis"), Some(Path::new("/w")), None);
        assert_eq!(
            allow.command(&program),
            "target/release/portcullis check --agent triage-bot --for ada slack/post_message Channel::general \
             --input '{\"text\":\"3 new tickets\"}'"
        );
        assert!(candidates.iter().any(|candidate| candidate.expected == Verdict::Deny));
    }

    #[test]
    fn every_candidate_can_be_typed() {
        for candidate in candidates() {
            let line = candidate.command(&Program::by_name());
            assert!(!line.contains('\n') && line.starts_with("portcullis check --agent "), "{line}");
        }
    }
}
