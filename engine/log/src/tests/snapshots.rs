use std::fs;
use std::io::{self, Read};
use std::path::Path;

use tempfile::TempDir;

use super::support::*;
use crate::{Damage, EmbeddedLog, Entry, LogError, Opened, OrderedLog, Revision};

/// A state that says of how many entries it is, longer than the buffers on its way.
fn put(log: &EmbeddedLog, seq: u64) {
    let at = Revision::new(1, seq);
    log.put_snapshot(at, &mut |to| state(seq).chunks(70_001).try_for_each(|part| to.write_all(part))).unwrap();
}

fn state(seq: u64) -> Vec<u8> {
    seq.to_le_bytes().repeat(300_000)
}

fn restored(opened: &mut Opened) -> Option<u64> {
    let (at, reader) = opened.snapshot.as_mut()?;
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    assert!(bytes == state(at.seq) && reader.payload_bytes() == bytes.len() as u64);
    Some(at.seq)
}

#[test]
fn a_snapshot_and_what_follows_it_are_the_whole_state() {
    let folder = TempDir::new().unwrap();
    let log = open_unread(folder.path());
    fill(&log, 1..=200);
    put(&log, 150);
    log.close().unwrap();
    let mut opened = open(folder.path());
    assert_eq!(restored(&mut opened), Some(150));
    assert_eq!(opened.recovered.entries_to_replay, 50);
    assert_eq!(replayed(&mut opened), first_entries(200).split_off(150));
}

#[test]
fn segments_behind_the_snapshot_before_go_and_ids_stay() {
    let folder = TempDir::new().unwrap();
    let log = open_unread(folder.path());
    let segments = || files_with(folder.path(), "seg");
    fill(&log, 1..=400);
    let all = segments();
    put(&log, 399);
    assert_eq!(segments(), all, "one snapshot alone lets go of nothing");
    fill(&log, 401..=500);
    put(&log, 500);
    assert!(segments().len() < all.len() && segments().len() > 1, "{:?}", segments());
    put(&log, 500);
    fill(&log, 501..=900);
    put(&log, 850);
    assert_eq!(files_with(folder.path(), "snap").len(), 2);
    log.close().unwrap();

    let mut opened = open(folder.path());
    assert_eq!(restored(&mut opened), Some(850));
    assert_eq!(replayed(&mut opened), first_entries(900).split_off(850));
    for number in [1, 399, 400, 500, 850, 851, 900] {
        assert_eq!(append(&opened.log, number), Ok(Revision::new(1, number)), "{number}");
    }
    assert_eq!(append(&opened.log, 5_000), Ok(Revision::new(1, 901)));
}

#[test]
fn a_bad_newest_snapshot_falls_back_and_is_refused_where_nothing_is_left() {
    let folder = TempDir::new().unwrap();
    let log = open_unread(folder.path());
    fill(&log, 1..=300);
    put(&log, 290);
    fill(&log, 301..=400);
    put(&log, 400);
    fill(&log, 401..=410);
    log.close().unwrap();
    assert!(files_with(folder.path(), "seg")[0] > folder.path().join("log-00000000000000000001.seg"));
    let snapshots = files_with(folder.path(), "snap");

    flip(&snapshots[1], 100_000);
    let mut opened = open(folder.path());
    assert_eq!(opened.recovered.snapshots_skipped, [snapshots[1].clone()]);
    assert_eq!(restored(&mut opened), Some(290));
    assert_eq!(replayed(&mut opened), first_entries(410).split_off(290));
    assert_eq!(append(&opened.log, 1), Ok(Revision::new(1, 1)), "ids come from the older snapshot");
    put(&opened.log, 405);
    opened.log.close().unwrap();
    assert_eq!(restored(&mut open(folder.path())), Some(405));
    assert_eq!(files_with(folder.path(), "snap").len(), 2, "the bad one was replaced");

    for path in files_with(folder.path(), "snap") {
        flip(&path, 70);
    }
    match try_open(folder.path()).err() {
        Some(LogError::Damaged { file, offset: 0, what: Damage::Snapshot }) => {
            assert_eq!(Some(&file), files_with(folder.path(), "snap").last());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_flipped_or_cut_snapshot_is_ever_used() {
    let folder = TempDir::new().unwrap();
    let log = open_unread(folder.path());
    fill(&log, 1..=4);
    log.put_snapshot(Revision::new(1, 3), &mut |to| to.write_all(b"a small state")).unwrap();
    log.close().unwrap();
    let path = files_with(folder.path(), "snap").remove(0);
    let whole = fs::read(&path).unwrap();
    assert_eq!(whole.len(), 64 + 13 + 3 * 16);
    let check = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let mut opened = open(folder.path());
        assert_eq!(opened.recovered.snapshots_skipped, std::slice::from_ref(&path));
        assert!(opened.snapshot.is_none());
        assert_eq!(replayed(&mut opened), first_entries(4));
    };
    for offset in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[offset] ^= 4;
        check(&bytes);
        check(&whole[..offset]);
    }
    check(&[&whole[..], b"x"].concat());
}

#[test]
fn a_log_that_ends_before_its_snapshot_is_refused() {
    let folder = TempDir::new().unwrap();
    let log = open_unread(folder.path());
    fill(&log, 1..=10);
    put(&log, 10);
    let copy = crash_copy(folder.path());
    let segment = files_with(copy.path(), "seg").remove(0);
    fs::File::options().write(true).open(&segment).unwrap().set_len(200).unwrap();
    check_behind(copy.path(), 1);
    fs::remove_file(segment).unwrap();
    check_behind(copy.path(), 0);
}

fn check_behind(folder: &Path, expected: u64) {
    match try_open(folder).err() {
        Some(LogError::Damaged { what: Damage::BehindSnapshot { tail }, .. }) => assert_eq!(tail, expected),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_snapshot_of_another_place_or_a_failed_one_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let log = open_unread(folder.path());
    fill(&log, 1..=10);
    put(&log, 5);
    for at in [Revision::new(1, 4), Revision::new(1, 11), Revision::new(2, 7), Revision::new(1, 0)] {
        let refused = log.put_snapshot(at, &mut |_| panic!("called"));
        assert!(matches!(refused, Err(LogError::SnapshotPlace { .. })), "{refused:?}");
    }
    let refused = log.put_snapshot(Revision::new(1, 9), &mut |to| {
        to.write_all(b"half")?;
        Err(io::Error::other("the state could not be written"))
    });
    assert!(matches!(refused, Err(LogError::Io { .. })), "{refused:?}");
    log.close().unwrap();
    let mut opened = open(folder.path());
    assert_eq!(restored(&mut opened), Some(5));
    assert_eq!(replayed(&mut opened), first_entries(10).split_off(5));
}

#[test]
fn regression_a_first_batch_too_large_for_the_empty_segment_takes_its_place() {
    // The new segment has the empty one's name; counted twice, compaction tried to remove it twice.
    let folder = TempDir::new().unwrap();
    let log = open_unread(folder.path());
    let large = |number| Entry { id: id(number), payload: vec![1; 17_000] };
    for number in 1..=4 {
        assert!(send(&log, large(number)).recv().unwrap().is_ok());
    }
    put(&log, 2);
    put(&log, 4);
    assert_eq!(files_with(folder.path(), "seg").len(), 2);
    log.close().unwrap();
    assert_eq!(restored(&mut open(folder.path())), Some(4));
}
