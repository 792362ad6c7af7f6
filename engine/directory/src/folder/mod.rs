//! The one writer of a world.

mod entities;
mod grants;
mod hierarchy;
mod policies;
mod snapshot;
mod standing;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use portcullis_model::{
    Change, EntityIndex, EntityUid, Event, GrantId, Intern, Revision, RevokeScope, SessionId, SetHash, Timestamp,
};

pub use self::entities::EntityPage;
use self::entities::EntityState;
use self::grants::Grants;
use self::policies::Policies;
pub use self::snapshot::SnapshotError;
use crate::world::World;

/// What ended with an event: the scope to tell sessions and clients about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// One session.
    Session {
        /// The session.
        id: SessionId,
        /// When its tombstone may go.
        until: Timestamp,
    },
    /// Every session of a subject.
    Subject(EntityIndex),
    /// Every session with an agent in its chain.
    Agent(EntityIndex),
    /// What rests on a grant.
    Grant(GrantId),
    /// Every session.
    Everything,
}

/// An event that could not be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Its place.
    pub revision: Revision,
    /// Why.
    pub why: FoldError,
    /// Who was held because of it.
    pub held: Option<EntityUid>,
}

/// What a fold did beside writing cells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoldReport {
    /// What ended, in order.
    pub ended: Vec<(Revision, Ended)>,
    /// Policy sets that were put in force, in order.
    pub activated: Vec<(Revision, SetHash)>,
    /// Events that could not be applied.
    pub quarantined: Vec<Quarantined>,
    /// Grants that were issued, whose conditions their owner compiles before publishing.
    pub granted: Vec<GrantId>,
}

