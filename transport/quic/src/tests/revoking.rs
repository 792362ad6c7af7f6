//! No allow leaves after a revocation's acknowledgement.

use portcullis_model::{Origin, Reason, RevokeScope, Verdict};
use portcullis_runtime::AuditMode;
use portcullis_wire::frames::{EndedScope, SubscribeScope, SubscribeV1};

use super::node::{AUDITOR, Node, PLATFORM, Setting};
use super::peer::{Dial, Got, Peer, Stream, frame, list};
use super::{uid, until};

const ALLOW: Got = Got::Decision(Verdict::Allow, Reason::Permitted);
const REVOKED: Got = Got::Decision(Verdict::Deny, Reason::AgentRevoked);
/// Bytes of the answer to a question without policies.
const ANSWER_BYTES: u32 = 96;

async fn revoke_agent(node: &Node) {
    let scope = RevokeScope::Agent(uid("Agent::triage-bot"));
    node.engine.revoke(scope, Origin::Node).await.unwrap();
}

/// A lane that is not read: `window` bytes of answers are taken by the transport, the rest is not.
async fn blocked(node: &Node, window: u32) -> (Peer, Stream, u64) {
    let mut peer = Peer::dial(node, Dial { window, ..Dial::token(PLATFORM) }).await;
    let opened = peer.open(&["Agent::triage-bot"]).await;
    let mut lane = Stream::open(&peer.connection).await;
    let before = node.server.stats().frames;
    for corr in 1..=60 {
        lane.send(corr, &list(opened.handle)).await;
    }
    // More than fit the window have been decided, and wait for room.
    let taken = u64::from(window / ANSWER_BYTES);
    until("questions to be decided", || node.server.stats().frames > before + taken).await;
    (peer, lane, opened.handle)
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_wait_for_a_client_that_does_not_read_are_decided_again() {
    let node = Node::start().await;
    let fit = 20;
    let (_peer, mut lane, handle) = blocked(&node, fit * ANSWER_BYTES).await;
    revoke_agent(&node).await;
    for corr in 61..=80 {
        lane.send(corr, &list(handle)).await;
    }
    let mut answers = Vec::new();
    for corr in 1..=80 {
        let (answered, got) = lane.next().await.unwrap();
        assert_eq!(answered, corr);
        answers.push(got);
    }
    let allows = answers.iter().take_while(|got| **got == ALLOW).count();
    assert_eq!(allows, usize::try_from(fit).unwrap(), "what the transport had before the acknowledgement");
    assert!(answers[allows..].iter().all(|got| *got == REVOKED), "{answers:?}");
    assert!(node.server.stats().decided_again > 0);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allow_of_which_a_part_has_left_takes_its_connection_with_it() {
    let node = Node::start().await;
    let fit = 20;
    let (peer, mut lane, _) = blocked(&node, fit * ANSWER_BYTES + ANSWER_BYTES / 2).await;
    revoke_agent(&node).await;
    let mut allows = 0;
    while let Some((_, got)) = lane.next().await {
        assert_eq!(got, ALLOW);
        allows += 1;
    }
    assert!(allows <= fit, "{allows}");
    assert_eq!(peer.close_reason().await.0, 4);
    assert_eq!(node.server.stats().overtaken, 1);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restrictions_of_others_change_nothing() {
    let node = Node::start().await;
    let (_peer, mut lane, _) = blocked(&node, 20 * ANSWER_BYTES + ANSWER_BYTES / 2).await;
    node.engine.revoke(RevokeScope::User(uid("User::ben")), Origin::Node).await.unwrap();
    for corr in 1..=60 {
        assert_eq!(lane.next().await, Some((corr, ALLOW)));
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_held_for_their_record_are_decided_again() {
    let node = Node::start_with(Setting { audit: AuditMode::Durable, ..Setting::default() }).await;
    let mut peer = Peer::meet(&node, PLATFORM).await;
    let opened = peer.open(&["Agent::triage-bot"]).await;
    node.engine.flush_audit().await.unwrap();
    node.gate.shut();
    let before = node.server.stats().frames;
    for corr in 1..=100 {
        peer.lane.send(corr, &list(opened.handle)).await;
    }
    until("questions to be decided", || node.server.stats().frames == before + 100).await;
    revoke_agent(&node).await;
    node.gate.open();
    for corr in 1..=100 {
        assert_eq!(peer.lane.next().await, Some((corr, REVOKED)));
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_asked_after_the_acknowledgement_is_allowed() {
    let node = Node::start().await;
    let mut peers = Vec::new();
    for _ in 0..4 {
        let mut peer = Peer::meet(&node, PLATFORM).await;
        let handle = peer.open(&["Agent::triage-bot"]).await.handle;
        peers.push((peer, handle));
    }
    // Questions are under way all the time; those from number 1,000 on are sent after the acknowledgement.
    for (peer, handle) in &mut peers {
        let bytes: Vec<u8> = (1..=300).flat_map(|corr| frame(corr, &list(*handle))).collect();
        peer.lane.write(&bytes).await;
    }
    revoke_agent(&node).await;
    for (peer, handle) in &mut peers {
        let bytes: Vec<u8> = (1_000..1_100).flat_map(|corr| frame(corr, &list(*handle))).collect();
        peer.lane.write(&bytes).await;
    }
    for (peer, _) in &mut peers {
        for _ in 0..400 {
            let (corr, got) = peer.lane.next().await.unwrap();
            assert!(corr < 1_000 || got == REVOKED, "{corr}: {got:?}");
        }
    }
    node.stop().await;
}

/// The next frame that is no heartbeat.
async fn told(push: &mut Stream) -> Got {
    loop {
        match push.next().await.expect("a push frame").1 {
            Got::Heartbeat(_) => {}
            got => return got,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_are_told_to_those_they_concern() {
    let node = Node::start().await;
    let mut peer = Peer::meet(&node, PLATFORM).await;
    let mut push = peer.push().await;
    let Some((0, Got::Heartbeat(beat))) = push.next().await else { panic!() };
    assert_eq!((beat.echo, beat.push_seq, beat.lease_ms), (42, 0, portcullis_wire::limits::LEASE_MS));
    peer.open(&["Agent::triage-bot"]).await;
    let by_name = peer.open(&[]).await;
    let mut auditor = Peer::meet(&node, AUDITOR).await;
    let mut all = auditor.push().await;
    assert!(matches!(auditor.lane.ask(1, &SubscribeV1::new(SubscribeScope::All)).await, Got::Subscribed(_)));

    let revoke = |scope| node.engine.revoke(scope, Origin::Node);
    revoke(RevokeScope::User(uid("User::ben"))).await.unwrap();
    revoke_agent(&node).await;
    node.engine.revoke_session(by_name.session_id(), Origin::Node).await.unwrap();
    revoke(RevokeScope::Everything).await.unwrap();
    assert_eq!(told(&mut push).await, Got::Ended(EndedScope::Agent(uid("Agent::triage-bot")), 1));
    assert_eq!(told(&mut push).await, Got::Ended(EndedScope::Session(by_name.session_id()), 1));
    assert_eq!(told(&mut push).await, Got::Ended(EndedScope::All, 2));
    for expected in [EndedScope::User(uid("User::ben")), EndedScope::Agent(uid("Agent::triage-bot"))] {
        assert_eq!(told(&mut all).await, Got::Ended(expected, 0));
    }
    let Got::Subscribed(from) = peer.lane.ask(2, &SubscribeV1::new(SubscribeScope::OwnSessions)).await else {
        panic!()
    };
    assert_eq!((from.push_seq, from.seq), (3, node.engine.effective().seq));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_echo_the_newest_stamp() {
    let node = Node::start().await;
    let mut peer = Peer::meet(&node, PLATFORM).await;
    let mut push = peer.push().await;
    for stamp in [100, 50] {
        let applied = portcullis_wire::frames::AppliedV1 { push_seq: 0, stamp };
        peer.lane.send(0, &applied).await;
    }
    let mut echo = 0;
    while echo != 100 {
        let Some((_, Got::Heartbeat(beat))) = push.next().await else { panic!() };
        assert!(beat.echo >= echo);
        echo = beat.echo;
    }
    node.stop().await;
}
