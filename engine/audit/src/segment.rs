//! Segment files: their names, how one is made, and the thread that keeps the next one ready.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use crate::disk::{Disk, write_whole, write_zeros};
use crate::error::AuditError;
use crate::limits::SEGMENTS_MAX;
use crate::scan::SegmentHead;

/// A segment that is open for writing.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) bytes: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: File,
}

/// The file of segment `number`.
pub(crate) fn segment_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:012}{SUFFIX}"))
}

/// Numbers of the segments in `folder`, ascending. Other files are none of ours.
pub(crate) fn list(folder: &Path) -> Result<Vec<u64>, AuditError> {
    let failed = || AuditError::io("list", folder);
    let mut numbers = Vec::new();
    for item in fs::read_dir(folder).map_err(failed())? {
        let name = item.map_err(failed())?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
        let number = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        numbers.extend(number.and_then(|digits| digits.parse::<u64>().ok()));
        if numbers.len() > SEGMENTS_MAX {
            return Err(AuditError::TooMany { of: "segments", limit: SEGMENTS_MAX });
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Makes segment `number`: written zeros and a head, synced under another name, then renamed. So a
/// segment that exists has its head and all its blocks, and writing to it changes no metadata.
pub(crate) fn create(folder: &Path, disk: &dyn Disk, number: u64, bytes: u64) -> Result<Segment, AuditError> {
    let path = segment_path(folder, number);
    let unfinished = folder.join(format!("{number:012}{UNFINISHED}"));
    let failed = || AuditError::io("create", unfinished.as_path());
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(failed())?;
    let head = SegmentHead { number, bytes }.encode();
    write_zeros(disk, &file, 0, bytes).map_err(failed())?;
    write_whole(disk, &file, &head, 0).map_err(failed())?;
    disk.sync_data(&file).map_err(failed())?;
    fs::rename(&unfinished, &path).map_err(failed())?;
    sync_folder(folder)?;
    Ok(Segment { number, bytes, path, file })
}

/// Opens segment `number` for writing.
pub(crate) fn open(folder: &Path, number: u64, bytes: u64) -> Result<Segment, AuditError> {
    let path = segment_path(folder, number);
    let file = OpenOptions::new().read(true).write(true).open(&path).map_err(AuditError::io("open", path.as_path()))?;
    Ok(Segment { number, bytes, path, file })
}

/// Removes segments that were never finished.
pub(crate) fn remove_unfinished(folder: &Path) -> Result<(), AuditError> {
    for item in fs::read_dir(folder).map_err(AuditError::io("list", folder))? {
        let path = item.map_err(AuditError::io("list", folder))?.path();
        if path.to_str().is_some_and(|path| path.ends_with(UNFINISHED)) {
            fs::remove_file(&path).map_err(AuditError::io("remove", path.as_path()))?;
        }
    }
    Ok(())
}

pub(crate) fn sync_folder(folder: &Path) -> Result<(), AuditError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(AuditError::io("sync", folder))
}

/// Size of a segment: the first is small so that a new log is ready at once, each further one twice
/// the last.
pub(crate) fn size(number: u64, first: u64, most: u64) -> u64 {
    let doublings = u32::try_from(number.saturating_sub(1)).unwrap_or(u32::MAX);
    first.checked_shl(doublings).filter(|size| size >> doublings == first).map_or(most, |size| size.min(most))
}

/// Makes one segment ahead, in a thread of its own: zeroing 64 MiB takes longer than any answer may.
#[derive(Debug)]
pub(crate) struct Spares {
    wanted: Option<SyncSender<(u64, u64)>>,
    ready: Receiver<Result<Segment, AuditError>>,
    thread: Option<JoinHandle<()>>,
}

impl Spares {
    pub(crate) fn start(folder: &Path, disk: Arc<dyn Disk>) -> Result<Self, AuditError> {
        let (wanted, orders) = sync_channel::<(u64, u64)>(1);
        let (done, ready) = sync_channel(1);
        let home = folder.to_owned();
        let work = move || {
            while let Ok((number, bytes)) = orders.recv() {
                if done.send(create(&home, disk.as_ref(), number, bytes)).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new()
            .name("audit-spare".to_owned())
            .spawn(work)
            .map_err(AuditError::io("start the thread for", folder))?;
        Ok(Self { wanted: Some(wanted), ready, thread: Some(thread) })
    }

    /// Orders a segment; [`Spares::take`] gets it. At most one is ordered at a time.
    pub(crate) fn order(&self, number: u64, bytes: u64) -> Result<(), AuditError> {
        let sent = self.wanted.as_ref().map(|wanted| wanted.send((number, bytes)));
        sent.and_then(Result::ok).ok_or(AuditError::Closed)
    }

    /// The ordered segment; waits until it is there.
    pub(crate) fn take(&self) -> Result<Segment, AuditError> {
        self.ready.recv().map_err(|_| AuditError::Closed)?
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        self.wanted = None;
        if let Some(thread) = self.thread.take() {
            // The thread ends by itself; one that panicked has nothing to say any more.
            let _ = thread.join();
        }
    }
}

const SUFFIX: &str = ".audit";
const UNFINISHED: &str = ".audit.new";
