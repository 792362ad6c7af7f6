use std::fs;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use super::support::*;
use crate::{Damage, EmbeddedLog, LogError};

/// A log of single entries 1 to `before`, then one batch of three more: its files as a crash leaves them, and the
/// last segment's bytes in use before and after that batch.
fn log_with_last_batch(before: u64) -> (TempDir, usize, usize) {
    let folder = TempDir::new().unwrap();
    let gate = Arc::new(Gate::default());
    gate.set(true);
    let opened = EmbeddedLog::open(folder.path(), options(gate.clone())).unwrap();
    let log = opened.log;
    drop(opened.committed);
    fill(&log, 1..before);
    gate.set(false);
    let last_single = send(&log, entry(before));
    gate.await_arrival();
    let batch: Vec<_> = (before + 1..=before + 3).map(|number| send(&log, entry(number))).collect();
    let start = used(&last_segment(folder.path()));
    gate.set(true);
    assert!(last_single.recv().unwrap().is_ok() && batch.iter().all(|told| told.recv().unwrap().is_ok()));
    let copy = crash_copy(folder.path());
    let end = used(&last_segment(copy.path()));
    (copy, start, end)
}

fn last_segment(folder: &Path) -> std::path::PathBuf {
    files_with(folder, "seg").pop().unwrap()
}

/// Bytes up to the end of the last frame.
fn used(segment: &Path) -> usize {
    let bytes = fs::read(segment).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    end.next_multiple_of(8)
}

#[test]
fn a_batch_cut_at_any_byte_costs_only_that_batch() {
    let (folder, start, end) = log_with_last_batch(5);
    for cut in start..=end {
        for how in ["ends", "zeros", "garbage"] {
            let copy = crash_copy(folder.path());
            let segment = last_segment(copy.path());
            let mut bytes = fs::read(&segment).unwrap();
            match how {
                "ends" => bytes.truncate(cut),
                "zeros" => bytes[cut..end].fill(0),
                _ => bytes[cut..end].fill(0xA5),
            }
            fs::write(&segment, bytes).unwrap();
            let mut opened = open(copy.path());
            let kept = if cut == end { 8 } else { 5 };
            assert_eq!(replayed(&mut opened), first_entries(kept), "{how} at {cut}");
            if kept == 5 && how == "ends" {
                assert_eq!(opened.recovered.torn_bytes_cut > 0, cut > start, "at {cut}");
            }
            // What was cut is gone for good, and its places are given anew.
            fill(&opened.log, kept + 1..=kept + 2);
            opened.log.close().unwrap();
            let mut opened = open(copy.path());
            assert_eq!((replayed(&mut opened), opened.recovered.torn_bytes_cut), (first_entries(kept + 2), 0));
        }
    }
}

#[test]
fn a_batch_with_any_hole_is_cut() {
    let (folder, start, end) = log_with_last_batch(2);
    for hole in (start..end).step_by(8) {
        let copy = crash_copy(folder.path());
        let segment = last_segment(copy.path());
        let mut bytes = fs::read(&segment).unwrap();
        let was_zero = bytes[hole..hole + 8].iter().all(|byte| *byte == 0);
        bytes[hole..hole + 8].fill(0);
        fs::write(&segment, bytes).unwrap();
        let mut opened = open(copy.path());
        assert_eq!(replayed(&mut opened), first_entries(if was_zero { 5 } else { 2 }), "hole at {hole}");
    }
}

#[test]
fn a_flip_before_the_last_batch_is_refused_and_behind_it_is_cut() {
    let (folder, start, end) = log_with_last_batch(40);
    assert_eq!(files_with(folder.path(), "seg").len(), 2);
    let mut refusals = 0;
    for segment in files_with(folder.path(), "seg") {
        let last = segment == last_segment(folder.path());
        let (batch_start, length) = if last { (start, end) } else { (used(&segment), used(&segment)) };
        let beyond = [length, length + 1, length + 47, length + 48];
        for offset in (0..length).chain(beyond) {
            flip(&segment, offset);
            let before: Vec<_> = files(folder.path()).iter().map(|path| fs::read(path).unwrap()).collect();
            if offset < batch_start {
                check_refused(folder.path(), &segment, offset);
                let after: Vec<_> = files(folder.path()).iter().map(|path| fs::read(path).unwrap()).collect();
                assert!(before == after, "a refused log was changed");
                refusals += 1;
            } else {
                let copy = crash_copy(folder.path());
                let mut opened = open(copy.path());
                let kept = if last && offset < length { 40 } else { 43 };
                assert_eq!(replayed(&mut opened), first_entries(kept), "flip at {offset}");
            }
            flip(&segment, offset);
        }
    }
    assert!(refusals > 4_000, "{refusals}");
}

