//! Bytes that are not what they should be.

use portcullis_model::ErrorCode;
use portcullis_wire::frames::{AppliedV1, CloseV1, ClosedV1, DecideTextV1, RegisterV1, SubscribeScope, SubscribeV1};
use portcullis_wire::limits::REQUEST_FRAME_BYTES_MAX;
use portcullis_wire::{Flags, FrameKind, HEADER_BYTES, Header};
use rkyv::rancor::Failure;

use super::node::{Node, PLATFORM};
use super::peer::{Got, Peer, Stream, frame, list};

/// A frame of a text question as a writer sends it that checks nothing.
pub(super) fn unchecked(corr: u32, payload: &DecideTextV1) -> Vec<u8> {
    let bytes = rkyv::api::high::to_bytes::<Failure>(payload).unwrap();
    raw(FrameKind::DecideText.number(), Flags::NONE, 1, corr, &bytes)
}

fn raw(kind: u16, flags: Flags, schema: u16, corr: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap();
    let mut bytes = Header { kind, flags, schema, len, corr }.to_bytes().to_vec();
    bytes.extend_from_slice(payload);
    bytes.resize(bytes.len().next_multiple_of(HEADER_BYTES), 0);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_are_wrong_within_their_borders_are_answered() {
    let node = Node::start().await;
    let mut peer = Peer::meet(&node, PLATFORM).await;
    let opened = peer.open(&[]).await;
    let decide = FrameKind::Decide.number();
    let close = frame(7, &CloseV1 { session: opened.handle });
    let payload = &close[HEADER_BYTES..HEADER_BYTES + 8];
    let none = RegisterV1 { names: Vec::new() };
    let none = rkyv::api::high::to_bytes::<Failure>(&none).unwrap();
    let cases: [(&str, Vec<u8>, ErrorCode); 11] = [
        ("unknown kind", raw(999, Flags::NONE, 1, 7, b"anything"), ErrorCode::UnknownFrame),
        ("empty question", raw(decide, Flags::NONE, 1, 7, b""), ErrorCode::MalformedFrame),
        ("question of garbage", raw(decide, Flags::NONE, 1, 7, &[0xff; 200]), ErrorCode::MalformedFrame),
        ("another schema", raw(FrameKind::Close.number(), Flags::NONE, 2, 7, payload), ErrorCode::UnknownFrame),
        ("flags", raw(FrameKind::Close.number(), Flags::MORE, 1, 7, payload), ErrorCode::MalformedFrame),
        ("cut payload", raw(FrameKind::Close.number(), Flags::NONE, 1, 7, &payload[..7]), ErrorCode::MalformedFrame),
        ("the node's own kind", frame(7, &ClosedV1 { epoch: 1, seq: 1 }), ErrorCode::UnknownFrame),
        ("a second hello", frame(7, &super::peer::hello(PLATFORM)), ErrorCode::UnknownFrame),
        ("no names", raw(FrameKind::Register.number(), Flags::NONE, 1, 7, &none), ErrorCode::BadRequest),
        ("a name that is none", frame(7, &RegisterV1 { names: vec!["no name".into()] }), ErrorCode::BadRequest),
        ("all ends", frame(7, &SubscribeV1::new(SubscribeScope::All)), ErrorCode::NotPermitted),
    ];
    for (what, bytes, code) in cases {
        peer.lane.write(&bytes).await;
        match peer.lane.next().await {
            Some((7, Got::Error(refusal))) => assert_eq!(refusal.code, code, "{what}: {refusal}"),
            other => panic!("{what}: {other:?}"),
        }
    }
    // What nobody need answer is not answered, and the lane goes on.
    peer.lane.write(&raw(999, Flags::NONE, 1, 0, b"news")).await;
    peer.lane.send(0, &AppliedV1 { push_seq: 0, stamp: 77 }).await;
    assert!(matches!(peer.lane.ask(8, &list(opened.handle)).await, Got::Decision(..)));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_whose_borders_are_lost_are_closed_with_a_reason() {
    let node = Node::start().await;
    let good = frame(7, &CloseV1 { session: 1 });
    let with = |place: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[place] = byte;
        bytes
    };
    let too_long = |kind: FrameKind, len: usize| {
        let len = u32::try_from(len).unwrap();
        Header { kind: kind.number(), flags: Flags::NONE, schema: 1, len, corr: 7 }.to_bytes().to_vec()
    };
    let cases: [(&str, Vec<u8>, ErrorCode); 7] = [
        ("magic", with(0, 0), ErrorCode::MalformedFrame),
        ("version", with(1, 2), ErrorCode::UnknownFrame),
        ("padding", with(HEADER_BYTES + 15, 1), ErrorCode::MalformedFrame),
        ("a long close", too_long(FrameKind::Close, 2_000), ErrorCode::TooLarge),
        ("a long open", too_long(FrameKind::Open, REQUEST_FRAME_BYTES_MAX), ErrorCode::TooLarge),
        ("an endless admin call", too_long(FrameKind::Admin, u32::MAX as usize), ErrorCode::TooLarge),
        ("no number", frame(0, &CloseV1 { session: 1 }), ErrorCode::UnknownHandle),
    ];
    for (what, bytes, code) in cases {
        let mut peer = Peer::meet(&node, PLATFORM).await;
        let opened = peer.open(&[]).await;
        // What was asked before is answered.
        let mut before = frame(1, &list(opened.handle));
        before.extend_from_slice(&bytes);
        peer.lane.write(&before).await;
        assert!(matches!(peer.lane.next().await, Some((1, Got::Decision(..)))), "{what}");
        match peer.lane.next().await {
            Some((0, Got::Error(refusal))) => assert_eq!(refusal.code, code, "{what}: {refusal}"),
            other => panic!("{what}: {other:?}"),
        }
        let (close, reason) = peer.close_reason().await;
        assert!(close == 2 && reason.starts_with(code.code()), "{what}: {close} {reason}");
    }
    // A lane that ends inside a frame.
    let peer = Peer::meet(&node, PLATFORM).await;
    let mut lane = Stream::open(&peer.connection).await;
    lane.write(&good[..20]).await;
    lane.send.take().unwrap().finish().unwrap();
    assert!(matches!(lane.next().await, Some((0, Got::Error(refusal))) if refusal.code == ErrorCode::MalformedFrame));
    assert_eq!(peer.close_reason().await.0, 2);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_in_pieces_of_any_size_are_frames() {
    let node = Node::start().await;
    let mut peer = Peer::meet(&node, PLATFORM).await;
    let opened = peer.open(&[]).await;
    let bytes: Vec<u8> = (1..=40).flat_map(|corr| frame(corr, &list(opened.handle))).collect();
    for piece in bytes.chunks(37) {
        peer.lane.write(piece).await;
        tokio::task::yield_now().await;
    }
    for corr in 1..=40 {
        assert!(matches!(peer.lane.next().await, Some((got, Got::Decision(..))) if got == corr));
    }
    // A lane that its client ends is answered to the end.
    let mut lane = Stream::open(&peer.connection).await;
    lane.write(&bytes).await;
    lane.send.take().unwrap().finish().unwrap();
    for corr in 1..=40 {
        assert!(matches!(lane.next().await, Some((got, Got::Decision(..))) if got == corr));
    }
    assert_eq!(lane.next().await, None);
    assert!(peer.connection.close_reason().is_none());
    node.stop().await;
}
