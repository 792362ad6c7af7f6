//! Whatever comes, the answer is a typed error or a value that stands up to every check.

use proptest::prelude::*;

use super::samples::{samples, uid};
use crate::frames::*;
use crate::limits::{REPLY_FRAME_BYTES_MAX, REQUEST_FRAME_BYTES_MAX};
use crate::{FrameKind, FrameReader, FrameWriter, HEADER_BYTES, Header, Payload, WireError, fuzz_decode, inspect};

/// Reads one stream with both readers and inspects what they find.
fn read_all(bytes: &[u8]) -> Vec<Result<(), WireError>> {
    let mut results = Vec::new();
    for mut reader in [FrameReader::for_server(), FrameReader::for_client()] {
        let taken = reader.push(bytes);
        assert_eq!(taken, bytes.len());
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => results.push(inspect(&frame)),
                Ok(None) => break results.push(reader.finish()),
                Err(error) => {
                    assert!(error.is_fatal());
                    assert_eq!(reader.next_frame().err(), Some(error.clone()), "a lost stream stays lost");
                    break results.push(Err(error));
                }
            }
        }
    }
    results
}

fn first_error(bytes: &[u8]) -> Option<WireError> {
    read_all(bytes).into_iter().find_map(Result::err)
}

#[test]
fn frames_cut_at_every_byte_are_truncated() {
    for (kind, bytes) in samples() {
        for end in 1..bytes.len() {
            assert_eq!(first_error(&bytes[..end]), Some(WireError::Truncated(end)), "{kind} cut at {end}");
        }
    }
}

#[test]
fn payloads_cut_at_every_byte_are_refused_or_valid() {
    for (kind, bytes) in samples() {
        let length = u32::from_le_bytes(bytes[8..12].try_into().expect("four bytes"));
        for shorter in 0..length {
            let end = HEADER_BYTES + usize::try_from(shorter).expect("small");
            let mut cut = bytes[..end].to_vec();
            cut.resize(end.next_multiple_of(HEADER_BYTES), 0);
            cut[8..12].copy_from_slice(&shorter.to_le_bytes());
            let results = read_all(&cut);
            let is_json = matches!(kind, FrameKind::Admin | FrameKind::AdminReply);
            assert!(is_json || results.iter().any(Result::is_err) || shorter > length / 2, "{kind} cut to {shorter}");
        }
    }
}

#[test]
fn every_flipped_bit_is_an_error_or_a_valid_value() {
    for (_, bytes) in samples() {
        for at in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            for error in read_all(&flipped).into_iter().filter_map(Result::err) {
                assert!(!error.to_string().is_empty());
                assert!(!error.to_refusal().message.is_empty());
            }
        }
    }
}

#[test]
fn flipped_bits_of_magic_and_version_lose_the_stream() {
    let (_, bytes) = samples().swap_remove(0);
    for at in 0..16 {
        let mut flipped = bytes.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        let error = first_error(&flipped).expect("an error");
        assert!(matches!(error, WireError::BadMagic(_) | WireError::BadVersion(_)), "{error}");
    }
}

#[test]
fn padding_that_is_not_zero_is_refused() {
    let mut writer = FrameWriter::default();
    writer.append(1, &CloseV1 { session: 1 }).expect("written");
    let mut bytes = writer.bytes().to_vec();
    *bytes.last_mut().expect("padding") = 1;
    assert_eq!(first_error(&bytes), Some(WireError::Padding));
}

#[test]
fn announced_lengths_are_checked_before_the_bytes_arrive() {
    for kind in FrameKind::ALL {
        let most = u32::try_from(kind.payload_bytes_max()).expect("small");
        for (len, refused) in [(most, false), (most + 1, true), (u32::MAX, true)] {
            let header = Header { kind: kind.number(), flags: crate::Flags::NONE, schema: 1, len, corr: 0 };
            let mut reader = FrameReader::for_client();
            reader.push(&header.to_bytes());
            assert_eq!(reader.next_frame().is_err(), refused, "{kind} of {len} bytes");
        }
    }
}

#[test]
fn a_server_takes_no_more_than_a_request_frame_of_any_kind() {
    for kind in [FrameKind::AdminReply.number(), FrameKind::Opened.number(), 0xFFFF] {
        let most = u32::try_from(REQUEST_FRAME_BYTES_MAX - HEADER_BYTES).expect("small");
        for (len, refused) in [(most, false), (most + 1, true)] {
            let header = Header { kind, flags: crate::Flags::NONE, schema: 1, len, corr: 0 };
            let mut reader = FrameReader::for_server();
            reader.push(&header.to_bytes());
            assert_eq!(reader.next_frame().is_err(), refused);
        }
    }
}

