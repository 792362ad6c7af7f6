//! Several questions of one session in one frame.

use portcullis_model::limits::BATCH_MAX;
use portcullis_model::{Decision, Refusal};
use rkyv::{Archive, Deserialize, Serialize};

use super::decide::{DecisionV1, DetailsV1, RevisionV1};
use super::failure::ErrorV1;
use crate::error::WireError;
use crate::kind::FrameKind;
use crate::payload::Payload;

/// One question of a batch, with registered names.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct BatchItemV1 {
    /// Registered number of the action's name.
    pub action: u32,
    /// Registered number of the resource's name.
    pub resource: u32,
    /// The rest.
    pub details: DetailsV1,
}

/// Questions of one session, answered at one revision. Answered by [`BatchDecisionsV1`].
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct BatchV1 {
    /// The session's handle.
    pub session: u64,
    /// The revision that the answers must have seen.
    pub at_least: RevisionV1,
    /// The questions, 1 to [`BATCH_MAX`].
    pub items: Vec<BatchItemV1>,
}

impl Payload for BatchV1 {
    const KIND: FrameKind = FrameKind::Batch;

    fn validate(&self) -> Result<(), WireError> {
        check_count(self.items.len())?;
        self.items.iter().try_for_each(|item| item.details.validate())
    }
}

/// The answer to one question of a batch: a decision, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct AnswerV1 {
    /// The decision, where `error` is empty.
    pub decision: DecisionV1,
    /// At most one error; where there is one, the decision is all zero.
    pub error: Vec<ErrorV1>,
}

impl AnswerV1 {
    /// An answer that is a decision.
    pub const fn decided(decision: DecisionV1) -> Self {
        Self { decision, error: Vec::new() }
    }

    /// An answer that is none.
    pub fn refused(refusal: &Refusal) -> Self {
        Self { decision: DecisionV1::default(), error: vec![ErrorV1::new(refusal)] }
    }

    /// The decision, or why there is none.
    ///
    /// # Errors
    /// [`WireError::Field`] for an answer that is neither.
    pub fn to_result(&self) -> Result<Result<Decision, Refusal>, WireError> {
        match self.error.as_slice() {
            [] => self.decision.to_decision().map(Ok),
            [error] if self.decision == DecisionV1::default() => error.to_refusal().map(Err),
            _ => Err(WireError::field("error", "stands beside a decision or another error")),
        }
    }
}

/// The answers to a batch, in its order.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct BatchDecisionsV1 {
    /// One for each question.
    pub answers: Vec<AnswerV1>,
}

impl Payload for BatchDecisionsV1 {
    const KIND: FrameKind = FrameKind::BatchDecisions;

    fn validate(&self) -> Result<(), WireError> {
        check_count(self.answers.len())?;
        self.answers.iter().try_for_each(|answer| answer.to_result().map(drop))
    }
}

fn check_count(count: usize) -> Result<(), WireError> {
    if (1..=BATCH_MAX).contains(&count) { Ok(()) } else { Err(WireError::field("items", "has not 1 to 256 items")) }
}
