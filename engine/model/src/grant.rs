//! What an agent may do for a subject.

use serde::{Deserialize, Serialize};

use crate::ids::GrantId;
use crate::time::Timestamp;
use crate::uid::{EntityType, EntityUid};

/// The resources that a grant reaches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceScope {
    /// Every resource.
    Any,
    /// One resource.
    One(EntityUid),
    /// A resource and all that is in it.
    In(EntityUid),
    /// Every resource of a type.
    OfType(EntityType),
}

/// Stored permission for an agent to act for a subject; with a `parent` it is a delegation, which
/// covers a request only while every grant up to its root does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantRecord {
    /// Its id, chosen by the issuer.
    pub id: GrantId,
    /// Who issued it: the subject, an administrator, or for a delegation the delegating agent.
    pub grantor: EntityUid,
    /// For whom the agent acts: a user, or a group or organisation (administrators only).
    pub subject: EntityUid,
    /// The agent.
    pub agent: EntityUid,
    /// The grant that this one passes on; `None` for a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<GrantId>,
    /// How often it may still be passed on, 0 to [`crate::limits::DELEGATION_DEPTH_MAX`].
    #[serde(default)]
    pub depth_left: u8,
    /// Actions or action groups; empty covers nothing.
    pub actions: Vec<EntityUid>,
    /// The resources.
    pub resource: ResourceScope,
    /// A Cedar condition, for example `when { context.input.size < 10 }`; one that errors does not cover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// From when it covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Until when it covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}