#[test]
fn a_reader_holds_a_bounded_number_of_bytes() {
    let mut reader = FrameReader::for_server();
    let flood = vec![0xA7; 10 * REPLY_FRAME_BYTES_MAX];
    assert_eq!(reader.push(&flood), 2 * REQUEST_FRAME_BYTES_MAX);
    assert_eq!(reader.push(&flood), 0);
}

#[test]
fn unknown_kinds_schemas_and_flags_are_answered_and_skipped() {
    let mut writer = FrameWriter::default();
    writer.append(1, &CloseV1 { session: 1 }).expect("written");
    let good = writer.bytes().to_vec();
    for (at, value, expected) in [
        (2, 0x63, WireError::UnknownKind(0x63)),
        (4, 0x02, WireError::UnknownFlags { kind: FrameKind::Close, flags: 2 }),
        (4, 0x01, WireError::UnknownFlags { kind: FrameKind::Close, flags: 1 }),
        (6, 0x02, WireError::UnknownSchema { kind: FrameKind::Close, schema: 2 }),
        (6, 0x00, WireError::UnknownSchema { kind: FrameKind::Close, schema: 0 }),
    ] {
        let mut stream = good.clone();
        stream[at] = value;
        stream.extend_from_slice(&good);
        assert!(!expected.is_fatal());
        let both = [Err(expected), Ok(()), Ok(())];
        assert_eq!(read_all(&stream), [both.clone(), both].concat());
    }
}

#[test]
fn another_kind_than_expected_is_named() {
    let mut writer = FrameWriter::default();
    writer.append(1, &CloseV1 { session: 1 }).expect("written");
    let mut reader = FrameReader::for_server();
    reader.push(writer.bytes());
    let frame = reader.next_frame().expect("a frame").expect("whole");
    assert_eq!(frame.read::<HelloV1>().err(), Some(WireError::UnexpectedKind(FrameKind::Close)));
}

fn refused_on_write<P: Payload>(payload: &P, field: &str) {
    let mut writer = FrameWriter::default();
    writer.append(1, &CloseV1 { session: 1 }).expect("written");
    let before = writer.len();
    let error = writer.append(2, payload).expect_err("refused");
    assert_eq!(error.to_refusal().field.as_deref(), Some(field), "{error}");
    assert_eq!(writer.len(), before, "a refused frame leaves nothing behind");
}

#[test]
fn fields_with_impossible_values_are_named() {
    let details = DetailsV1::default();
    let token = |text: &str| ProofV1 { kind: 1, text: text.into() };
    let open = |subject, agents| OpenV1 { subject, agents, life_ms: 0 };
    refused_on_write(&DecisionV1 { verdict: 9, reason: 1, ..DecisionV1::default() }, "verdict");
    refused_on_write(&DecisionV1 { verdict: 2, reason: 9_999, ..DecisionV1::default() }, "reason");
    refused_on_write(&DecisionV1 { verdict: 1, reason: 10, ..DecisionV1::default() }, "reason");
    refused_on_write(&SubscribeV1 { scope: 0 }, "scope");
    refused_on_write(&AppliedV1 { push_seq: 0, stamp: 0 }, "stamp");
    refused_on_write(&RegisterV1 { names: vec![] }, "names");
    refused_on_write(&RegisteredV1 { first: u32::MAX, count: 1 }, "count");
    refused_on_write(&open(token(""), vec![]), "proof");
    refused_on_write(&open(ProofV1 { kind: 0, text: "x".into() }, vec![]), "proof");
    refused_on_write(&open(ProofV1 { kind: 2, text: "no name".into() }, vec![]), "proof");
    refused_on_write(&open(token("t"), vec![token("t"); 9]), "agents");
    refused_on_write(&open(ProofV1 { kind: 4, text: "s".into() }, vec![token("t")]), "agents");
    refused_on_write(&BatchV1 { session: 1, at_least: RevisionV1::default(), items: vec![] }, "items");
    let decide = |details| DecideV1 { session: 1, at_least: RevisionV1::default(), action: 1, resource: 1, details };
    refused_on_write(&decide(DetailsV1 { intent: 2, ..details.clone() }), "intent");
    refused_on_write(&decide(DetailsV1 { want: 2, ..details.clone() }), "want");
    refused_on_write(&decide(DetailsV1 { input: vec![b'x'; 4_097], ..details }), "input");
    refused_on_write(&ErrorV1 { code: 1, retry_after_ms: 0, field: String::new(), message: String::new() }, "code");
    let mut ended = EndedV1::new(4, portcullis_model::Revision::new(1, 1), &EndedScope::User(uid("User::a")), 1);
    ended.prev_seq = 4;
    refused_on_write(&ended, "prev_seq");
    refused_on_write(&EndedV1 { prev_seq: 3, scope: 1, ..ended }, "id");
}

