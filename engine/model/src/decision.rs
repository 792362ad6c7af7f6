//! What is answered.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::id128;
use crate::reason::Reason;
use crate::revision::Revision;

id128!(
    /// A decision, as its audit record names it. Written `d_` and 32 hexadecimal digits.
    DecisionId,
    "decision",
    "d_"
);

/// The three verdicts. Not reaching one is an error, never a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It may be done.
    Allow,
    /// It may not.
    Deny,
    /// A person must approve first; until then it may not.
    Suspend,
}

/// A policy that took part in a decision, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PolicyRef {
    /// Its id: `@id`, else `policyN` in file order.
    pub id: Arc<str>,
    /// The file.
    pub file: Arc<str>,
    /// The line on which it begins, from 1.
    pub line: u32,
}

/// An answer at one revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "a decision that nobody looks at protects nothing"]
#[non_exhaustive]
pub struct Decision {
    /// Its id.
    pub id: DecisionId,
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// One sufficient set of determining policies.
    pub policies: Vec<PolicyRef>,
    /// The revision it was made at.
    pub revision: Revision,
    /// What the enforcement point must do besides; an unknown obligation means refuse.
    pub obligations: Vec<Arc<str>>,
}

impl Decision {
    /// A decision from its parts, without obligations.
    pub fn new(id: DecisionId, verdict: Verdict, reason: Reason, policies: Vec<PolicyRef>, revision: Revision) -> Self {
        Self { id, verdict, reason, policies, revision, obligations: Vec::new() }
    }
}
