//! One user with its agents and grants in a real engine, and how things are brought about there.

use portcullis_cells::Handle;
use portcullis_model::{
    Change, EntityRecord, EntityUid, GrantId, GrantRecord, Origin, PolicyFile, PolicySetText, Request, ResourceScope,
    Revision, RevokeScope, SessionId, SessionTerms, Timestamp,
};
use portcullis_runtime::{Decider, Detail, Engine, OpenError};
use portcullis_tests::names::{file_source, named, uid};

use super::model::{Chain, Happening, Outcome};

const SCHEMA: &str = r#"
entity Group;
entity User in [Group];
entity Agent;
entity Channel;
action read appliesTo { principal: [User, Agent], resource: [Channel], context: {} };
"#;
pub(super) const OPEN: &str = r#"
@id("staff") permit(principal is User in Group::"staff", action, resource);
@id("agents") permit(principal is Agent, action, resource);
@id("banned") forbid(principal is User in Group::"banned", action, resource);
"#;
const CLOSED: &str = r#"
@id("staff") permit(principal is User in Group::"staff", action, resource);
@id("agents") permit(principal is Agent, action, resource);
@id("closed") forbid(principal is User, action, resource);
"#;

pub(super) fn policy_set(policies: &str) -> PolicySetText {
    let file = |name: &str, text: &str| PolicyFile { name: name.into(), text: text.into() };
    PolicySetText { schema: file("schema.cedarschema", SCHEMA), files: vec![file("main.cedar", policies)] }
}

pub(super) fn groups() -> Vec<Change> {
    ["Group::staff", "Group::banned", "Channel::general"]
        .map(|name| Change::PutEntity(EntityRecord::named(uid(name))))
        .into()
}

/// The user of one case.
#[derive(Clone)]
pub(super) struct Subject {
    case: u64,
    user: EntityUid,
    outer: EntityUid,
    inner: EntityUid,
    lone: EntityUid,
}

impl Subject {
    pub(super) fn of(case: usize) -> Self {
        let name = |entity_type: &str, part: &str| named(entity_type, &format!("{part}-{case}"));
        Self {
            case: u64::try_from(case).unwrap(),
            user: name("User", "user"),
            outer: name("Agent", "outer"),
            inner: name("Agent", "inner"),
            lone: name("Agent", "lone"),
        }
    }

    /// What stores it, with a grant to the outer agent that it has passed on to the inner one.
    pub(super) fn changes(&self) -> Vec<Change> {
        let user = EntityRecord { parents: vec![uid("Group::staff")], ..EntityRecord::named(self.user.clone()) };
        let agents = [&self.outer, &self.inner, &self.lone].map(|agent| EntityRecord::named(agent.clone()));
        let mut changes = vec![Change::PutEntity(user)];
        changes.extend(agents.map(Change::PutEntity));
        changes.push(Change::Grant(GrantRecord { depth_left: 1, ..self.grant(1, &self.outer) }));
        changes.push(Change::Grant(GrantRecord {
            grantor: self.outer.clone(),
            parent: Some(self.grant_id(1)),
            ..self.grant(2, &self.inner)
        }));
        changes
    }

    fn grant_id(&self, number: u64) -> GrantId {
        GrantId::from_words([self.case, number])
    }

    fn grant(&self, number: u64, agent: &EntityUid) -> GrantRecord {
        GrantRecord {
            id: self.grant_id(number),
            grantor: self.user.clone(),
            subject: self.user.clone(),
            agent: agent.clone(),
            parent: None,
            depth_left: 0,
            actions: vec![uid("Action::read")],
            resource: ResourceScope::Any,
            condition: None,
            not_before: None,
            expires: None,
        }
    }

    fn terms(&self, chain: Chain) -> SessionTerms {
        let agents = match chain {
            Chain::Delegated => vec![self.outer.clone(), self.inner.clone()],
            Chain::Lone => vec![self.lone.clone()],
            Chain::Direct => Vec::new(),
        };
        SessionTerms { subject: self.user.clone(), agents, expires: Timestamp::MAX }
    }

