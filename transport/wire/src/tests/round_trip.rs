//! What is written is read.

use proptest::prelude::*;

use portcullis_model::{Decision, DecisionId, PolicyRef, Reason, Request, Revision, Value, Verdict};

use super::samples::{decision, opened, request, samples, scopes, uid};
use crate::frames::*;
use crate::{FrameReader, FrameWriter, Payload, WireError};

/// Writes a payload behind another frame and reads it back.
fn again<P: Payload>(payload: &P) -> Result<P, WireError> {
    let mut writer = FrameWriter::default();
    writer.append(1, &CloseV1 { session: 1 })?;
    writer.append(2, payload)?;
    let mut reader = FrameReader::for_client();
    assert_eq!(reader.push(writer.bytes()), writer.len());
    assert_eq!(reader.next_frame()?.expect("the first").header.corr, 1);
    let frame = reader.next_frame()?.expect("the second");
    assert_eq!(frame.header.corr, 2);
    frame.read::<P>()
}

#[test]
fn requests_survive_both_forms() {
    let request = request();
    let details = DetailsV1::new(&request, Want::Policies).expect("details");
    let text = DecideTextV1 {
        session: 9,
        at_least: request.at_least.into(),
        action: request.action.to_string(),
        resource: request.resource.to_string(),
        details,
    };
    let mut writer = FrameWriter::default();
    writer.append(3, &text).expect("written");
    let mut reader = FrameReader::for_server();
    reader.push(writer.bytes());
    let frame = reader.next_frame().expect("a frame").expect("whole");
    let archived = frame.access::<DecideTextV1>().expect("the structure");
    assert_eq!(archived.to_request(), Ok(request));
    assert_eq!(archived.details.check(), Ok((portcullis_model::Intent::Perform, Want::Policies)));
}

#[test]
fn decisions_survive_with_and_without_policies() {
    let whole = again(&DecisionV1::new(&decision(), Want::Policies)).and_then(|frame| frame.to_decision());
    assert_eq!(whole, Ok(decision()));
    let lean = again(&DecisionV1::new(&decision(), Want::Verdict)).and_then(|frame| frame.to_decision());
    assert_eq!(lean.map(|decision| decision.policies), Ok(Vec::new()));
}

#[test]
fn every_verdict_and_reason_survives() {
    for reason in Reason::ALL {
        for verdict in [Verdict::Allow, Verdict::Deny, Verdict::Suspend] {
            let decision =
                Decision::new(DecisionId::from_bytes([1; 16]), verdict, *reason, vec![], Revision::new(1, 1));
            let read = again(&DecisionV1::new(&decision, Want::Verdict)).and_then(|frame| frame.to_decision());
            if (verdict == Verdict::Allow) == (*reason == Reason::Permitted) {
                assert_eq!(read, Ok(decision));
            } else {
                assert_eq!(read, Err(WireError::Field { field: "reason", problem: "contradicts the verdict" }));
            }
        }
    }
}

#[test]
fn every_ended_scope_survives() {
    for scope in scopes() {
        let frame = EndedV1::new(3, Revision::new(1, 7), &scope, 12);
        assert_eq!(again(&frame).and_then(|frame| frame.scope()), Ok(scope));
    }
}

#[test]
fn opened_names_its_principals() {
    let (subject, agents) = again(&opened()).and_then(|opened| opened.principals()).expect("names");
    assert_eq!(subject, uid("User::ada"));
    assert_eq!(agents, [uid("Agent::triage-bot"), uid("Agent::mailer")]);
}

#[test]
fn proofs_survive_and_hide_their_tokens() {
    for proof in [
        Proof::Token("secret".into()),
        Proof::Asserted(uid("User::ada")),
        Proof::Certificate,
        Proof::Session("secret".into()),
    ] {
        let travelling = ProofV1::from(&proof);
        assert_eq!(travelling.to_proof(), Ok(proof.clone()));
        assert!(!format!("{proof:?} {travelling:?}").contains("secret"));
    }
    assert!(!format!("{:?}", opened()).contains("session-token"));
}

