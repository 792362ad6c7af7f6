//! Decisions in words: what decided, where the chain of grants breaks, and what would change it.

use portcullis_directory::GrantState;
use portcullis_model::{Decision, EntityUid, GrantRecord, PolicyRef, Reason, ResourceScope, Standing, Verdict};
use portcullis_policy::PassOutcome;
use portcullis_runtime::{Engine, Explanation};
use portcullis_wire::admin::{DelegationStep, Question};

use crate::service::directory;
use crate::shell::Program;

/// A decided question.
pub(crate) struct Told<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) question: &'a Question,
    pub(crate) decision: &'a Decision,
    pub(crate) explanation: &'a Explanation,
}

impl Told<'_> {
    /// The first agent of the chain that is not active, and how it stands.
    fn fallen_agent(&self) -> Option<(&EntityUid, Standing)> {
        self.question.agents.iter().find_map(|agent| {
            let (_, standing) = self.engine.entity(agent)?;
            (standing != Standing::Active).then_some((agent, standing))
        })
    }

    /// The first principal whose pass came out like this, and the policies that made it so.
    fn failed(&self, outcome: PassOutcome) -> Option<(&EntityUid, &[PolicyRef])> {
        let pass = self.explanation.passes.iter().find(|pass| pass.outcome == outcome)?;
        Some((&pass.principal, &pass.policies))
    }

    /// Whether policy permits it to everybody who was asked about.
    fn is_permitted_by_policy(&self) -> bool {
        self.explanation.passes.iter().all(|pass| pass.outcome == PassOutcome::Permit)
    }

    fn asked(&self) -> String {
        format!("`{}` on `{}`", self.question.action.id(), self.question.resource.shown())
    }
}

/// Why, in a sentence that names who and what.
pub(crate) fn sentence(told: &Told<'_>) -> String {
    let reason = told.decision.reason;
    let specific = match reason {
        Reason::NoPermit => told
            .failed(PassOutcome::NoPermit)
            .map(|(principal, _)| format!("no policy permits `{}` to do {}", principal.id(), told.asked())),
        Reason::Forbidden => told.failed(PassOutcome::Forbid).and_then(|(principal, policies)| {
            policies.first().map(|policy| {
                let place = format!("{}:{}", policy.file, policy.line);
                format!("policy `{}` ({place}) forbids it to `{}`", policy.id, principal.id())
            })
        }),
        Reason::NotDelegated | Reason::GrantRevoked | Reason::GrantExpired | Reason::GrantCondition => {
            told.question.agents.last().map(|agent| {
                let subject = told.question.subject.id();
                let also = if told.is_permitted_by_policy() { "" } else { "; and policy does not permit it either" };
                format!("{}: `{}` for `{subject}`, {}{also}", reason.words(), agent.id(), told.asked())
            })
        }
        Reason::AgentRevoked => told.fallen_agent().map(|(agent, _)| format!("the agent `{}` was revoked", agent.id())),
        Reason::AgentSuspended => {
            told.fallen_agent().map(|(agent, _)| format!("the agent `{}` is suspended at its source", agent.id()))
        }
        Reason::AgentDeactivated => {
            told.fallen_agent().map(|(agent, _)| format!("the agent `{}` was deactivated at its source", agent.id()))
        }
        Reason::UserRevoked => Some(format!("the user `{}` was revoked", told.question.subject.id())),
        _ => None,
    };
    specific.unwrap_or_else(|| reason.words().to_owned())
}

/// The path of grants, link by link; where it breaks, the first link that does not hold.
pub(crate) fn delegation(told: &Told<'_>) -> Vec<DelegationStep> {
    let question = told.question;
    let froms = std::iter::once(&question.subject).chain(&question.agents);
    let links = froms.zip(&question.agents);
    if !told.explanation.path.is_empty() {
        return links
            .zip(&told.explanation.path)
            .map(|((from, to), step)| DelegationStep {
                from: from.clone(),
                to: to.clone(),
                grant: Some(step.grant),
                covers: true,
                words: "covers it".to_owned(),
            })
            .collect();
    }
    let groups = groups_of(told.engine, &question.subject);
    let mut is_broken = false;
    let mut steps: Vec<DelegationStep> = links
        .map(|(from, to)| {
            let found = directory::find_grant(told.engine, |record, _| {
                record.agent == *to && groups.contains(&record.subject) && record_parent_fits(record, from, question)
            });
            let words = match &found {
                None => format!("no grant lets `{}` act for `{}` here", to.id(), question.subject.id()),
                Some((_, GrantState::Revoked)) => "the grant was revoked".to_owned(),
                Some((_, GrantState::Tombstone | GrantState::Absent)) => "the grant has ended".to_owned(),
                Some((record, GrantState::Live)) => covered(record),
            };
            let holds = matches!(&found, Some((_, GrantState::Live))) && !is_broken;
            is_broken = is_broken || !holds;
            DelegationStep {
                from: from.clone(),
                to: to.clone(),
                grant: found.map(|(record, _)| record.id),
                covers: holds,
                words,
            }
        })
        .collect();
    // Every link has a live grant, and yet they do not cover it: the last one is where it ends. A
    // session that is dead has no path either, and then its grants were not looked at.
    let is_about_grants = matches!(
        told.decision.reason,
        Reason::NotDelegated | Reason::GrantRevoked | Reason::GrantExpired | Reason::GrantCondition
    );
    if let Some(last) = steps.last_mut().filter(|_| is_about_grants && !is_broken) {
        last.covers = false;
        last.words = format!("{}; {}", last.words, told.decision.reason.words());
    }
    steps
}

