//! Disks that fail: nothing is acknowledged any more, nothing acknowledged is lost.

use super::*;
use crate::shared::POISONED;
use crate::{AuditError, Entry, EntryKind, HealthState, PushError};

fn check(fault: Fault) {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(TestDisk::default());
    let (audit, _) = Audit::open(folder.path(), AuditOptions { disk: disk.clone(), ..options() }).unwrap();
    let mut producer = audit.producer().unwrap();
    let good = producer.push(&record(1, Durability::Durable)).unwrap();
    audit.wait_durable(good).unwrap();

    disk.set(fault);
    let bad = producer.push(&record(2, Durability::Durable)).unwrap();
    assert!(matches!(audit.wait_durable(bad), Err(AuditError::Poisoned)), "{fault:?}");
    // The disk works again, and that changes nothing.
    disk.set(Fault::None);
    assert_eq!(producer.push(&record(3, Durability::Durable)), Err(PushError::Poisoned));
    let entry = Entry::new(EntryKind::Admin, Timestamp::from_millis(1));
    assert_eq!(audit.append(&entry), Err(PushError::Poisoned));
    assert!(matches!(audit.flush(), Err(AuditError::Poisoned)));
    assert!(matches!(audit.producer(), Err(AuditError::Poisoned)));
    assert!(producer.durable() >= good.number && producer.durable() < bad.number);
    assert!(matches!(audit.health().state, HealthState::Poisoned { cause } if !cause.is_empty()));
    assert!(matches!(audit.close(), Err(AuditError::Poisoned)));
    assert!(folder.path().join(POISONED).exists());

    let (audit, recovery) = open(folder.path());
    assert!(recovery.poisoned.is_some() && !recovery.clean);
    assert!(!folder.path().join(POISONED).exists());
    let gap = recovery.gaps.iter().find(|gap| gap.worker == producer.worker()).unwrap();
    assert!(gap.after >= good.number && gap.at_most > 0);
    drop(audit);
    let found = all(folder.path());
    let times: Vec<_> = found
        .iter()
        .filter(|entry| entry.entry.kind == EntryKind::Decision)
        .map(|entry| entry.entry.time.as_millis())
        .collect();
    // The second one was never acknowledged: it may be there, whole, or not at all.
    assert!(times == [1] || times == [1, 2], "{fault:?}: {times:?}");
}

#[test]
fn full_disk_at_a_write_poisons() {
    check(Fault::WriteNoSpace);
}

#[test]
fn short_write_poisons() {
    check(Fault::WriteShort);
}

#[test]
fn failed_sync_poisons() {
    check(Fault::SyncIo);
}

#[test]
fn full_disk_at_a_sync_poisons() {
    check(Fault::SyncNoSpace);
}

#[test]
fn disk_that_fails_at_the_start_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(TestDisk::default());
    disk.set(Fault::WriteNoSpace);
    let failed = Audit::open(folder.path(), AuditOptions { disk: disk.clone(), ..options() });
    assert!(matches!(failed, Err(AuditError::Io { .. })));
    disk.set(Fault::None);
    let (_audit, recovery) = Audit::open(folder.path(), AuditOptions { disk, ..options() }).unwrap();
    assert_eq!(recovery.run, 1);
}

#[test]
fn failure_to_prepare_a_segment_poisons_when_it_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(TestDisk::default());
    let (audit, _) = Audit::open(folder.path(), AuditOptions { disk: disk.clone(), ..options() }).unwrap();
    let mut entry = Entry::new(EntryKind::Admin, Timestamp::from_millis(1));
    entry.detail = Some("x".repeat(20_000).into());
    // The second segment is in use when two further ones would have been needed.
    for _ in 0..5 {
        let ticket = audit.append(&entry).unwrap();
        audit.wait_durable(ticket).unwrap();
    }
    disk.set(Fault::SyncNoSpace);
    let ticket = audit.append(&entry).unwrap();
    assert!(matches!(audit.wait_durable(ticket), Err(AuditError::Poisoned)));
}

#[test]
fn panic_in_the_writer_poisons() {
    struct Panicking;
    impl Names for Panicking {
        fn entity(&self, _: EntityIndex) -> Option<EntityUid> {
            panic!("names are broken");
        }
        fn policy(&self, _: u32, _: u32) -> Option<PolicyRef> {
            None
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let (audit, _) = Audit::open(folder.path(), AuditOptions { names: Arc::new(Panicking), ..options() }).unwrap();
    let mut producer = audit.producer().unwrap();
    let ticket = producer.push(&record(1, Durability::Durable)).unwrap();
    assert!(matches!(audit.wait_durable(ticket), Err(AuditError::Poisoned)));
    assert_eq!(producer.push(&record(2, Durability::Durable)), Err(PushError::Poisoned));
}
