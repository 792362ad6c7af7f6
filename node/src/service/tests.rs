#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::path::Path;

use portcullis_audit::FileSystem;
use portcullis_identity::{Asserts, Credentials, Role};
use portcullis_idp::{FileSource, Mapping};
use portcullis_log::LogOptions;
use portcullis_model::{Change, EntityRecord, Origin, Reason, Standing, Verdict};
use portcullis_policy::{CompileOptions, OnError, Validation};
use portcullis_runtime::{AuditMode, Classes, Clock, EngineOptions};
use portcullis_wire::admin::{
    AuditFilter, AuditQuery, AuditTail, DecisionReport, EntityQuery, GrantOrder, GrantQuery, PassOutcome,
    PrincipalKind, Question, RevokeTarget, SessionQuery,
};
use serde_json::json;

use super::*;

struct Harness {
    service: Service,
    engine: Engine,
    _folder: tempfile::TempDir,
}

/// An engine with the sample organisation.
async fn harness() -> Harness {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::start(EngineOptions {
        folder: folder.path().join("engine"),
        audit_mode: AuditMode::ByClass,
        classes: Classes::default(),
        compile: CompileOptions { validation: Validation::Strict, on_error: OnError::Deny },
        tokens: None,
        sessions_max: 1_000,
        clock: Clock::System,
        log: LogOptions::default(),
        audit_disk: Arc::new(FileSystem),
        progress: Arc::new(|_| {}),
    })
    .await
    .unwrap();
    engine.publish_policy(portcullis_sample::policy_set(), Origin::Node).await.unwrap();
    let directory = folder.path().join("directory.json");
    std::fs::write(&directory, portcullis_sample::directory_json()).unwrap();
    let source = FileSource::open(directory, "file".parse().unwrap(), Mapping::default()).unwrap();
    engine.start_source(Box::new(source)).await.unwrap();
    let resources = portcullis_sample::resources().unwrap().into_iter().map(Change::PutEntity);
    let grants = portcullis_sample::grants().unwrap().into_iter().map(Change::Grant);
    engine.apply(resources.chain(grants).collect(), Origin::Node).await.unwrap();
    let program = Program::new(Path::new("/bin/portcullis"), None, None);
    let service = Service::new(engine.clone(), "n_test".to_owned(), program, Arc::new(|| 7));
    Harness { service, engine, _folder: folder }
}

fn client(role: Role, asserts: Asserts) -> Registration {
    Registration {
        name: format!("the-{}", role.as_str()),
        role,
        credentials: Credentials::default(),
        asserts,
        subject: None,
        agent: None,
        direct: false,
        attributes: Vec::new(),
    }
}

fn operator() -> Registration {
    client(Role::Operator, Asserts::default())
}

fn question(agent: &str, action: &str, resource: &str, input: Option<serde_json::Value>) -> Question {
    Question {
        agents: vec![format!("Agent::{agent}").parse().unwrap()],
        subject: "User::ada".parse().unwrap(),
        action: format!("Action::{action}").parse().unwrap(),
        resource: resource.parse().unwrap(),
        input,
        context: std::collections::BTreeMap::new(),
        at_least: None,
    }
}

fn post() -> Question {
    question("triage-bot", "slack/post_message", "Channel::general", Some(json!({"text": "3 new tickets"})))
}

impl Harness {
    async fn check(&self, question: Question) -> DecisionReport {
        match self.service.carry_out(&operator(), AdminRequest::Check(question)).await.unwrap() {
            AdminReply::Report(report) => *report,
            other => panic!("{other:?}"),
        }
    }

    async fn refused(&self, caller: &Registration, request: AdminRequest) -> Refusal {
        self.service.carry_out(caller, request).await.unwrap_err()
    }

    async fn search(&self, filter: AuditFilter) -> Vec<serde_json::Value> {
        let query = AuditQuery { filter, ..AuditQuery::default() };
        match self.service.carry_out(&operator(), AdminRequest::AuditSearch(query)).await.unwrap() {
            AdminReply::Audit(page) => page.entries,
            other => panic!("{other:?}"),
        }
    }

