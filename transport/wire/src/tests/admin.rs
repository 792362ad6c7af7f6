//! Administrative calls and replies.

use std::collections::BTreeMap;

use serde_json::json;

use portcullis_model::{
    Change, DecisionId, EntityRecord, ErrorCode, GrantId, GrantRecord, PolicyFile, PolicyRef, PolicySetText, Reason,
    Refusal, ResourceScope, Revision, SessionId, SetHash, Standing, Timestamp, Verdict,
};

use super::samples::uid;
use crate::admin::*;
use crate::limits::{ADMIN_BYTES_MAX, ADMIN_CALLS_MAX};
use crate::{Flags, FrameKind, FrameReader, FrameWriter, Role, WireError};

fn question() -> Question {
    Question {
        agents: vec![uid("Agent::triage-bot")],
        subject: uid("User::ada"),
        action: uid("Action::\"slack/post_message\""),
        resource: uid("Channel::general"),
        input: Some(json!({"text": "hello"})),
        context: BTreeMap::from([("device".into(), portcullis_model::Value::Long(1))]),
        at_least: Some(Revision::new(1, 2)),
    }
}

fn grant_order() -> GrantOrder {
    GrantOrder {
        id: None,
        grantor: None,
        subject: uid("User::ada"),
        agent: uid("Agent::triage-bot"),
        depth_left: 1,
        actions: vec![uid("Action::\"read\"")],
        resource: ResourceScope::Any,
        condition: None,
        not_before: None,
        expires: Some(Timestamp::from_millis(9)),
    }
}

fn grant() -> GrantRecord {
    grant_order().into_record(GrantId::from_bytes([1; 16]))
}

fn delegate_order() -> DelegateOrder {
    DelegateOrder {
        id: None,
        parent: grant().id,
        agent: uid("Agent::mailer"),
        depth_left: 0,
        actions: vec![uid("Action::\"mail/read\"")],
        resource: ResourceScope::In(uid("Mailbox::inbox")),
        condition: Some("when { true }".into()),
        not_before: None,
        expires: None,
    }
}

fn set() -> PolicySetText {
    PolicySetText {
        schema: PolicyFile { name: "schema.cedarschema".into(), text: "entity User;".into() },
        files: vec![PolicyFile { name: "a.cedar".into(), text: "permit(principal, action, resource);".into() }],
    }
}

fn requests() -> Vec<(Role, AdminRequest)> {
    let filter = AuditFilter { verdict: Some(Verdict::Deny), ..AuditFilter::default() };
    vec![
        (Role::Pep, AdminRequest::Check(question())),
        (Role::Pep, AdminRequest::Explain(question())),
        (Role::Operator, AdminRequest::Revoke { target: RevokeTarget::Agent { uid: uid("Agent::mailer") } }),
        (Role::Operator, AdminRequest::Revoke { target: RevokeTarget::Session { id: SessionId::from_bytes([1; 16]) } }),
        (Role::Operator, AdminRequest::Revoke { target: RevokeTarget::Everything {} }),
        (Role::Operator, AdminRequest::Restore { kind: PrincipalKind::Agent, uid: uid("Agent::mailer") }),
        (Role::Operator, AdminRequest::Grant(grant_order())),
        (Role::Operator, AdminRequest::Delegate(delegate_order())),
        (Role::Auditor, AdminRequest::GrantList(GrantQuery { limit: 3, ..GrantQuery::default() })),
        (
            Role::Auditor,
            AdminRequest::SessionList(SessionQuery { subject: Some(uid("User::ada")), ..Default::default() }),
        ),
        (Role::Auditor, AdminRequest::SessionShow { id: SessionId::from_bytes([1; 16]) }),
        (Role::Operator, AdminRequest::EntityPut { entities: vec![EntityRecord::named(uid("User::ada"))] }),
        (Role::Auditor, AdminRequest::EntityList(EntityQuery::default())),
        (Role::Auditor, AdminRequest::EntityShow { uid: uid("User::ada") }),
        (Role::Operator, AdminRequest::Events { changes: vec![Change::Restore(uid("User::ada"))] }),
        (Role::Operator, AdminRequest::PolicyPush { set: set() }),
        (Role::Auditor, AdminRequest::PolicyShow {}),
        (Role::Auditor, AdminRequest::AuditSearch(AuditQuery { filter: filter.clone(), limit: 5, before: Some(9) })),
        (Role::Auditor, AdminRequest::AuditTail(AuditTail { filter, limit: 5, after: Some(9) })),
        (Role::Auditor, AdminRequest::Status {}),
    ]
}

