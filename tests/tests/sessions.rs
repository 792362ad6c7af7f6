//! A real node and the real client: sessions, decisions, revocation and what is pushed.

use portcullis_audit::{EntryKind, Filter};
use portcullis_client::admin::{AdminReply, AdminRequest, PrincipalKind, RevokeTarget};
use portcullis_client::{Client, DecideError, Event, OpenError, OpenRequest, Require, Role};
use portcullis_model::{Change, EntityRecord, ErrorCode, Reason, Request, Revision, Value, Verdict};
use portcullis_tests::names::{action, uid};
use portcullis_tests::nodes::{OPERATOR, Plan, TestNode, platform};
use portcullis_tests::wait::DEADLINE;
use tokio::time::timeout;

use crate::records;

const APP: &str = "app";

async fn node() -> TestNode {
    let app = platform(APP, &["Agent::triage-bot", "Agent::mailer"]);
    TestNode::sample(Plan { clients: vec![app], ..Plan::default() }).await
}

fn post() -> Request {
    Request {
        input: Some(r#"{"text":"hello"}"#.into()),
        ..Request::new(action("slack/post_message"), uid("Channel::general"))
    }
}

fn through_triage_bot() -> OpenRequest {
    OpenRequest::asserted(uid("User::ada"), [uid("Agent::triage-bot")])
}

async fn revoke(operator: &Client, target: RevokeTarget) -> Revision {
    match operator.admin(&AdminRequest::Revoke { target }).await.unwrap() {
        AdminReply::Revoked(revoked) => revoked.revision,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_agent_is_denied_told_and_restored() {
    let node = node().await;
    let (app, operator) = (node.client(APP).await, node.client(OPERATOR).await);
    assert_eq!((app.role(), operator.role()), (Some(Role::Platform), Some(Role::Operator)));
    let session = app.open(&through_triage_bot()).await.unwrap();
    let allowed = session.decide_detailed(&post()).await.unwrap();
    assert_eq!((allowed.verdict, allowed.reason), (Verdict::Allow, Reason::Permitted));
    let mut policies: Vec<_> = allowed.policies.iter().map(|policy| policy.id.to_string()).collect();
    policies.sort();
    assert_eq!(policies, ["slack-agents-post", "slack-post-as-member"]);
    assert!(allowed.policies.iter().all(|policy| &*policy.file == "slack.cedar" && policy.line > 0));
    assert!(session.decide(&post()).await.unwrap().require().is_ok());

    let mut events = app.subscribe();
    let revision = revoke(&operator, RevokeTarget::Agent { uid: uid("Agent::triage-bot") }).await;
    // Asked after the acknowledgement: denied, whatever has been pushed.
    let denied = session.decide(&post()).await.unwrap();
    assert_eq!((denied.verdict, denied.reason), (Verdict::Deny, Reason::AgentRevoked));
    assert!(denied.require().is_err());
    let told = timeout(DEADLINE, async {
        loop {
            if let Some(Event::Ended { revision, sessions, .. }) = events.next().await {
                return (revision, sessions);
            }
        }
    });
    let (told_at, sessions) = told.await.unwrap();
    assert_eq!((told_at, sessions), (revision, 1));
    let Err(OpenError::Denied(decision)) = app.open(&through_triage_bot()).await else { panic!("opened") };
    assert_eq!(decision.reason, Reason::AgentRevoked);

    let restore = AdminRequest::Restore { kind: PrincipalKind::Agent, uid: uid("Agent::triage-bot") };
    assert!(matches!(operator.admin(&restore).await.unwrap(), AdminReply::Done { .. }));
    assert_eq!(session.decide(&post()).await.unwrap().reason, Reason::AgentRevoked, "a session is not revived");
    let again = app.open(&through_triage_bot()).await.unwrap();
    assert_eq!(again.decide(&post()).await.unwrap().verdict, Verdict::Allow);

    let decisions = Filter { kind: Some(EntryKind::Decision), session: Some(session.id()), ..Filter::default() };
    let recorded = records::search(node.engine(), &decisions).await;
    let reasons: Vec<_> = recorded.iter().filter_map(|entry| entry.entry.reason).collect();
    assert_eq!(reasons, [Reason::AgentRevoked, Reason::AgentRevoked, Reason::Permitted, Reason::Permitted]);
    assert!(recorded.iter().any(|entry| entry.entry.decision_id == Some(allowed.id)));
    drop((session, again));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scope_of_revocation_ends_its_sessions_and_no_other() {
    let node = node().await;
    let (app, operator) = (node.client(APP).await, node.client(OPERATOR).await);
    let open = async |subject: &str, agents: &[&str]| {
        let request = OpenRequest::asserted(uid(subject), agents.iter().map(|agent| uid(agent)));
        app.open(&request).await.unwrap()
    };
    let (ada, agent) = (open("User::ada", &[]).await, open("User::ada", &["Agent::triage-bot"]).await);
    let (other, chen) = (open("User::ada", &[]).await, open("User::chen", &[]).await);
    let read = Request::new(action("slack/list_channels"), uid("Server::slack"));
    let reason = async |session: &portcullis_client::Session| session.decide(&read).await.unwrap().reason;
    for session in [&ada, &agent, &other, &chen] {
        assert_eq!(reason(session).await, Reason::Permitted);
    }
    let id = other.id();
    revoke(&operator, RevokeTarget::Session { id }).await;
    assert_eq!(reason(&other).await, Reason::SessionRevoked);
    assert_eq!(reason(&ada).await, Reason::Permitted);
    let grant = portcullis_sample::grants().unwrap()[0].clone();
    assert_eq!((&grant.subject, &grant.agent), (&uid("User::ada"), &uid("Agent::triage-bot")));
    let before = reason(&agent).await;
    revoke(&operator, RevokeTarget::Subtree { id: grant.id }).await;
    assert_eq!((before, reason(&agent).await), (Reason::Permitted, Reason::GrantRevoked));
    assert_eq!(reason(&ada).await, Reason::Permitted);
    revoke(&operator, RevokeTarget::User { uid: uid("User::ada") }).await;
    assert_eq!((reason(&ada).await, reason(&chen).await), (Reason::UserRevoked, Reason::Permitted));
    revoke(&operator, RevokeTarget::Everything {}).await;
    assert_eq!(reason(&chen).await, Reason::EverythingRevoked);
    drop((ada, agent, other, chen));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_revisions_and_closing() {
    let node = node().await;
    let (app, operator) = (node.client(APP).await, node.client(OPERATOR).await);
    let session = app.open(&through_triage_bot()).await.unwrap();
    let mut hostile = post();
    hostile.context.insert("user".into(), Value::Entity(uid("User::chen")));
    let unknown = Request::new(action("slack/post_massage"), uid("Channel::general"));
    let denied = Request::new(action("slack/archive_channel"), uid("Channel::general"));
    let answers = session.batch(&[post(), hostile, unknown, denied]).await.unwrap();
    assert_eq!(answers[0].as_ref().unwrap().verdict, Verdict::Allow);
    assert_eq!(answers[1].as_ref().unwrap_err().code(), Some(ErrorCode::ReservedKey));
    assert_eq!(answers[2].as_ref().unwrap_err().code(), Some(ErrorCode::UnknownAction));
    assert_eq!(answers[3].as_ref().unwrap().verdict, Verdict::Deny);

    let put = AdminRequest::Events { changes: vec![Change::PutEntity(EntityRecord::named(uid("Server::new")))] };
    let AdminReply::Done { revision } = operator.admin(&put).await.unwrap() else { panic!("not done") };
    let fresh = Request { at_least: Some(revision), ..post() };
    assert!(session.decide(&fresh).await.unwrap().revision.covers(revision));
    let future = Request { at_least: Some(Revision::new(revision.epoch, revision.seq + 1_000)), ..post() };
    let not_fresh = session.decide(&future).await.unwrap_err();
    assert_eq!((not_fresh.code(), not_fresh.is_retryable()), (Some(ErrorCode::NotFresh), true));

    session.close().await.unwrap();
    app.clone().close().await;
    let closed = app.open(&through_triage_bot()).await.unwrap_err();
    assert!(matches!(closed, OpenError::Failed(DecideError::Closed | DecideError::Unreachable)), "{closed}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_claim_too_much_are_refused_by_the_field() {
    let node = node().await;
    let app = node.client(APP).await;
    let session = app.open(&through_triage_bot()).await.unwrap();
    let with_context = |key: &str, value| {
        let mut request = post();
        request.context.insert(key.into(), value);
        request
    };
    let mut owned = post();
    owned.resource_attributes.insert("public".into(), Value::Bool(true));
    for (what, request, code, field) in [
        ("an engine's key", with_context("agents", Value::Set(vec![])), ErrorCode::ReservedKey, "agents"),
        ("the input as context", with_context("input", Value::Bool(true)), ErrorCode::ReservedKey, "input"),
        ("an undeclared key", with_context("device", Value::Bool(true)), ErrorCode::SchemaMismatch, "device"),
        ("another's attribute", owned, ErrorCode::AttributeNotOwned, "public"),
        (
            "an input of another shape",
            Request { input: Some(r#"{"text":7}"#.into()), ..post() },
            ErrorCode::SchemaMismatch,
            "text",
        ),
        ("an input that is no object", Request { input: Some("[]".into()), ..post() }, ErrorCode::BadRequest, "input"),
        ("an unknown type", Request { resource: uid("Nothing::x"), ..post() }, ErrorCode::UnknownType, "resource"),
        (
            "an unknown action",
            Request { action: action("slack/nothing"), ..post() },
            ErrorCode::UnknownAction,
            "action",
        ),
    ] {
        let Err(DecideError::Refused { refusal, .. }) = session.decide(&request).await else { panic!("{what}") };
        assert_eq!(refusal.code, code, "{what}: {refusal}");
        assert!(refusal.field.as_deref().is_some_and(|named| named.contains(field)), "{what}: {refusal:?}");
    }
    let unserved = Request { resource: uid("Server::slack"), ..post() };
    match session.decide(&unserved).await {
        Ok(decision) => assert_eq!(decision.verdict, Verdict::Deny, "a resource type that the action does not take"),
        Err(cause) => assert_eq!(cause.code(), Some(ErrorCode::SchemaMismatch), "{cause}"),
    }
    assert_eq!(session.decide(&post()).await.unwrap().verdict, Verdict::Allow, "the session goes on");
    drop(session);
    node.stop().await;
}
