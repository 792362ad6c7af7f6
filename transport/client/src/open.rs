//! What a session is opened with.

use std::time::Duration;

use portcullis_model::EntityUid;
use portcullis_wire::frames::{OpenV1, Proof, ProofV1};

/// Proofs of the subject and of each agent of the chain, and how long the session shall last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRequest {
    /// Proof of the subject.
    pub subject: Proof,
    /// Proofs of the agents, outermost first, at most 8.
    pub agents: Vec<Proof>,
    /// The longest life; `None` for as long as the node allows.
    pub life: Option<Duration>,
}

impl OpenRequest {
    /// A session by proofs, outermost agent first.
    pub fn new(subject: Proof, agents: Vec<Proof>) -> Self {
        Self { subject, agents, life: None }
    }

    /// A session by names, on a connection that is registered to assert them.
    pub fn asserted(subject: EntityUid, agents: impl IntoIterator<Item = EntityUid>) -> Self {
        Self::new(Proof::Asserted(subject), agents.into_iter().map(Proof::Asserted).collect())
    }

    pub(crate) fn to_frame(&self) -> OpenV1 {
        let life_ms = self.life.map_or(0, |life| u64::try_from(life.as_millis()).unwrap_or(u64::MAX).max(1));
        OpenV1 {
            subject: ProofV1::from(&self.subject),
            agents: self.agents.iter().map(ProofV1::from).collect(),
            life_ms,
        }
    }
}