    /// Opens a session and asks in it.
    pub(super) fn open(
        &self,
        engine: &Engine,
        decider: &mut Decider,
        chain: Chain,
    ) -> (Outcome, Option<(SessionId, Handle)>) {
        match engine.open_session(&self.terms(chain), "fold") {
            Ok(opened) => (self.decide(decider, opened.handle), Some((opened.id, opened.handle))),
            Err(OpenError::Denied(reason)) => (Outcome(reason), None),
            Err(OpenError::Refused(refusal)) => panic!("{refusal}"),
        }
    }

    pub(super) fn decide(&self, decider: &mut Decider, handle: Handle) -> Outcome {
        self.decide_at(decider, handle).1
    }

    pub(super) fn decide_at(&self, decider: &mut Decider, handle: Handle) -> (Revision, Outcome) {
        decider.begin();
        let request = Request::new(uid("Action::read"), uid("Channel::general"));
        let decision = decider.decide(handle, &request, Detail::Brief).unwrap().decision;
        decider.idle();
        let outcome = Outcome(decision.reason);
        assert_eq!(decision.verdict, outcome.verdict());
        (decision.revision, outcome)
    }

    /// Makes it happen, the `number`th for this user, and says at which revision. Revocations are in
    /// force when this returns, other changes are effective.
    pub(super) async fn bring_about(
        &self,
        engine: &Engine,
        happening: Happening,
        number: usize,
        first: Option<SessionId>,
    ) -> Revision {
        if happening == Happening::ClosePolicy {
            return engine.publish_policy(policy_set(CLOSED), Origin::Node).await.unwrap().revision;
        }
        match self.change(happening, number, first).unwrap() {
            Change::Revoke(scope) => engine.revoke(scope, Origin::Node).await.unwrap().revision,
            Change::Restore(uid) => engine.restore(uid, Origin::Node).await.unwrap(),
            change => engine.apply(vec![change], Origin::Node).await.unwrap(),
        }
    }

    /// The change in the log; `None` for what is more than one, or names a session that is not given.
    pub(super) fn change(&self, happening: Happening, number: usize, first: Option<SessionId>) -> Option<Change> {
        let (user, source) = (|| self.user.clone(), file_source());
        Some(match happening {
            Happening::RevokeUser => Change::Revoke(RevokeScope::User(user())),
            Happening::RestoreUser => Change::Restore(user()),
            Happening::RevokeAgent => Change::Revoke(RevokeScope::Agent(self.inner.clone())),
            Happening::RestoreAgent => Change::Restore(self.inner.clone()),
            Happening::RevokeGrant => Change::Revoke(RevokeScope::Grant(self.grant_id(1))),
            Happening::RevokeSubtree => Change::Revoke(RevokeScope::Subtree(self.grant_id(1))),
            Happening::RevokeSession => {
                Change::Revoke(RevokeScope::Session { id: first?, until: Timestamp::from_millis(u64::MAX - 1) })
            }
            Happening::RevokeEverything => Change::Revoke(RevokeScope::Everything),
            Happening::Hold => Change::Hold { uid: user(), source },
            Happening::Release => Change::Release { uid: user(), source },
            Happening::Suspend => Change::Suspend { uid: user(), source },
            Happening::Deactivate => Change::Deactivate { uid: user(), source },
            Happening::Reactivate => Change::Reactivate { uid: user(), source },
            Happening::SuspendAgent => Change::Suspend { uid: self.inner.clone(), source },
            Happening::Grant => Change::Grant(self.grant(10 + u64::try_from(number).unwrap(), &self.lone)),
            Happening::JoinBanned => members("Group::banned", vec![user()], vec![]),
            Happening::LeaveStaff => members("Group::staff", vec![], vec![user()]),
            Happening::ClosePolicy => return None,
        })
    }
}

fn members(group: &str, add: Vec<EntityUid>, remove: Vec<EntityUid>) -> Change {
    Change::ChangeMembers { group: uid(group), add, remove }
}
