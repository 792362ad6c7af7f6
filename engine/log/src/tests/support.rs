//! Disks that fail or wait, and short ways to open, fill and copy a log.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};

use tempfile::TempDir;

use crate::{
    AppendError, Committed, Disk, DiskTarget, EmbeddedLog, Entry, EventId, LogError, LogOptions, Opened, OrderedLog,
    Revision, StdDisk,
};

/// Writes, but never waits for the disk: tests that cut and flip need no durability.
pub(super) struct Unsynced;

impl Disk for Unsynced {
    fn write_at(&self, target: DiskTarget, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        StdDisk.write_at(target, file, bytes, offset)
    }

    fn sync_data(&self, _target: DiskTarget, _file: &File) -> io::Result<()> {
        Ok(())
    }
}

/// Holds every sync of a batch until it is opened, so that a test decides what one batch holds.
#[derive(Default)]
pub(super) struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
    pub(super) waiting: AtomicUsize,
}

impl Gate {
    pub(super) fn set(&self, open: bool) {
        *self.open.lock().unwrap() = open;
        self.changed.notify_all();
    }

    /// Returns once a batch's sync waits at the gate.
    pub(super) fn await_arrival(&self) {
        let open = self.open.lock().unwrap();
        drop(self.changed.wait_while(open, |_| self.waiting.load(Ordering::SeqCst) == 0).unwrap());
    }
}

impl Disk for Gate {
    fn write_at(&self, target: DiskTarget, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        StdDisk.write_at(target, file, bytes, offset)
    }

    fn sync_data(&self, target: DiskTarget, _file: &File) -> io::Result<()> {
        if target == DiskTarget::Entries {
            let open = self.open.lock().unwrap();
            self.waiting.fetch_add(1, Ordering::SeqCst);
            self.changed.notify_all();
            drop(self.changed.wait_while(open, |open| !*open).unwrap());
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

/// What a [`Faulty`] disk does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    WriteFails,
    DiskFull,
    ShortWrite,
    SyncFails,
}

/// Does the operations on one target right `good` times, then wrong for ever.
pub(super) struct Faulty {
    pub(super) target: DiskTarget,
    pub(super) fault: Fault,
    pub(super) good: AtomicUsize,
}

impl Faulty {
    pub(super) fn new(target: DiskTarget, fault: Fault, good: usize) -> Arc<Self> {
        Arc::new(Self { target, fault, good: AtomicUsize::new(good) })
    }

    fn strikes(&self, target: DiskTarget) -> bool {
        let used_up = |good: usize| good.checked_sub(1);
        target == self.target && self.good.fetch_update(Ordering::SeqCst, Ordering::SeqCst, used_up).is_err()
    }
}

impl Disk for Faulty {
    fn write_at(&self, target: DiskTarget, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if self.fault != Fault::SyncFails && self.strikes(target) {
            return match self.fault {
                Fault::ShortWrite => StdDisk.write_at(target, file, bytes.get(..bytes.len() / 2).unwrap(), offset),
                Fault::DiskFull => Err(io::ErrorKind::StorageFull.into()),
                Fault::WriteFails | Fault::SyncFails => Err(io::Error::from_raw_os_error(5)),
            };
        }
        StdDisk.write_at(target, file, bytes, offset)
    }

    fn sync_data(&self, target: DiskTarget, _file: &File) -> io::Result<()> {
        if self.fault == Fault::SyncFails && self.strikes(target) {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }
}

pub(super) fn options(disk: Arc<dyn Disk>) -> LogOptions {
    LogOptions { disk, segment_bytes_first: 4 * 1024, segment_bytes_max: 16 * 1024 }
}

pub(super) fn try_open(folder: &Path) -> Result<Opened, LogError> {
    EmbeddedLog::open(folder, options(Arc::new(Unsynced)))
}

pub(super) fn open(folder: &Path) -> Opened {
    try_open(folder).unwrap()
}

/// Opens, with nobody who reads the feed.
pub(super) fn open_unread(folder: &Path) -> EmbeddedLog {
    open(folder).log
}

pub(super) fn id(number: u64) -> EventId {
    EventId::from_words([number, 7])
}

/// A payload of its own length and content for each number.
pub(super) fn payload(number: u64) -> Vec<u8> {
    (0..number % 23).map(|byte| (byte + number) as u8).collect()
}

pub(super) fn entry(number: u64) -> Entry {
    Entry { id: id(number), payload: payload(number) }
}

/// Enqueues; the answer arrives at the receiver.
pub(super) fn send(log: &EmbeddedLog, entry: Entry) -> Receiver<Result<Revision, AppendError>> {
    let (tell, told) = channel();
    log.append(entry, Box::new(move |result| tell.send(result).unwrap_or_default())).unwrap();
    told
}

/// Appends and waits for the answer.
pub(super) fn append(log: &EmbeddedLog, number: u64) -> Result<Revision, AppendError> {
    send(log, entry(number)).recv().unwrap()
}

/// Appends `numbers`, each waited for.
pub(super) fn fill(log: &EmbeddedLog, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        append(log, number).unwrap();
    }
}

pub(super) fn committed(seq: u64, number: u64) -> Committed {
    Committed { revision: Revision::new(1, seq), id: id(number), payload: payload(number).into() }
}

/// Entries 1 to `last`, numbered as placed.
pub(super) fn first_entries(last: u64) -> Vec<Committed> {
    (1..=last).map(|seq| committed(seq, seq)).collect()
}

pub(super) fn replayed(opened: &mut Opened) -> Vec<Committed> {
    opened.replay.by_ref().collect::<Result<_, _>>().unwrap()
}

/// What a crash at this moment would leave, without the files in the making.
pub(super) fn crash_copy(folder: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    for path in files(folder) {
        if path.extension().is_none_or(|extension| extension != "tmp") {
            fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    copy
}

/// The folder's files, sorted by name.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|item| item.unwrap().path()).collect();
    paths.sort();
    paths
}

pub(super) fn files_with(folder: &Path, extension: &str) -> Vec<PathBuf> {
    files(folder).into_iter().filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

pub(super) fn flip(path: &Path, offset: usize) {
    let mut bytes = fs::read(path).unwrap();
    *bytes.get_mut(offset).unwrap() ^= 0x10;
    fs::write(path, bytes).unwrap();
}