/// Whether a grant may stand on this link: a root on the first, a delegation of the agent before on others.
fn record_parent_fits(record: &GrantRecord, from: &EntityUid, question: &Question) -> bool {
    match record.parent {
        None => *from == question.subject,
        Some(_) => record.grantor == *from,
    }
}

/// The subject and every group that it is in.
fn groups_of(engine: &Engine, subject: &EntityUid) -> Vec<EntityUid> {
    let mut found = vec![subject.clone()];
    let mut next = 0;
    while let Some(at) = found.get(next).cloned().filter(|_| found.len() < GROUPS_MAX) {
        next += 1;
        let parents = engine.entity(&at).map(|(record, _)| record.parents).unwrap_or_default();
        for parent in parents {
            if !found.contains(&parent) {
                found.push(parent);
            }
        }
    }
    found
}

/// What a grant covers, in words.
fn covered(record: &GrantRecord) -> String {
    let actions: Vec<&str> = record.actions.iter().take(ACTIONS_SHOWN).map(EntityUid::id).collect();
    let more = if record.actions.len() > ACTIONS_SHOWN { ", ..." } else { "" };
    let resource = match &record.resource {
        ResourceScope::Any => "any resource".to_owned(),
        ResourceScope::One(uid) => format!("`{}`", uid.shown()),
        ResourceScope::In(uid) => format!("what is in `{}`", uid.shown()),
        ResourceScope::OfType(entity_type) => format!("every {entity_type}"),
    };
    let condition = if record.condition.is_some() { ", on a condition" } else { "" };
    format!("covers {}{more} on {resource}{condition}", actions.join(", "))
}

/// The command that would change the answer.
pub(crate) fn fix(told: &Told<'_>, steps: &[DelegationStep], program: &Program) -> Option<String> {
    let question = told.question;
    let subject = question.subject.id();
    match told.decision.reason {
        Reason::Permitted if told.decision.verdict == Verdict::Allow => Some(match question.agents.last() {
            Some(agent) => program.line(&["revoke", "agent", agent.id()]),
            None => program.line(&["revoke", "user", subject]),
        }),
        Reason::AgentRevoked => told.fallen_agent().map(|(agent, _)| program.line(&["restore", "agent", agent.id()])),
        Reason::UserRevoked => Some(program.line(&["restore", "user", subject])),
        // A grant changes nothing where policy says no as well.
        Reason::NotDelegated | Reason::GrantRevoked | Reason::GrantExpired | Reason::GrantCondition
            if told.is_permitted_by_policy() =>
        {
            grant_command(told, steps, program)
        }
        _ => None,
    }
}

/// The command that issues what is missing; of several links, the first that is.
fn grant_command(told: &Told<'_>, steps: &[DelegationStep], program: &Program) -> Option<String> {
    let question = told.question;
    let broken = steps.iter().position(|step| !step.covers)?;
    let step = steps.get(broken)?;
    let (action, resource) = (question.action.id(), question.resource.shown());
    let parent = broken.checked_sub(1).and_then(|before| steps.get(before)).and_then(|before| before.grant);
    let parent = parent.map(|parent| parent.to_string());
    let mut words = vec!["grant", "--for", question.subject.id(), "--agent", step.to.id()];
    if let Some(parent) = &parent {
        words.extend(["--parent", parent.as_str()]);
    }
    words.extend(["--action", action, "--resource", resource.as_str()]);
    Some(program.line(&words))
}

/// Most groups of one subject that are looked at for a sentence.
const GROUPS_MAX: usize = 256;
/// Actions of a grant that a sentence names.
const ACTIONS_SHOWN: usize = 4;
