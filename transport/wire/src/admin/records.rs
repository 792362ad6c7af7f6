//! Reading the audit record.

use portcullis_model::{DecisionId, EntityUid, SessionId, Timestamp, Verdict};
use serde::{Deserialize, Serialize};

/// Which records; all that are named must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditFilter {
    /// The decision of this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionId>,
    /// Of this session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// About this subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<EntityUid>,
    /// With this agent in the chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<EntityUid>,
    /// With this action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<EntityUid>,
    /// On this resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<EntityUid>,
    /// With this verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// With this code of a reason or error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Of this kind, for example `decision` or `change`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Not before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A search, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditQuery {
    /// Which records.
    pub filter: AuditFilter,
    /// At most so many; 0 for [`crate::limits::PAGE_MAX`].
    pub limit: u32,
    /// Only records before this number: `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
}

/// A look at what came since, oldest first; asked again and again it follows the record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditTail {
    /// Which records.
    pub filter: AuditFilter,
    /// At most so many; 0 for [`crate::limits::PAGE_MAX`].
    pub limit: u32,
    /// Only records after this number: `next` of the page before. `None` begins with the newest ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// Some records. Before answering, the node writes what was pushed before it was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditPage {
    /// The records, as the audit format defines them.
    pub entries: Vec<serde_json::Value>,
    /// Where to go on: `before` of the next search, `None` when there is no more; or `after` of the
    /// next look, always given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}
