//! What a node holds, as lists and single views.

use portcullis_model::{
    EntityRecord, EntityType, EntityUid, GrantId, GrantRecord, PolicySetText, Reason, Revision, SessionId, SetHash,
    Standing, Timestamp,
};
use serde::{Deserialize, Serialize};

/// Which sessions to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionQuery {
    /// Only those of this subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<EntityUid>,
    /// Only those with this agent in their chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<EntityUid>,
    /// At most so many; 0 for [`crate::limits::PAGE_MAX`].
    pub limit: u32,
    /// Only those after this one: `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<SessionId>,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionView {
    /// Its id.
    pub id: SessionId,
    /// The subject.
    pub subject: EntityUid,
    /// The chain, outermost first.
    pub agents: Vec<EntityUid>,
    /// The revision it was born at.
    pub born_at: Revision,
    /// When it ends by itself.
    pub expires: Timestamp,
    /// Why it denies everything; `None` while it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Reason>,
}

/// Some sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionPage {
    /// The sessions.
    pub sessions: Vec<SessionView>,
    /// Where the next page begins; `None` on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<SessionId>,
    /// How many live sessions there are in all.
    pub live: u64,
}

/// Which grants to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GrantQuery {
    /// Only those for this subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<EntityUid>,
    /// Only those of this agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<EntityUid>,
    /// At most so many; 0 for [`crate::limits::PAGE_MAX`].
    pub limit: u32,
    /// Only those after this one: `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<GrantId>,
}

/// One grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantView {
    /// What was issued.
    pub grant: GrantRecord,
    /// Whether it was revoked, or a grant above it was.
    pub revoked: bool,
}

/// Some grants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantPage {
    /// The grants.
    pub grants: Vec<GrantView>,
    /// Where the next page begins; `None` on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<GrantId>,
}

/// Which entities to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EntityQuery {
    /// Only those of this type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity_type: Option<EntityType>,
    /// At most so many; 0 for [`crate::limits::PAGE_MAX`].
    pub limit: u32,
    /// Only those after this one: `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<EntityUid>,
}

/// One entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntityView {
    /// What is stored of it.
    pub entity: EntityRecord,
    /// How it stands, where it is a user or agent.
    pub standing: Standing,
}

/// Some entities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntityPage {
    /// The entities.
    pub entities: Vec<EntityView>,
    /// Where the next page begins; `None` on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<EntityUid>,
}

/// The policy set in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyView {
    /// Its hash.
    pub hash: SetHash,
    /// How many policies it has.
    pub policies: u64,
    /// Its text.
    pub set: PolicySetText,
}

/// How a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// The node's id.
    pub node: String,
    /// Its version.
    pub version: String,
    /// The revision in effect.
    pub revision: Revision,
    /// Hash of the policy set in force; `None` without one.
    pub policy: Option<SetHash>,
    /// How many policies it has.
    pub policies: u64,
    /// How many entities are stored.
    pub entities: u64,
    /// How many grants are in force.
    pub grants: u64,
    /// How many sessions live.
    pub sessions: u64,
    /// How many connections are open.
    pub connections: u64,
    /// Decisions since the start.
    pub decisions: u64,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// Whether audit records can be written.
    pub audit_healthy: bool,
    /// Number of the newest durable audit record.
    pub audit_durable: u64,
    /// Whether changes can be written.
    pub log_healthy: bool,
}
