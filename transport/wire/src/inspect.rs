//! Reads whatever comes, as far as it can be read without a connection's state.

use crate::admin::{AdminAssembler, AdminReply, AdminRequest};
use crate::error::WireError;
use crate::frames::{
    AppliedV1, BatchDecisionsV1, BatchV1, CloseV1, ClosedV1, DecideTextV1, DecideV1, DecisionV1, EndedV1, ErrorV1,
    GoAwayV1, HeartbeatV1, HelloV1, OpenV1, OpenedV1, RefreshV1, RegisterV1, RegisteredV1, SubscribeV1, SubscribedV1,
    WelcomeV1,
};
use crate::kind::FrameKind;
use crate::reader::{Frame, FrameReader};

/// Reads a frame's payload whole and checks every field. The chunk of an administrative message is
/// taken as it is.
///
/// # Errors
/// As [`Frame::read`].
pub fn inspect(frame: &Frame<'_>) -> Result<(), WireError> {
    match frame.kind()? {
        FrameKind::Hello => frame.read::<HelloV1>().map(drop),
        FrameKind::Welcome => frame.read::<WelcomeV1>().map(drop),
        FrameKind::Error => frame.read::<ErrorV1>()?.to_refusal().map(drop),
        FrameKind::Register => frame.read::<RegisterV1>().map(drop),
        FrameKind::Registered => frame.read::<RegisteredV1>().map(drop),
        FrameKind::Open => frame.read::<OpenV1>().map(drop),
        FrameKind::Opened => frame.read::<OpenedV1>().map(drop),
        FrameKind::Refresh => frame.read::<RefreshV1>().map(drop),
        FrameKind::Close => frame.read::<CloseV1>().map(drop),
        FrameKind::Closed => frame.read::<ClosedV1>().map(drop),
        FrameKind::Decide => frame.read::<DecideV1>().map(drop),
        FrameKind::DecideText => frame.read::<DecideTextV1>().map(drop),
        FrameKind::Decision => frame.read::<DecisionV1>()?.to_decision().map(drop),
        FrameKind::Batch => frame.read::<BatchV1>().map(drop),
        FrameKind::BatchDecisions => frame.read::<BatchDecisionsV1>().map(drop),
        FrameKind::Subscribe => frame.read::<SubscribeV1>().map(drop),
        FrameKind::Subscribed => frame.read::<SubscribedV1>().map(drop),
        FrameKind::Ended => frame.read::<EndedV1>().map(drop),
        FrameKind::Heartbeat => frame.read::<HeartbeatV1>().map(drop),
        FrameKind::GoAway => frame.read::<GoAwayV1>().map(drop),
        FrameKind::Applied => frame.read::<AppliedV1>().map(drop),
        FrameKind::Admin | FrameKind::AdminReply => Ok(()),
    }
}

/// Drives every decoder of both sides over `bytes`: what a fuzzer calls. The first byte chooses the
/// chunk size. Returns how many frames were read without an error.
pub fn fuzz_decode(bytes: &[u8]) -> usize {
    let Some((size, stream)) = bytes.split_first() else { return 0 };
    let chunk_bytes = usize::from(*size).max(1);
    drive(FrameReader::for_server(), stream, chunk_bytes) + drive(FrameReader::for_client(), stream, chunk_bytes)
}

fn drive(mut reader: FrameReader, stream: &[u8], chunk_bytes: usize) -> usize {
    let mut calls = AdminAssembler::default();
    let mut good = 0;
    for chunk in stream.chunks(chunk_bytes) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let taken = reader.push(rest);
            rest = rest.get(taken..).unwrap_or_default();
            loop {
                match reader.next_frame() {
                    Ok(Some(frame)) => good += usize::from(decodes(&frame, &mut calls)),
                    Ok(None) => break,
                    Err(_) => return good,
                }
            }
        }
    }
    good
}

fn decodes(frame: &Frame<'_>, calls: &mut AdminAssembler) -> bool {
    if let Ok(archived) = frame.access::<DecideTextV1>() {
        return archived.to_request().is_ok() && inspect(frame).is_ok();
    }
    match frame.kind() {
        Ok(FrameKind::Admin) => {
            calls.push(frame).is_ok_and(|whole| whole.is_none_or(|json| AdminRequest::from_json(&json).is_ok()))
        }
        Ok(FrameKind::AdminReply) => {
            calls.push(frame).is_ok_and(|whole| whole.is_none_or(|json| AdminReply::from_json(&json).is_ok()))
        }
        _ => inspect(frame).is_ok(),
    }
}