#[test]
fn frames_longer_than_their_kind_may_be_are_not_written() {
    let long = RegisterV1 { names: vec!["x".repeat(400); 64] };
    let mut writer = FrameWriter::default();
    assert!(matches!(writer.append(1, &long), Err(WireError::TooLong { .. })));
    assert!(writer.is_empty());
}

#[test]
fn long_messages_are_cut_between_characters() {
    let refusal = portcullis_model::Refusal::new(portcullis_model::ErrorCode::Internal, "ü".repeat(4_000));
    let error = ErrorV1::new(&refusal);
    assert!(error.message.len() <= crate::limits::MESSAGE_BYTES_MAX && error.message.len() > 2_000);
    assert!(error.message.chars().all(|character| character == 'ü'));
}

#[test]
fn requests_that_lie_are_refused_by_field() {
    let check = |details: DetailsV1, field: &str| {
        let frame = DecideTextV1 {
            session: 1,
            at_least: RevisionV1::default(),
            action: "Action::a".into(),
            resource: "R::r".into(),
            details,
        };
        let mut writer = FrameWriter::default();
        writer.append(1, &frame).expect("written");
        let mut reader = FrameReader::for_server();
        reader.push(writer.bytes());
        let frame = reader.next_frame().expect("a frame").expect("whole");
        let refusal = frame.access::<DecideTextV1>().expect("structure").to_request().expect_err("refused");
        assert_eq!(refusal.field.as_deref(), Some(field));
    };
    check(DetailsV1 { context: b"{".to_vec(), ..DetailsV1::default() }, "context");
    check(DetailsV1 { context: b"[]".to_vec(), ..DetailsV1::default() }, "context");
    check(DetailsV1 { context: b"{\"a\":null}".to_vec(), ..DetailsV1::default() }, "context");
    check(DetailsV1 { attributes: b"{\"a\":1.5}".to_vec(), ..DetailsV1::default() }, "resource_attributes");
    check(DetailsV1 { input: vec![0xFF, 0xFE], ..DetailsV1::default() }, "input");
    check(
        DetailsV1 { context: [b"{\"a\":".as_slice(), &b"[".repeat(3_000)].concat(), ..DetailsV1::default() },
        "context",
    );
}

#[test]
fn the_fuzz_entry_reads_every_sample() {
    let stream: Vec<u8> = samples().into_iter().flat_map(|(_, bytes)| bytes).collect();
    for size in [0, 1, 7, 255] {
        let read = fuzz_decode(&[&[size], stream.as_slice()].concat());
        assert_eq!(read, 2 * FrameKind::ALL.len());
    }
    assert_eq!(fuzz_decode(&[]), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        fuzz_decode(&bytes);
    }

    #[test]
    fn arbitrary_payloads_under_valid_headers_never_panic(
        kind in proptest::sample::select(FrameKind::ALL), schema in 0..3_u16, flags in 0..3_u16,
        payload in proptest::collection::vec(any::<u8>(), 0..600)
    ) {
        let len = u32::try_from(payload.len()).expect("small");
        let flags = crate::Flags::from_bits(flags);
        let header = Header { kind: kind.number(), flags, schema, len, corr: 1 };
        let mut bytes = [&header.to_bytes()[..], &payload].concat();
        bytes.resize(bytes.len().next_multiple_of(HEADER_BYTES), 0);
        read_all(&bytes);
        fuzz_decode(&[&[64], bytes.as_slice()].concat());
    }

    #[test]
    fn mutated_frames_never_panic(
        sample in 0..FrameKind::ALL.len(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)
    ) {
        let (_, mut bytes) = samples().swap_remove(sample);
        for (at, value) in changes {
            let at = HEADER_BYTES + at.index(bytes.len() - HEADER_BYTES);
            bytes[at] = value;
        }
        read_all(&bytes);
    }
}
