//! Administrative calls.

use portcullis_model::{
    Change, EntityRecord, EntityUid, GrantId, GrantRecord, PolicySetText, ResourceScope, SessionId, Timestamp,
};
use serde::{Deserialize, Serialize};

use super::question::Question;
use super::records::{AuditQuery, AuditTail};
use super::state::{EntityQuery, GrantQuery, SessionQuery};
use crate::error::WireError;
use crate::role::Role;

/// What a revocation withdraws, as a caller names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum RevokeTarget {
    /// One session, for good.
    Session {
        /// The session.
        id: SessionId,
    },
    /// A user: every session, and new ones until restored.
    User {
        /// The user.
        uid: EntityUid,
    },
    /// An agent: every session with it in its chain, and new ones until restored.
    Agent {
        /// The agent.
        uid: EntityUid,
    },
    /// A grant, for good.
    Grant {
        /// The grant.
        id: GrantId,
    },
    /// A grant and every delegation below it, for good.
    Subtree {
        /// The grant.
        id: GrantId,
    },
    /// Every session.
    Everything {},
}

/// Who can be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// A user.
    User,
    /// An agent.
    Agent,
}

/// A grant to issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantOrder {
    /// Its id; the node chooses one where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<GrantId>,
    /// Who issues it; the subject where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grantor: Option<EntityUid>,
    /// For whom the agent acts.
    pub subject: EntityUid,
    /// The agent.
    pub agent: EntityUid,
    /// How often it may be passed on.
    #[serde(default)]
    pub depth_left: u8,
    /// Actions or action groups.
    pub actions: Vec<EntityUid>,
    /// The resources.
    pub resource: ResourceScope,
    /// A Cedar condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// From when it covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Until when it covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

impl GrantOrder {
    /// The grant; `fresh` is its id where the order has none.
    pub fn into_record(self, fresh: GrantId) -> GrantRecord {
        GrantRecord {
            id: self.id.unwrap_or(fresh),
            grantor: self.grantor.unwrap_or_else(|| self.subject.clone()),
            subject: self.subject,
            agent: self.agent,
            parent: None,
            depth_left: self.depth_left,
            actions: self.actions,
            resource: self.resource,
            condition: self.condition,
            not_before: self.not_before,
            expires: self.expires,
        }
    }
}

/// A delegation to issue: the agent of `parent` passes it on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DelegateOrder {
    /// Its id; the node chooses one where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<GrantId>,
    /// The grant that is passed on.
    pub parent: GrantId,
    /// To which agent.
    pub agent: EntityUid,
    /// How often it may be passed on further.
    #[serde(default)]
    pub depth_left: u8,
    /// Actions or action groups.
    pub actions: Vec<EntityUid>,
    /// The resources.
    pub resource: ResourceScope,
    /// A Cedar condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// From when it covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Until when it covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

impl DelegateOrder {
    /// The delegation of `parent`; `fresh` is its id where the order has none.
    pub fn into_record(self, parent: &GrantRecord, fresh: GrantId) -> GrantRecord {
        GrantRecord {
            id: self.id.unwrap_or(fresh),
            grantor: parent.agent.clone(),
            subject: parent.subject.clone(),
            agent: self.agent,
            parent: Some(self.parent),
            depth_left: self.depth_left,
            actions: self.actions,
            resource: self.resource,
            condition: self.condition,
            not_before: self.not_before,
            expires: self.expires,
        }
    }
}

