//! Sessions and decisions, against the peer.

use std::time::Duration;

use portcullis_wire::FrameKind;

use super::peer::{Command, Manner, ask, asserted, connected, in_session};
use crate::{DecideError, ErrorCode, OpenError, Reason, Require, Revision, Verdict, WireError};

#[tokio::test]
async fn decisions_arrive_with_their_names_numbered_after_first_use() {
    let (mut peer, _client, session) = in_session(Manner::default()).await;
    for _ in 0..2 {
        let allow = session.decide(&ask("Channel::open")).await.expect("decided");
        assert_eq!(
            (allow.verdict, allow.reason, allow.revision),
            (Verdict::Allow, Reason::Permitted, Revision::new(1, 5))
        );
        assert!(allow.require().is_ok());
        // Numbers arrive on the first lane and answers on the session's: let both have arrived.
        session.refresh(&[]).await.expect("refreshed");
    }
    let denied = session.decide_detailed(&ask("Channel::denied")).await.expect("decided");
    assert_eq!((denied.verdict, denied.policies.len()), (Verdict::Deny, 1));
    assert!(denied.require().is_err());
    let kinds = peer.decides();
    assert_eq!(kinds, [FrameKind::DecideText, FrameKind::Decide, FrameKind::DecideText]);
}

#[tokio::test]
async fn names_beyond_the_nodes_limit_travel_as_text() {
    let (mut peer, _client, session) = in_session(Manner { names: 1, ..Manner::default() }).await;
    for _ in 0..3 {
        assert!(session.decide(&ask("Channel::open")).await.is_ok());
    }
    assert_eq!(peer.decides(), [FrameKind::DecideText; 3]);
}

#[tokio::test]
async fn refusals_carry_their_code_and_hint() {
    let (_peer, _client, session) = in_session(Manner::default()).await;
    let full = session.decide(&ask("Channel::full")).await.expect_err("refused");
    assert_eq!((full.code(), full.is_retryable()), (Some(ErrorCode::Overloaded), true));
    assert_eq!(full.retry_after(), Some(Duration::from_millis(30)));
    let bad = session.decide(&ask("Channel::bad")).await.expect_err("refused");
    assert_eq!((bad.code(), bad.is_retryable()), (Some(ErrorCode::UnknownType), false));
}

#[tokio::test]
async fn requests_too_large_are_refused_here() {
    let (_peer, _client, session) = in_session(Manner::default()).await;
    let mut request = ask("Channel::open");
    request.input = Some("x".repeat(4_097).into());
    let error = session.decide(&request).await.expect_err("refused");
    assert_eq!(error.code(), Some(ErrorCode::TooLarge));
    request.input = None;
    request.context.insert("text".into(), crate::Value::String("x".repeat(20_000).into()));
    let error = session.decide(&request).await.expect_err("refused");
    assert_eq!(error.code(), Some(ErrorCode::TooLarge));
    request.context.insert("text".into(), crate::Value::String("x".repeat(10_000).into()));
    assert!(session.decide(&request).await.is_ok(), "more than a numbered frame holds goes as text");
}

#[tokio::test]
async fn an_answer_older_than_asked_for_is_no_answer() {
    let (_peer, _client, session) = in_session(Manner::default()).await;
    let mut request = ask("Channel::open");
    request.at_least = Some(Revision::new(1, 5));
    assert!(session.decide(&request).await.is_ok());
    for newer in [Revision::new(1, 6), Revision::new(2, 1)] {
        request.at_least = Some(newer);
        let error = session.decide(&request).await.expect_err("refused");
        assert!(matches!(error, DecideError::Protocol(WireError::Field { field: "revision", .. })));
    }
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let (peer, _client) = connected(Manner::default()).await;
    let mut options = peer.options();
    options.deadline = Duration::from_millis(60);
    let client = crate::Client::connect(options).await.expect("connected");
    let session = client.open(&asserted("User::ada")).await.expect("opened");
    let error = session.decide(&ask("Channel::silent")).await.expect_err("no answer");
    assert_eq!(error, DecideError::Timeout(Duration::from_millis(60)));
}

#[tokio::test]
async fn a_dropped_future_frees_its_place_and_its_late_answer_is_discarded() {
    let (mut peer, _client, session) = in_session(Manner { in_flight: 1, ..Manner::default() }).await;
    let request = ask("Channel::late");
    {
        let waiting = session.decide(&request);
        tokio::pin!(waiting);
        tokio::select! {
            _ = &mut waiting => panic!("nothing was answered"),
            _ = peer.until(FrameKind::DecideText) => {}
        }
        let second = session.decide(&ask("Channel::open")).await;
        assert_eq!(second, Err(DecideError::Overloaded), "the only place is taken");
    }
    // The peer answers the late one first, then this one.
    let denied = session.decide(&ask("Channel::denied")).await.expect("decided");
    assert_eq!(denied.verdict, Verdict::Deny, "not the late allow");
}