#[test]
fn chunk_borders_do_not_matter() {
    let stream: Vec<u8> = samples().into_iter().flat_map(|(_, bytes)| bytes).collect();
    for size in 1..=stream.len().min(400) {
        let mut reader = FrameReader::for_client();
        let mut kinds = Vec::new();
        for chunk in stream.chunks(size) {
            let mut rest = chunk;
            while !rest.is_empty() {
                let taken = reader.push(rest);
                assert!(taken > 0, "a drained reader takes bytes");
                rest = &rest[taken..];
                while let Some(frame) = reader.next_frame().expect("valid") {
                    assert_eq!(frame.payload.as_ptr().align_offset(16), 0);
                    assert_eq!(crate::inspect(&frame), Ok(()));
                    kinds.push(frame.kind().expect("known"));
                }
            }
        }
        assert_eq!(reader.finish(), Ok(()));
        assert_eq!(kinds, crate::FrameKind::ALL, "chunks of {size}");
    }
}

fn name() -> impl Strategy<Value = portcullis_model::EntityUid> {
    ("[A-Za-z_][A-Za-z0-9_]{0,8}(::[A-Z][a-z]{0,4})?", "\\PC{1,20}")
        .prop_map(|(entity_type, id)| portcullis_model::EntityUid::of(&entity_type, &id).expect("valid parts"))
}

fn any_request() -> impl Strategy<Value = Request> {
    let record = proptest::collection::btree_map("[a-z]{1,6}", any::<i64>().prop_map(Value::Long), 0..4);
    let input = proptest::option::of("\\PC{1,60}");
    let at_least = proptest::option::of((1..u32::MAX, any::<u64>()));
    (name(), name(), record, input, at_least, any::<bool>()).prop_map(
        |(action, resource, record, input, at_least, preview)| {
            let mut request = Request::new(action, resource);
            request.context = record.into_iter().map(|(key, value)| (key.as_str().into(), value)).collect();
            request.input = input.map(|text| text.as_str().into());
            request.at_least = at_least.map(|(epoch, seq)| Revision::new(epoch, seq));
            if preview {
                request.intent = portcullis_model::Intent::Preview;
            }
            request
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_request_survives(request in any_request(), session in any::<u64>(), corr in any::<u32>()) {
        let details = DetailsV1::new(&request, Want::Verdict).expect("details");
        let frame = DecideTextV1 {
            session,
            at_least: request.at_least.into(),
            action: request.action.to_string(),
            resource: request.resource.to_string(),
            details,
        };
        let mut writer = FrameWriter::default();
        writer.append(corr, &frame).expect("written");
        let mut reader = FrameReader::for_server();
        reader.push(writer.bytes());
        let read = reader.next_frame().expect("a frame").expect("whole");
        let archived = read.access::<DecideTextV1>().expect("the structure");
        prop_assert_eq!(archived.session.to_native(), session);
        prop_assert_eq!(archived.to_request(), Ok(request));
    }

    #[test]
    fn any_decision_survives(id in any::<[u8; 16]>(), epoch in 1..u32::MAX, seq in any::<u64>(),
                             names in proptest::collection::vec(("\\PC{1,12}", "\\PC{1,12}", any::<u32>()), 0..5)) {
        let policy = |(id, file, line): (String, String, u32)| PolicyRef {
            id: id.as_str().into(), file: file.as_str().into(), line,
        };
        let policies = names.into_iter().map(policy).collect();
        let id = DecisionId::from_bytes(id);
        let decision = Decision::new(id, Verdict::Deny, Reason::Forbidden, policies, Revision::new(epoch, seq));
        let read = again(&DecisionV1::new(&decision, Want::Policies)).and_then(|frame| frame.to_decision());
        prop_assert_eq!(read, Ok(decision));
    }

    #[test]
    fn any_small_frame_survives(session in any::<u64>(), action in any::<u32>(), resource in any::<u32>(),
                                input in proptest::collection::vec(any::<u8>(), 0..200)) {
        let details = DetailsV1 { intent: 1, want: 0, input, context: vec![], attributes: vec![] };
        let decide = DecideV1 { session, at_least: RevisionV1::default(), action, resource, details };
        prop_assert_eq!(again(&decide), Ok(decide.clone()));
        prop_assert_eq!(again(&CloseV1 { session }), Ok(CloseV1 { session }));
    }
}
