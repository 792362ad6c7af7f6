//! Answers, read from frames.

use std::time::Duration;

use portcullis_model::{Decision, Refusal};
use portcullis_wire::frames::{
    AnswerV1, BatchDecisionsV1, ClosedV1, DecisionV1, ErrorV1, OpenedV1, RegisteredV1, SubscribedV1,
};
use portcullis_wire::{Frame, FrameKind, WireError};

use crate::error::DecideError;

/// One answer.
#[derive(Debug)]
pub(crate) enum Reply {
    Decision(Decision),
    Batch(Vec<AnswerV1>),
    Opened(Box<OpenedV1>),
    Closed,
    Registered(RegisteredV1),
    Subscribed(SubscribedV1),
    /// The JSON of an administrative reply.
    Admin(Vec<u8>),
    Refused(DecideError),
    /// What came cannot be read.
    Bad(WireError),
}

impl Reply {
    /// The answer that a frame holds; an administrative reply's chunks are not answers yet.
    pub(crate) fn read(frame: &Frame<'_>) -> Self {
        Self::try_read(frame).unwrap_or_else(Self::Bad)
    }

    fn try_read(frame: &Frame<'_>) -> Result<Self, WireError> {
        Ok(match frame.kind()? {
            FrameKind::Decision => Self::Decision(frame.read::<DecisionV1>()?.to_decision()?),
            FrameKind::BatchDecisions => Self::Batch(frame.read::<BatchDecisionsV1>()?.answers),
            FrameKind::Opened => Self::Opened(Box::new(frame.read::<OpenedV1>()?)),
            FrameKind::Closed => frame.read::<ClosedV1>().map(|_| Self::Closed)?,
            FrameKind::Registered => Self::Registered(frame.read::<RegisteredV1>()?),
            FrameKind::Subscribed => Self::Subscribed(frame.read::<SubscribedV1>()?),
            FrameKind::Error => Self::Refused(refused(&frame.read::<ErrorV1>()?)?),
            other => return Err(WireError::UnexpectedKind(other)),
        })
    }

    /// What a caller is told that expected another answer.
    pub(crate) fn into_error(self) -> DecideError {
        match self {
            Self::Refused(error) => error,
            Self::Bad(error) => DecideError::Protocol(error),
            _ => DecideError::unexpected("kind", "is not an answer to this request"),
        }
    }
}

fn refused(error: &ErrorV1) -> Result<DecideError, WireError> {
    let hint = Some(error.retry_after_ms).filter(|millis| *millis > 0);
    let retry_after = hint.map(|millis| Duration::from_millis(millis.into()));
    Ok(DecideError::Refused { refusal: error.to_refusal()?, retry_after })
}

/// The refusal of an error frame that is about the connection.
pub(crate) fn refusal_of(frame: &Frame<'_>) -> Result<Refusal, WireError> {
    frame.read::<ErrorV1>()?.to_refusal()
}
