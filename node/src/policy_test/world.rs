//! A world in memory, and decisions in it: alive, delegated, permitted, in this order.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_directory::{FoldReport, Folder, GrantBody, GrantIndex, GrantState, World, WorldView};
use portcullis_model::{
    Change, EntityIndex, EntityUid, EntityView, Event, EventId, GrantRecord, Origin, PolicyRef, PolicySetText, Reason,
    Refusal, Request, Revision, Standing, Timestamp, Verdict,
};
use portcullis_policy::{
    Ask, CompileOptions, Condition, EngineContext, OnError, PassOutcome, Prepared, Snapshot, Validation, compile,
    compile_condition,
};

use super::TestError;

/// Policies, entities and grants at one revision.
pub(super) struct OfflineWorld {
    world: Arc<World>,
    snapshot: Snapshot,
    conditions: HashMap<GrantIndex, Condition>,
    /// Whether grants are looked at.
    delegation: Delegation,
    now: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delegation {
    Required,
    Ignored,
}

/// What is asked.
pub(super) struct Question {
    pub(super) subject: EntityUid,
    pub(super) agents: Vec<EntityUid>,
    pub(super) request: Request,
}

/// The resource asked about, and its number where it has one.
#[derive(Clone, Copy)]
struct Resource<'a> {
    uid: &'a EntityUid,
    index: Option<EntityIndex>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) verdict: Verdict,
    pub(super) reason: Reason,
    /// Policies that determine the passes which come out as the verdict does.
    pub(super) policies: Vec<PolicyRef>,
    /// Policies that could not be evaluated, in words.
    pub(super) errors: Vec<String>,
}

impl OfflineWorld {
    pub(super) fn new(
        set: PolicySetText,
        changes: Vec<Change>,
        grants: Option<Vec<GrantRecord>>,
        now: Timestamp,
    ) -> Result<Self, TestError> {
        let world = Arc::new(World::new(EPOCH));
        let options = CompileOptions { validation: Validation::Strict, on_error: OnError::Deny };
        let snapshot = match compile(&set, &**world.names(), options) {
            Ok(snapshot) => snapshot,
            Err(errors) => return Err(TestError::Policy { set: Box::new(set), errors }),
        };
        for change in &changes {
            if let Change::PutEntity(record) = change {
                let unfit = |refusal| TestError::World(format!("`{}`: {refusal}", record.uid.shown()));
                snapshot.check_entity(record).map_err(unfit)?;
            }
        }
        let delegation = if grants.is_some() { Delegation::Required } else { Delegation::Ignored };
        let grants = grants.unwrap_or_default();
        let all = changes.into_iter().chain(grants.iter().cloned().map(Change::Grant));
        fold(&world, all, now)?;
        let conditions = conditions(&world, &grants)?;
        Ok(Self { world, snapshot, conditions, delegation, now })
    }

    /// Decides one question.
    pub(super) fn ask(&self, question: &Question) -> Result<Answer, Refusal> {
        let view = self.world.view();
        let engine = EngineContext { user: &question.subject, agents: &question.agents };
        let uid = &question.request.resource;
        let resource = Resource { uid, index: view.find(uid) };
        let ask = Ask { request: &question.request, resource: resource.index, engine };
        let prepared = self.snapshot.prepare(&ask)?;
        let principals = match self.alive(&view, question) {
            Ok(principals) => principals,
            Err(reason) => return Ok(denied(reason)),
        };
        if self.delegation == Delegation::Required
            && let Some((subject, chain)) = principals.split_first()
            && let Err(reason) = self.delegated(&view, &prepared, resource, *subject, chain)
        {
            return Ok(denied(reason));
        }
        self.permitted(&view, &prepared, &principals)
    }

    /// Subject and agents, if each is stored and active.
    fn alive(&self, view: &WorldView<'_>, question: &Question) -> Result<Vec<EntityIndex>, Reason> {
        let living = |uid: &EntityUid, reasons: &DeadReasons| {
            let index = view.find(uid).ok_or(reasons.unknown)?;
            let cell = view.entity(index);
            match cell.standing {
                _ if !cell.exists => Err(reasons.unknown),
                Standing::Active => Ok(index),
                Standing::Held => Err(reasons.held),
                Standing::Suspended => Err(reasons.suspended),
                Standing::Revoked => Err(reasons.revoked),
                Standing::Deactivated => Err(reasons.deactivated),
            }
        };
        let mut principals = vec![living(&question.subject, &USER)?];
        for agent in &question.agents {
            principals.push(living(agent, &AGENT)?);
        }
        Ok(principals)
    }

    /// Whether a path of grants from the subject through the chain covers the question.
    fn delegated(
        &self,
        view: &WorldView<'_>,
        prepared: &Prepared,
        resource: Resource<'_>,
        subject: EntityIndex,
        chain: &[EntityIndex],
    ) -> Result<(), Reason> {
        let Some(innermost) = chain.last() else { return Ok(()) };
        let mut holders = vec![subject];
        view.ancestors(subject, &mut |group| holders.push(group));
        let mut nearest = Reason::NotDelegated;
        let mut visit = |leaf: GrantIndex| match self.walk(view, prepared, resource, chain, leaf) {
            Ok(()) => true,
            Err(reason) => {
                // Reasons of grants are numbered from far to near.
                nearest = nearest.max(reason);
                false
            }
        };
        let is_covered = holders.iter().any(|holder| view.grants_for(*holder, *innermost, &mut visit));
        if is_covered { Ok(()) } else { Err(nearest) }
    }

