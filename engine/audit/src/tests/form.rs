//! The stored forms: what goes in comes out, and their bytes do not change.

use portcullis_model::{
    Change, ErrorCode, Event, EventId, GrantId, GrantRecord, Origin, PolicyFile, PolicySetText, ResourceScope,
    RevokeScope,
};
use serde_json::json;

use super::*;
use crate::batch::{BatchHead, Closes};
use crate::code::{decode, encode, number};
use crate::entry::{Entry, EntryKind, InputDigest, SCHEMA_VERSION};
use crate::limits::{CLIENT_BYTES_MAX, DETAIL_BYTES_MAX, ENTRY_BYTES_MAX, POLICIES_MAX, POLICY_TEXT_BYTES_MAX};
use crate::resolve::resolve;
use crate::scan::SegmentHead;
use crate::{PushError, scan_segment};

fn uid(text: &str) -> EntityUid {
    text.parse().unwrap()
}

fn stored(entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(entry, &mut bytes);
    bytes
}

fn full_entry() -> Entry {
    Entry {
        decision_id: Some(DecisionId::from_bytes([1; 16])),
        verdict: Some(Verdict::Suspend),
        reason: Some(Reason::ApprovalRequired),
        code: Some(ErrorCode::Overloaded),
        subject: Some(uid("User::\"a \\\" b\"")),
        chain: vec![uid("Agent::x"), uid("Agent::y")],
        session: Some(SessionId::from_bytes([2; 16])),
        client: Some("platform".to_owned()),
        action: Some(uid("Action::\"slack/post_message\"")),
        resource: Some(uid("Slack::Channel::general")),
        input_digest: Some(InputDigest::of(b"{}")),
        policies: vec![PolicyRef { id: "p".into(), file: "mail.cedar".into(), line: 12 }],
        grant: Some(GrantId::from_bytes([3; 16])),
        revision: Some(Revision::new(2, 77)),
        intent: Some(Intent::Preview),
        mode: Some(Durability::Buffered),
        latency_ns: Some(6_120),
        by: Some("admin root".to_owned()),
        event: Some(EventId::from_bytes([4; 16])),
        detail: Some(json!({ "a": [1, "ö", null] })),
        ..Entry::new(EntryKind::Change, Timestamp::from_millis(5))
    }
}

#[test]
fn entry_round_trips_with_every_field() {
    let mut bytes = stored(&full_entry());
    number(&mut bytes, 9, 3, 4);
    let read = decode(&bytes).unwrap();
    assert_eq!((read.schema_version, read.number, read.worker, read.worker_number), (SCHEMA_VERSION, 9, 3, 4));
    assert_eq!(read.entry, full_entry());
    let text = serde_json::to_string(&read).unwrap();
    assert_eq!(serde_json::from_str::<AuditEntry>(&text).unwrap(), read);
}

#[test]
fn stored_bytes_are_frozen() {
    let entry = stored(&full_entry());
    assert_eq!((entry.len(), crc32c::crc32c(&entry)), (348, 0x710f_34fc));
    let head = BatchHead {
        segment: 1,
        offset: 64,
        sequence: 2,
        first_number: 3,
        count: 4,
        run: 5,
        workers: 6,
        body_bytes: 7,
        change: Revision::new(8, 9),
        previous: 10,
        body_checksum: 11,
        closes: Closes::Run,
    };
    let bytes = head.encode();
    assert_eq!(bytes[76..], 0x6681_c8ea_u32.to_le_bytes());
    assert_eq!(BatchHead::decode(&bytes), Some(head));
    let segment = SegmentHead { number: 1, bytes: 2 }.encode();
    assert_eq!(segment[60..], 0xb81e_0b62_u32.to_le_bytes());
}

#[test]
fn unknown_field_is_skipped_and_unknown_schema_refused() {
    let mut bytes = stored(&full_entry());
    bytes.extend_from_slice(&[250, 2, 0, 1, 2]);
    assert_eq!(decode(&bytes).unwrap().entry, full_entry());
    bytes[0] = SCHEMA_VERSION + 1;
    assert_eq!(decode(&bytes), None);
}