#[tokio::test]
async fn batches_are_answered_one_by_one_in_order() {
    let (mut peer, _client, session) = in_session(Manner::default()).await;
    let requests: Vec<_> =
        ["Channel::open", "Channel::denied", "Channel::full", "Channel::open"].map(ask).into_iter().collect();
    for round in 0..2 {
        let answers = session.batch(&requests).await.expect("answered");
        let verdicts: Vec<_> = answers.into_iter().map(|answer| answer.map(|decision| decision.verdict)).collect();
        assert_eq!(verdicts[..2], [Ok(Verdict::Allow), Ok(Verdict::Deny)]);
        assert_eq!(verdicts[2].as_ref().map_err(DecideError::code), Err(Some(ErrorCode::Overloaded)));
        assert_eq!(verdicts[3], Ok(Verdict::Allow));
        session.refresh(&[]).await.expect("refreshed");
        let batches = peer.decides().into_iter().filter(|kind| *kind == FrameKind::Batch).count();
        assert_eq!(batches, round, "numbered names share one frame");
    }
    let many: Vec<_> = (0..600).map(|_| ask("Channel::open")).collect();
    assert!(session.batch(&many).await.expect("answered").iter().all(Result::is_ok));
    assert_eq!(peer.decides(), [FrameKind::Batch; 3]);
    let mut mixed = vec![ask("Channel::open"), ask("Channel::open")];
    mixed[0].at_least = Some(Revision::new(1, 6));
    let answers = session.batch(&mixed).await.expect("answered");
    assert!(answers[0].is_err() && answers[1].is_ok(), "each answer is held to its own request");
    assert_eq!(session.batch(&[]).await, Ok(vec![]));
}

#[tokio::test]
async fn dead_subjects_are_denied_and_strangers_refused() {
    let (_peer, client) = connected(Manner::default()).await;
    match client.open(&asserted("User::dead")).await.expect_err("denied") {
        OpenError::Denied(decision) => assert_eq!(decision.reason, Reason::UserRevoked),
        OpenError::Failed(error) => panic!("{error}"),
    }
    let error = client.open(&asserted("User::stranger")).await.expect_err("refused");
    assert!(!error.is_retryable());
    assert!(matches!(error, OpenError::Failed(error) if error.code() == Some(ErrorCode::NotPermitted)));
}

#[tokio::test]
async fn sessions_close_when_closed_and_when_dropped() {
    let (mut peer, client, session) = in_session(Manner::default()).await;
    session.close().await.expect("closed");
    assert_eq!(peer.until(FrameKind::Close).await.detail, 6);
    drop(client.open(&asserted("User::ada")).await.expect("opened"));
    assert_eq!(peer.until(FrameKind::Close).await.detail, 6);
}

#[tokio::test]
async fn a_session_opened_for_nobody_is_closed() {
    let (mut peer, client, session) = in_session(Manner::default()).await;
    let request = asserted("User::slow");
    {
        let opening = client.open(&request);
        tokio::pin!(opening);
        tokio::select! {
            _ = &mut opening => panic!("nothing was answered"),
            _ = async { peer.until(FrameKind::Open).await; peer.until(FrameKind::Open).await } => {}
        }
    }
    assert!(session.decide(&ask("Channel::open")).await.is_ok());
    assert_eq!(peer.until(FrameKind::Close).await.detail, 8);
}

#[tokio::test]
async fn refreshing_takes_the_new_token() {
    let (_peer, _client, session) = in_session(Manner::default()).await;
    assert_eq!(session.token_expires().as_millis(), 6_000);
    session.refresh(&[]).await.expect("refreshed");
    assert_eq!(session.token_expires().as_millis(), 7_000);
    assert_eq!((session.subject().id(), session.agents().len()), ("ada", 1));
}

#[tokio::test]
async fn frames_that_break_the_protocol_end_the_connection() {
    let (peer, client, session) = in_session(Manner::default()).await;
    let mut events = client.subscribe();
    peer.tell(Command::Raw(b"GET / HTTP/1.1\r\n\r\n".to_vec()));
    assert_eq!(events.next().await, Some(crate::Event::Disconnected));
    let error = session.decide(&ask("Channel::open")).await;
    assert!(matches!(error, Ok(_) | Err(DecideError::Unreachable)), "resumed, or not yet: {error:?}");
}
