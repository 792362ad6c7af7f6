//! Real encodings, as seeds for hostile ones.

use std::path::Path;

use portcullis_audit::{Entry, EntryKind};
use portcullis_model::{
    Change, Decision, DecisionId, EntityRecord, ErrorCode, Origin, PolicyRef, Reason, Refusal, Request, Revision,
    RevokeScope, Verdict,
};
use portcullis_runtime::Detail;
use portcullis_wire::admin::{AdminReply, AdminRequest, chunks};
use portcullis_wire::frames::{
    AnswerV1, AppliedV1, BatchDecisionsV1, BatchItemV1, BatchV1, CloseV1, DecideTextV1, DecideV1, DecisionV1,
    DetailsV1, EndedScope, EndedV1, ErrorV1, HeartbeatV1, HelloV1, LimitsV1, OpenV1, OpenedV1, Proof, ProofV1,
    RefreshV1, RegisterV1, RegisteredV1, RevisionV1, SubscribeScope, SubscribeV1, Want, WelcomeV1,
};
use portcullis_wire::{FrameKind, FrameWriter, Payload};

use crate::engines;
use crate::names::uid;

/// Longest segment that is kept: what the small logs here hold fits, and a run tries more of them.
const SEGMENT_BYTES_KEPT: usize = 48 * 1024;

/// Seeds for each target.
pub struct Corpus {
    /// Streams of frames, each after the byte that chooses the chunk size.
    pub wire: Vec<Vec<u8>>,
    /// Segments of the change log.
    pub log: Vec<Vec<u8>>,
    /// Segments of the audit log.
    pub audit: Vec<Vec<u8>>,
}

impl Corpus {
    /// Makes one of every frame, and two logs by running an engine in a temporary folder.
    pub async fn new() -> Self {
        let (folder, engine) = engines::sample().await;
        let mut decider = engine.decider().unwrap();
        let opened = engine.open_session(&engines::terms("User::ada", &["Agent::triage-bot"]), "corpus").unwrap();
        for number in 0..20 {
            decider.begin();
            let answer = decider.decide(opened.handle, &request(), Detail::Policies).unwrap();
            decider.idle();
            assert_eq!(answer.decision.verdict, Verdict::Allow);
            let more = Change::PutEntity(EntityRecord::named(uid(&format!("Server::extra-{number}"))));
            engine.apply(vec![more], Origin::Node).await.unwrap();
        }
        engine.revoke(RevokeScope::User(uid("User::ada")), Origin::Admin("corpus".to_owned())).await.unwrap();
        engine.record(&Entry::new(EntryKind::Admin, engine.now())).unwrap();
        drop(decider);
        engine.stop().await;
        Self { wire: wire(), log: segments(&folder.path().join("log")), audit: segments(&folder.path().join("audit")) }
    }
}

/// The segments of a folder without the unused zeros behind them; a few are kept, so that they stay
/// what a crash leaves.
fn segments(folder: &Path) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "seg" && extension != "audit") {
            continue;
        }
        let mut bytes = std::fs::read(path).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        bytes.truncate((used.next_multiple_of(64) + 64).min(SEGMENT_BYTES_KEPT).min(bytes.len()));
        if used > 0 {
            found.push(bytes);
        }
    }
    assert!(!found.is_empty(), "{} holds a segment", folder.display());
    found
}

