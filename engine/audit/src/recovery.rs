//! What a stopped log holds, and what its last run may have lost.
//!
//! Reads from the newest segment backwards: all that may have been in use when the run ended, then as
//! much more as the options ask. It changes nothing; [`repair`] does, once all of it is known to be
//! sound.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use portcullis_model::Revision;

use crate::batch::{Batch, BatchHead, Closes};
use crate::disk::{Disk, write_whole, write_zeros};
use crate::error::AuditError;
use crate::limits::SEGMENT_BYTES_MAX;
use crate::scan::{SEGMENT_HEAD_BYTES, Scan, SegmentHead, Tail, follows, scan};
use crate::segment::{Segment, list, open, segment_path};

/// What opening the log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The run that begins now, from 1.
    pub run: u32,
    /// Whether the run before was closed; true for a new log.
    pub clean: bool,
    /// Segments in the folder.
    pub segments: usize,
    /// Bytes of segments that were read and whose checksums are right.
    pub verified_bytes: u64,
    /// Entries in the log before this run: the number of the last.
    pub entries: u64,
    /// Revision of the last change that is in the log. The caller records changes after it again,
    /// since a crash may have taken their entries.
    pub last_change: Option<Revision>,
    /// The unfinished batch that was cut.
    pub torn: Option<Torn>,
    /// What the run before may have lost, by worker.
    pub gaps: Vec<Gap>,
    /// What an earlier run wrote when it was poisoned.
    pub poisoned: Option<String>,
}

/// A batch that was never finished, and so never acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The segment.
    pub file: PathBuf,
    /// Where it began, in bytes.
    pub offset: u64,
    /// Bytes that stood there.
    pub bytes: u64,
}

/// Records that a worker had pushed and a crash may have taken. None of them was acknowledged as durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The run that ended without closing.
    pub run: u32,
    /// The worker; 0 is the control side.
    pub worker: u32,
    /// Its last record in the log, by its own running number.
    pub after: u64,
    /// How many records after that one there can have been.
    pub at_most: u64,
}

/// A log as it was found.
pub(crate) struct Found {
    pub(crate) recovery: Recovery,
    /// The last batch.
    pub(crate) last: Option<(BatchHead, u32)>,
    /// Where writing goes on; `None` for a new log.
    current: Option<Current>,
    /// Segments that were prepared and not used, ascending.
    spares: Vec<Image>,
}

struct Current {
    image: Image,
    end: usize,
    /// Offset of the last batch, if it is in this segment.
    last: Option<usize>,
}

/// A segment as read.
struct Image {
    path: PathBuf,
    head: SegmentHead,
    bytes: Vec<u8>,
    scan: Scan,
}

/// Reads the log in `folder`, at least `verify_bytes` of it where there are as many.
pub(crate) fn recover(folder: &Path, verify_bytes: u64) -> Result<Found, AuditError> {
    let numbers = list(folder)?;
    if let Some(pair) = numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]) {
        return Err(damaged(&segment_path(folder, pair[0] + 1), 0, "the segment is missing"));
    }
    let mut recovery = Recovery { run: 1, clean: true, segments: numbers.len(), ..Recovery::default() };
    let mut older = numbers.iter().rev();
    let mut spares = Vec::new();
    let mut current = None;
    for number in older.by_ref() {
        let image = Image::read(folder, *number)?;
        recovery.verified_bytes += length(&image.bytes);
        if image.scan.last.is_some() {
            current = Some(image);
            break;
        }
        spares.push(image);
    }
    spares.reverse();
    let Some(current) = current else {
        return nothing_written(folder, &numbers, recovery, spares);
    };
    unused_are_zero(&spares, current.scan.tail == Tail::Clean)?;
    verify_older(folder, older.copied(), &current, verify_bytes, &mut recovery)?;
    describe(&mut recovery, &current);
    recovery.torn = current.torn().or_else(|| spares.first().and_then(Image::torn));
    let last = current.scan.last;
    let (end, offset) = (current.scan.end, current.scan.offsets.last().copied());
    Ok(Found { recovery, last, current: Some(Current { image: current, end, last: offset }), spares })
}

/// A folder without a single whole batch: new, or torn in its first.
fn nothing_written(
    folder: &Path,
    numbers: &[u64],
    mut recovery: Recovery,
    mut spares: Vec<Image>,
) -> Result<Found, AuditError> {
    if numbers.first().is_some_and(|first| *first != 1) {
        return Err(damaged(&segment_path(folder, numbers[0]), 0, "no batch is left in any segment"));
    }
    unused_are_zero(&spares, true)?;
    recovery.torn = spares.first().and_then(Image::torn);
    let current =
        (!spares.is_empty()).then(|| Current { image: spares.remove(0), end: SEGMENT_HEAD_BYTES, last: None });
    Ok(Found { recovery, last: None, current, spares })
}

/// Only the first unused segment may hold the torn batch, and only if the segment in use does not.
fn unused_are_zero(spares: &[Image], first_may_be_torn: bool) -> Result<(), AuditError> {
    let wrong = spares
        .iter()
        .enumerate()
        .find(|(place, image)| image.scan.tail != Tail::Clean && (*place > 0 || !first_may_be_torn));
    match wrong {
        Some((_, image)) => Err(damaged(&image.path, image.scan.end, "bytes stand in a segment that was never used")),
        None => Ok(()),
    }
}

