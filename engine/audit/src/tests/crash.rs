//! Folders as crashes and bad disks leave them.

use std::fs::OpenOptions;
use std::path::PathBuf;

use super::*;
use crate::batch::Batch;
use crate::recovery::recover;
use crate::scan::{SEGMENT_HEAD_BYTES, Tail, scan};
use crate::segment::{list, segment_path};
use crate::{AuditError, Entry, EntryKind, scan_segment};

/// A log that was not closed, with `count` batches of one record after its start.
fn crashed(count: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (audit, _) = open(folder.path());
    let mut producer = audit.producer().unwrap();
    for n in 1..=count {
        let ticket = producer.push(&record(n, Durability::Durable)).unwrap();
        audit.wait_durable(ticket).unwrap();
    }
    copy(folder.path())
}

/// The segment in use, its bytes, and where its batches begin and end.
fn newest(folder: &Path) -> (PathBuf, Vec<u8>, Vec<usize>, usize) {
    let numbers = list(folder).unwrap();
    let read = |number: &u64| {
        let path = segment_path(folder, *number);
        let bytes = fs::read(&path).unwrap();
        let found = scan(&bytes, *number);
        found.last.is_some().then_some((path, bytes, found.offsets, found.end))
    };
    numbers.iter().rev().find_map(read).unwrap()
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
}

fn decisions(folder: &Path) -> Vec<u64> {
    let entries = all(folder);
    assert!(entries.iter().zip(1..).all(|(entry, number)| entry.number == number));
    let decisions = entries.iter().filter(|entry| entry.entry.kind == EntryKind::Decision);
    decisions.map(|entry| entry.entry.time.as_millis()).collect()
}

#[test]
fn crash_leaves_a_gap_for_each_worker() {
    let folder = crashed(3);
    let (audit, recovery) = open(folder.path());
    assert_eq!((recovery.run, recovery.clean), (2, false));
    assert!(recovery.torn.is_none());
    let gaps: Vec<_> = recovery.gaps.iter().map(|gap| (gap.run, gap.worker, gap.after)).collect();
    assert_eq!(gaps, [(1, 0, 0), (1, 1, 3)]);
    drop(audit);
    let entries = all(folder.path());
    let recorded: Vec<_> = entries.iter().filter(|entry| entry.entry.kind == EntryKind::Gap).collect();
    assert_eq!(recorded.len(), 2);
    assert_eq!(recorded[1].entry.detail.as_ref().unwrap()["worker"], 1);
    assert_eq!(recorded[1].entry.detail.as_ref().unwrap()["after"], 3);
    // 16 KiB of ring hold 89 of the shortest records, and a batch 8,192.
    assert_eq!(recorded[1].entry.detail.as_ref().unwrap()["at_most"], 89 + 8_192);
    assert_eq!(decisions(folder.path()), [1, 2, 3]);
    let (_audit, recovery) = open(folder.path());
    assert!(recovery.clean && recovery.gaps.is_empty());
}

#[test]
fn producer_that_never_pushed_is_named_too() {
    let folder = tempfile::tempdir().unwrap();
    let (audit, _) = open(folder.path());
    let _producer = audit.producer().unwrap();
    let copied = copy(folder.path());
    let (_next, recovery) = open(copied.path());
    assert!(recovery.gaps.iter().any(|gap| gap.worker == 1 && gap.after == 0));
}

#[test]
fn last_change_is_what_the_log_holds() {
    let folder = tempfile::tempdir().unwrap();
    let (audit, recovery) = open(folder.path());
    assert_eq!(recovery.last_change, None);
    for seq in [4, 5] {
        let mut entry = Entry::new(EntryKind::Change, Timestamp::from_millis(1));
        entry.revision = Some(Revision::new(1, seq));
        let _ = audit.append(&entry).unwrap();
    }
    // A revision of something else is no change.
    let mut other = Entry::new(EntryKind::Admin, Timestamp::from_millis(1));
    other.revision = Some(Revision::new(1, 9));
    let _ = audit.append(&other).unwrap();
    audit.flush().unwrap();
    let copied = copy(folder.path());
    let (audit, recovery) = open(copied.path());
    assert_eq!(recovery.last_change, Some(Revision::new(1, 5)));
    audit.close().unwrap();
    assert_eq!(open(copied.path()).1.last_change, Some(Revision::new(1, 5)));
}

#[test]
fn every_cut_of_the_last_batch_keeps_what_stands_before_it() {
    let folder = crashed(3);
    let (path, bytes, offsets, end) = newest(folder.path());
    let last = *offsets.last().unwrap();
    for cut in last..=end {
        let expected: &[u64] = if cut == end { &[1, 2, 3] } else { &[1, 2] };
        // A file that ends there, and a file whose sectors from there on never arrived.
        let mut zeroed = bytes.clone();
        zeroed[cut..].fill(0);
        let wrote_nothing = bytes[last..cut].iter().all(|byte| *byte == 0);
        for (image, whole) in [(&bytes[..cut], cut == end), (&zeroed[..], zeroed == bytes)] {
            write(&path, image);
            let found = recover(folder.path(), u64::MAX).unwrap();
            assert_eq!(found.recovery.torn.is_none(), wrote_nothing || whole, "{cut}");
            assert!(scan_segment(image).readable);
        }
        if cut.is_multiple_of(16) || cut == end {
            write(&path, &bytes[..cut]);
            let (audit, recovery) = open(folder.path());
            assert_eq!(recovery.torn.as_ref().map(|torn| torn.offset), expected_torn(&bytes, last, cut, end), "{cut}");
            drop(audit);
            assert_eq!(decisions(folder.path()), expected, "{cut}");
            assert_eq!(open(folder.path()).1.torn, None);
        }
    }
}

