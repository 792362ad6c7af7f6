//! Asking about named subjects, and the report of the answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_model::{DecisionId, EntityUid, GrantId, PolicyRef, Reason, Revision, SessionId, Value, Verdict};
use serde::{Deserialize, Serialize};

/// The `schema_version` of a [`DecisionReport`].
pub const REPORT_SCHEMA_VERSION: u32 = 1;

/// May this subject, through these agents, do this to that?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The chain, outermost first; an agent that acts through another implies it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<EntityUid>,
    /// The subject.
    pub subject: EntityUid,
    /// The action.
    pub action: EntityUid,
    /// The resource.
    pub resource: EntityUid,
    /// The tool's input, a JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<serde_json::Value>,
    /// Circumstances, as the action's schema declares them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub context: BTreeMap<Arc<str>, Value>,
    /// The answer must have seen this revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Revision>,
}

/// What one pass of the policy set says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PassOutcome {
    /// A policy permits and none forbids.
    Allow,
    /// No policy permits.
    NoPermit,
    /// A policy forbids.
    Forbidden,
    /// A forbid could not be evaluated.
    PolicyError,
    /// The principal is dead or unknown, so that policy was not asked.
    NotAsked,
}

/// A policy that could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyFault {
    /// The policy's id.
    pub policy: Arc<str>,
    /// What went wrong, in words.
    pub message: String,
}

/// What policy says for one principal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrincipalPass {
    /// The principal.
    pub principal: EntityUid,
    /// What policy says.
    pub outcome: PassOutcome,
    /// The policies that determine it.
    pub policies: Vec<PolicyRef>,
    /// The policies that failed.
    pub errors: Vec<PolicyFault>,
}

/// One link of the path of grants from the subject to an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DelegationStep {
    /// Who passes authority on.
    pub from: EntityUid,
    /// To whom.
    pub to: EntityUid,
    /// The grant that does; `None` if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantId>,
    /// Whether it covers the question.
    pub covers: bool,
    /// In words, what the grant covers, or why not.
    pub words: String,
}

/// The answer to a [`Question`], with why. `check` fills it with one sufficient set of policies,
/// `explain` with every one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionReport {
    /// [`REPORT_SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The decision's id, as in the audit record.
    pub decision_id: DecisionId,
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// Why, in a sentence.
    pub words: String,
    /// Determining policies.
    pub policies: Vec<PolicyRef>,
    /// The revision it was made at.
    pub revision: Revision,
    /// Nanoseconds from question to decision inside the node.
    pub latency_ns: u64,
    /// The session that was opened for it; `None` where none could be.
    pub session: Option<SessionId>,
    /// The chain, outermost first.
    pub chain: Vec<EntityUid>,
    /// The subject.
    pub subject: EntityUid,
    /// The action.
    pub action: EntityUid,
    /// The resource.
    pub resource: EntityUid,
    /// What policy says for subject and agents, in this order.
    pub principals: Vec<PrincipalPass>,
    /// The path of grants; empty without agents.
    pub delegation: Vec<DelegationStep>,
    /// For an operator: the command that would change the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}
