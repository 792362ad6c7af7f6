//! What the node pushes, and what a client makes of it.

use portcullis_model::Revision;
use portcullis_wire::frames::{DecisionV1, EndedScope, EndedV1, SubscribedV1, Want};
use portcullis_wire::{FrameKind, FrameWriter};

use super::peer::{Command, Manner, Peer, ask, decision, in_session, uid};
use crate::{DecideError, Event, OpenError};

fn ended(push_seq: u64) -> EndedV1 {
    EndedV1::new(push_seq, Revision::new(1, push_seq), &EndedScope::Agent(uid("Agent::mailer")), 2)
}

/// Waits until the client has applied a push frame.
async fn applied(peer: &mut Peer, push_seq: u64) {
    while peer.until(FrameKind::Applied).await.detail != push_seq {}
}

#[tokio::test]
async fn ends_are_told_to_every_subscriber() {
    let (mut peer, client, _session) = in_session(Manner::default()).await;
    let (mut first, mut second) = (client.subscribe(), client.clone().subscribe());
    peer.tell(Command::Ended(ended(1)));
    let event =
        Event::Ended { scope: EndedScope::Agent(uid("Agent::mailer")), revision: Revision::new(1, 1), sessions: 2 };
    assert_eq!(first.next().await, Some(event.clone()));
    assert_eq!(second.next().await, Some(event));
    applied(&mut peer, 1).await;
}

#[tokio::test]
async fn a_node_that_may_not_decide_is_not_believed() {
    let (mut peer, _client, session) = in_session(Manner::default()).await;
    peer.tell(Command::Heartbeat { push_seq: 0, lease_ms: 0 });
    applied(&mut peer, 0).await;
    let error = session.decide(&ask("Channel::open")).await.expect_err("refused");
    assert_eq!((error.is_retryable(), error), (true, DecideError::LeaseExpired));
    peer.tell(Command::Heartbeat { push_seq: 0, lease_ms: 60_000 });
    applied(&mut peer, 0).await;
    assert!(session.decide(&ask("Channel::open")).await.is_ok());
}

#[tokio::test]
async fn an_answer_that_outlives_the_lease_is_not_believed() {
    let (mut peer, _client, session) = in_session(Manner::default()).await;
    let request = ask("Channel::silent");
    let waiting = session.decide(&request);
    tokio::pin!(waiting);
    let asked = tokio::select! {
        _ = &mut waiting => panic!("nothing was answered"),
        asked = peer.until(FrameKind::DecideText) => asked,
    };
    peer.tell(Command::Heartbeat { push_seq: 0, lease_ms: 0 });
    applied(&mut peer, 0).await;
    let allow = DecisionV1::new(&decision("Channel::open").expect("a decision"), Want::Verdict);
    let mut writer = FrameWriter::default();
    writer.append(asked.corr, &allow).expect("written");
    peer.tell(Command::Raw(writer.bytes().to_vec()));
    assert_eq!(waiting.await, Err(DecideError::LeaseExpired));
}

async fn gap_is_mended(hole: Command) {
    let (mut peer, client, session) = in_session(Manner { answer_subscribe: false, ..Manner::default() }).await;
    let mut events = client.subscribe();
    peer.tell(hole);
    let asked = peer.until(FrameKind::Subscribe).await;
    let gap = loop {
        match events.next().await {
            Some(Event::Ended { .. }) => {}
            other => break other,
        }
    };
    assert_eq!(gap, Some(Event::Gap));
    let error = session.decide(&ask("Channel::open")).await.expect_err("refused");
    assert_eq!((error.is_retryable(), error), (true, DecideError::OutOfSync));

    let mut writer = FrameWriter::default();
    writer.append(asked.corr, &SubscribedV1 { push_seq: 9, epoch: 1, seq: 9 }).expect("written");
    peer.tell(Command::Raw(writer.bytes().to_vec()));
    peer.tell(Command::Ended(ended(9)));
    // What follows the number that the node told is complete.
    peer.tell(Command::Ended(ended(10)));
    applied(&mut peer, 10).await;
    session.refresh(&[]).await.expect("the first lane's frames have arrived");
    while session.decide(&ask("Channel::open")).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert!(session.decide(&ask("Channel::open")).await.is_ok());
}