fn expected_torn(bytes: &[u8], last: usize, cut: usize, end: usize) -> Option<u64> {
    let stood = cut < end && bytes[last..cut].iter().any(|byte| *byte != 0);
    stood.then(|| u64::try_from(last).unwrap())
}

#[test]
fn sectors_of_the_last_batch_may_be_missing_anywhere() {
    let folder = crashed(2);
    let (path, bytes, offsets, end) = newest(folder.path());
    let last = *offsets.last().unwrap();
    for from in (last..end).step_by(8) {
        let mut image = bytes.clone();
        image[from..(from + 64).min(end)].fill(0);
        write(&path, &image);
        let found = recover(folder.path(), u64::MAX).unwrap();
        let same = image == bytes;
        assert_eq!(found.recovery.torn.is_none(), same, "{from}");
    }
}

#[test]
fn every_flip_before_the_last_batch_is_refused_naming_file_and_offset() {
    let folder = crashed(2);
    let (path, bytes, offsets, end) = newest(folder.path());
    let last = *offsets.last().unwrap();
    for at in 0..end {
        let mut image = bytes.clone();
        image[at] ^= 1 << (at % 8);
        write(&path, &image);
        let begin = offsets.iter().rev().find(|offset| **offset <= at).copied().unwrap_or(0);
        match recover(folder.path(), u64::MAX) {
            Err(AuditError::Damaged { file, offset, .. }) => {
                assert!(at < last, "{at}");
                assert_eq!((file, offset), (path.clone(), u64::try_from(begin).unwrap()), "{at}");
            }
            Ok(found) => {
                assert!(at >= last, "{at}");
                let torn = found.recovery.torn.unwrap();
                assert_eq!(torn.offset, u64::try_from(last).unwrap());
            }
            Err(other) => panic!("{at}: {other}"),
        }
    }
    // Refused means untouched.
    let mut image = bytes;
    image[offsets[0] + 100] ^= 1;
    write(&path, &image);
    assert!(matches!(Audit::open(folder.path(), options()), Err(AuditError::Damaged { .. })));
    assert_eq!(fs::read(&path).unwrap(), image);
}

#[test]
fn garbage_after_the_end_is_cut_and_stale_batches_never_parse() {
    let folder = crashed(2);
    let (path, bytes, offsets, end) = newest(folder.path());
    let mut garbage = bytes.clone();
    garbage[end + 1_000..end + 1_100].fill(0xA5);
    write(&path, &garbage);
    let torn = recover(folder.path(), u64::MAX).unwrap().recovery.torn.unwrap();
    assert_eq!((torn.offset, torn.bytes), (u64::try_from(end).unwrap(), 1_100));
    // A copy of the first batch elsewhere, or of another segment: not a batch.
    let first = bytes[offsets[0]..offsets[1]].to_vec();
    garbage.copy_from_slice(&bytes);
    garbage[end..end + first.len()].copy_from_slice(&first);
    assert!(Batch::at(&garbage, 1, end).is_none());
    assert!(Batch::at(&bytes, 2, SEGMENT_HEAD_BYTES).is_none());
    assert_eq!(scan(&garbage, 1).tail, Tail::Torn);
}

#[test]
fn damage_in_or_between_older_segments_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (audit, _) = open(folder.path());
    let mut entry = Entry::new(EntryKind::Admin, Timestamp::from_millis(1));
    entry.detail = Some("x".repeat(20_000).into());
    for _ in 0..20 {
        let ticket = audit.append(&entry).unwrap();
        audit.wait_durable(ticket).unwrap();
    }
    audit.close().unwrap();
    let numbers = list(folder.path()).unwrap();
    assert!(numbers.len() >= 4, "{numbers:?}");
    let verified = recover(folder.path(), u64::MAX).unwrap().recovery;
    assert!(verified.clean && verified.entries == 22);
    assert!(recover(folder.path(), 0).unwrap().recovery.verified_bytes < verified.verified_bytes);

    let second = segment_path(folder.path(), 2);
    let bytes = fs::read(&second).unwrap();
    let found = scan(&bytes, 2);
    let last = *found.offsets.last().unwrap();
    // Its last batch zeroed: nothing looks wrong in the segment, but the next one does not follow.
    let mut image = bytes.clone();
    image[last..].fill(0);
    write(&second, &image);
    let refused = recover(folder.path(), u64::MAX);
    assert!(matches!(refused, Err(AuditError::Damaged { file, .. }) if file == second));
    let refused = AuditReader::open(folder.path()).unwrap().oldest_first(0).unwrap().find_map(Result::err);
    assert!(matches!(refused, Some(AuditError::Damaged { .. })));
    fs::remove_file(&second).unwrap();
    let refused = recover(folder.path(), 0);
    assert!(matches!(refused, Err(AuditError::Damaged { file, offset: 0, .. }) if file == second));
}

#[test]
fn unfinished_and_unused_segments_are_taken_in_hand() {
    let folder = crashed(1);
    fs::write(folder.path().join("000000000009.audit.new"), b"half").unwrap();
    fs::write(folder.path().join("notes.txt"), b"not ours").unwrap();
    let (audit, _) = open(folder.path());
    audit.close().unwrap();
    assert!(!folder.path().join("000000000009.audit.new").exists());
    assert!(folder.path().join("notes.txt").exists());
    // The prepared segment is there now; bytes in it that no batch explains are a torn first batch.
    let spare = segment_path(folder.path(), 2);
    let file = OpenOptions::new().write(true).open(&spare).unwrap();
    crate::disk::write_whole(&crate::FileSystem, &file, &[1; 40], 64).unwrap();
    let (_audit, recovery) = open(folder.path());
    assert_eq!(recovery.torn.map(|torn| (torn.file, torn.offset, torn.bytes)), Some((spare, 64, 40)));
}
