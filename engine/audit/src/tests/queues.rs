//! Producers and the control side: order, watermark, refusals, bounds.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::thread;

use super::*;
use crate::limits::{CONTROL_ENTRIES_MAX, PRODUCERS_MAX, WAKERS_MAX};
use crate::{AuditError, Entry, EntryKind, HealthState, PushError};

fn kinds(entries: &[AuditEntry]) -> Vec<EntryKind> {
    entries.iter().map(|entry| entry.entry.kind).collect()
}

#[test]
fn acknowledged_records_are_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let system = AuditOptions { disk: Arc::new(crate::FileSystem), ring_bytes: 64 * 1_024, ..options() };
    let (audit, recovery) = Audit::open(folder.path(), system).unwrap();
    assert_eq!((recovery.run, recovery.clean, recovery.entries), (1, true, 0));
    let mut producer = audit.producer().unwrap();
    let ticket = (1..=100).map(|n| producer.push(&record(n, Durability::Durable)).unwrap()).last().unwrap();
    audit.wait_durable(ticket).unwrap();
    assert!(producer.durable() >= ticket.number && producer.watermark().durable() >= ticket.number);
    drop(producer);
    audit.close().unwrap();
    audit.close().unwrap();
    let (audit, recovery) = open(folder.path());
    assert_eq!((recovery.run, recovery.clean, recovery.entries), (2, true, 102));
    assert!(recovery.gaps.is_empty() && recovery.torn.is_none() && recovery.poisoned.is_none());
    drop(audit);
    let entries = all(folder.path());
    assert_eq!(entries.iter().map(|entry| entry.number).collect::<Vec<_>>(), (1..=104).collect::<Vec<_>>());
    let times = entries[1..101].iter().map(|entry| entry.entry.time.as_millis());
    assert!(times.eq(1..=100));
    let ends = [EntryKind::Stop, EntryKind::Start, EntryKind::Stop];
    assert_eq!((kinds(&entries)[0], &kinds(&entries)[101..]), (EntryKind::Start, &ends[..]));
}

#[test]
fn order_is_kept_for_each_producer_and_numbers_have_no_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let (audit, _) = open(folder.path());
    thread::scope(|scope| {
        for part in 0..4_u64 {
            let mut producer = audit.producer().unwrap();
            scope.spawn(move || {
                for n in 0..1_000 {
                    let mode = if u64::is_multiple_of(n, 7) { Durability::Durable } else { Durability::Buffered };
                    while producer.push(&record(part * 10_000 + n, mode)) == Err(PushError::Full) {
                        thread::yield_now();
                    }
                }
            });
        }
    });
    audit.flush().unwrap();
    assert_eq!(audit.health().queued, 0);
    audit.close().unwrap();
    let entries = all(folder.path());
    assert!(entries.iter().zip(1..).all(|(entry, number)| entry.number == number));
    let mut of_worker: BTreeMap<u32, Vec<&AuditEntry>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.entry.kind == EntryKind::Decision) {
        of_worker.entry(entry.worker).or_default().push(entry);
    }
    assert_eq!(of_worker.len(), 4);
    for (worker, entries) in of_worker {
        assert!(entries.iter().zip(1..=1_000).all(|(entry, number)| entry.worker_number == number), "{worker}");
        assert!(entries.windows(2).all(|pair| pair[0].entry.time < pair[1].entry.time), "{worker}");
        assert_eq!(entries.len(), 1_000);
    }
}

#[test]
fn full_ring_refuses_and_the_refusals_are_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(TestDisk::default());
    let held = AuditOptions { disk: disk.clone(), summary_every: Duration::ZERO, ..options() };
    let (audit, _) = Audit::open(folder.path(), held).unwrap();
    let mut producer = audit.producer().unwrap();
    disk.hold();
    let mut taken = Vec::new();
    let mut refused = 0_u64;
    while refused < 3 {
        match producer.push(&record(1, Durability::Durable)) {
            Ok(ticket) => taken.push(ticket),
            Err(error) => {
                assert_eq!(error, PushError::Full);
                refused += 1;
            }
        }
        assert!(taken.len() < 10_000, "a 16 KiB ring takes no end");
    }
    assert_eq!(producer.durable(), 0);
    assert_eq!(audit.health().refused, 3);
    disk.release();
    audit.wait_durable(*taken.last().unwrap()).unwrap();
    drop(producer);
    audit.close().unwrap();
    let entries = all(folder.path());
    let decisions = entries.iter().filter(|entry| entry.entry.kind == EntryKind::Decision).count();
    assert_eq!(decisions, taken.len());
    let summaries = entries.iter().filter(|entry| entry.entry.kind == EntryKind::RefusalSummary);
    let counts = summaries.map(|entry| {
        let row = &entry.entry.detail.as_ref().unwrap()["refused"][0];
        assert_eq!(row["worker"], 1);
        row["count"].as_u64().unwrap()
    });
    assert_eq!(counts.sum::<u64>(), 3);
}

