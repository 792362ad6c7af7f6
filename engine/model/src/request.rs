//! What is asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::revision::Revision;
use crate::time::Timestamp;
use crate::uid::EntityUid;
use crate::value::Value;

/// What the caller will do with the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// Only look: nothing is consumed.
    Preview,
    /// Act on an allow.
    #[default]
    Perform,
}

/// One question within a session: may its subject, through its chain, do this to that?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The action, for example `Action::"slack/post_message"`.
    pub action: EntityUid,
    /// The resource. It need not be stored.
    pub resource: EntityUid,
    /// Circumstances, as the action's schema declares them; never one of the engine's own keys.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub context: BTreeMap<Arc<str>, Value>,
    /// The tool's input as a JSON object; it becomes `context.input` where the schema declares it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Arc<str>>,
    /// Attributes of the resource that the request itself owns.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resource_attributes: BTreeMap<Arc<str>, Value>,
    /// What the caller will do with the answer.
    #[serde(default)]
    pub intent: Intent,
    /// The answer must have seen this revision, or it is `not_fresh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Revision>,
}

impl Request {
    /// A request with an empty context.
    pub fn new(action: EntityUid, resource: EntityUid) -> Self {
        Self {
            action,
            resource,
            context: BTreeMap::new(),
            input: None,
            resource_attributes: BTreeMap::new(),
            intent: Intent::default(),
            at_least: None,
        }
    }
}

/// For whom and through whom a session speaks, after proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionTerms {
    /// The subject.
    pub subject: EntityUid,
    /// The chain of agents, outermost first, at most [`crate::limits::CHAIN_MAX`].
    pub agents: Vec<EntityUid>,
    /// When it ends by itself.
    pub expires: Timestamp,
}
