//! How an audit log stands.

use serde::{Deserialize, Serialize};

/// How an audit log stands at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Whether it records.
    pub state: HealthState,
    /// Live producers.
    pub producers: usize,
    /// Records taken and not on the device yet.
    pub queued: u64,
    /// Records refused because a queue was full, by the control side and the live producers.
    pub refused: u64,
    /// Entries on the device: the number of the last.
    pub entries: u64,
    /// Batches written in this run.
    pub batches: u64,
    /// Bytes written in this run, without preparing segments.
    pub bytes: u64,
}

/// Whether an audit log records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// It does.
    Good,
    /// It was closed.
    Closed,
    /// A write or sync failed: it records nothing until the node is restarted.
    Poisoned {
        /// What failed.
        cause: String,
    },
}