#[test]
fn control_entries_are_numbered_and_their_queue_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(TestDisk::default());
    let (audit, _) = Audit::open(folder.path(), AuditOptions { disk: disk.clone(), ..options() }).unwrap();
    let entry = Entry::new(EntryKind::Admin, Timestamp::from_millis(1));
    disk.hold();
    let mut taken = 0;
    let refusal = loop {
        match audit.append(&entry) {
            Ok(ticket) => {
                taken += 1;
                assert_eq!((ticket.worker, ticket.number), (0, taken));
                assert!(!audit.is_durable(ticket));
            }
            Err(error) => break error,
        }
    };
    assert_eq!(refusal, PushError::Full);
    assert!(taken >= u64::try_from(CONTROL_ENTRIES_MAX).unwrap());
    disk.release();
    audit.flush().unwrap();
    let ticket = audit.append(&entry).unwrap();
    audit.wait_durable(ticket).unwrap();
    assert!(audit.is_durable(ticket));
}

#[test]
fn producers_and_callbacks_are_bounded_and_a_dropped_producer_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let (audit, _) = open(folder.path());
    let mut producers: Vec<_> = (0..PRODUCERS_MAX).map(|_| audit.producer().unwrap()).collect();
    assert!(matches!(audit.producer(), Err(AuditError::TooMany { of: "producers", .. })));
    producers.pop();
    let last = audit.producer().unwrap();
    assert_eq!(usize::try_from(last.worker()).unwrap(), PRODUCERS_MAX + 1);
    for _ in 0..WAKERS_MAX {
        audit.on_durable(Arc::new(|| {})).unwrap();
    }
    assert!(matches!(audit.on_durable(Arc::new(|| {})), Err(AuditError::TooMany { of: "callbacks", .. })));
}

#[test]
fn callback_runs_after_the_watermark_has_moved() {
    let folder = tempfile::tempdir().unwrap();
    let (audit, _) = open(folder.path());
    let mut producer = audit.producer().unwrap();
    let watermark = producer.watermark();
    let (sender, moved) = std::sync::mpsc::channel();
    let calls = Arc::new(AtomicUsize::new(0));
    let (seen, counted) = (watermark.clone(), calls.clone());
    audit
        .on_durable(Arc::new(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = sender.send(seen.durable());
        }))
        .unwrap();
    let ticket = producer.push(&record(1, Durability::Durable)).unwrap();
    producer.nudge();
    assert!(moved.iter().any(|durable| durable >= ticket.number));
    assert!(calls.load(Ordering::SeqCst) >= 1);
}

#[test]
fn closed_log_takes_nothing_and_a_second_node_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (audit, _) = open(folder.path());
    assert!(matches!(Audit::open(folder.path(), options()), Err(AuditError::Locked { .. })));
    let mut producer = audit.producer().unwrap();
    audit.close().unwrap();
    assert_eq!(producer.push(&record(1, Durability::Durable)), Err(PushError::Closed));
    assert!(!producer.is_open());
    assert_eq!(audit.append(&Entry::new(EntryKind::Admin, Timestamp::from_millis(1))), Err(PushError::Closed));
    assert!(matches!(audit.producer(), Err(AuditError::Closed)));
    assert_eq!(audit.health().state, HealthState::Closed);
    // The producer was there until the end, so nobody can say that it lost nothing.
    let (_next, recovery) = open(folder.path());
    assert!(!recovery.clean && recovery.gaps.iter().any(|gap| gap.worker == producer.worker()));
}

#[test]
fn options_outside_their_range_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for wrong in [
        AuditOptions { ring_bytes: 1, ..options() },
        AuditOptions { segment_bytes_first: 1, ..options() },
        AuditOptions { segment_bytes_max: u64::MAX, ..options() },
        AuditOptions { buffered_wait: Duration::from_secs(1), ..options() },
    ] {
        assert!(matches!(Audit::open(folder.path(), wrong), Err(AuditError::Option { .. })));
    }
}
