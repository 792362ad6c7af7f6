//! Who is welcome.

use portcullis_model::ErrorCode;
use portcullis_wire::Role;
use portcullis_wire::frames::{CloseV1, HelloV1};
use portcullis_wire::limits::{HEARTBEAT_MS, LANES_MAX, LEASE_MS};

use super::node::{AUDITOR, Node, OPERATOR, PLATFORM, Setting};
use super::peer::{Dial, Got, Peer, Stream, close_reason, frame, hello};
use super::until;
use crate::QuicLimits;

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_known_by_token_or_certificate() {
    let node = Node::start().await;
    for (token, role) in [(PLATFORM, Role::Platform), (OPERATOR, Role::Operator), (AUDITOR, Role::Auditor)] {
        let peer = Peer::meet(&node, token).await;
        assert_eq!(peer.welcome.role(), Ok(role));
        assert_eq!((peer.welcome.heartbeat_ms, peer.welcome.lease_ms), (HEARTBEAT_MS, LEASE_MS));
        assert_eq!((peer.welcome.node.as_str(), usize::from(peer.welcome.lanes)), ("test-node", LANES_MAX));
        assert_eq!(peer.welcome.seq, node.engine.effective().seq);
    }
    let by_certificate = Dial { certificate: Some(node.pki.service()), ..Dial::token("") };
    assert_eq!(Peer::dial(&node, by_certificate).await.welcome.role(), Ok(Role::Platform));
    // A certificate that is nobody's does not stand in the way of a token.
    let both = Dial { certificate: Some(node.pki.issue(&["spiffe://corp.example/other"])), ..Dial::token(OPERATOR) };
    assert_eq!(Peer::dial(&node, both).await.welcome.role(), Ok(Role::Operator));
    assert_eq!(node.server.stats().handshakes, 5);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_told_nothing_and_the_audit_everything() {
    let node = Node::start().await;
    let stranger = || Some(node.pki.issue(&["spiffe://corp.example/stranger"]));
    let cases: [(Dial<'_>, HelloV1, ErrorCode, &str); 4] = [
        (Dial::token(""), hello("wrong"), ErrorCode::Unauthenticated, "the bearer token is nobody's"),
        (Dial::token(""), hello(""), ErrorCode::Unauthenticated, "neither certificate nor token was shown"),
        (
            Dial { certificate: stranger(), ..Dial::token("") },
            hello(""),
            ErrorCode::Unauthenticated,
            "the certificate is nobody's",
        ),
        (
            Dial::token(""),
            HelloV1 { schema_min: 2, schema_max: 3, ..hello(PLATFORM) },
            ErrorCode::UnknownFrame,
            "schema `1` is spoken here, and the client does not speak it",
        ),
    ];
    let mut expected = Vec::new();
    for (dial, hello, code, why) in cases {
        let connection = dial.to(&node).await;
        let mut lane = Stream::open(&connection).await;
        let Got::Error(refusal) = lane.ask(0, &hello).await else { panic!("{why}") };
        assert_eq!(refusal.code, code, "{why}");
        assert!(code != ErrorCode::Unauthenticated || refusal.message == "the client's credential was not accepted");
        lane.send.take();
        assert_eq!(lane.next().await, None);
        assert_eq!(close_reason(&connection).await.0, 1, "{why}");
        expected.push((Some(code), why.to_owned()));
    }
    assert_eq!(node.refusals().await, expected);
    assert_eq!(node.server.stats().unauthenticated, 4);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_frame_is_a_hello() {
    let node = Node::start().await;
    let mut wrong_magic = frame(1, &CloseV1 { session: 1 });
    wrong_magic[0] = b'G';
    let mut no_stamp = HelloV1 { stamp: 1, ..hello(PLATFORM) };
    no_stamp.schema_max = 9;
    for (bytes, code) in [
        (frame(1, &CloseV1 { session: 1 }), ErrorCode::UnknownFrame),
        (wrong_magic, ErrorCode::MalformedFrame),
        (vec![0; 64], ErrorCode::MalformedFrame),
    ] {
        let connection = Dial::token("").to(&node).await;
        let mut lane = Stream::open(&connection).await;
        lane.write(&bytes).await;
        let Some((_, Got::Error(refusal))) = lane.next().await else { panic!("{code}") };
        assert_eq!(refusal.code, code);
        let (close, reason) = close_reason(&connection).await;
        assert!(close == 1 && reason.starts_with(code.code()), "{reason}");
    }
    // Half a hello and then nothing.
    let connection = Dial::token("").to(&node).await;
    let mut lane = Stream::open(&connection).await;
    lane.write(&frame(0, &no_stamp)[..40]).await;
    lane.send.take().unwrap().finish().unwrap();
    assert!(matches!(lane.next().await, Some((0, Got::Error(refusal))) if refusal.code == ErrorCode::MalformedFrame));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_other_authorities_and_other_protocols_fail_in_the_handshake() {
    let node = Node::start().await;
    let other = Node::start().await;
    let foreign = Dial { certificate: Some(other.pki.service()), ..Dial::token("") };
    // The client is done with the handshake before the node has looked at its certificate.
    if let Ok(connection) = foreign.connect(&node.pki, node.address()).await {
        connection.closed().await;
    }
    until("a failed handshake", || node.server.stats().handshakes_failed == 1).await;
    assert!(Dial::token("").connect(&other.pki, node.address()).await.is_err(), "the node's own certificate");
    other.stop().await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded_and_places_given_back() {
    let limits = QuicLimits { connections_max: 2, ..QuicLimits::default() };
    let node = Node::start_with(Setting { limits, ..Setting::default() }).await;
    let first = Peer::meet(&node, PLATFORM).await;
    let _second = Peer::meet(&node, PLATFORM).await;
    assert_eq!(node.server.stats().connections, 2);
    tokio::select! {
        connected = Dial::token("").connect(&node.pki, node.address()) => assert!(connected.is_err()),
        () = until("a refused handshake", || node.server.stats().handshakes_refused > 0) => {}
    }
    first.connection.close(0_u32.into(), b"");
    until("a place given back", || node.server.stats().connections == 1).await;
    Peer::meet(&node, PLATFORM).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_workers_listen_on_consecutive_ports() {
    let node = Node::start_with(Setting { workers: 3, ..Setting::default() }).await;
    let ports: Vec<_> = node.server.local_addresses().iter().map(std::net::SocketAddr::port).collect();
    assert_eq!(ports, [ports[0], ports[0] + 1, ports[0] + 2]);
    for address in node.server.local_addresses() {
        let connection = Dial::token("").connect(&node.pki, *address).await.unwrap();
        let mut lane = Stream::open(&connection).await;
        assert!(matches!(lane.ask(0, &hello(PLATFORM)).await, Got::Welcome(_)));
    }
    node.stop().await;
}
