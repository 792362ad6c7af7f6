//! One valid frame of every kind.

use portcullis_model::{Decision, DecisionId, ErrorCode, PolicyRef};
use portcullis_model::{EntityUid, GrantId, Reason, Refusal, Request, Revision, SessionId, Verdict};

use crate::admin::{AdminReply, AdminRequest};
use crate::frames::*;
use crate::{Flags, FrameKind, FrameWriter, Payload};

pub(super) fn uid(text: &str) -> EntityUid {
    text.parse().expect("a name")
}

pub(super) fn request() -> Request {
    let mut request = Request::new(uid("Action::\"slack/post_message\""), uid("Channel::general"));
    request.input = Some(r#"{"text":"hello"}"#.into());
    request.context.insert("device".into(), portcullis_model::Value::Bool(true));
    request.resource_attributes.insert("size".into(), portcullis_model::Value::Long(3));
    request.at_least = Some(Revision::new(1, 41));
    request
}

pub(super) fn decision() -> Decision {
    let policy = PolicyRef { id: "mail-read".into(), file: "mail.cedar".into(), line: 12 };
    let id = DecisionId::from_bytes(*b"0123456789abcdef");
    let mut decision = Decision::new(id, Verdict::Allow, Reason::Permitted, vec![policy], Revision::new(1, 42));
    decision.obligations.push("notify".into());
    decision
}

fn frame<P: Payload>(corr: u32, payload: &P) -> (FrameKind, Vec<u8>) {
    let mut writer = FrameWriter::default();
    writer.append(corr, payload).expect("a valid sample");
    (P::KIND, writer.bytes().to_vec())
}

fn message(kind: FrameKind, corr: u32, json: &[u8]) -> (FrameKind, Vec<u8>) {
    let mut writer = FrameWriter::default();
    writer.append_bytes(kind, Flags::NONE, corr, json).expect("a valid sample");
    (kind, writer.bytes().to_vec())
}

pub(super) fn opened() -> OpenedV1 {
    OpenedV1 {
        handle: 0x0102_0304_0506_0708,
        session: [9; 16],
        token: "session-token".into(),
        token_expires_ms: 600_000,
        expires_ms: 43_200_000,
        born_epoch: 1,
        born_seq: 40,
        subject: uid("User::ada").to_string(),
        agents: vec![uid("Agent::triage-bot").to_string(), uid("Agent::mailer").to_string()],
    }
}

pub(super) fn samples() -> Vec<(FrameKind, Vec<u8>)> {
    let details = DetailsV1::new(&request(), Want::Policies).expect("details");
    let at_least = RevisionV1 { seq: 41, epoch: 1 };
    let refusal = Refusal::of_field(ErrorCode::SchemaMismatch, "context.input.size", "expected a long");
    let item = BatchItemV1 { action: 1, resource: 2, details: details.clone() };
    let answers = vec![AnswerV1::decided(DecisionV1::new(&decision(), Want::Policies)), AnswerV1::refused(&refusal)];
    let proof = |proof: Proof| ProofV1::from(&proof);
    let agent = EndedScope::Agent(uid("Agent::triage-bot"));
    vec![
        frame(
            0,
            &HelloV1 {
                client: "guard-tool".into(),
                version: "0.1.0".into(),
                token: "bearer".into(),
                schema_min: 1,
                schema_max: 1,
                features: 0,
                stamp: 17,
            },
        ),
        frame(
            1,
            &WelcomeV1 {
                node: "node-1".into(),
                version: "0.1.0".into(),
                epoch: 1,
                seq: 40,
                role: 1,
                lanes: 4,
                schema: 1,
                features: 0,
                heartbeat_ms: 250,
                lease_ms: 1_000,
                limits: LimitsV1::default(),
            },
        ),
        frame(2, &ErrorV1::new(&refusal)),
        frame(3, &RegisterV1 { names: vec!["Action::\"mail/send\"".into(), "Channel::\"general\"".into()] }),
        frame(4, &RegisteredV1 { first: 7, count: 2 }),
        frame(
            5,
            &OpenV1 {
                subject: proof(Proof::Asserted(uid("User::ada"))),
                agents: vec![proof(Proof::Token("header.body.signature".into())), proof(Proof::Certificate)],
                life_ms: 3_600_000,
            },
        ),
        frame(6, &opened()),
        frame(7, &RefreshV1 { session: 5, proofs: vec![proof(Proof::Token("fresh".into()))] }),
        frame(8, &CloseV1 { session: 5 }),
        frame(9, &ClosedV1 { epoch: 1, seq: 43 }),
        frame(10, &DecideV1 { session: 5, at_least, action: 7, resource: 8, details: details.clone() }),
        frame(
            11,
            &DecideTextV1 {
                session: 5,
                at_least,
                action: request().action.to_string(),
                resource: request().resource.to_string(),
                details,
            },
        ),
        frame(12, &DecisionV1 { audit_seq: 99, node_ns: 123_456, ..DecisionV1::new(&decision(), Want::Policies) }),
        frame(13, &BatchV1 { session: 5, at_least, items: vec![item.clone(), item] }),
        frame(14, &BatchDecisionsV1 { answers }),
        frame(15, &SubscribeV1::new(SubscribeScope::All)),
        frame(16, &SubscribedV1 { push_seq: 3, epoch: 1, seq: 42 }),
        frame(0, &EndedV1::new(4, Revision::new(1, 44), &agent, 2)),
        frame(0, &HeartbeatV1 { push_seq: 4, echo: 17, lease_ms: 1_000, epoch: 1, seq: 44 }),
        frame(0, &GoAwayV1 { retry_after_ms: 500 }),
        frame(0, &AppliedV1 { push_seq: 4, stamp: 18 }),
        message(FrameKind::Admin, 17, &AdminRequest::Status {}.to_json().expect("JSON")),
        message(
            FrameKind::AdminReply,
            17,
            &AdminReply::Done { revision: Revision::new(1, 44) }.to_json().expect("JSON"),
        ),
    ]
}

pub(super) fn scopes() -> [EndedScope; 5] {
    [
        EndedScope::Session(SessionId::from_bytes([1; 16])),
        EndedScope::User(uid("User::ada")),
        EndedScope::Agent(uid("Agent::mailer")),
        EndedScope::Grant(GrantId::from_bytes([2; 16])),
        EndedScope::All,
    ]
}