fn request() -> Request {
    Request {
        input: Some(r#"{"text":"hello"}"#.into()),
        ..Request::new(uid("Action::slack/post_message"), uid("Channel::general"))
    }
}

fn frame<P: Payload>(payload: &P) -> Vec<u8> {
    let mut writer = FrameWriter::default();
    writer.append(7, payload).unwrap();
    writer.bytes().to_vec()
}

fn message(kind: FrameKind, json: &[u8]) -> Vec<u8> {
    let mut writer = FrameWriter::default();
    for (flags, chunk) in chunks(kind, json) {
        writer.append_bytes(kind, flags, 9, chunk).unwrap();
    }
    writer.bytes().to_vec()
}

fn wire() -> Vec<Vec<u8>> {
    let frames: Vec<_> = from_client().into_iter().chain(from_server()).collect();
    let whole: Vec<u8> = frames.iter().flatten().copied().collect();
    let seeds = frames.into_iter().chain([whole]);
    seeds.enumerate().map(|(number, bytes)| prefixed(number, &bytes)).collect()
}

/// Puts the byte in front that chooses how the stream is cut into chunks.
fn prefixed(number: usize, bytes: &[u8]) -> Vec<u8> {
    let size = [255, 16, 1, 7, 64][number % 5];
    std::iter::once(size).chain(bytes.iter().copied()).collect()
}

fn from_client() -> Vec<Vec<u8>> {
    let details = DetailsV1::new(&request(), Want::Policies).unwrap();
    let at_least = RevisionV1 { seq: 41, epoch: 1 };
    let proof = |proof: Proof| ProofV1::from(&proof);
    let item = BatchItemV1 { action: 1, resource: 2, details: details.clone() };
    vec![
        frame(&HelloV1 {
            client: "corpus".into(),
            version: "0.1.0".into(),
            token: "bearer".into(),
            schema_min: 1,
            schema_max: 1,
            features: 0,
            stamp: 17,
        }),
        frame(&RegisterV1 { names: vec!["Action::\"mail/send\"".into(), "Channel::\"general\"".into()] }),
        frame(&OpenV1 {
            subject: proof(Proof::Asserted(uid("User::ada"))),
            agents: vec![proof(Proof::Token("header.body.signature".into())), proof(Proof::Certificate)],
            life_ms: 3_600_000,
        }),
        frame(&RefreshV1 { session: 5, proofs: vec![proof(Proof::Token("fresh".into()))] }),
        frame(&CloseV1 { session: 5 }),
        frame(&DecideV1 { session: 5, at_least, action: 7, resource: 8, details: details.clone() }),
        frame(&DecideTextV1 {
            session: 5,
            at_least,
            action: request().action.to_string(),
            resource: request().resource.to_string(),
            details,
        }),
        frame(&BatchV1 { session: 5, at_least, items: vec![item.clone(), item] }),
        frame(&SubscribeV1::new(SubscribeScope::All)),
        frame(&AppliedV1 { push_seq: 4, stamp: 18 }),
        message(FrameKind::Admin, &AdminRequest::Status {}.to_json().unwrap()),
        message(
            FrameKind::Admin,
            &AdminRequest::PolicyPush { set: portcullis_sample::policy_set() }.to_json().unwrap(),
        ),
    ]
}

fn from_server() -> Vec<Vec<u8>> {
    let refusal = Refusal::of_field(ErrorCode::SchemaMismatch, "context.input.size", "expected a long");
    let policy = PolicyRef { id: "mail-read".into(), file: "mail.cedar".into(), line: 12 };
    let id = DecisionId::from_bytes([3; 16]);
    let decision = Decision::new(id, Verdict::Allow, Reason::Permitted, vec![policy], Revision::new(1, 42));
    let decision = DecisionV1::new(&decision, Want::Policies);
    vec![
        frame(&WelcomeV1 {
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
        }),
        frame(&ErrorV1::new(&refusal)),
        frame(&RegisteredV1 { first: 7, count: 2 }),
        frame(&OpenedV1 {
            handle: 5,
            session: [9; 16],
            token: "session-token".into(),
            token_expires_ms: 600_000,
            expires_ms: 43_200_000,
            born_epoch: 1,
            born_seq: 40,
            subject: uid("User::ada").to_string(),
            agents: vec![uid("Agent::triage-bot").to_string()],
        }),
        frame(&BatchDecisionsV1 { answers: vec![AnswerV1::decided(decision.clone()), AnswerV1::refused(&refusal)] }),
        frame(&decision),
        frame(&EndedV1::new(4, Revision::new(1, 44), &EndedScope::Agent(uid("Agent::mailer")), 2)),
        frame(&HeartbeatV1 { push_seq: 4, echo: 17, lease_ms: 1_000, epoch: 1, seq: 44 }),
        message(FrameKind::AdminReply, &AdminReply::Done { revision: Revision::new(1, 44) }.to_json().unwrap()),
    ]
}
