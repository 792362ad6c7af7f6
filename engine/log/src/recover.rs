//! What is done before a log may be used: everything is checked, then the tail is put in order.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;

use portcullis_model::EventId;

use crate::disk::DiskTarget;
use crate::error::{Damage, LogError};
use crate::folder::{Folder, Listing, damaged};
use crate::recent::{REMEMBERED_IDS_MAX, Recent};
use crate::segment::{FIRST_EPOCH, SEGMENT_FILE_BYTES_MAX, Scanned, SegmentHeader, scan, torn_end};
use crate::snapshot::{LogIdentity, Verified, verify};
use crate::tail::Tail;

/// What was found and done when the log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Entries behind the snapshot, which the replay gives.
    pub entries_to_replay: u64,
    /// Bytes of an unacknowledged last batch that were cut; 0 where it was whole.
    pub torn_bytes_cut: u64,
    /// File and offset from which on they were cut.
    pub torn_at: Option<(PathBuf, u64)>,
    /// Whether the log had stopped after a failed write or sync. Its tail has been written and synced again.
    pub was_poisoned: bool,
    /// Newer snapshots that do not match their checksums; an older state and the log behind it are used instead.
    pub snapshots_skipped: Vec<PathBuf>,
}

/// A log that is ready to be written to.
pub(crate) struct Recovered {
    pub(crate) log: LogIdentity,
    pub(crate) segments: Vec<u64>,
    pub(crate) tail: Tail,
    pub(crate) recent: Recent,
    pub(crate) snapshot: Option<Verified>,
    pub(crate) report: Recovery,
}

/// Makes the first segment of a log in an empty folder.
pub(crate) fn create(folder: &Folder, listing: &Listing, capacity: usize) -> Result<Recovered, LogError> {
    if let Some(snapshot) = listing.snapshots.last() {
        return Err(damaged(&folder.snapshot_path(*snapshot), 0, Damage::BehindSnapshot { tail: 0 }));
    }
    folder.remove(&listing.scratch)?;
    // A random number: the hasher's keys are seeded by the operating system.
    let log_id = RandomState::new().hash_one("log id");
    let header = SegmentHeader { epoch: FIRST_EPOCH, log_id, first_seq: 1, chain_before: 0 };
    Ok(Recovered {
        log: LogIdentity { epoch: FIRST_EPOCH, log_id },
        segments: vec![1],
        tail: Tail::create(folder, header, capacity, None)?,
        recent: Recent::new(VecDeque::new(), 0, REMEMBERED_IDS_MAX),
        snapshot: None,
        report: Recovery::default(),
    })
}

/// Checks every file of a log, then cuts a torn batch and syncs the tail. Refuses before it changes anything.
pub(crate) fn recover(folder: &Folder, listing: Listing) -> Result<Recovered, LogError> {
    let mut last: Option<Segment> = None;
    let mut ids = VecDeque::new();
    for first in &listing.segments {
        let segment = Segment::read(folder, *first, &mut ids)?;
        if let Some(before) = &last {
            segment.check_follows(before)?;
        }
        last = Some(segment);
    }
    let (Some(last), Some(first)) = (last, listing.segments.first()) else {
        return Err(damaged(&folder.segment_path(1), 0, Damage::Ends(1)));
    };
    let torn_end = torn_end(&last.header, &last.bytes, &last.scanned)
        .map_err(|what| last.damaged(last.scanned.stop_offset, what))?;
    let tail_seq = last.scanned.end.next_seq - 1;
    let log = LogIdentity { epoch: last.header.epoch, log_id: last.header.log_id };
    let mut report = Recovery { was_poisoned: listing.poisoned, ..Recovery::default() };
    let snapshot = choose_snapshot(folder, &listing, log, *first, tail_seq, &mut report)?;
    if let Some(snapshot) = &snapshot {
        prepend_ids(&mut ids, snapshot, tail_seq);
    }
    report.entries_to_replay = tail_seq - snapshot.as_ref().map_or(0, |snapshot| snapshot.seq);

    // From here on files change.
    folder.remove(&listing.scratch)?;
    let tail = last.into_tail(folder, torn_end, &mut report)?;
    if listing.poisoned {
        folder.remove(&[folder.poisoned_path()])?;
    }
    folder.sync()?;
    let recent = Recent::new(ids, tail_seq, REMEMBERED_IDS_MAX);
    Ok(Recovered { log, segments: listing.segments, tail, recent, snapshot, report })
}