#[tokio::test]
async fn a_hole_before_an_end_is_mended_before_anything_is_believed() {
    gap_is_mended(Command::Ended(ended(7))).await;
}

#[tokio::test]
async fn a_heartbeat_tells_of_ends_that_did_not_arrive() {
    gap_is_mended(Command::Heartbeat { push_seq: 3, lease_ms: 60_000 }).await;
}

#[tokio::test]
async fn a_lost_connection_is_made_again_and_sessions_are_resumed() {
    let (mut peer, client, session) = in_session(Manner::default()).await;
    let mut events = client.subscribe();
    assert_eq!(peer.until(FrameKind::Open).await.detail, 2, "opened by name");
    let request = ask("Channel::silent");
    let waiting = session.decide(&request);
    tokio::pin!(waiting);
    tokio::select! {
        _ = &mut waiting => panic!("nothing was answered"),
        _ = peer.until(FrameKind::DecideText) => peer.tell(Command::Close),
    }
    assert_eq!(waiting.await, Err(DecideError::ConnectionLost));
    assert_eq!(events.next().await, Some(Event::Disconnected));
    assert_eq!(session.decide(&ask("Channel::open")).await, Err(DecideError::Unreachable));
    assert!(matches!(events.next().await, Some(Event::Reconnected { .. })));
    let (first, second) = (ask("Channel::open"), ask("Channel::denied"));
    let (first, second) = tokio::join!(session.decide(&first), session.decide(&second));
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(peer.until(FrameKind::Open).await.detail, 4, "resumed by its token");
    client.close().await;
    while let Some(seen) = peer.next_now() {
        assert_ne!(seen.kind, FrameKind::Open, "resumed once");
    }
}

#[tokio::test]
async fn a_session_that_cannot_be_resumed_is_lost() {
    let (peer, client, session) = in_session(Manner { refuse_resume: true, ..Manner::default() }).await;
    let mut events = client.subscribe();
    peer.tell(Command::Close);
    assert_eq!(events.next().await, Some(Event::Disconnected));
    assert!(matches!(events.next().await, Some(Event::Reconnected { .. })));
    let error = session.decide(&ask("Channel::open")).await.expect_err("lost");
    assert_eq!((error.is_retryable(), error), (false, DecideError::SessionLost));
    assert!(client.open(&super::peer::asserted("User::ada")).await.is_ok(), "another can be opened");
}

#[tokio::test]
async fn a_node_that_stops_answers_first_and_is_then_left() {
    let (mut peer, client, session) = in_session(Manner::default()).await;
    let mut events = client.subscribe();
    let request = ask("Channel::late");
    let waiting = session.decide(&request);
    tokio::pin!(waiting);
    tokio::select! {
        _ = &mut waiting => panic!("nothing was answered"),
        _ = peer.until(FrameKind::DecideText) => peer.tell(Command::GoAway),
    }
    assert!(matches!(events.next().await, Some(Event::GoAway { .. })));
    let answer = session.decide(&ask("Channel::open")).await;
    assert!(answer.is_ok() && waiting.await.is_ok(), "what was asked before is answered");
    assert_eq!(events.next().await, Some(Event::Disconnected));
    assert!(matches!(events.next().await, Some(Event::Reconnected { .. })));
}

#[tokio::test]
async fn a_closed_client_says_so() {
    let (mut peer, client, session) = in_session(Manner::default()).await;
    let other = client.clone();
    drop(session);
    client.close().await;
    assert_eq!(peer.until(FrameKind::Close).await.detail, 6, "what was queued has arrived");
    let error = other.open(&super::peer::asserted("User::ada")).await.expect_err("closed");
    assert!(matches!(error, OpenError::Failed(DecideError::Closed)));
    assert_eq!(other.role(), None);
}
