use std::sync::Arc;
use std::sync::mpsc::channel;

use tempfile::TempDir;

use super::support::*;
use crate::{AppendError, DiskTarget, EmbeddedLog, LogError, OrderedLog, Revision};

#[test]
fn a_failed_write_or_sync_stops_the_log_and_loses_nothing_acknowledged() {
    let batch = [Fault::WriteFails, Fault::DiskFull, Fault::ShortWrite, Fault::SyncFails];
    for fault in batch {
        for good in 0..4 {
            check(DiskTarget::Entries, fault, good);
        }
        // The first segment is made at open: its zeros and its header, one sync.
        check(DiskTarget::Segment, fault, 3);
    }
    check(DiskTarget::Folder, Fault::SyncFails, 2);
}

fn check(target: DiskTarget, fault: Fault, good: usize) {
    let case = format!("{fault:?} of {target:?} after {good}");
    let folder = TempDir::new().unwrap();
    let disk = Faulty::new(target, fault, good);
    let opened = EmbeddedLog::open(folder.path(), options(disk)).unwrap();
    let log = opened.log;
    drop(opened.committed);
    let mut acknowledged = 0;
    // Enough to roll into further segments.
    let stopped = (1..1_000).find(|number| match append(&log, *number) {
        Ok(revision) => {
            acknowledged += 1;
            assert_eq!(revision, Revision::new(1, *number), "{case}");
            false
        }
        Err(error) => {
            assert_eq!(error, AppendError::Poisoned, "{case}");
            true
        }
    });
    let stopped = stopped.unwrap_or_else(|| panic!("no fault: {case}"));
    assert_eq!(log.tail().seq, acknowledged, "{case}");
    let refused = log.append(entry(stopped), Box::new(|_| panic!("called")));
    assert_eq!(refused, Err(AppendError::Poisoned), "{case}");
    assert!(matches!(log.close(), Err(LogError::Poisoned)), "{case}");
    assert!(folder.path().join("POISONED").exists(), "{case}");

    let mut opened = open(folder.path());
    assert!(opened.recovered.was_poisoned, "{case}");
    let found = replayed(&mut opened);
    assert!(found.len() as u64 >= acknowledged, "{case}");
    assert_eq!(found, first_entries(found.len() as u64), "{case}");
    fill(&opened.log, stopped..stopped + 2);
    opened.log.close().unwrap();
    let mut opened = open(folder.path());
    assert!(!opened.recovered.was_poisoned, "{case}");
    assert_eq!(replayed(&mut opened), first_entries(stopped + 1), "{case}");
}

#[test]
fn a_failure_answers_all_that_wait() {
    let folder = TempDir::new().unwrap();
    let disk = Faulty::new(DiskTarget::Entries, Fault::SyncFails, 1);
    let opened = EmbeddedLog::open(folder.path(), options(disk)).unwrap();
    let log = Arc::new(opened.log);
    append(&log, 1).unwrap();
    let (tell, told) = channel();
    let mut sent = 0;
    for number in 2..2_000 {
        let tell = tell.clone();
        match log.append(entry(number), Box::new(move |result| tell.send(result).unwrap())) {
            Ok(()) => sent += 1,
            Err(error) => assert_eq!(error, AppendError::Poisoned),
        }
    }
    drop(tell);
    let answers: Vec<_> = told.iter().collect();
    assert_eq!(answers, vec![Err(AppendError::Poisoned); sent]);
    assert!(sent > 0);
    // The reader of the feed sees the end of it.
    assert_eq!(opened.committed.iter().flatten().collect::<Vec<_>>(), first_entries(1));
}

#[test]
fn a_failed_open_changes_nothing_that_matters() {
    for (target, fault, good) in [
        (DiskTarget::Segment, Fault::DiskFull, 0),
        (DiskTarget::Segment, Fault::SyncFails, 0),
        (DiskTarget::Folder, Fault::SyncFails, 0),
    ] {
        let folder = TempDir::new().unwrap();
        let refused = EmbeddedLog::open(folder.path(), options(Faulty::new(target, fault, good))).err();
        assert!(matches!(refused, Some(LogError::Io { .. })), "{refused:?}");
        fill(&open_unread(folder.path()), 1..3);
        let refused = EmbeddedLog::open(folder.path(), options(Faulty::new(DiskTarget::Entries, Fault::SyncFails, 0)));
        assert!(matches!(refused.err(), Some(LogError::Io { .. })));
        assert_eq!(replayed(&mut open(folder.path())), first_entries(2));
    }
}

#[test]
fn failures_beside_the_log_do_not_stop_it() {
    for fault in [Fault::WriteFails, Fault::DiskFull, Fault::ShortWrite, Fault::SyncFails] {
        let folder = TempDir::new().unwrap();
        let opened = EmbeddedLog::open(folder.path(), options(Faulty::new(DiskTarget::Spare, fault, 0))).unwrap();
        drop(opened.committed);
        fill(&opened.log, 1..=300);
        opened.log.close().unwrap();

        let disk = Faulty::new(DiskTarget::Snapshot, fault, 0);
        let opened = EmbeddedLog::open(folder.path(), options(disk)).unwrap();
        let refused = opened.log.put_snapshot(Revision::new(1, 300), &mut |to| to.write_all(b"state"));
        assert!(matches!(refused, Err(LogError::Io { .. })), "{refused:?}");
        fill(&opened.log, 301..=303);
        opened.log.close().unwrap();
        let mut opened = open(folder.path());
        assert!(opened.snapshot.is_none());
        assert_eq!(replayed(&mut opened), first_entries(303));
    }
}