/// The newest snapshot that is whole, if the log behind it is there.
fn choose_snapshot(
    folder: &Folder,
    listing: &Listing,
    log: LogIdentity,
    first: u64,
    tail: u64,
    report: &mut Recovery,
) -> Result<Option<Verified>, LogError> {
    let mut newest_damage = None;
    let mut expected = 1;
    for seq in listing.snapshots.iter().rev() {
        let path = folder.snapshot_path(*seq);
        match verify(&path, log, *seq)? {
            Ok(_) if *seq > tail => return Err(damaged(&path, 0, Damage::BehindSnapshot { tail })),
            Ok(snapshot) if first <= seq + 1 => return Ok(Some(snapshot)),
            Ok(_) => {
                expected = seq + 1;
                break;
            }
            // Not damage of its bytes: the same log with an older state would be wrong.
            Err(what @ (Damage::Foreign | Damage::Version(_))) => return Err(damaged(&path, 0, what)),
            Err(what) => {
                newest_damage.get_or_insert_with(|| damaged(&path, 0, what));
                report.snapshots_skipped.push(path);
            }
        }
    }
    if first == 1 {
        return Ok(None);
    }
    let gap = || damaged(&folder.segment_path(first), 0, Damage::Gap { expected, found: first });
    Err(newest_damage.unwrap_or_else(gap))
}

/// Puts the snapshot's ids before those read from the log.
fn prepend_ids(ids: &mut VecDeque<EventId>, snapshot: &Verified, tail: u64) {
    let first_read = tail + 1 - ids.len() as u64;
    let known_already = usize::try_from((snapshot.seq + 1).saturating_sub(first_read)).unwrap_or(usize::MAX);
    let room = REMEMBERED_IDS_MAX.saturating_sub(ids.len());
    for id in snapshot.ids.iter().skip(known_already).take(room) {
        ids.push_front(*id);
    }
}

struct Segment {
    path: PathBuf,
    bytes: Vec<u8>,
    header: SegmentHeader,
    scanned: Scanned,
}

impl Segment {
    fn read(folder: &Folder, first: u64, ids: &mut VecDeque<EventId>) -> Result<Self, LogError> {
        let path = folder.segment_path(first);
        let bytes = Folder::read(&path, SEGMENT_FILE_BYTES_MAX)?;
        let header = SegmentHeader::decode(&bytes).map_err(|what| damaged(&path, 0, what))?;
        if header.first_seq != first {
            return Err(damaged(&path, 0, Damage::Foreign));
        }
        let scanned = scan(&header, &bytes, &mut |batch| {
            ids.extend(batch);
            ids.drain(..ids.len().saturating_sub(REMEMBERED_IDS_MAX));
        });
        Ok(Self { path, bytes, header, scanned })
    }

    /// Refuses unless this segment begins where `before` ends.
    fn check_follows(&self, before: &Self) -> Result<(), LogError> {
        let (header, end, stop) = (&self.header, &before.scanned.end, &before.scanned);
        if (header.epoch, header.log_id) != (before.header.epoch, before.header.log_id) {
            return Err(self.damaged(0, Damage::Foreign));
        }
        if (header.first_seq, header.chain_before) == (end.next_seq, end.chain) {
            return Ok(());
        }
        // The zeros behind a last commit are no damage: then it is this file that does not fit.
        let ended = matches!(stop.stop, Damage::Ends(_)) && stop.stop_offset == end.offset;
        if !ended {
            Err(before.damaged(stop.stop_offset, stop.stop))
        } else if header.first_seq == end.next_seq {
            Err(self.damaged(0, Damage::Chain))
        } else {
            Err(self.damaged(0, Damage::Gap { expected: end.next_seq, found: header.first_seq }))
        }
    }

    fn damaged(&self, offset: usize, what: Damage) -> LogError {
        damaged(&self.path, offset, what)
    }

    /// Zeros what was torn, and writes and syncs the last batch again: after a crash it may be in memory only.
    fn into_tail(mut self, folder: &Folder, torn_end: usize, report: &mut Recovery) -> Result<Tail, LogError> {
        let end = self.scanned.end.offset;
        let start = self.scanned.last_batch.start;
        let file = OpenOptions::new().read(true).write(true).open(&self.path);
        let file = file.map_err(LogError::io("open", &self.path))?;
        if torn_end > end {
            self.bytes.get_mut(end..torn_end).unwrap_or_default().fill(0);
            report.torn_bytes_cut = (torn_end - end) as u64;
            report.torn_at = Some((self.path.clone(), end as u64));
        }
        let again = self.bytes.get(start..torn_end).unwrap_or_default();
        let disk = &folder.disk;
        disk.write_whole(DiskTarget::Entries, &file, again, start as u64)
            .and_then(|()| disk.sync_data(DiskTarget::Entries, &file))
            .map_err(LogError::io("write again the tail of", &self.path))?;
        Ok(Tail { file, header: self.header, cursor: self.scanned.end, capacity: self.bytes.len() })
    }
}