/// Why an event cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FoldError {
    /// The name table or the grant table is full.
    #[error("the {0} table is full")]
    Full(&'static str),
    /// A membership would make an entity its own ancestor.
    #[error("`{0}` would be its own ancestor")]
    Cycle(EntityUid),
    /// The event is about something that is not stored.
    #[error("`{0}` is not stored")]
    Missing(EntityUid),
    /// The event is about a grant that is not stored.
    #[error("grant `{0}` is not stored")]
    MissingGrant(GrantId),
    /// A grant of that id exists, or its chain does not fit its parent.
    #[error("grant `{0}` contradicts what is stored")]
    GrantConflict(GrantId),
    /// The policy set was never staged, or is forgotten.
    #[error("policy set `{0}` is not staged")]
    NotStaged(SetHash),
    /// Something exceeds its limit.
    #[error("too many {0}")]
    TooMany(&'static str),
    /// The kind of change is not known to this version.
    #[error("unknown kind of change")]
    Unknown,
}

/// Folds events, in the order of the log, into the tables of one [`World`].
///
/// INVARIANT: the only writer of its world. It never panics on an event: what cannot be applied is
/// reported as quarantined, and the user or agent it names is held.
pub struct Folder {
    world: Arc<World>,
    revision: Revision,
    entities: Vec<EntityState>,
    grants: Grants,
    policies: Policies,
    everything_after: u64,
    tombstones: HashMap<SessionId, Timestamp>,
    /// Subjects whose grant lists are rewritten at the end of the batch.
    regranted: BTreeSet<EntityIndex>,
    /// Number of the walk over the hierarchy that marks what it has met.
    round: u64,
    /// When the event that is being folded was made.
    now: Timestamp,
}

impl Folder {
    /// A folder of an empty world.
    pub fn new(world: Arc<World>) -> Self {
        let revision = world.effective();
        Self {
            world,
            revision,
            entities: Vec::new(),
            grants: Grants::default(),
            policies: Policies::default(),
            everything_after: 0,
            tombstones: HashMap::new(),
            regranted: BTreeSet::new(),
            round: 0,
            now: Timestamp::default(),
        }
    }

    /// The world it writes.
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// The last revision folded. It is effective once [`World::publish`] has been called with it.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Folds one event; effects that many events share are written by [`Folder::finish`].
    pub fn fold(&mut self, revision: Revision, event: &Event, report: &mut FoldReport) {
        self.revision = revision;
        self.now = event.at;
        if let Err(why) = self.apply(revision, event, report) {
            let held = self.hold_subject_of(&event.change);
            report.quarantined.push(Quarantined { revision, why, held });
        }
    }

    /// Passes over an entry of the log that is no event of this version.
    pub fn skip(&mut self, revision: Revision) {
        self.revision = revision;
    }

    /// Writes what a batch has gathered. Call it before [`World::publish`].
    pub fn finish(&mut self) {
        for subject in std::mem::take(&mut self.regranted) {
            self.world.write_grants_of(subject, self.revision.seq, self.grants.list_of(subject));
        }
    }

    /// Forgets tombstones of sessions whose last token has ended, and tells how many remain.
    pub fn expire_tombstones(&mut self, now: Timestamp) -> usize {
        self.tombstones.retain(|_, until| *until > now);
        self.tombstones.len()
    }

    /// Sessions that ended by revocation and whose tokens may still be shown.
    pub fn tombstones(&self) -> &HashMap<SessionId, Timestamp> {
        &self.tombstones
    }

    fn apply(&mut self, revision: Revision, event: &Event, report: &mut FoldReport) -> Result<(), FoldError> {
        match &event.change {
            Change::PutEntity(record) => self.put_entity(record),
            Change::DeleteEntity(uid) => self.delete_entity(uid, report),
            Change::ChangeMembers { group, add, remove } => self.change_members(group, add, remove),
            Change::Hold { uid, source } => self.hold(uid, source, report),
            Change::Release { uid, source } => self.release(uid, source),
            Change::Suspend { uid, source } => self.suspend(uid, source, report),
            Change::Deactivate { uid, source } => self.deactivate(uid, source, report),
            Change::Reactivate { uid, source } => self.reactivate(uid, source),
            Change::Grant(record) => self.issue_grant(record, report),
            Change::Revoke(scope) => self.revoke(revision, scope, report),
            Change::Restore(uid) => self.restore(uid),
            Change::StagePolicy(text) => self.policies.stage(text),
            Change::ActivatePolicy(hash) => {
                self.policies.activate(*hash)?;
                report.activated.push((revision, *hash));
                Ok(())
            }
            _ => Err(FoldError::Unknown),
        }
    }

    fn revoke(&mut self, revision: Revision, scope: &RevokeScope, report: &mut FoldReport) -> Result<(), FoldError> {
        match scope {
            RevokeScope::Session { id, until } => {
                self.tombstones.insert(*id, *until);
                report.ended.push((revision, Ended::Session { id: *id, until: *until }));
                Ok(())
            }
            RevokeScope::User(uid) => {
                let user = self.revoke_entity(uid)?;
                report.ended.push((revision, Ended::Subject(user)));
                Ok(())
            }
            RevokeScope::Agent(uid) => {
                let agent = self.revoke_entity(uid)?;
                report.ended.push((revision, Ended::Agent(agent)));
                Ok(())
            }
            RevokeScope::Grant(id) => self.revoke_grants(*id, grants::Reach::One, report),
            RevokeScope::Subtree(id) => self.revoke_grants(*id, grants::Reach::Subtree, report),
            RevokeScope::Everything => {
                self.everything_after = revision.seq;
                self.world.write_everything(revision.seq, revision.seq);
                report.ended.push((revision, Ended::Everything));
                Ok(())
            }
        }
    }

    fn intern(&mut self, uid: &EntityUid) -> Result<EntityIndex, FoldError> {
        let index = self.world.names().intern(uid).ok_or(FoldError::Full("name"))?;
        if self.entities.len() <= index.index() {
            self.entities.resize_with(index.index() + 1, EntityState::default);
        }
        Ok(index)
    }

    fn stored(&mut self, uid: &EntityUid) -> Result<EntityIndex, FoldError> {
        let index = self.world.names().find(uid).filter(|index| self.state(*index).is_some_and(|state| state.exists));
        index.ok_or_else(|| FoldError::Missing(uid.clone()))
    }

    fn state(&self, entity: EntityIndex) -> Option<&EntityState> {
        self.entities.get(entity.index())
    }

    fn state_mut(&mut self, entity: EntityIndex) -> Option<&mut EntityState> {
        self.entities.get_mut(entity.index())
    }
}

#[cfg(test)]
mod tests;