fn report() -> DecisionReport {
    let policy = PolicyRef { id: "a".into(), file: "a.cedar".into(), line: 1 };
    DecisionReport {
        schema_version: REPORT_SCHEMA_VERSION,
        decision_id: DecisionId::from_bytes([3; 16]),
        verdict: Verdict::Deny,
        reason: Reason::NotDelegated,
        words: Reason::NotDelegated.words().into(),
        policies: vec![policy.clone()],
        revision: Revision::new(1, 5),
        latency_ns: 900,
        session: Some(SessionId::from_bytes([4; 16])),
        chain: vec![uid("Agent::mailer")],
        subject: uid("User::ada"),
        action: uid("Action::\"mail/send\""),
        resource: uid("Mailbox::inbox"),
        principals: vec![PrincipalPass {
            principal: uid("User::ada"),
            outcome: PassOutcome::Allow,
            policies: vec![policy],
            errors: vec![PolicyFault { policy: "b".into(), message: "attribute `x` is missing".into() }],
        }],
        delegation: vec![DelegationStep {
            from: uid("User::ada"),
            to: uid("Agent::mailer"),
            grant: None,
            covers: false,
            words: "no grant".into(),
        }],
        fix: Some("portcullis grant".into()),
    }
}

fn replies() -> Vec<AdminReply> {
    let revision = Revision::new(1, 5);
    let session = SessionView {
        id: SessionId::from_bytes([4; 16]),
        subject: uid("User::ada"),
        agents: vec![uid("Agent::mailer")],
        born_at: revision,
        expires: Timestamp::from_millis(7),
        ended: Some(Reason::AgentRevoked),
    };
    let entity = EntityView { entity: EntityRecord::named(uid("User::ada")), standing: Standing::Active };
    let hash = SetHash::from_bytes([7; 32]);
    let pushed = PolicyPushed { hash, policies: 1, revision, warnings: vec!["a.cedar:1: always true".into()] };
    vec![
        AdminReply::Refused(Refusal::of_field(ErrorCode::NotFound, "uid", "no such user")),
        AdminReply::Report(Box::new(report())),
        AdminReply::Revoked(Revoked { revision, level: Enforcement::Enforced, sessions: 2, elapsed_us: 9, node_ns: 1 }),
        AdminReply::Done { revision },
        AdminReply::Granted { id: GrantId::from_bytes([1; 16]), revision },
        AdminReply::Grants(GrantPage {
            grants: vec![GrantView { grant: grant(), revoked: true }],
            next: Some(grant().id),
        }),
        AdminReply::Sessions(SessionPage { sessions: vec![session.clone()], next: None, live: 1 }),
        AdminReply::Session(session),
        AdminReply::Entities(EntityPage { entities: vec![entity.clone()], next: Some(uid("User::ben")) }),
        AdminReply::Entity(entity),
        AdminReply::PolicyPushed(pushed),
        AdminReply::Policy(PolicyView { hash, policies: 1, set: set() }),
        AdminReply::Audit(AuditPage { entries: vec![json!({"kind": "decision"})], next: Some(4) }),
        AdminReply::Status(Status {
            node: "node-1".into(),
            version: "0.1.0".into(),
            revision,
            policy: Some(hash),
            policies: 20,
            entities: 30,
            grants: 4,
            sessions: 5,
            connections: 6,
            decisions: 7,
            uptime_seconds: 8,
            audit_healthy: true,
            audit_durable: 9,
            log_healthy: true,
        }),
    ]
}

#[test]
fn every_call_survives_and_needs_its_role() {
    for (role, request) in requests() {
        let json = request.to_json().expect("JSON");
        assert_eq!(AdminRequest::from_json(&json), Ok(request.clone()));
        assert_eq!(request.needed_role(), role);
        let value: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        assert_eq!(value["op"], request.operation());
    }
}

#[test]
fn every_reply_survives() {
    for reply in replies() {
        let json = reply.to_json().expect("JSON");
        assert_eq!(AdminReply::from_json(&json), Ok(reply));
    }
}

#[test]
fn roles_cover_themselves_and_operators_everything() {
    for role in Role::ALL {
        for needed in Role::ALL {
            assert_eq!(role.covers(*needed), role == needed || *role == Role::Operator, "{role} for {needed}");
        }
    }
}