#[test]
fn cut_or_flipped_entry_never_panics_and_cut_one_is_never_whole() {
    let bytes = stored(&full_entry());
    for end in 0..bytes.len() {
        assert_ne!(decode(&bytes[..end]).map(|read| read.entry), Some(full_entry()));
        let mut flipped = bytes.clone();
        flipped[end] ^= 0xff;
        let _ = decode(&flipped);
    }
}

#[test]
fn hot_record_comes_out_with_names_and_digest() {
    let action = uid("Action::\"mail/send\"");
    let agents = [EntityIndex::new(2), EntityIndex::new(2_000)];
    let hot = HotRecord {
        agents: &agents,
        action: Name::Uid(&action),
        policies: &[6, 5_000],
        grant: Some(GrantId::from_bytes([8; 16])),
        input: Some(b"{\"size\":3}"),
        ..record(17, Durability::Durable)
    };
    let ring_bytes = hot.encode(|parts| parts.concat()).unwrap();
    let mut bytes = Vec::new();
    assert_eq!(resolve(&ring_bytes, &TestNames, &mut bytes), Some(Durability::Durable));
    let expected = Entry {
        decision_id: Some(hot.decision_id),
        verdict: Some(Verdict::Allow),
        reason: Some(Reason::Permitted),
        subject: Some(uid("User::\"1\"")),
        chain: vec![uid("User::\"2\""), uid("Unresolved::\"2000\"")],
        session: hot.session,
        client: Some("platform".to_owned()),
        action: Some(action.clone()),
        resource: Some(uid("User::\"5\"")),
        input_digest: Some(InputDigest::of(b"{\"size\":3}")),
        policies: vec![
            PolicyRef { id: "set1".into(), file: "f.cedar".into(), line: 6 },
            PolicyRef { id: "#1/5000".into(), file: "".into(), line: 0 },
        ],
        grant: hot.grant,
        revision: Some(Revision::new(1, 9)),
        intent: Some(Intent::Perform),
        mode: Some(Durability::Durable),
        latency_ns: Some(400),
        ..Entry::new(EntryKind::Decision, Timestamp::from_millis(17))
    };
    assert_eq!(decode(&bytes).unwrap().entry, expected);
    for end in 0..ring_bytes.len() {
        assert_eq!(resolve(&ring_bytes[..end], &TestNames, &mut Vec::new()), None);
    }
}

#[test]
fn hot_error_has_a_code_and_no_verdict() {
    let hot = HotRecord {
        outcome: Outcome::Error(ErrorCode::NotFresh),
        session: None,
        input: None,
        client: "",
        agents: &[],
        ..record(1, Durability::Buffered)
    };
    let mut bytes = Vec::new();
    resolve(&hot.encode(|parts| parts.concat()).unwrap(), &TestNames, &mut bytes).unwrap();
    let entry = decode(&bytes).unwrap().entry;
    assert_eq!(
        (entry.kind, entry.code, entry.verdict, entry.reason),
        (EntryKind::Error, Some(ErrorCode::NotFresh), None, None)
    );
    assert_eq!((entry.session, entry.input_digest, entry.client, entry.chain), (None, None, None, Vec::new()));
}

#[test]
fn records_beyond_their_limits_are_refused() {
    let agents = [EntityIndex::new(1); 9];
    let long = "x".repeat(CLIENT_BYTES_MAX + 1);
    let input = vec![0; portcullis_model::limits::INPUT_BYTES_MAX + 1];
    let check = |record: HotRecord<'_>, field| assert_eq!(record.encode(|_| ()), Err(PushError::Limit(field)));
    let plain = || record(1, Durability::Durable);
    check(HotRecord { agents: &agents, ..plain() }, "agents");
    check(HotRecord { policies: &[0; POLICIES_MAX + 1], ..plain() }, "policies");
    check(HotRecord { client: &long, ..plain() }, "client");
    check(HotRecord { input: Some(&input), ..plain() }, "input");
    let largest = HotRecord { agents: &agents[..8], client: &long[1..], input: Some(&input[1..]), ..plain() };
    assert!(largest.encode(|parts| parts.concat()).unwrap().len() <= portcullis_cells::RECORD_BYTES_MAX);
}