/// A flipped byte is reported in its file, at the frame that holds it.
fn check_refused(folder: &Path, segment: &Path, flipped: usize) {
    let refused = try_open(folder).err().unwrap_or_else(|| panic!("a flip at {flipped} was not seen"));
    match &refused {
        LogError::Damaged { file, offset, .. } => {
            let offset = usize::try_from(*offset).unwrap();
            assert_eq!(file, segment);
            assert!(offset <= flipped && flipped - offset < 48 + 64, "{refused}: flipped {flipped}");
        }
        other => panic!("{other}"),
    }
    assert!(refused.to_string().contains("restore the folder"), "{refused}");
}

#[test]
fn a_torn_batch_does_not_hide_damage_before_it() {
    let (folder, start, end) = log_with_last_batch(5);
    let segment = last_segment(folder.path());
    let mut bytes = fs::read(&segment).unwrap();
    // Only the second frame of the last batch reached the disk; the entry before the batch lost a bit.
    bytes[start..start + 48].fill(0);
    bytes[end - 48..].fill(0);
    bytes[start - 50] ^= 1;
    fs::write(&segment, bytes).unwrap();
    check_refused(folder.path(), &segment, start - 50);
}

#[test]
fn after_a_clean_close_damage_in_the_last_batch_is_seen() {
    let folder = TempDir::new().unwrap();
    let log = open_unread(folder.path());
    fill(&log, 1..=3);
    let end = used(&last_segment(folder.path()));
    log.close().unwrap();
    let segment = last_segment(folder.path());
    for offset in 0..end {
        flip(&segment, offset);
        check_refused(folder.path(), &segment, offset);
        flip(&segment, offset);
    }
    assert_eq!(replayed(&mut open(folder.path())), first_entries(3));
}

#[test]
fn missing_foreign_and_renamed_segments_are_named() {
    let folder = TempDir::new().unwrap();
    let log = open_unread(folder.path());
    fill(&log, 1..=400);
    log.close().unwrap();
    let segments = files_with(folder.path(), "seg");
    assert!(segments.len() > 2);
    let check = |change: &dyn Fn(&Path), expected: &dyn Fn(Damage) -> bool| {
        let copy = crash_copy(folder.path());
        change(copy.path());
        match try_open(copy.path()).err() {
            Some(LogError::Damaged { what, .. }) if expected(what) => {}
            other => panic!("{other:?}"),
        }
    };
    let name = |index: usize| segments[index].file_name().unwrap();
    check(&|copy| fs::remove_file(copy.join(name(0))).unwrap(), &|what| matches!(what, Damage::Gap { .. }));
    check(&|copy| fs::remove_file(copy.join(name(1))).unwrap(), &|what| matches!(what, Damage::Gap { .. }));
    let renamed = |copy: &Path| fs::rename(copy.join(name(1)), copy.join("log-00000000000000000002.seg")).unwrap();
    check(&renamed, &|what| what == Damage::Foreign);
    let other = TempDir::new().unwrap();
    fill(&open_unread(other.path()), 1..=400);
    let swapped = |copy: &Path| {
        fs::copy(files_with(other.path(), "seg").remove(0), copy.join(name(0))).unwrap();
    };
    check(&swapped, &|what| what == Damage::Foreign);
    let overlong = |copy: &Path| {
        fs::File::options().write(true).open(copy.join(name(0))).unwrap().set_len(1 << 40).unwrap();
    };
    check(&overlong, &|what| what == Damage::TooLong);
}
