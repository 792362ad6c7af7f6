//! What the parts of these tests share: names, records, disks that fail or wait, copies of folders.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod crash;
mod faults;
mod form;
mod queues;
mod read;

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use portcullis_model::{
    DecisionId, EntityIndex, EntityUid, Intent, PolicyRef, Reason, Revision, SessionId, Timestamp, Verdict,
};

use crate::disk::Disk;
use crate::{Audit, AuditEntry, AuditOptions, AuditReader, Durability, HotRecord, Name, Names, Outcome, Recovery};

/// Number `n` is `User::"n"`, policy `n` is on line `n`; from 1,000 on nothing has a name.
pub(crate) struct TestNames;

impl Names for TestNames {
    fn entity(&self, entity: EntityIndex) -> Option<EntityUid> {
        (entity.number() < 1_000).then(|| EntityUid::of("User", &entity.number().to_string()).unwrap())
    }

    fn policy(&self, set: u32, policy: u32) -> Option<PolicyRef> {
        (policy < 1_000).then(|| PolicyRef { id: format!("set{set}").into(), file: "f.cedar".into(), line: policy })
    }
}

/// A record that carries `n` as its time and decision id.
pub(crate) fn record(n: u64, mode: Durability) -> HotRecord<'static> {
    HotRecord {
        decision_id: DecisionId::from_words([n, 0]),
        time: Timestamp::from_millis(n),
        session: Some(SessionId::from_words([7, n])),
        subject: EntityIndex::new(1),
        agents: &const { [EntityIndex::new(2), EntityIndex::new(3)] },
        action: Name::Number(EntityIndex::new(4)),
        resource: Name::Number(EntityIndex::new(5)),
        outcome: Outcome::Decision(Verdict::Allow, Reason::Permitted),
        revision: Revision::new(1, 9),
        policy_set: 1,
        policies: &[6],
        grant: None,
        intent: Intent::Perform,
        mode,
        latency_ns: 400,
        client: "platform",
        input: Some(b"{}"),
    }
}

/// Small segments, no syncing: what these tests cut and flip is in files, not in a cache.
pub(crate) fn options() -> AuditOptions {
    AuditOptions {
        disk: Arc::new(TestDisk::default()),
        segment_bytes_first: 128 * 1_024,
        segment_bytes_max: 128 * 1_024,
        ring_bytes: 16 * 1_024,
        buffered_wait: Duration::ZERO,
        ..AuditOptions::new(Arc::new(TestNames))
    }
}

pub(crate) fn open(folder: &Path) -> (Audit, Recovery) {
    Audit::open(folder, options()).unwrap()
}

/// Every entry that a reader of a stopped log finds, oldest first.
pub(crate) fn all(folder: &Path) -> Vec<AuditEntry> {
    AuditReader::open(folder).unwrap().oldest_first(0).unwrap().map(Result::unwrap).collect()
}

/// The folder as a crash at this moment would leave it.
pub(crate) fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for item in fs::read_dir(from).unwrap() {
        let path = item.unwrap().path();
        // A segment that is being prepared may be renamed meanwhile.
        let _ = fs::copy(&path, to.path().join(path.file_name().unwrap()));
    }
    to
}

/// Writes go through, syncs do nothing; from [`TestDisk::set`] on everything fails or waits.
#[derive(Default)]
pub(crate) struct TestDisk {
    fault: AtomicU8,
    shut: Mutex<bool>,
    opened: Condvar,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    None = 0,
    WriteNoSpace = 1,
    WriteShort = 2,
    SyncIo = 3,
    SyncNoSpace = 4,
}

const ENOSPC: i32 = 28;
const EIO: i32 = 5;

impl TestDisk {
    pub(crate) fn set(&self, fault: Fault) {
        self.fault.store(fault as u8, Ordering::SeqCst);
    }

    /// Has every sync wait until [`TestDisk::release`].
    pub(crate) fn hold(&self) {
        *self.shut.lock().unwrap() = true;
    }

    pub(crate) fn release(&self) {
        *self.shut.lock().unwrap() = false;
        self.opened.notify_all();
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault.load(Ordering::SeqCst) == fault as u8
    }
}

impl Disk for TestDisk {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if self.is(Fault::WriteNoSpace) {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        let bytes = if self.is(Fault::WriteShort) { &bytes[..bytes.len() / 2] } else { bytes };
        crate::FileSystem.write_at(file, bytes, offset)
    }

    fn sync_data(&self, _file: &File) -> io::Result<()> {
        let mut shut = self.shut.lock().unwrap();
        while *shut {
            shut = self.opened.wait(shut).unwrap();
        }
        if self.is(Fault::SyncIo) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        if self.is(Fault::SyncNoSpace) {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        Ok(())
    }
}
