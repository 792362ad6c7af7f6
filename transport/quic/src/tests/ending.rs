//! How connections and servers end.

use std::time::Duration;

use portcullis_model::ErrorCode;
use tokio::time::timeout;

use super::node::{Node, PLATFORM};
use super::peer::{Got, Peer, list, open};
use super::{SOON, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_server_lets_clients_finish() {
    let node = Node::start().await;
    let mut peer = Peer::meet(&node, PLATFORM).await;
    let opened = peer.open(&[]).await;
    let mut push = peer.push().await;
    let stopping = node.server.shutdown(SOON);
    let client = async {
        while push.next().await.expect("a push frame").1 != Got::GoAway {}
        // What is open is answered, and nothing new is opened.
        assert!(matches!(peer.lane.ask(1, &list(opened.handle)).await, Got::Decision(..)));
        let Got::Error(refusal) = peer.lane.ask(2, &open("User::ada", &[])).await else { panic!() };
        assert_eq!(refusal.code, ErrorCode::ShuttingDown);
        peer.connection.close(0_u32.into(), b"");
    };
    timeout(SOON, async { tokio::join!(stopping, client) }).await.unwrap();
    assert_eq!(node.engine.status().sessions, 0);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_go_is_closed_at_the_deadline() {
    let node = Node::start().await;
    let mut peer = Peer::meet(&node, PLATFORM).await;
    peer.open(&[]).await;
    timeout(SOON, node.server.shutdown(Duration::from_millis(1))).await.unwrap();
    let (close, reason) = peer.close_reason().await;
    assert_eq!((close, reason.as_str()), (0, "the node is stopping"));
    assert_eq!(node.engine.status().sessions, 0);
    // Again, and once more by the drop.
    timeout(SOON, node.server.shutdown(Duration::ZERO)).await.unwrap();
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_with_their_connection() {
    let node = Node::start().await;
    let mut peer = Peer::meet(&node, PLATFORM).await;
    for _ in 0..300 {
        peer.open(&[]).await;
    }
    assert_eq!(node.engine.status().sessions, 300);
    peer.connection.close(0_u32.into(), b"");
    until("sessions to be closed", || node.engine.status().sessions == 0).await;
    node.stop().await;
}