/// One administrative call. Its JSON is an object with the name of the call in `op`; unknown fields
/// are refused, which is why calls without parameters are empty structures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum AdminRequest {
    /// Decides about a named subject, in a session of its own, audited. Reply: report.
    Check(Question),
    /// As check, with every policy and error. Reply: report.
    Explain(Question),
    /// Withdraws. Reply: revoked.
    Revoke {
        /// What.
        target: RevokeTarget,
    },
    /// Lifts an administrator's revocation. Reply: done.
    Restore {
        /// What it is.
        kind: PrincipalKind,
        /// Who.
        uid: EntityUid,
    },
    /// Issues a grant. Reply: granted.
    Grant(GrantOrder),
    /// Issues a delegation. Reply: granted.
    Delegate(DelegateOrder),
    /// Lists grants. Reply: grants.
    GrantList(GrantQuery),
    /// Lists sessions. Reply: sessions.
    SessionList(SessionQuery),
    /// Shows a session. Reply: session.
    SessionShow {
        /// Which.
        id: SessionId,
    },
    /// Stores entities whole. Reply: done.
    EntityPut {
        /// The entities.
        entities: Vec<EntityRecord>,
    },
    /// Lists entities. Reply: entities.
    EntityList(EntityQuery),
    /// Shows an entity. Reply: entity.
    EntityShow {
        /// Which.
        uid: EntityUid,
    },
    /// Applies changes in order, all validated before the first. Reply: done.
    Events {
        /// The changes.
        changes: Vec<Change>,
    },
    /// Stages and activates a policy set. Reply: policy pushed.
    PolicyPush {
        /// The set.
        set: PolicySetText,
    },
    /// Shows the policy set in force. Reply: policy.
    PolicyShow {},
    /// Searches the audit record, newest first. Reply: audit.
    AuditSearch(AuditQuery),
    /// Follows the audit record, oldest first. Reply: audit.
    AuditTail(AuditTail),
    /// Reply: status.
    Status {},
}

impl AdminRequest {
    /// The role that a connection needs for it.
    pub const fn needed_role(&self) -> Role {
        match self {
            Self::Check(_) | Self::Explain(_) => Role::Pep,
            Self::GrantList(_)
            | Self::SessionList(_)
            | Self::SessionShow { .. }
            | Self::EntityList(_)
            | Self::EntityShow { .. }
            | Self::PolicyShow {}
            | Self::AuditSearch(_)
            | Self::AuditTail(_)
            | Self::Status {} => Role::Auditor,
            Self::Revoke { .. }
            | Self::Restore { .. }
            | Self::Grant(_)
            | Self::Delegate(_)
            | Self::EntityPut { .. }
            | Self::Events { .. }
            | Self::PolicyPush { .. } => Role::Operator,
        }
    }

    /// The name of the call, as its JSON and the audit record have it.
    pub const fn operation(&self) -> &'static str {
        match self {
            Self::Check(_) => "check",
            Self::Explain(_) => "explain",
            Self::Revoke { .. } => "revoke",
            Self::Restore { .. } => "restore",
            Self::Grant(_) => "grant",
            Self::Delegate(_) => "delegate",
            Self::GrantList(_) => "grant_list",
            Self::SessionList(_) => "session_list",
            Self::SessionShow { .. } => "session_show",
            Self::EntityPut { .. } => "entity_put",
            Self::EntityList(_) => "entity_list",
            Self::EntityShow { .. } => "entity_show",
            Self::Events { .. } => "events",
            Self::PolicyPush { .. } => "policy_push",
            Self::PolicyShow {} => "policy_show",
            Self::AuditSearch(_) => "audit_search",
            Self::AuditTail(_) => "audit_tail",
            Self::Status {} => "status",
        }
    }

    /// The call of its JSON.
    ///
    /// # Errors
    /// [`WireError::AdminJson`] with line and column.
    pub fn from_json(json: &[u8]) -> Result<Self, WireError> {
        serde_json::from_slice(json).map_err(|error| WireError::AdminJson(error.to_string()))
    }

    /// Its JSON.
    ///
    /// # Errors
    /// [`WireError::AdminJson`] if it has none.
    pub fn to_json(&self) -> Result<Vec<u8>, WireError> {
        serde_json::to_vec(self).map_err(|error| WireError::AdminJson(error.to_string()))
    }
}
