//! More than a node takes: it says so, drops nobody it has taken, and goes on.

use std::sync::Arc;

use portcullis_client::admin::{AdminRequest, RevokeTarget};
use portcullis_client::{Client, DecideError, OpenError, OpenRequest};
use portcullis_model::{ErrorCode, Reason, Request, Verdict};
use portcullis_tests::names::{action, uid};
use portcullis_tests::nodes::{OPERATOR, Plan, TestNode, platform};
use tokio::task::JoinSet;

const APP: &str = "app";
/// Questions sent at once: more than a connection may have in flight.
const FLOOD: usize = 20_000;

async fn node(sessions_max: usize, connections_max: usize) -> TestNode {
    let clients = vec![platform(APP, &["Agent::triage-bot"])];
    TestNode::sample(Plan { clients, sessions_max, connections_max, ..Plan::default() }).await
}

fn ada() -> OpenRequest {
    OpenRequest::asserted(uid("User::ada"), [])
}

fn read() -> Request {
    Request::new(action("slack/list_channels"), uid("Server::slack"))
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_connections_beyond_the_limit_are_refused_and_the_others_stay() {
    let node = node(3, 3).await;
    let app = node.client(APP).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(app.open(&ada()).await.unwrap());
    }
    let Err(OpenError::Failed(full)) = app.open(&ada()).await else { panic!("opened beyond the limit") };
    assert_eq!((full.code(), full.is_retryable()), (Some(ErrorCode::Overloaded), true));
    assert_eq!(open[0].decide(&read()).await.unwrap().verdict, Verdict::Allow);
    open.pop().unwrap().close().await.unwrap();
    open.push(app.open(&ada()).await.expect("there is room again"));

    let others = [node.client(APP).await, node.client(OPERATOR).await];
    assert!(Client::connect(node.options(APP)).await.is_err(), "a connection beyond the limit");
    for session in &open {
        assert_eq!(session.decide(&read()).await.unwrap().verdict, Verdict::Allow);
    }
    drop((open, others));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_questions_is_answered_or_refused_and_a_revocation_gets_through() {
    let node = node(100, 100).await;
    let (app, operator) = (node.client(APP).await, node.client(OPERATOR).await);
    let session = Arc::new(app.open(&ada()).await.unwrap());
    let mut asked = JoinSet::new();
    for _ in 0..FLOOD {
        let session = Arc::clone(&session);
        asked.spawn(async move { session.decide(&read()).await });
    }
    let revoke = AdminRequest::Revoke { target: RevokeTarget::User { uid: uid("User::ada") } };
    operator.admin(&revoke).await.expect("a revocation does not wait for questions");
    let after = session.decide(&read()).await;
    let (mut decided, mut refused) = (0, 0);
    while let Some(answer) = asked.join_next().await {
        match answer.unwrap() {
            Ok(decision) => {
                assert!(matches!(decision.reason, Reason::Permitted | Reason::UserRevoked), "{decision:?}");
                decided += 1;
            }
            Err(DecideError::Overloaded) => refused += 1,
            Err(cause) => {
                assert!(cause.is_retryable(), "{cause}");
                refused += 1;
            }
        }
    }
    assert_eq!(decided + refused, FLOOD);
    assert!(decided > 0, "{refused} were refused, and none decided");
    match after {
        Ok(decision) => assert_eq!(decision.reason, Reason::UserRevoked, "asked after the acknowledgement"),
        Err(cause) => assert!(cause.is_retryable(), "{cause}"),
    }
    // The flood may have cost its own connection: a client that cannot keep its lease refuses by itself.
    let denied = node.client(APP).await.open(&ada()).await.err();
    assert!(matches!(denied, Some(OpenError::Denied(_))), "{denied:?}");
    node.stop().await;
}