    async fn stop(self) {
        self.service.close();
        self.engine.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_turns_the_allow_into_a_deny_and_the_record_has_all_of_it() {
    let harness = harness().await;
    let allowed = harness.check(post()).await;
    assert_eq!((allowed.verdict, allowed.reason), (Verdict::Allow, Reason::Permitted));
    assert_eq!(allowed.fix.as_deref(), Some("/bin/portcullis revoke agent triage-bot"));
    assert!(allowed.policies.iter().all(|policy| &*policy.file == "slack.cedar" && policy.line > 0));
    assert_eq!(allowed.principals.len(), 2);
    assert!(allowed.principals.iter().all(|pass| pass.outcome == PassOutcome::Allow && !pass.policies.is_empty()));
    assert!(allowed.delegation.iter().all(|step| step.covers && step.grant.is_some()));

    let agent: portcullis_model::EntityUid = "Agent::triage-bot".parse().unwrap();
    let target = RevokeTarget::Agent { uid: agent.clone() };
    let revoked = harness.service.carry_out(&operator(), AdminRequest::Revoke { target }).await.unwrap();
    assert!(matches!(revoked, AdminReply::Revoked(revoked) if revoked.revision.covers(allowed.revision)));
    let denied = harness.check(post()).await;
    assert_eq!((denied.verdict, denied.reason), (Verdict::Deny, Reason::AgentRevoked));
    assert_eq!(denied.words, "the agent `triage-bot` was revoked");
    assert_eq!(denied.fix.as_deref(), Some("/bin/portcullis restore agent triage-bot"));
    assert!(denied.principals.iter().all(|pass| pass.outcome == PassOutcome::NotAsked));

    let restore = AdminRequest::Restore { kind: PrincipalKind::Agent, uid: agent };
    harness.service.carry_out(&operator(), restore).await.unwrap();
    assert_eq!(harness.check(post()).await.verdict, Verdict::Allow);

    for (decision, verdict) in [(allowed.decision_id, "allow"), (denied.decision_id, "deny")] {
        let found = harness.search(AuditFilter { decision: Some(decision), ..AuditFilter::default() }).await;
        assert_eq!(found.len(), 1);
        assert_eq!((&found[0]["verdict"], &found[0]["client"]), (&json!(verdict), &json!("the-operator")));
    }
    let by_reason = AuditFilter { reason: Some("agent_revoked".to_owned()), ..AuditFilter::default() };
    assert_eq!(harness.search(by_reason).await.len(), 1);
    let changes = harness.search(AuditFilter { kind: Some("change".to_owned()), ..AuditFilter::default() }).await;
    assert_eq!(changes[0]["by"], json!("admin the-operator"));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn denials_say_who_what_and_how_to_change_it() {
    let harness = harness().await;
    let outside = question("mailer", "mail/send", "Mailbox::ada", Some(json!({"to": "x@evil.example"})));
    let forbidden = harness.check(outside).await;
    assert_eq!((forbidden.verdict, forbidden.reason), (Verdict::Deny, Reason::Forbidden));
    assert_eq!(forbidden.chain.iter().map(|agent| agent.id()).collect::<Vec<_>>(), ["triage-bot", "mailer"]);
    assert!(forbidden.words.starts_with("policy `mail-inside-only` (mail.cedar:"), "{}", forbidden.words);
    assert_eq!(forbidden.delegation.len(), 2);

    let not_delegated =
        harness.check(question("release-bot", "github/read_repository", "Repository::corp/website", None)).await;
    assert_eq!(not_delegated.reason, Reason::NotDelegated);
    assert!(!not_delegated.delegation[0].covers);
    let fix = "/bin/portcullis grant --for ada --agent release-bot --action github/read_repository --resource Repository::corp/website";
    assert_eq!(not_delegated.fix.as_deref(), Some(fix));
    let no_grant = harness.check(question("release-bot", "mail/send", "Mailbox::chen", None)).await;
    assert_eq!((no_grant.reason, no_grant.fix), (Reason::NotDelegated, None));
    assert!(no_grant.words.ends_with("policy does not permit it either"), "{}", no_grant.words);

    for (wrong, code, hint) in [
        (question("triag-bot", "slack/post_message", "Channel::general", None), ErrorCode::NotFound, "`triage-bot`"),
        (
            question("triage-bot", "slack/post_mesage", "Channel::general", None),
            ErrorCode::UnknownAction,
            "slack/post_message",
        ),
        (question("triage-bot", "slack/post_message", "Channel::generall", None), ErrorCode::NotFound, "`general`"),
        (
            question("triage-bot", "slack/post_message", "Channel::general", Some(json!([]))),
            ErrorCode::BadRequest,
            "object",
        ),
        (
            question("triage-bot", "slack/post_message", "Channel::general", Some(json!({"text": "x".repeat(5_000)}))),
            ErrorCode::TooLarge,
            "4096",
        ),
    ] {
        let refusal = harness.refused(&operator(), AdminRequest::Check(wrong)).await;
        assert_eq!(refusal.code, code, "{refusal}");
        assert!(refusal.message.contains(hint), "{refusal}");
    }
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_and_registrations_bound_what_is_asked_and_refusals_are_recorded() {
    let harness = harness().await;
    let auditor = client(Role::Auditor, Asserts::default());
    let nobody = client(Role::Pep, Asserts::default());
    let asserts = Asserts {
        subjects: vec!["User::ada".parse().unwrap()],
        subject_types: Vec::new(),
        agents: vec!["Agent::triage-bot".parse().unwrap()],
    };
    let pep = client(Role::Pep, asserts);
    let direct = Question { agents: Vec::new(), ..post() };
    for (caller, request) in [
        (&auditor, AdminRequest::Check(post())),
        (&auditor, AdminRequest::EntityPut { entities: Vec::new() }),
        (&nobody, AdminRequest::Check(post())),
        (&pep, AdminRequest::Check(direct)),
        (&pep, AdminRequest::Status {}),
        (&pep, AdminRequest::Check(question("mailer", "mail/read", "Mailbox::ada", None))),
        (&client(Role::Platform, Asserts::default()), AdminRequest::PolicyShow {}),
    ] {
        let refusal = harness.refused(caller, request).await;
        assert_eq!(refusal.code, ErrorCode::NotPermitted, "{refusal}");
    }
    let refused = AuditFilter { reason: Some("not_permitted".to_owned()), ..AuditFilter::default() };
    assert_eq!(harness.search(refused).await.len(), 7);
    let reply = harness.service.carry_out(&pep, AdminRequest::Check(post())).await.unwrap();
    assert!(matches!(&reply, AdminReply::Report(report) if report.verdict == Verdict::Allow && report.fix.is_none()));
    assert!(harness.service.carry_out(&auditor, AdminRequest::Status {}).await.is_ok());
    let reads = harness.search(AuditFilter { kind: Some("admin".to_owned()), ..AuditFilter::default() }).await;
    assert!(reads.iter().any(|entry| entry["by"] == json!("auditor the-auditor")));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_paged_without_loss_and_changes_are_typed() {
    let harness = harness().await;
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let query = EntityQuery { limit: 5, after, ..EntityQuery::default() };
        let AdminReply::Entities(page) =
            harness.service.carry_out(&operator(), AdminRequest::EntityList(query)).await.unwrap()
        else {
            panic!("entities")
        };
        seen.extend(page.entities.into_iter().map(|view| view.entity.uid));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let AdminReply::Status(status) = harness.service.carry_out(&operator(), AdminRequest::Status {}).await.unwrap()
    else {
        panic!("status")
    };
    assert_eq!(number(seen.len()), status.entities);
    assert_eq!((status.grants, status.connections, status.audit_healthy), (5, 7, true));
    seen.dedup();
    assert_eq!(number(seen.len()), status.entities);

    let query = GrantQuery { subject: Some("User::ada".parse().unwrap()), limit: 1, ..GrantQuery::default() };
    let AdminReply::Grants(first) =
        harness.service.carry_out(&operator(), AdminRequest::GrantList(query.clone())).await.unwrap()
    else {
        panic!("grants")
    };
    let query = GrantQuery { after: first.next, ..query };
    let AdminReply::Grants(second) =
        harness.service.carry_out(&operator(), AdminRequest::GrantList(query)).await.unwrap()
    else {
        panic!("grants")
    };
    assert_eq!((first.grants.len(), second.grants.len(), second.next), (1, 1, None));
    assert_eq!(second.grants[0].grant.parent, Some(first.grants[0].grant.id));

    let wrong = EntityRecord::named("Chanel::x".parse().unwrap());
    let refusal = harness.refused(&operator(), AdminRequest::EntityPut { entities: vec![wrong] }).await;
    assert_eq!(refusal.code, ErrorCode::UnknownType);
    let sneaked = AdminRequest::Events { changes: vec![Change::Revoke(portcullis_model::RevokeScope::Everything)] };
    assert_eq!(harness.refused(&operator(), sneaked).await.code, ErrorCode::BadRequest);
    let order: GrantOrder = serde_json::from_value(json!({
        "subject": "User::ada", "agent": "Agent::digest-bt", "actions": ["Action::read"], "resource": "any"
    }))
    .unwrap();
    let refusal = harness.refused(&operator(), AdminRequest::Grant(order)).await;
    assert!(refusal.message.contains("did you mean `digest-bot`"), "{refusal}");
    let AdminReply::Sessions(page) =
        harness.service.carry_out(&operator(), AdminRequest::SessionList(SessionQuery::default())).await.unwrap()
    else {
        panic!("sessions")
    };
    assert_eq!(page.sessions.len(), 0);
    let shown =
        harness.service.carry_out(&operator(), AdminRequest::EntityShow { uid: "User::ada".parse().unwrap() }).await;
    assert!(matches!(shown, Ok(AdminReply::Entity(view)) if view.standing == Standing::Active));
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_is_followed_without_gap_or_repetition() {
    let harness = harness().await;
    let tail = |after, limit| AdminRequest::AuditTail(AuditTail { after, limit, ..AuditTail::default() });
    let mut numbers = Vec::new();
    let mut after = Some(0);
    for _ in 0..1_000 {
        let AdminReply::Audit(page) = harness.service.carry_out(&operator(), tail(after, 3)).await.unwrap() else {
            panic!("audit")
        };
        numbers.extend(page.entries.iter().filter_map(|entry| entry["number"].as_u64()));
        after = page.next;
        if page.entries.len() < 3 || numbers.len() > 40 {
            break;
        }
    }
    assert!(numbers.len() > 30);
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    let AdminReply::Audit(newest) = harness.service.carry_out(&operator(), tail(None, 2)).await.unwrap() else {
        panic!("audit")
    };
    assert_eq!(newest.entries.len(), 2);
    assert_eq!(newest.entries[1]["number"].as_u64(), newest.next);
    // A look at nothing new is not news itself, or following would never end.
    let mut after = newest.next;
    for found in [0, 0, 1, 1, 0] {
        if found == 1 && after == newest.next {
            harness.check(question("triage-bot", "slack/post_message", "Channel::general", None)).await;
        }
        let AdminReply::Audit(page) = harness.service.carry_out(&operator(), tail(after, 0)).await.unwrap() else {
            panic!("audit")
        };
        assert_eq!(page.entries.len(), found, "{:?}", page.entries);
        after = page.next;
    }
    let unknown = AuditFilter { kind: Some("decison".to_owned()), ..AuditFilter::default() };
    let query = AuditQuery { filter: unknown, ..AuditQuery::default() };
    let refusal = harness.refused(&operator(), AdminRequest::AuditSearch(query)).await;
    assert!(refusal.message.contains("`decision`"), "{refusal}");
    harness.stop().await;
}
