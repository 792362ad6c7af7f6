//! Reading the log again, from behind the snapshot to the end found at open.

use std::path::PathBuf;

use portcullis_model::Revision;

use crate::error::{Damage, LogError};
use crate::folder::{Folder, damaged};
use crate::ordered::Committed;
use crate::segment::{Cursor, SEGMENT_FILE_BYTES_MAX, SegmentHeader, Step};

/// The entries after the snapshot, in order; what is appended later comes through the live feed.
///
/// Reads a segment at a time (at most 128 MiB of memory, usually 64 MiB) and checks it again. Read it before the second
/// snapshot from now is put: that one lets go of the files. After an error it ends.
pub struct Replay {
    pub(crate) epoch: u32,
    /// The segments still to be read, first one last.
    pub(crate) segments: Vec<PathBuf>,
    pub(crate) current: Option<OpenSegment>,
    /// The last entry given or skipped.
    pub(crate) at: u64,
    pub(crate) end: u64,
}

pub(crate) struct OpenSegment {
    path: PathBuf,
    bytes: Vec<u8>,
    seed: u32,
    cursor: Cursor,
}

impl Replay {
    /// How many entries are still to come.
    pub fn remaining(&self) -> u64 {
        self.end - self.at
    }

    fn read_next(&mut self) -> Result<Option<Committed>, LogError> {
        while self.at < self.end {
            let mut segment = match self.current.take() {
                Some(segment) => segment,
                None => self.open_next()?,
            };
            loop {
                match segment.cursor.step(segment.seed, &segment.bytes) {
                    Step::Entry { seq, id, payload } if seq == self.at + 1 => {
                        self.at = seq;
                        let entry = Committed { revision: Revision::new(self.epoch, seq), id, payload: payload.into() };
                        self.current = Some(segment);
                        return Ok(Some(entry));
                    }
                    Step::Entry { seq, .. } if seq > self.at => {
                        let what = Damage::Gap { expected: self.at + 1, found: seq };
                        return Err(damaged(&segment.path, segment.cursor.offset, what));
                    }
                    Step::Entry { .. } | Step::Commit => {}
                    Step::Stop(what) if self.segments.is_empty() => {
                        return Err(damaged(&segment.path, segment.cursor.offset, what));
                    }
                    Step::Stop(_) => break,
                }
            }
        }
        Ok(None)
    }

    fn open_next(&mut self) -> Result<OpenSegment, LogError> {
        let path = self.segments.pop().unwrap_or_default();
        let bytes = Folder::read(&path, SEGMENT_FILE_BYTES_MAX)?;
        let header = SegmentHeader::decode(&bytes).map_err(|what| damaged(&path, 0, what))?;
        Ok(OpenSegment { path, bytes, seed: header.seed(), cursor: Cursor::at_start(&header) })
    }
}

impl Iterator for Replay {
    type Item = Result<Committed, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.read_next();
        if next.is_err() {
            self.end = self.at;
        }
        next.transpose()
    }
}
