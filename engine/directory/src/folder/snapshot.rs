//! The whole state as lines of JSON: what a restart reads instead of the whole log.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use portcullis_model::{
    EntityIndex, EntityRecord, EntityUid, GrantRecord, PolicySetText, Revision, SessionId, SetHash, SourceName,
    Standing, Timestamp,
};
use serde::{Deserialize, Serialize};

use super::entities::SourceClaim;
use super::{FoldReport, Folder};
use crate::grants::{GrantIndex, GrantState};

/// Version of the line format. Readers refuse any other.
const FORMAT: u32 = 1;
/// Longest line; a policy set is the longest thing that one line holds.
const LINE_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Why a snapshot cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The file cannot be read or written.
    #[error("could not read or write the snapshot")]
    Io(#[from] io::Error),
    /// A line is not what the format says.
    #[error("line {line} of the snapshot is damaged")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        #[source]
        cause: serde_json::Error,
    },
    /// The snapshot was cut short, or is of another format.
    #[error("the snapshot is {0}")]
    Shape(&'static str),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    Head { format: u32, revision: Revision, everything_after: u64 },
    Entity(Box<EntityLine>),
    Grant { record: GrantRecord, state: StoredState },
    Tombstone { session: SessionId, until: Timestamp },
    Policy(PolicySetText),
    Active(SetHash),
    End { lines: usize },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntityLine {
    /// Nothing for a name whose entity is gone but whose sessions must stay dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record: Option<EntityRecord>,
    uid: EntityUid,
    #[serde(default, skip_serializing_if = "is_zero")]
    generation: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    valid_after: u64,
    #[serde(default, skip_serializing_if = "is_active")]
    killed_by: Standing,
    #[serde(default)]
    credentials_after: Timestamp,
    #[serde(default, skip_serializing_if = "is_false")]
    revoked: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    claims: BTreeMap<SourceName, SourceClaim>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredState {
    Live,
    Revoked,
    Tombstone,
}

impl Folder {
    /// Writes the state at [`Folder::revision`].
    ///
    /// # Errors
    /// [`SnapshotError::Io`] and, for a defect, [`SnapshotError::Line`].
    pub fn write_snapshot(&self, out: &mut dyn Write) -> Result<(), SnapshotError> {
        let mut lines = 0;
        let mut put = |line: &Line| -> Result<(), SnapshotError> {
            lines += 1;
            serde_json::to_writer(&mut *out, line).map_err(|cause| SnapshotError::Line { line: lines, cause })?;
            Ok(out.write_all(b"\n")?)
        };
        put(&Line::Head { format: FORMAT, revision: self.revision, everything_after: self.everything_after })?;
        for (_, text) in &self.policies.staged {
            put(&Line::Policy(PolicySetText::clone(text)))?;
        }
        if let Some(active) = self.policies.active {
            put(&Line::Active(active))?;
        }
        for number in 0..u32::try_from(self.entities.len()).unwrap_or(u32::MAX) {
            if let Some(line) = self.entity_line(EntityIndex::new(number)) {
                put(&Line::Entity(Box::new(line)))?;
            }
        }
        for (record, state) in self.grants() {
            let state = match state {
                GrantState::Live => StoredState::Live,
                GrantState::Tombstone => StoredState::Tombstone,
                GrantState::Revoked | GrantState::Absent => StoredState::Revoked,
            };
            put(&Line::Grant { record: record.clone(), state })?;
        }
        for (session, until) in &self.tombstones {
            put(&Line::Tombstone { session: *session, until: *until })?;
        }
        let count = lines;
        serde_json::to_writer(&mut *out, &Line::End { lines: count })
            .map_err(|cause| SnapshotError::Line { line: count + 1, cause })?;
        Ok(out.write_all(b"\n")?)
    }

    /// Reads a snapshot into this folder, which must be new, and publishes nothing: the caller does
    /// that once its own tables are filled. `progress` is told the number of lines now and then.
    ///
    /// # Errors
    /// [`SnapshotError`]; the folder is then unusable.
    pub fn read_snapshot(
        &mut self,
        from: &mut dyn BufRead,
        report: &mut FoldReport,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(), SnapshotError> {
        let mut text = Vec::new();
        for line in 1.. {
            text.clear();
            io::Read::take(&mut *from, LINE_BYTES_MAX).read_until(b'\n', &mut text)?;
            if text.pop() != Some(b'\n') {
                return Err(SnapshotError::Shape("cut short"));
            }
            let parsed = serde_json::from_slice(&text).map_err(|cause| SnapshotError::Line { line, cause })?;
            if line.is_multiple_of(65_536) {
                progress(line);
            }
            match parsed {
                Line::End { lines } if lines + 1 == line => break,
                Line::End { .. } => return Err(SnapshotError::Shape("missing lines")),
                other => self.read_line(other, line, report)?,
            }
        }
        self.finish();
        Ok(())
    }

    fn read_line(&mut self, line: Line, number: usize, report: &mut FoldReport) -> Result<(), SnapshotError> {
        let refused = |_| SnapshotError::Shape("contradicting itself");
        match line {
            Line::Head { format: FORMAT, revision, everything_after } if number == 1 => {
                self.revision = revision;
                self.everything_after = everything_after;
                self.world.write_everything(revision.seq, everything_after);
                Ok(())
            }
            Line::Head { .. } => Err(SnapshotError::Shape("of another format")),
            _ if number == 1 => Err(SnapshotError::Shape("without a head")),
            Line::Entity(entity) => self.read_entity(*entity).map_err(refused),
            Line::Grant { record, state } => {
                self.issue_grant(&record, report).map_err(refused)?;
                if let Some(grant) = self.world.find_grant(record.id) {
                    self.read_grant_state(grant, state);
                }
                Ok(())
            }
            Line::Tombstone { session, until } => {
                self.tombstones.insert(session, until);
                Ok(())
            }
            Line::Policy(text) => self.policies.stage(&text).map_err(refused),
            Line::Active(hash) => self.policies.activate(hash).map_err(refused),
            Line::End { .. } => Ok(()),
        }
    }

    fn read_grant_state(&mut self, grant: GrantIndex, state: StoredState) {
        match state {
            StoredState::Live => {}
            StoredState::Revoked => self.end_grant(grant, GrantState::Revoked),
            StoredState::Tombstone => self.end_grant(grant, GrantState::Tombstone),
        }
    }

    fn read_entity(&mut self, line: EntityLine) -> Result<(), super::FoldError> {
        let entity = self.intern(&line.uid)?;
        if let Some(state) = self.state_mut(entity) {
            state.generation = u32::try_from(line.generation).unwrap_or(u32::MAX);
            state.valid_after = line.valid_after;
            state.killed_by = line.killed_by;
            state.credentials_after = line.credentials_after;
            state.revoked = line.revoked;
            state.claims = line.claims;
        }
        match line.record {
            Some(record) => self.put_entity(&record),
            None => {
                self.write_body(entity);
                self.write_cell(entity);
                Ok(())
            }
        }
    }

    fn entity_line(&self, entity: EntityIndex) -> Option<EntityLine> {
        let state = self.state(entity)?;
        let record = self.record(entity).map(|(record, _)| record);
        if record.is_none() && state.valid_after == 0 {
            return None;
        }
        Some(EntityLine {
            record,
            uid: self.world.names().uid(entity)?.clone(),
            generation: state.generation.into(),
            valid_after: state.valid_after,
            killed_by: state.killed_by,
            credentials_after: state.credentials_after,
            revoked: state.revoked,
            claims: state.claims.clone(),
        })
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

fn is_active(standing: &Standing) -> bool {
    *standing == Standing::Active
}
