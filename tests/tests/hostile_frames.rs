//! What a peer gets that speaks the protocol badly: an error or a closed lane, and nobody else notices.

use portcullis_client::OpenRequest;
use portcullis_model::{ErrorCode, Request, Verdict};
use portcullis_tests::names::{action, uid};
use portcullis_tests::nodes::{Plan, TestNode, platform};
use portcullis_tests::peer::{Peer, Reply, frame, hello};
use portcullis_wire::frames::{
    CloseV1, DecideTextV1, DecideV1, DetailsV1, OpenV1, Proof, ProofV1, RegisterV1, RevisionV1, Want,
};
use portcullis_wire::{FrameKind, HEADER_BYTES};

const APP: &str = "app";

async fn node() -> TestNode {
    TestNode::sample(Plan { clients: vec![platform(APP, &["Agent::triage-bot"])], ..Plan::default() }).await
}

fn open() -> OpenV1 {
    let proof = |name: &str| ProofV1::from(&Proof::Asserted(uid(name)));
    OpenV1 { subject: proof("User::ada"), agents: vec![proof("Agent::triage-bot")], life_ms: 0 }
}

fn question(session: u64) -> DecideTextV1 {
    let request = Request::new(action("slack/list_channels"), uid("Server::slack"));
    DecideTextV1 {
        session,
        at_least: RevisionV1 { seq: 0, epoch: 0 },
        action: request.action.to_string(),
        resource: request.resource.to_string(),
        details: DetailsV1::new(&request, Want::Verdict).unwrap(),
    }
}

async fn opened(peer: &mut Peer) -> u64 {
    match peer.ask(&open()).await {
        Reply::Opened(opened) => opened.handle,
        other => panic!("{other:?}"),
    }
}

fn code(reply: &Reply) -> ErrorCode {
    match reply {
        Reply::Error(_, refusal) => refusal.code,
        other => panic!("no error: {other:?}"),
    }
}

/// A header with any numbers, little-endian.
fn header(kind: u16, flags: u16, schema: u16, len: u32, corr: u32) -> Vec<u8> {
    let mut bytes = vec![portcullis_wire::MAGIC, portcullis_wire::WIRE_MAJOR];
    for field in [kind, flags, schema] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend(len.to_le_bytes());
    bytes.extend(corr.to_le_bytes());
    assert_eq!(bytes.len(), HEADER_BYTES);
    bytes
}