#[test]
fn oversized_texts_are_cut_and_details_hashed() {
    let mut entry = full_entry();
    entry.detail = Some(json!({ "put_entity": "x".repeat(DETAIL_BYTES_MAX) }));
    entry.policies = vec![PolicyRef { id: "ä".repeat(5_000).into(), file: "f".repeat(9_000).into(), line: 1 }; 20];
    let bytes = stored(&entry);
    assert!(bytes.len() <= ENTRY_BYTES_MAX);
    let read = decode(&bytes).unwrap().entry;
    assert_eq!(read.detail.unwrap()["put_entity"]["omitted_bytes"], DETAIL_BYTES_MAX + 2);
    assert_eq!(read.policies.len(), POLICIES_MAX);
    assert!(read.policies[0].id.ends_with('…') && read.policies[0].id.len() <= POLICY_TEXT_BYTES_MAX);
}

fn change(change: Change) -> Entry {
    let event = Event {
        id: EventId::from_bytes([5; 16]),
        at: Timestamp::from_millis(3),
        by: Origin::Admin("root".to_owned()),
        change,
    };
    Entry::change(&event, Revision::new(1, 4))
}

#[test]
fn change_names_what_it_concerns() {
    let revoke = change(Change::Revoke(RevokeScope::Agent(uid("Agent::mailer"))));
    assert_eq!((revoke.chain, revoke.revision), (vec![uid("Agent::mailer")], Some(Revision::new(1, 4))));
    assert_eq!((revoke.by.as_deref(), revoke.event), (Some("admin root"), Some(EventId::from_bytes([5; 16]))));
    assert_eq!(revoke.detail, Some(json!({ "revoke": { "agent": "Agent::mailer" } })));
    let user = change(Change::Revoke(RevokeScope::User(uid("User::ada"))));
    assert_eq!(user.subject, Some(uid("User::ada")));
    let grant = change(Change::Grant(GrantRecord {
        id: GrantId::from_bytes([1; 16]),
        grantor: uid("User::ada"),
        subject: uid("User::ada"),
        agent: uid("Agent::mailer"),
        parent: None,
        depth_left: 0,
        actions: vec![],
        resource: ResourceScope::Any,
        condition: None,
        not_before: None,
        expires: None,
    }));
    assert_eq!((grant.subject, grant.chain), (Some(uid("User::ada")), vec![uid("Agent::mailer")]));
    assert_eq!(change(Change::Restore(uid("User::ada"))).resource, Some(uid("User::ada")));
}

#[test]
fn policy_text_is_never_stored() {
    let file = |name: &str, text: &str| PolicyFile { name: name.to_owned(), text: text.to_owned() };
    let set = PolicySetText { schema: file("s.cedarschema", "secret"), files: vec![file("a.cedar", "permit secret")] };
    let detail = change(Change::StagePolicy(set)).detail.unwrap();
    assert!(!detail.to_string().contains("secret"));
    assert_eq!(detail["stage_policy"]["files"][0]["bytes"], 13);
    assert_eq!(
        detail["stage_policy"]["schema"]["sha256"],
        "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
    );
}

#[test]
fn digest_text_round_trips_and_other_text_is_refused() {
    let digest = InputDigest::of(b"{}");
    assert_eq!(digest.to_string(), "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
    assert_eq!(digest.to_string().parse(), Ok(digest));
    for text in ["", "sha256:", "sha256:zz", &format!("sha256:{}", "+1".repeat(32)), &digest.to_string()[7..]] {
        assert!(text.parse::<InputDigest>().is_err(), "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn scanning_any_bytes_never_panics(mut bytes in proptest::collection::vec(0_u8.., 0..600), headed in 0_u8..2) {
        if headed == 1 {
            bytes.splice(0..0, SegmentHead { number: 1, bytes: 600 }.encode());
        }
        let found = scan_segment(&bytes);
        proptest::prop_assert_eq!(found.segment.is_some(), headed == 1);
        proptest::prop_assert_eq!(found.batches, 0);
    }
}