    /// Walks from a leaf to its root: one grant for each agent of the chain, and nothing above.
    fn walk(
        &self,
        view: &WorldView<'_>,
        prepared: &Prepared,
        resource: Resource<'_>,
        chain: &[EntityIndex],
        leaf: GrantIndex,
    ) -> Result<(), Reason> {
        let mut at = Some(leaf);
        for agent in chain.iter().rev() {
            let grant = at.ok_or(Reason::NotDelegated)?;
            let body = view.world().grant(grant).filter(|body| body.agent == *agent).ok_or(Reason::NotDelegated)?;
            self.covers(view, prepared, resource, grant, body)?;
            at = body.parent;
        }
        if at.is_some() { Err(Reason::NotDelegated) } else { Ok(()) }
    }

    fn covers(
        &self,
        view: &WorldView<'_>,
        prepared: &Prepared,
        resource: Resource<'_>,
        grant: GrantIndex,
        body: &GrantBody,
    ) -> Result<(), Reason> {
        let action = prepared.action().ok_or(Reason::NotDelegated)?;
        let names_action = body.record.actions.iter().any(|granted| self.snapshot.action_is_in(action, granted));
        let is_in = |group| resource.index.is_some_and(|resource| view.is_in(resource, group));
        if !names_action || !body.covers_resource(resource.uid, is_in) {
            return Err(Reason::NotDelegated);
        }
        if let Some(condition) = self.conditions.get(&grant) {
            let holds = condition.holds(&self.snapshot, prepared, body.agent, view);
            if !matches!(holds, Ok(true)) {
                return Err(Reason::GrantCondition);
            }
        }
        match view.grant_state(grant) {
            GrantState::Live if body.covers_time(self.now) => Ok(()),
            GrantState::Live => Err(Reason::GrantExpired),
            _ => Err(Reason::GrantRevoked),
        }
    }

    /// The intersection of what policy says for each principal.
    fn permitted(
        &self,
        view: &WorldView<'_>,
        prepared: &Prepared,
        principals: &[EntityIndex],
    ) -> Result<Answer, Refusal> {
        let mut passes = Vec::new();
        for principal in principals {
            passes.push(self.snapshot.explain(prepared, *principal, view)?);
        }
        let reason = match passes.iter().map(|pass| pass.outcome).find(|outcome| *outcome != PassOutcome::Permit) {
            None => Reason::Permitted,
            Some(PassOutcome::Forbid) => Reason::Forbidden,
            Some(PassOutcome::Error) => Reason::PolicyError,
            Some(PassOutcome::NoPermit | PassOutcome::Permit) => Reason::NoPermit,
        };
        let verdict = if reason == Reason::Permitted { Verdict::Allow } else { Verdict::Deny };
        let decisive =
            passes.iter().filter(|pass| (pass.outcome == PassOutcome::Permit) == (verdict == Verdict::Allow));
        let mut policies: Vec<PolicyRef> = decisive
            .flat_map(|pass| &pass.reason)
            .filter_map(|policy| self.snapshot.policy(*policy).cloned())
            .collect();
        policies.sort();
        policies.dedup();
        let errors = passes.iter().flat_map(|pass| &pass.errors).filter_map(|(policy, words)| {
            let policy = self.snapshot.policy(*policy)?;
            Some(format!("{}:{} {}: {words}", policy.file, policy.line, policy.id))
        });
        Ok(Answer { verdict, reason, policies, errors: errors.collect() })
    }
}

fn denied(reason: Reason) -> Answer {
    Answer { verdict: Verdict::Deny, reason, policies: Vec::new(), errors: Vec::new() }
}

fn fold(world: &Arc<World>, changes: impl Iterator<Item = Change>, at: Timestamp) -> Result<(), TestError> {
    let mut folder = Folder::new(Arc::clone(world));
    let mut report = FoldReport::default();
    let mut last = 0;
    for (seq, change) in (1_u64..).zip(changes) {
        let id = EventId::from_bytes(u128::from(seq).to_be_bytes());
        folder.fold(Revision::new(EPOCH, seq), &Event { id, at, by: Origin::Node, change }, &mut report);
        last = seq;
    }
    folder.finish();
    world.publish(last);
    match report.quarantined.first() {
        Some(quarantined) => Err(TestError::World(quarantined.why.to_string())),
        None => Ok(()),
    }
}

fn conditions(world: &World, grants: &[GrantRecord]) -> Result<HashMap<GrantIndex, Condition>, TestError> {
    let mut conditions = HashMap::new();
    for grant in grants {
        let (Some(text), Some(index)) = (&grant.condition, world.find_grant(grant.id)) else { continue };
        let wrong = |errors| TestError::World(format!("condition of grant `{}`: {errors}", grant.id));
        conditions.insert(index, compile_condition(text).map_err(wrong)?);
    }
    Ok(conditions)
}

/// What a denial says of a principal that is not alive.
struct DeadReasons {
    unknown: Reason,
    held: Reason,
    suspended: Reason,
    revoked: Reason,
    deactivated: Reason,
}

const USER: DeadReasons = DeadReasons {
    unknown: Reason::UnknownUser,
    held: Reason::UserHeld,
    suspended: Reason::UserSuspended,
    revoked: Reason::UserRevoked,
    deactivated: Reason::UserDeactivated,
};
const AGENT: DeadReasons = DeadReasons {
    unknown: Reason::UnknownAgent,
    held: Reason::AgentHeld,
    suspended: Reason::AgentSuspended,
    revoked: Reason::AgentRevoked,
    deactivated: Reason::AgentDeactivated,
};
/// The epoch of a log that does not exist.
const EPOCH: u32 = 1;