/// Asks as a good client would: whatever happened to others, it is served.
async fn is_served(node: &TestNode) {
    let client = node.client(APP).await;
    let session = client.open(&OpenRequest::asserted(uid("User::ada"), [uid("Agent::triage-bot")])).await.unwrap();
    let read = Request::new(action("slack/list_channels"), uid("Server::slack"));
    assert_eq!(session.decide(&read).await.unwrap().verdict, Verdict::Allow);
    session.close().await.unwrap();
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_are_wrong_inside_their_borders_are_answered_and_the_lane_goes_on() {
    let node = node().await;
    let options = node.options(APP);
    let mut peer = Peer::connect(&options).await;
    let session = opened(&mut peer).await;
    let good = frame(77, &question(session));
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    let mut flipped = good.clone();
    flipped[HEADER_BYTES..].iter_mut().for_each(|byte| *byte ^= 0xff);
    // The padding behind the payload has to stay zero.
    let len = usize::try_from(u32::from_le_bytes(good[8..12].try_into().unwrap())).unwrap();
    flipped[HEADER_BYTES + len..].fill(0);
    for (what, bytes, expected) in [
        ("an unknown kind", header(999, 0, 1, 0, 77), ErrorCode::UnknownFrame),
        ("a kind that servers send", header(FrameKind::Welcome.number(), 0, 1, 0, 77), ErrorCode::UnknownFrame),
        ("a second hello", frame(77, &hello()), ErrorCode::UnknownFrame),
        ("an unknown schema", with(6, 9), ErrorCode::UnknownFrame),
        ("an unknown flag", with(4, 0x80), ErrorCode::MalformedFrame),
        ("an empty payload", header(FrameKind::DecideText.number(), 0, 1, 0, 77), ErrorCode::MalformedFrame),
        ("flipped bytes", flipped, ErrorCode::MalformedFrame),
    ] {
        let reply = peer.say(&bytes).await;
        let Reply::Error(corr, refusal) = &reply else { panic!("{what}: {reply:?}") };
        assert_eq!((*corr, refusal.code), (77, expected), "{what}: {refusal}");
    }
    assert!(matches!(peer.ask(&question(session)).await, Reply::Decision(_)), "the lane goes on");
    is_served(&node).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_without_borders_close_the_lane_and_nobody_elses() {
    let node = node().await;
    let options = node.options(APP);
    let good = frame(1, &question(1));
    let mut padded = frame(1, &CloseV1 { session: 1 });
    let mut oversized = header(FrameKind::DecideText.number(), 0, 1, u32::MAX, 1);
    oversized.extend([0; 64]);
    let short = u32::from_le_bytes(padded[8..12].try_into().unwrap()) - 3;
    padded[8..12].copy_from_slice(&short.to_le_bytes());
    padded[HEADER_BYTES..].fill(1);
    for (what, bytes) in [
        ("another protocol", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("another major version", [&[portcullis_wire::MAGIC, 2][..], &good[2..]].concat()),
        ("a length of 4 GiB", oversized),
        ("a length over its kind's", header(FrameKind::Close.number(), 0, 1, 4_096, 1)),
        ("padding that is not zero", padded),
    ] {
        let mut peer = Peer::connect(&options).await;
        let mut reply = peer.say(&bytes).await;
        if let Reply::Error(corr, _) = &reply {
            assert_eq!(*corr, 0, "{what}: an error about the connection");
            reply = peer.next().await;
        }
        assert!(matches!(reply, Reply::Closed(_)), "{what}: {reply:?}");
    }
    // Cut inside a frame: the end of the lane comes where more was announced.
    let mut peer = Peer::connect(&options).await;
    let session = opened(&mut peer).await;
    let cut = frame(5, &question(session));
    let sent = tokio::time::timeout(std::time::Duration::from_millis(50), peer.say(&cut[..cut.len() - 7])).await;
    assert!(sent.is_err(), "half a frame is waited for");
    let mut reply = peer.finish().await;
    if matches!(reply, Reply::Error(0, _)) {
        reply = peer.next().await;
    }
    assert!(matches!(reply, Reply::Closed(_)), "{reply:?}");
    is_served(&node).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handles_are_good_on_their_own_connection_until_they_are_closed() {
    let node = node().await;
    let options = node.options(APP);
    let (mut one, mut other) = (Peer::connect(&options).await, Peer::connect(&options).await);
    let session = opened(&mut one).await;
    assert!(matches!(one.ask(&question(session)).await, Reply::Decision(_)));
    for foreign in [session, 0, 1, u64::MAX, session + 1, session ^ (1 << 32)] {
        assert_eq!(code(&other.ask(&question(foreign)).await), ErrorCode::UnknownHandle, "{foreign:#x}");
        assert_eq!(code(&other.ask(&CloseV1 { session: foreign }).await), ErrorCode::UnknownHandle, "{foreign:#x}");
    }
    assert!(matches!(one.ask(&question(session)).await, Reply::Decision(_)), "another cannot close it");
    assert!(matches!(one.ask(&CloseV1 { session }).await, Reply::Other(FrameKind::Closed)));
    assert_eq!(code(&one.ask(&question(session)).await), ErrorCode::UnknownHandle, "a stale handle");
    let next = opened(&mut one).await;
    assert_ne!(next, session, "the place is used again, the handle is not");
    assert_eq!(code(&one.ask(&question(session)).await), ErrorCode::UnknownHandle);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_were_not_registered_here_are_refused() {
    let node = node().await;
    let options = node.options(APP);
    let (mut one, mut other) = (Peer::connect(&options).await, Peer::connect(&options).await);
    let names = vec![action("slack/list_channels").to_string(), uid("Server::slack").to_string()];
    let Reply::Registered(first) = one.ask(&RegisterV1 { names }).await else { panic!("not registered") };
    let (mine, theirs) = (opened(&mut one).await, opened(&mut other).await);
    let by_number = |session, action, resource| DecideV1 {
        session,
        at_least: RevisionV1 { seq: 0, epoch: 0 },
        action,
        resource,
        details: question(session).details,
    };
    assert!(matches!(one.ask(&by_number(mine, first, first + 1)).await, Reply::Decision(_)));
    for (action, resource) in [(first, first + 1_000), (u32::MAX, first)] {
        assert_eq!(code(&one.ask(&by_number(mine, action, resource)).await), ErrorCode::BadRequest);
    }
    assert_eq!(code(&other.ask(&by_number(theirs, first, first + 1)).await), ErrorCode::BadRequest);
    let Reply::Error(_, refusal) = one.ask(&RegisterV1 { names: vec!["no name".to_owned()] }).await else {
        panic!("registered what is no name")
    };
    assert_eq!(refusal.code, ErrorCode::BadRequest);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_served_before_the_hello() {
    let node = node().await;
    let options = node.options(APP);
    for bytes in [frame(1, &open()), frame(1, &question(1)), vec![0; 64]] {
        let mut peer = Peer::dial(&options).await;
        let mut reply = peer.say(&bytes).await;
        if let Reply::Error(..) = reply {
            reply = peer.next().await;
        }
        assert!(matches!(reply, Reply::Closed(_)), "{reply:?}");
    }
    let mut old = Peer::dial(&options).await;
    let reply = old.ask(&portcullis_wire::frames::HelloV1 { schema_min: 2, schema_max: 9, ..hello() }).await;
    assert_eq!(code(&reply), ErrorCode::UnknownFrame, "a schema that is not spoken here");
    is_served(&node).await;
    node.stop().await;
}
