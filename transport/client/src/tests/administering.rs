//! Administrative calls, against the peer.

use std::sync::Arc;

use portcullis_model::EntityRecord;
use portcullis_wire::FrameKind;
use portcullis_wire::admin::{AdminReply, AdminRequest};

use super::peer::{Manner, connected, uid};
use crate::{DecideError, ErrorCode};

fn put(count: usize) -> AdminRequest {
    let entity = |number| EntityRecord::named(uid(&format!("User::u{number}")));
    AdminRequest::EntityPut { entities: (0..count).map(entity).collect() }
}

async fn put_and_count(client: &crate::Client, count: usize) {
    match client.admin(&put(count)).await.expect("a reply") {
        AdminReply::Entities(page) => assert_eq!(page.entities.len(), count),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn calls_and_replies_of_any_length_arrive_whole() {
    let (_peer, client) = connected(Manner::default()).await;
    for count in [0, 1, 500, 40_000] {
        put_and_count(&client, count).await;
    }
}

#[tokio::test]
async fn calls_side_by_side_do_not_mix() {
    let (_peer, client) = connected(Manner::default()).await;
    let client = Arc::new(client);
    let mut calls = tokio::task::JoinSet::new();
    for count in 1..=8 {
        let client = Arc::clone(&client);
        calls.spawn(async move { put_and_count(&client, count * 700).await });
    }
    while let Some(done) = calls.join_next().await {
        done.expect("a reply for each");
    }
}

#[tokio::test]
async fn a_refusal_in_the_reply_is_an_error() {
    let (_peer, client) = connected(Manner::default()).await;
    let error = client.admin(&AdminRequest::Status {}).await.expect_err("refused");
    assert_eq!((error.code(), error.is_retryable()), (Some(ErrorCode::NotPermitted), false));
}

#[tokio::test]
async fn a_call_given_up_leaves_nothing_behind() {
    let (mut peer, client) = connected(Manner::default()).await;
    for _ in 0..6 {
        let request = put(40_000);
        let call = client.admin(&request);
        tokio::pin!(call);
        tokio::select! {
            reply = &mut call => panic!("too early: {:?}", reply.is_ok()),
            _ = peer.until(FrameKind::Admin) => {}
        }
    }
    put_and_count(&client, 3).await;
}

#[tokio::test]
async fn calls_longer_than_the_node_allows_are_refused_here() {
    let (_peer, client) = connected(Manner::default()).await;
    let text = "x".repeat(portcullis_wire::limits::ADMIN_BYTES_MAX);
    let file = |text: String| portcullis_model::PolicyFile { name: "p".into(), text };
    let set = portcullis_model::PolicySetText { schema: file(String::new()), files: vec![file(text)] };
    let error = client.admin(&AdminRequest::PolicyPush { set }).await.expect_err("refused");
    assert!(matches!(error, DecideError::Refused { .. }));
    assert_eq!(error.code(), Some(ErrorCode::TooLarge));
}
