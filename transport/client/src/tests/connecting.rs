//! The first frames of a connection.

use std::time::Duration;

use super::peer::{Manner, Peer, connected};
use crate::{Client, ConnectError, ErrorCode, Role, SubscribeScope};

#[tokio::test]
async fn the_welcome_tells_role_and_revision() {
    let (_peer, client) = connected(Manner::default()).await;
    assert_eq!(client.role(), Some(Role::Platform));
    assert_eq!(client.connected_at(), Some(crate::Revision::new(1, 1)));
}

#[tokio::test]
async fn a_refused_client_is_told_why() {
    let peer = Peer::start(Manner { refuse_hello: true, ..Manner::default() });
    let error = Client::connect(peer.options()).await.expect_err("refused");
    assert!(!error.is_retryable());
    assert!(matches!(error, ConnectError::Refused(refusal) if refusal.code == ErrorCode::Unauthenticated));
}

#[tokio::test]
async fn a_node_of_another_issuer_or_name_is_not_trusted() {
    let (peer, other) = (Peer::start(Manner::default()), Peer::start(Manner::default()));
    let mut options = peer.options();
    options.roots = vec![other.certificate.clone()];
    assert!(matches!(Client::connect(options).await, Err(ConnectError::Handshake(_))));
    let mut options = peer.options();
    options.server_name = "elsewhere".into();
    assert!(matches!(Client::connect(options).await, Err(ConnectError::Handshake(_))));
    let mut options = peer.options();
    options.server_name = "no name".into();
    assert!(matches!(Client::connect(options).await, Err(ConnectError::Target(..))));
}

#[tokio::test]
async fn a_silent_address_ends_at_the_timeout() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let mut options = Peer::start(Manner::default()).options();
    options.address = socket.local_addr().expect("an address").to_string();
    options.connect_timeout = Duration::from_millis(50);
    let error = Client::connect(options).await.expect_err("nobody there");
    assert!(error.is_retryable());
    assert!(matches!(error, ConnectError::Timeout(_)));
}

#[tokio::test]
async fn addresses_that_are_none_are_named() {
    let mut options = Peer::start(Manner::default()).options();
    options.address = "no port".into();
    let error = Client::connect(options).await.expect_err("no address");
    assert_eq!(error.to_string(), "`no port` cannot be reached");
}

#[tokio::test]
async fn everything_is_subscribed_to_before_the_client_is_handed_out() {
    let mut peer = Peer::start(Manner::default());
    let mut options = peer.options();
    options.subscribe = SubscribeScope::All;
    options.lanes = 4;
    let _client = Client::connect(options).await.expect("connected");
    assert_eq!(peer.next_now().map(|seen| seen.kind), Some(portcullis_wire::FrameKind::Hello));
    assert_eq!(peer.next_now().map(|seen| seen.kind), Some(portcullis_wire::FrameKind::Subscribe));
}
