use std::collections::VecDeque;
use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::support::*;
use crate::frame::{FrameHeader, FrameKind, payload_checksum};
use crate::recent::Recent;
use crate::scan_segment;
use crate::segment::SegmentHeader;

const HEADER: SegmentHeader = SegmentHeader { epoch: 1, log_id: 0x1122_3344_5566_7788, first_seq: 9, chain_before: 5 };

/// A segment of one batch with one entry, put together by hand.
fn golden() -> Vec<u8> {
    let entry = FrameHeader {
        kind: FrameKind::Entry,
        payload_bytes: 3,
        batch_start: 64,
        chain_before: 5,
        seq: 9,
        id: *b"0123456789abcdef",
        payload_checksum: payload_checksum(b"abc"),
    };
    let (entry_bytes, chain) = entry.encode(HEADER.seed(), 64);
    let commit = FrameHeader {
        kind: FrameKind::Commit,
        payload_bytes: 0,
        chain_before: chain,
        id: [0; 16],
        payload_checksum: 0,
        ..entry
    };
    let (commit_bytes, _) = commit.encode(HEADER.seed(), 120);
    [&HEADER.encode()[..], &entry_bytes, b"abc\0\0\0\0\0", &commit_bytes].concat()
}

#[test]
fn the_bytes_on_disk_are_frozen() {
    let hex: String = golden().iter().map(|byte| format!("{byte:02x}")).collect();
    // Segment header, entry frame, its payload, commit frame; computed by another implementation from the crate's
    // documentation.
    let frozen = [
        "504f5254434c4f47010000000100000088776655443322110900000000000000",
        "05000000000000000000000000000000000000000000000000000000b5e18cbd",
        "50434c01030000004000000005000000090000000000000030313233343536373839616263646566ed3ab2fafedcca42",
        "6162630000000000",
        "50434c020000000040000000fedcca42090000000000000000000000000000000000000000000000000000009c09ab5c",
    ]
    .concat();
    assert_eq!(hex, frozen);
    assert_eq!(scan_segment(&golden()).unwrap(), 1);
}

#[test]
fn a_frame_elsewhere_is_no_frame() {
    let bytes = golden();
    let header: [u8; 48] = bytes[64..112].try_into().unwrap();
    assert!(FrameHeader::decode(HEADER.seed(), 64, &header).is_some());
    let others = [
        SegmentHeader { epoch: 2, ..HEADER },
        SegmentHeader { log_id: 1, ..HEADER },
        SegmentHeader { first_seq: 8, ..HEADER },
    ];
    for other in others {
        assert!(FrameHeader::decode(other.seed(), 64, &header).is_none());
    }
    assert!(FrameHeader::decode(HEADER.seed(), 72, &header).is_none());
}

#[test]
fn the_oldest_ids_are_forgotten() {
    let mut recent = Recent::new(VecDeque::from([id(8), id(9)]), 9, 3);
    assert_eq!((recent.place_of(id(8)), recent.place_of(id(9))), (Some(8), Some(9)));
    assert_eq!((recent.push(id(10)), recent.push(id(11))), (10, 11));
    assert_eq!((recent.place_of(id(8)), recent.place_of(id(9)), recent.place_of(id(11))), (None, Some(9), Some(11)));
    let mut bytes = Vec::new();
    assert_eq!(recent.write_before(10, 5, &mut bytes), 2);
    assert_eq!(bytes, [id(10).to_bytes(), id(9).to_bytes()].concat());
}

/// A real segment's bytes.
fn segment() -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let log = open_unread(folder.path());
    fill(&log, 1..=20);
    log.close().unwrap();
    fs::read(files_with(folder.path(), "seg").remove(0)).unwrap()
}

#[test]
fn scanning_counts_what_opening_replays() {
    assert_eq!(scan_segment(&segment()).unwrap(), 20);
    assert!(scan_segment(&[]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn scanning_takes_anything(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        prop_assert!(scan_segment(&bytes).is_err());
        // With a valid header, anything behind it is a torn first batch.
        prop_assert_eq!(scan_segment(&[&HEADER.encode()[..], &bytes].concat()).ok(), Some(0));
    }

    #[test]
    fn scanning_never_counts_what_was_not_written(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        length in any::<prop::sample::Index>(),
    ) {
        let mut bytes = segment();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes.truncate(length.index(bytes.len() + 1));
        prop_assert!(scan_segment(&bytes).unwrap_or_default() <= 20);
    }
}