/// Walks back from `newest` until enough is verified; each segment must end in zeros and be followed by the next.
fn verify_older(
    folder: &Path,
    numbers: impl Iterator<Item = u64>,
    newest: &Image,
    verify_bytes: u64,
    recovery: &mut Recovery,
) -> Result<(), AuditError> {
    let mut first = newest.scan.first;
    let mut oldest = newest.head.number;
    for number in numbers {
        if recovery.verified_bytes >= verify_bytes && oldest < newest.head.number {
            return Ok(());
        }
        let image = Image::read(folder, number)?;
        recovery.verified_bytes += length(&image.bytes);
        let whole = image.scan.tail == Tail::Clean;
        let joined = first.zip(image.scan.last).is_some_and(|(next, last)| follows(&next, last));
        if !whole || !joined {
            return Err(damaged(&image.path, image.scan.end, "batches are missing"));
        }
        (first, oldest) = (image.scan.first, number);
    }
    match first {
        Some(head) if oldest == 1 && head.sequence != 1 => {
            Err(damaged(&segment_path(folder, oldest), SEGMENT_HEAD_BYTES, "the first batch is missing"))
        }
        _ => Ok(()),
    }
}

fn describe(recovery: &mut Recovery, current: &Image) {
    let Some((last, _)) = current.scan.last else { return };
    recovery.run = last.run.saturating_add(1);
    recovery.clean = last.closes == Closes::Run;
    recovery.entries = last.next_number().saturating_sub(1);
    recovery.last_change = (last.change != Revision::new(0, 0)).then_some(last.change);
    let batch = current.scan.offsets.last().and_then(|at| Batch::at(&current.bytes, current.head.number, *at));
    if let Some(batch) = batch.filter(|_| !recovery.clean) {
        let gap = |row: crate::batch::WorkerRow| Gap {
            run: last.run,
            worker: row.worker,
            after: row.drained,
            at_most: u64::from(row.at_most),
        };
        recovery.gaps = batch.workers().into_iter().map(gap).collect();
    }
}

impl Image {
    fn read(folder: &Path, number: u64) -> Result<Self, AuditError> {
        let path = segment_path(folder, number);
        let bytes = read_segment(&path, SEGMENT_BYTES_MAX)?;
        let head = SegmentHead::decode(&bytes).filter(|head| head.number == number && head.bytes <= SEGMENT_BYTES_MAX);
        let head = head.ok_or_else(|| damaged(&path, 0, "it does not begin as this segment"))?;
        let scan = scan(&bytes, number);
        if scan.tail == Tail::Damaged {
            return Err(damaged(&path, scan.end, "a batch that was stored cannot be read"));
        }
        Ok(Self { path, head, bytes, scan })
    }

    fn torn(&self) -> Option<Torn> {
        let rest = self.bytes.get(self.scan.end..).unwrap_or_default();
        let bytes = rest.iter().rposition(|byte| *byte != 0)? + 1;
        Some(Torn { file: self.path.clone(), offset: offset(self.scan.end), bytes: offset(bytes) })
    }

    /// Makes the file end in written zeros after `end`, and stores the bytes from `again` to `end`
    /// anew: they are in the page cache, but a sync that failed may never have stored them.
    fn repair(&self, folder: &Path, disk: &dyn Disk, end: usize, again: Option<usize>) -> Result<Segment, AuditError> {
        let segment = open(folder, self.head.number, self.head.bytes)?;
        let failed = || AuditError::io("repair", self.path.as_path());
        let torn = self.torn().map_or(0, |torn| torn.bytes);
        write_zeros(disk, &segment.file, offset(end), offset(end) + torn).map_err(failed())?;
        write_zeros(disk, &segment.file, length(&self.bytes).max(offset(end)), self.head.bytes).map_err(failed())?;
        let until = end.min(self.bytes.len());
        if let Some((from, bytes)) = again.and_then(|from| Some((from, self.bytes.get(from..until)?))) {
            write_whole(disk, &segment.file, bytes, offset(from)).map_err(failed())?;
        }
        disk.sync_data(&segment.file).map_err(failed())?;
        Ok(segment)
    }
}

/// The segments of a log that is ready to be written.
pub(crate) struct Repaired {
    /// The one in use and where its next batch goes; `None` for a new log.
    pub(crate) current: Option<(Segment, u64)>,
    /// Prepared ones, descending.
    pub(crate) spares: Vec<Segment>,
}

impl Found {
    /// Cuts what is torn and stores the last batch again.
    pub(crate) fn repair(&self, folder: &Path, disk: &dyn Disk) -> Result<Repaired, AuditError> {
        let current = self.current.as_ref().map(|current| {
            let segment = current.image.repair(folder, disk, current.end, current.last)?;
            Ok::<_, AuditError>((segment, offset(current.end)))
        });
        let spares = self.spares.iter().rev().map(|image| image.repair(folder, disk, SEGMENT_HEAD_BYTES, None));
        Ok(Repaired { current: current.transpose()?, spares: spares.collect::<Result<_, _>>()? })
    }
}

/// The first `most` bytes of a segment file; a file larger than any segment is not read.
pub(crate) fn read_segment(path: &Path, most: u64) -> Result<Vec<u8>, AuditError> {
    let failed = || AuditError::io("read", path);
    let size = fs::metadata(path).map_err(failed())?.len();
    if size > SEGMENT_BYTES_MAX {
        return Err(damaged(path, usize::MAX, "the file is larger than a segment"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size.min(most)).unwrap_or(0));
    File::open(path)
        .and_then(|file| file.take(most.min(SEGMENT_BYTES_MAX)).read_to_end(&mut bytes))
        .map_err(failed())?;
    Ok(bytes)
}

pub(crate) fn damaged(file: &Path, at: usize, what: &'static str) -> AuditError {
    let offset = if at == usize::MAX { SEGMENT_BYTES_MAX } else { offset(at) };
    AuditError::Damaged { file: file.to_owned(), offset, what }
}

fn length(bytes: &[u8]) -> u64 {
    offset(bytes.len())
}

fn offset(at: usize) -> u64 {
    u64::try_from(at).unwrap_or(u64::MAX)
}
