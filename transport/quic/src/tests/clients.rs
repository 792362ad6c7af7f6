//! Peers that others wrote: the client crate, and a load generator's echo.

use std::time::Duration;

use portcullis_client::{Client, ClientOptions, Credential, DecideError, OpenRequest};
use portcullis_model::{ErrorCode, Origin, Reason, Request, RevokeScope, Verdict};
use portcullis_wire::admin::{AdminReply, AdminRequest};
use tokio::time::timeout;

use super::node::{Node, OPERATOR, PLATFORM};
use super::peer::{Dial, Stream};
use super::{SOON, uid};
use crate::echo::EchoServer;
use crate::{QuicOptions, TlsIdentity};

async fn connect(node: &Node, token: &str) -> Client {
    let credential = Credential::Token(token.to_owned());
    let mut options = ClientOptions::new(node.address().to_string(), "localhost", vec![node.pki.root()], credential);
    options.deadline = SOON;
    Client::connect(options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_crate_is_served() {
    let node = Node::start().await;
    let client = connect(&node, PLATFORM).await;
    let request = OpenRequest::asserted(uid("User::ada"), [uid("Agent::triage-bot")]);
    let session = client.open(&request).await.unwrap();
    let question = Request::new(uid("Action::slack/list_channels"), uid("Server::slack"));
    let decision = session.decide_detailed(&question).await.unwrap();
    assert_eq!(decision.verdict, Verdict::Allow);
    assert!(decision.policies.iter().any(|policy| &*policy.id == "slack-list"));
    // With registered names, once they are there, and many at once.
    let answers = session.batch(&vec![question.clone(); 40]).await.unwrap();
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|decision| decision.verdict == Verdict::Allow)));
    for _ in 0..100 {
        assert_eq!(session.decide(&question).await.unwrap().verdict, Verdict::Allow);
    }
    let mut events = client.subscribe();
    node.engine.revoke(RevokeScope::Agent(uid("Agent::triage-bot")), Origin::Node).await.unwrap();
    assert_eq!(session.decide(&question).await.unwrap().reason, Reason::AgentRevoked);
    let event = timeout(SOON, events.next()).await.unwrap();
    assert!(format!("{event:?}").contains("triage-bot"), "{event:?}");
    assert!(client.open(&request).await.is_err());
    session.close().await.unwrap();

    let operator = connect(&node, OPERATOR).await;
    assert!(matches!(operator.admin(&AdminRequest::Status {}).await, Ok(AdminReply::Done { .. })));
    let refused = client.admin(&AdminRequest::Status {}).await.unwrap_err();
    assert_eq!(DecideError::code(&refused), Some(ErrorCode::NotPermitted));
    operator.close().await;
    client.close().await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_echo_answers_each_complete_block() {
    let node = Node::start().await;
    let (chain, key) = node.pki.issue(&[]);
    let control = tokio::runtime::Handle::current();
    let options = QuicOptions::new(([127, 0, 0, 1], 0).into(), TlsIdentity::new(chain, key), control);
    assert!(EchoServer::start(options.clone(), 0, 96).is_err());
    let echo = EchoServer::start(options, 100, 96).unwrap();
    let connection = Dial::token("").connect(&node.pki, echo.local_addresses()[0]).await.unwrap();
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    let blocks = 5_000;
    let sending = async {
        send.write_all(&vec![1; blocks * 100 + 99]).await.unwrap();
        send.finish().unwrap();
    };
    let (_, echoed) = tokio::join!(sending, receive.read_to_end(1 << 20));
    assert_eq!(echoed.unwrap().len(), blocks * 96);
    let mut second = Stream::open(&connection).await;
    second.write(&[0; 100]).await;
    connection.close(0_u32.into(), b"");
    timeout(SOON, echo.shutdown(Duration::from_secs(10))).await.unwrap();
    node.stop().await;
}
