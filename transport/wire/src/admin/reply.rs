//! Replies to administrative calls.

use portcullis_model::{GrantId, Refusal, Revision, SetHash};
use serde::{Deserialize, Serialize};

use super::question::DecisionReport;
use super::records::AuditPage;
use super::state::{EntityPage, EntityView, GrantPage, PolicyView, SessionPage, SessionView, Status};
use crate::error::WireError;

/// How far a revocation has come when it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforcement {
    /// It is in the log and survives every crash.
    Durable,
    /// Besides, no node allows anything against it any more.
    Enforced,
}

/// A revocation's acknowledgement: no allow against it leaves the node from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// Its revision.
    pub revision: Revision,
    /// How far it has come.
    pub level: Enforcement,
    /// How many sessions it ended.
    pub sessions: u64,
    /// Microseconds from call to acknowledgement inside the node.
    pub elapsed_us: u64,
    /// The node's monotonic clock at the acknowledgement, in nanoseconds; the one that decisions carry.
    pub node_ns: u64,
}

/// A policy set is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyPushed {
    /// Its hash.
    pub hash: SetHash,
    /// How many policies it has.
    pub policies: u64,
    /// The revision from which it is in force.
    pub revision: Revision,
    /// What to look at, in words, each with file and line.
    pub warnings: Vec<String>,
}

/// One reply. Its JSON is an object with the kind of reply in `reply`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
#[non_exhaustive]
pub enum AdminReply {
    /// The call was not carried out.
    Refused(Refusal),
    /// To check and explain.
    Report(Box<DecisionReport>),
    /// To revoke.
    Revoked(Revoked),
    /// To calls that only change something.
    Done {
        /// The revision from which the change is in effect.
        revision: Revision,
    },
    /// To grant and delegate.
    Granted {
        /// The grant's id.
        id: GrantId,
        /// The revision from which it is in effect.
        revision: Revision,
    },
    /// To grant list.
    Grants(GrantPage),
    /// To session list.
    Sessions(SessionPage),
    /// To session show.
    Session(SessionView),
    /// To entity list.
    Entities(EntityPage),
    /// To entity show.
    Entity(EntityView),
    /// To policy push.
    PolicyPushed(PolicyPushed),
    /// To policy show.
    Policy(PolicyView),
    /// To audit search and tail.
    Audit(AuditPage),
    /// To status.
    Status(Status),
}

impl AdminReply {
    /// The reply of its JSON.
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
