//! Holds, suspensions, deactivations, revocations, and their lifting.

use portcullis_model::{Change, EntityIndex, EntityUid, RevokeScope, SourceName, Standing};

use super::entities::SourceClaim;
use super::{Ended, FoldError, FoldReport, Folder};

/// The source in whose name an event that could not be applied holds its subject.
const QUARANTINE: &str = "quarantine";

impl Folder {
    pub(super) fn hold(
        &mut self,
        uid: &EntityUid,
        source: &SourceName,
        report: &mut FoldReport,
    ) -> Result<(), FoldError> {
        let entity = self.claim(uid, source, |claim| claim.held = true)?;
        self.tell(entity, report);
        Ok(())
    }

    pub(super) fn release(&mut self, uid: &EntityUid, source: &SourceName) -> Result<(), FoldError> {
        self.claim(uid, source, |claim| claim.held = false).map(drop)
    }

    pub(super) fn suspend(
        &mut self,
        uid: &EntityUid,
        source: &SourceName,
        report: &mut FoldReport,
    ) -> Result<(), FoldError> {
        let entity = self.claim(uid, source, |claim| claim.standing = claim.standing.max(Standing::Suspended))?;
        self.kill(entity, Standing::Suspended);
        self.tell(entity, report);
        Ok(())
    }

    pub(super) fn deactivate(
        &mut self,
        uid: &EntityUid,
        source: &SourceName,
        report: &mut FoldReport,
    ) -> Result<(), FoldError> {
        let entity = self.claim(uid, source, |claim| claim.standing = Standing::Deactivated)?;
        self.kill(entity, Standing::Deactivated);
        self.bury_grants(entity);
        self.tell(entity, report);
        Ok(())
    }

    pub(super) fn reactivate(&mut self, uid: &EntityUid, source: &SourceName) -> Result<(), FoldError> {
        self.claim(uid, source, |claim| *claim = SourceClaim { held: claim.held, standing: Standing::Active }).map(drop)
    }

    pub(super) fn revoke_entity(&mut self, uid: &EntityUid) -> Result<EntityIndex, FoldError> {
        let entity = self.stored(uid)?;
        if let Some(state) = self.state_mut(entity) {
            state.revoked = true;
        }
        self.kill(entity, Standing::Revoked);
        Ok(entity)
    }

    pub(super) fn restore(&mut self, uid: &EntityUid) -> Result<(), FoldError> {
        let entity = self.stored(uid)?;
        if let Some(state) = self.state_mut(entity) {
            state.revoked = false;
        }
        self.write_cell(entity);
        Ok(())
    }

    /// Holds whom an event names that could not be applied: its effect is unknown, so nobody acts on it.
    /// Of a membership change, everybody it names is held, and the first of them returned.
    pub(super) fn hold_subject_of(&mut self, change: &Change) -> Option<EntityUid> {
        if let Change::ChangeMembers { add, remove, .. } = change {
            let source = QUARANTINE.parse().ok()?;
            let mut first = None;
            for uid in add.iter().chain(remove) {
                if self.claim(uid, &source, |claim| claim.held = true).is_ok() {
                    first.get_or_insert_with(|| uid.clone());
                }
            }
            return first;
        }
        let uid = match change {
            Change::PutEntity(record) => &record.uid,
            Change::DeleteEntity(uid) | Change::Restore(uid) => uid,
            Change::Hold { uid, .. }
            | Change::Release { uid, .. }
            | Change::Suspend { uid, .. }
            | Change::Deactivate { uid, .. }
            | Change::Reactivate { uid, .. } => uid,
            Change::Revoke(RevokeScope::User(uid) | RevokeScope::Agent(uid)) => uid,
            _ => return None,
        };
        let source = QUARANTINE.parse().ok()?;
        self.claim(uid, &source, |claim| claim.held = true).ok()?;
        Some(uid.clone())
    }

    fn claim(
        &mut self,
        uid: &EntityUid,
        source: &SourceName,
        change: impl FnOnce(&mut SourceClaim),
    ) -> Result<EntityIndex, FoldError> {
        let entity = self.stored(uid)?;
        if let Some(state) = self.state_mut(entity) {
            let claim = state.claims.entry(source.clone()).or_default();
            change(claim);
            if *claim == SourceClaim::default() {
                state.claims.remove(source);
            }
        }
        self.write_cell(entity);
        Ok(entity)
    }

    /// Ends the sessions that name `entity` and were born before now.
    fn kill(&mut self, entity: EntityIndex, by: Standing) {
        let (seq, now) = (self.revision.seq, self.now);
        if let Some(state) = self.state_mut(entity) {
            state.valid_after = seq;
            state.killed_by = by;
            state.credentials_after = state.credentials_after.max(now);
        }
        self.write_body(entity);
        self.write_cell(entity);
    }

    fn tell(&self, entity: EntityIndex, report: &mut FoldReport) {
        report.ended.push((self.revision, Ended::Subject(entity)));
        report.ended.push((self.revision, Ended::Agent(entity)));
    }
}
