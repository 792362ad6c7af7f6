//! Issuing and ending grants.

use std::collections::HashMap;

use portcullis_model::limits::{DELEGATION_DEPTH_MAX, GRANTS_MAX};
use portcullis_model::{EntityIndex, GrantId, GrantRecord, ResourceScope};

use super::{Ended, FoldError, FoldReport, Folder};
use crate::grants::{GrantBody, GrantIndex, GrantList, GrantState};

/// How far a revocation reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    One,
    Subtree,
}

/// What the folder knows of grants.
#[derive(Debug, Default)]
pub(super) struct Grants {
    pub(super) states: Vec<GrantState>,
    children: HashMap<GrantIndex, Vec<GrantIndex>>,
    by_subject: HashMap<EntityIndex, Vec<(EntityIndex, GrantIndex)>>,
    by_agent: HashMap<EntityIndex, Vec<GrantIndex>>,
}

impl Grants {
    pub(super) fn list_of(&self, subject: EntityIndex) -> GrantList {
        self.by_subject.get(&subject).map(Vec::as_slice).unwrap_or_default().into()
    }

    fn add(&mut self, body: &GrantBody, grant: GrantIndex) {
        self.states.push(GrantState::Live);
        let list = self.by_subject.entry(body.subject).or_default();
        let place = list.partition_point(|entry| *entry < (body.agent, grant));
        list.insert(place, (body.agent, grant));
        self.by_agent.entry(body.agent).or_default().push(grant);
        if let Some(parent) = body.parent {
            self.children.entry(parent).or_default().push(grant);
        }
    }

    fn subtree(&self, root: GrantIndex) -> Vec<GrantIndex> {
        let mut all = vec![root];
        let mut next = 0;
        while let Some(grant) = all.get(next).copied() {
            all.extend(self.children.get(&grant).into_iter().flatten());
            next += 1;
        }
        all
    }
}

impl Folder {
    pub(super) fn issue_grant(&mut self, record: &GrantRecord, report: &mut FoldReport) -> Result<(), FoldError> {
        let conflict = || FoldError::GrantConflict(record.id);
        if self.world.find_grant(record.id).is_some() || record.depth_left > DELEGATION_DEPTH_MAX {
            return Err(conflict());
        }
        let number = self.grants.states.len();
        if number >= GRANTS_MAX {
            return Err(FoldError::Full("grant"));
        }
        let grant = GrantIndex::new(u32::try_from(number).map_err(|_| FoldError::Full("grant"))?);
        let parent = match record.parent {
            None => None,
            Some(id) => {
                let parent = self.world.find_grant(id).ok_or(FoldError::MissingGrant(id))?;
                let above = self.world.grant(parent).ok_or(FoldError::MissingGrant(id))?;
                // A delegation stays with its subject and uses up depth: nothing else makes loops impossible.
                if above.record.subject != record.subject || above.record.depth_left <= record.depth_left {
                    return Err(conflict());
                }
                Some(parent)
            }
        };
        let subject = self.intern(&record.subject)?;
        let agent = self.intern(&record.agent)?;
        let resource = match &record.resource {
            ResourceScope::One(uid) | ResourceScope::In(uid) => Some(self.intern(uid)?),
            ResourceScope::Any | ResourceScope::OfType(_) => None,
        };
        let body = GrantBody { record: record.clone(), subject, agent, parent, resource };
        self.grants.add(&body, grant);
        self.world.add_grant(grant, body);
        self.world.write_grant(grant, self.revision.seq, GrantState::Live);
        self.regranted.insert(subject);
        report.granted.push(record.id);
        Ok(())
    }

    pub(super) fn revoke_grants(
        &mut self,
        id: GrantId,
        reach: Reach,
        report: &mut FoldReport,
    ) -> Result<(), FoldError> {
        let root = self.world.find_grant(id).ok_or(FoldError::MissingGrant(id))?;
        let ended = match reach {
            Reach::One => vec![root],
            Reach::Subtree => self.grants.subtree(root),
        };
        for grant in ended {
            self.end_grant(grant, GrantState::Revoked);
            if let Some(body) = self.world.grant(grant) {
                report.ended.push((self.revision, Ended::Grant(body.id())));
            }
        }
        Ok(())
    }

    /// Ends the grants of a subject and those to an agent that is gone: whoever comes under its name
    /// later inherits nothing. Grants of groups and the organisation to others stay theirs.
    pub(super) fn bury_grants(&mut self, gone: EntityIndex) {
        let given = self.grants.by_subject.get(&gone).into_iter().flatten().map(|(_, grant)| *grant);
        let held = self.grants.by_agent.get(&gone).into_iter().flatten().copied();
        let grants: Vec<_> = given.chain(held).collect();
        for grant in grants {
            self.end_grant(grant, GrantState::Tombstone);
        }
    }

    pub(super) fn end_grant(&mut self, grant: GrantIndex, state: GrantState) {
        if let Some(slot) = self.grants.states.get_mut(grant.index()).filter(|slot| **slot == GrantState::Live) {
            *slot = state;
            self.world.write_grant(grant, self.revision.seq, state);
        }
    }

    /// Every grant with how it stands now, in order of issue.
    pub fn grants(&self) -> impl Iterator<Item = (&GrantRecord, GrantState)> {
        self.grants
            .states
            .iter()
            .zip(0_u32..)
            .filter_map(|(state, number)| self.world.grant(GrantIndex::new(number)).map(|body| (&body.record, *state)))
    }
}