#[test]
fn unknown_fields_and_calls_are_refused() {
    for text in [
        r#"{"op":"status","force":true}"#,
        r#"{"op":"reboot"}"#,
        r#"{}"#,
        r#"{"op":"revoke","target":{"kind":"agent","uid":"Agent::a","now":1}}"#,
        r#"{"op":"revoke","target":{"kind":"planet"}}"#,
        r#"{"op":"revoke","target":{"kind":"everything","but":"me"}}"#,
        r#"{"op":"policy_show","hash":1}"#,
        r#"{"op":"check","subject":"User::ada","action":"Action::a","resource":"R::r","admin":true}"#,
        r#"{"op":"session_list","limits":1}"#,
        r#"{"op":"check","subject":"nobody","action":"Action::a","resource":"R::r"}"#,
        "{\"op\":\"status\"} trailing",
    ] {
        assert!(matches!(AdminRequest::from_json(text.as_bytes()), Err(WireError::AdminJson(_))), "{text}");
    }
}

#[test]
fn grant_orders_become_records() {
    let record = grant();
    assert_eq!((&record.grantor, record.parent), (&uid("User::ada"), None));
    let delegation = delegate_order().into_record(&record, GrantId::from_bytes([2; 16]));
    assert_eq!((&delegation.grantor, &delegation.subject), (&record.agent, &record.subject));
    assert_eq!((delegation.parent, delegation.id), (Some(record.id), GrantId::from_bytes([2; 16])));
}

/// Writes messages chunk by chunk in turn, reads them with one assembler.
fn through(kind: FrameKind, messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut cut: Vec<_> = messages.iter().map(|message| chunks(kind, message)).collect();
    let mut writer = FrameWriter::default();
    let mut reader = FrameReader::for_client();
    let mut assembler = AdminAssembler::default();
    let mut whole = vec![Vec::new(); messages.len()];
    loop {
        writer.clear();
        for (corr, chunks) in cut.iter_mut().enumerate() {
            if let Some((flags, payload)) = chunks.next() {
                writer.append_bytes(kind, flags, u32::try_from(corr).expect("few"), payload).expect("a chunk");
            }
        }
        if writer.is_empty() {
            return whole;
        }
        let mut rest = writer.bytes();
        while !rest.is_empty() {
            let taken = reader.push(rest);
            rest = &rest[taken..];
            while let Some(frame) = reader.next_frame().expect("valid") {
                if let Some(message) = assembler.push(&frame).expect("accepted") {
                    whole[usize::try_from(frame.header.corr).expect("few")] = message;
                }
            }
        }
    }
}

#[test]
fn long_messages_survive_in_chunks_side_by_side() {
    let edge = FrameKind::Admin.payload_bytes_max();
    let messages: Vec<Vec<u8>> =
        [0, edge, edge + 1, 5 * edge + 3].iter().map(|size| (0..*size).map(|at| (at % 251) as u8).collect()).collect();
    assert_eq!(through(FrameKind::Admin, &messages), messages);
    assert_eq!(through(FrameKind::AdminReply, &messages), messages);
}

fn chunk(
    corr: u32,
    flags: Flags,
    payload: &[u8],
    assembler: &mut AdminAssembler,
) -> Result<Option<Vec<u8>>, WireError> {
    let mut writer = FrameWriter::default();
    writer.append_bytes(FrameKind::AdminReply, flags, corr, payload).expect("a chunk");
    let mut reader = FrameReader::for_client();
    reader.push(writer.bytes());
    assembler.push(&reader.next_frame().expect("valid").expect("whole"))
}

#[test]
fn messages_are_bounded_in_number_and_size() {
    let mut assembler = AdminAssembler::default();
    for corr in 0..ADMIN_CALLS_MAX {
        assert_eq!(chunk(u32::try_from(corr).expect("few"), Flags::MORE, b"x", &mut assembler), Ok(None));
    }
    let refused = Err(WireError::AdminTooLong { bytes: ADMIN_BYTES_MAX, calls: ADMIN_CALLS_MAX });
    assert_eq!(chunk(99, Flags::MORE, b"x", &mut assembler), refused);
    assembler.forget(0);
    let payload = vec![b'x'; 48 * 1024];
    let most = ADMIN_BYTES_MAX / payload.len();
    for _ in 0..most {
        assert_eq!(chunk(99, Flags::MORE, &payload, &mut assembler), Ok(None));
    }
    assert_eq!(chunk(99, Flags::MORE, &payload, &mut assembler), refused);
    assert_eq!(chunk(99, Flags::NONE, b"x", &mut assembler), Ok(Some(b"x".to_vec())), "nothing was kept");
}
