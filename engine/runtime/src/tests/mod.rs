#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

//! A whole engine in process: real logs in a temporary folder, real actors, the applier's thread.

mod faults;
mod lifecycle;
mod revocation;
mod tokens;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis_audit::FileSystem;
use portcullis_cells::Handle;
use portcullis_identity::SessionTokens;
use portcullis_log::LogOptions;
use portcullis_model::{
    Change, Decision, EntityRecord, EntityUid, GrantId, GrantRecord, Origin, PolicyFile, PolicySetText, Refusal,
    Request, ResourceScope, SessionTerms, Timestamp,
};
use portcullis_policy::{CompileOptions, OnError, Validation};
use tempfile::TempDir;

use crate::{AuditMode, Classes, Clock, Decider, Detail, Engine, EngineOptions, StartError};

pub(super) const SCHEMA: &str = r#"
entity Group;
entity User in [Group];
entity Agent in [Group];
entity Channel in [Channel] { open: Bool };
action read, write appliesTo { principal: [User, Agent], resource: [Channel],
  context: { user?: User, agent?: Agent, agents?: Set<Agent>, depth?: Long, input?: { size?: Long } } };
"#;

pub(super) const POLICIES: &str = r#"
@id("staff-read") permit(principal is User in Group::"staff", action == Action::"read", resource);
@id("staff-write") permit(principal is User in Group::"staff", action == Action::"write", resource) when { resource.open };
@id("agents") permit(principal is Agent, action, resource);
@id("banned") forbid(principal is User in Group::"banned", action, resource);
"#;

pub(super) fn uid(text: &str) -> EntityUid {
    text.parse().unwrap()
}

pub(super) fn set(policies: &str) -> PolicySetText {
    let file = |name: &str, text: &str| PolicyFile { name: name.into(), text: text.into() };
    PolicySetText { schema: file("schema.cedarschema", SCHEMA), files: vec![file("main.cedar", policies)] }
}

pub(super) fn put(text: &str, parents: &[&str]) -> Change {
    let mut record =
        EntityRecord { parents: parents.iter().map(|parent| uid(parent)).collect(), ..EntityRecord::named(uid(text)) };
    if text.starts_with("Channel::") {
        let open =
            portcullis_model::Attribute { value: portcullis_model::Value::Bool(true), owner: Default::default() };
        record.attributes.insert("open".into(), open);
    }
    Change::PutEntity(record)
}

pub(super) fn grant_id(number: u8) -> GrantId {
    GrantId::from_bytes([number; 16])
}

pub(super) fn grant(number: u8, subject: &str, agent: &str, parent: Option<u8>, depth_left: u8) -> GrantRecord {
    GrantRecord {
        id: grant_id(number),
        grantor: uid(subject),
        subject: uid(subject),
        agent: uid(agent),
        parent: parent.map(grant_id),
        depth_left,
        actions: vec![uid("Action::read"), uid("Action::write")],
        resource: ResourceScope::Any,
        condition: None,
        not_before: None,
        expires: None,
    }
}

pub(super) fn options(folder: &Path) -> EngineOptions {
    EngineOptions {
        folder: folder.to_owned(),
        audit_mode: AuditMode::ByClass,
        classes: Classes::default(),
        compile: CompileOptions { validation: Validation::Strict, on_error: OnError::Deny },
        tokens: Some(tokens()),
        sessions_max: 10_000,
        clock: Clock::System,
        log: LogOptions::default(),
        audit_disk: Arc::new(FileSystem),
        progress: Arc::new(|_| {}),
    }
}

/// The node's key, the same after a restart.
fn tokens() -> Arc<SessionTokens> {
    // PKCS#8 (RFC 8410) of an Ed25519 key made for these tests.
    let mut key = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    key.extend([7; 32]);
    Arc::new(SessionTokens::from_pkcs8(&key).unwrap())
}

pub(super) async fn start(folder: &Path) -> Result<Engine, StartError> {
    Engine::start(options(folder)).await
}

/// An engine with people, agents, grants and policies.
pub(super) async fn organisation() -> (TempDir, Engine) {
    let folder = TempDir::new().unwrap();
    let engine = start(folder.path()).await.unwrap();
    furnish(&engine).await;
    (folder, engine)
}

pub(super) async fn furnish(engine: &Engine) {
    engine.publish_policy(set(POLICIES), Origin::Node).await.unwrap();
    let mut changes = vec![
        put("Group::staff", &[]),
        put("Group::banned", &[]),
        put("User::ada", &["Group::staff"]),
        put("User::ben", &["Group::staff"]),
        put("Agent::outer", &[]),
        put("Agent::inner", &[]),
        put("Channel::general", &[]),
    ];
    changes.push(Change::Grant(grant(1, "User::ada", "Agent::outer", None, 2)));
    changes.push(Change::Grant(GrantRecord {
        grantor: uid("Agent::outer"),
        ..grant(2, "User::ada", "Agent::inner", Some(1), 1)
    }));
    engine.apply(changes, Origin::Node).await.unwrap();
}

pub(super) fn terms(subject: &str, agents: &[&str]) -> SessionTerms {
    SessionTerms {
        subject: uid(subject),
        agents: agents.iter().map(|agent| uid(agent)).collect(),
        expires: Timestamp::MAX,
    }
}

pub(super) fn ask(action: &str) -> Request {
    Request::new(uid(&format!("Action::{action}")), uid("Channel::general"))
}

pub(super) fn decide(decider: &mut Decider, handle: Handle, action: &str) -> Result<Decision, Refusal> {
    decider.begin();
    let answer = decider.decide(handle, &ask(action), Detail::Policies).map(|answer| answer.decision);
    decider.idle();
    answer
}

/// Longest that a test waits for something that should come at once.
pub(super) const SOON: Duration = Duration::from_secs(20);
