//! Deciding, publishing, restarting.

use portcullis_audit::{AuditReader, EntryKind};
use portcullis_model::{ErrorCode, Origin, Reason, Revision, Verdict};

use super::*;
use crate::{OpenError, PublishError};

#[tokio::test(flavor = "multi_thread")]
async fn users_and_agents_get_the_intersection_of_what_each_may() {
    let (_folder, engine) = organisation().await;
    let mut decider = engine.decider().unwrap();
    let direct = engine.open_session(&terms("User::ada", &[]), "test").unwrap();
    let decision = decide(&mut decider, direct.handle, "read").unwrap();
    assert_eq!((decision.verdict, decision.reason), (Verdict::Allow, Reason::Permitted));
    assert_eq!(
        decision.policies.iter().map(|policy| (&*policy.id, policy.line)).collect::<Vec<_>>(),
        [("staff-read", 2)]
    );

    let chained = engine.open_session(&terms("User::ada", &["Agent::outer", "Agent::inner"]), "test").unwrap();
    let decision = decide(&mut decider, chained.handle, "write").unwrap();
    assert_eq!(decision.verdict, Verdict::Allow);
    let ids: Vec<_> = decision.policies.iter().map(|policy| policy.id.to_string()).collect();
    assert_eq!(ids, ["staff-write", "agents"]);

    let change = Change::ChangeMembers { group: uid("Group::banned"), add: vec![uid("User::ada")], remove: vec![] };
    engine.apply(vec![change], Origin::Node).await.unwrap();
    for handle in [direct.handle, chained.handle] {
        assert_eq!(
            decide(&mut decider, handle, "read").unwrap().reason,
            Reason::Forbidden,
            "a membership shows at once"
        );
    }
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chains_need_a_path_of_grants_in_their_order() {
    let (_folder, engine) = organisation().await;
    let open = |subject: &str, agents: &[&str]| {
        engine.open_session(&terms(subject, agents), "test").map(|opened| opened.handle)
    };
    assert!(open("User::ada", &["Agent::outer"]).is_ok());
    for (subject, agents) in [
        ("User::ada", &["Agent::inner"][..]),
        ("User::ada", &["Agent::inner", "Agent::outer"]),
        ("User::ada", &["Agent::outer", "Agent::outer"]),
        ("User::ben", &["Agent::outer"]),
    ] {
        assert_eq!(open(subject, agents), Err(OpenError::Denied(Reason::NotDelegated)), "{subject} {agents:?}");
    }
    assert_eq!(open("User::nobody", &[]), Err(OpenError::Denied(Reason::UnknownUser)));
    assert_eq!(open("User::ada", &["Agent::nobody"]), Err(OpenError::Denied(Reason::UnknownAgent)));
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_condition_that_does_not_hold_or_errors_does_not_cover() {
    let (_folder, engine) = organisation().await;
    let mut conditional = grant(3, "User::ben", "Agent::outer", None, 0);
    conditional.condition =
        Some("when { context has input && context.input has size && context.input.size + 1 < 10 }".into());
    engine.grant(conditional, Origin::Node).await.unwrap();
    let mut decider = engine.decider().unwrap();
    let session = engine.open_session(&terms("User::ben", &["Agent::outer"]), "test").unwrap();
    let mut asked = |input: &str| {
        let request = Request { input: Some(input.into()), ..ask("read") };
        decider.decide(session.handle, &request, Detail::Brief).unwrap().decision.reason
    };
    assert_eq!(asked(r#"{"size":3}"#), Reason::Permitted);
    assert_eq!(asked(r#"{"size":30}"#), Reason::GrantCondition);
    assert_eq!(asked(r#"{"size":9223372036854775807}"#), Reason::GrantCondition, "an overflow does not cover");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_does_not_compile_leaves_the_last_good_one_in_force() {
    let (_folder, engine) = organisation().await;
    let before = engine.status().policy;
    let error =
        engine.publish_policy(set("permit(principal, action == Action::\"reed\", resource);"), Origin::Node).await;
    let Err(PublishError::Invalid(errors)) = error else { panic!("published") };
    assert!(errors.to_string().contains("main.cedar:1:"), "{errors}");
    assert_eq!(engine.status().policy, before);
    let mut decider = engine.decider().unwrap();
    let session = engine.open_session(&terms("User::ada", &[]), "test").unwrap();
    assert_eq!(decide(&mut decider, session.handle, "read").unwrap().verdict, Verdict::Allow);
    engine.publish_policy(set("@id(\"no\") forbid(principal is User, action, resource);"), Origin::Node).await.unwrap();
    assert_eq!(decide(&mut decider, session.handle, "read").unwrap().reason, Reason::Forbidden);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_cannot_be_decided_are_refused_by_what_is_wrong_with_them() {
    let (_folder, engine) = organisation().await;
    let mut decider = engine.decider().unwrap();
    let session = engine.open_session(&terms("User::ada", &[]), "test").unwrap();
    let mut code = |request: &Request| {
        decider.decide(session.handle, request, Detail::Brief).map(|answer| answer.decision.verdict).unwrap_err().code
    };
    assert_eq!(code(&ask("reed")), ErrorCode::UnknownAction);
    let mut own = ask("read");
    own.context.insert("user".into(), portcullis_model::Value::Entity(uid("User::ben")));
    assert_eq!(code(&own), ErrorCode::ReservedKey);
    assert_eq!(code(&Request { input: Some(r#"{"size":"big"}"#.into()), ..ask("read") }), ErrorCode::SchemaMismatch);
    assert_eq!(code(&Request { at_least: Some(Revision::new(1, 1_000)), ..ask("read") }), ErrorCode::NotFresh);
    assert_eq!(code(&Request { at_least: Some(Revision::new(2, 1)), ..ask("read") }), ErrorCode::NotFresh);
    assert_eq!(code(&Request { resource: uid("Nothing::x"), ..ask("read") }), ErrorCode::UnknownType);
    assert!(engine.close_session(session.handle) && !engine.close_session(session.handle));
    assert_eq!(code(&ask("read")), ErrorCode::UnknownHandle);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_brings_back_everything_but_sessions() {
    let (folder, engine) = organisation().await;
    let scope = portcullis_model::RevokeScope::Agent(uid("Agent::inner"));
    let revoked = engine.revoke(scope, Origin::Admin("test".into())).await.unwrap();
    let (before, status) = (revoked.revision, engine.status());
    engine.stop().await;
    drop(engine);
    let engine = start(folder.path()).await.unwrap();
    assert_eq!((engine.effective(), engine.status().policy), (before, status.policy));
    let open = |agents: &[&str]| engine.open_session(&terms("User::ada", agents), "test").map(|_| ());
    assert_eq!(open(&["Agent::outer", "Agent::inner"]), Err(OpenError::Denied(Reason::AgentRevoked)));
    assert_eq!(open(&["Agent::outer"]), Ok(()));
    engine.restore(uid("Agent::inner"), Origin::Admin("test".into())).await.unwrap();
    assert_eq!(open(&["Agent::outer", "Agent::inner"]), Ok(()));
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_decision_and_change_is_in_the_audit_log() {
    let (folder, engine) = organisation().await;
    let mut decider = engine.decider().unwrap();
    let session = engine.open_session(&terms("User::ada", &["Agent::outer"]), "test").unwrap();
    let allowed = decide(&mut decider, session.handle, "read").unwrap();
    let scope = portcullis_model::RevokeScope::User(uid("User::ada"));
    let last = engine.revoke(scope, Origin::Admin("test".into())).await.unwrap().revision;
    let denied = decide(&mut decider, session.handle, "read").unwrap();
    drop(decider);
    engine.stop().await;
    let entries: Vec<_> = AuditReader::open(&folder.path().join("audit"))
        .unwrap()
        .oldest_first(0)
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let decisions: Vec<_> = entries.iter().filter(|entry| entry.entry.kind == EntryKind::Decision).collect();
    assert_eq!(
        decisions.iter().filter_map(|entry| entry.entry.decision_id).collect::<Vec<_>>(),
        [allowed.id, denied.id]
    );
    assert_eq!(decisions[0].entry.policies, allowed.policies);
    assert_eq!(decisions[0].entry.grant, Some(grant_id(1)));
    assert_eq!(decisions[1].entry.reason, Some(Reason::UserRevoked));
    assert_eq!(decisions[1].entry.client.as_deref(), Some("test"));
    let changes: Vec<_> = entries
        .iter()
        .filter(|entry| entry.entry.kind == EntryKind::Change)
        .filter_map(|entry| entry.entry.revision)
        .collect();
    let expected: Vec<_> = (1..=last.seq).map(|seq| Revision::new(1, seq)).collect();
    assert_eq!(changes, expected, "every change once, in order");
}
