//! What a change must satisfy before it is appended.

use std::collections::HashSet;

use portcullis_model::limits::{
    ATTRIBUTES_MAX, CHAIN_MAX, DELEGATION_DEPTH_MAX, MEMBERS_PER_CHANGE_MAX, PARENTS_MAX, POLICY_BYTES_MAX,
};
use portcullis_model::{Change, EntityUid, EntityView, ErrorCode, GrantId, GrantRecord, Refusal, RevokeScope};

use crate::grants::GrantState;
use crate::world::{World, WorldView};

impl World {
    /// Whether a change can be applied to what is effective now, after the `earlier` changes of the
    /// same request. The fold checks again: what came between may have changed the answer.
    ///
    /// # Errors
    /// A [`Refusal`] that names what is missing, contradicting or too large.
    pub fn check(&self, change: &Change, earlier: &Earlier) -> Result<(), Refusal> {
        let view = Known { view: self.view(), earlier };
        match change {
            Change::PutEntity(record) => {
                let attributes = record.attributes.len().max(record.tags.len());
                bounded("attributes", attributes, ATTRIBUTES_MAX)?;
                bounded("parents", record.parents.len(), PARENTS_MAX)
            }
            Change::ChangeMembers { add, remove, .. } => {
                bounded("members", add.len() + remove.len(), MEMBERS_PER_CHANGE_MAX)?;
                add.iter().try_for_each(|uid| view.stored(uid))
            }
            Change::DeleteEntity(uid) | Change::Restore(uid) => view.stored(uid),
            Change::Hold { uid, .. }
            | Change::Release { uid, .. }
            | Change::Suspend { uid, .. }
            | Change::Deactivate { uid, .. }
            | Change::Reactivate { uid, .. } => view.stored(uid),
            Change::Grant(record) => view.check_grant(record),
            Change::Revoke(RevokeScope::User(uid) | RevokeScope::Agent(uid)) => view.stored(uid),
            Change::Revoke(RevokeScope::Grant(id) | RevokeScope::Subtree(id)) => match self.find_grant(*id) {
                Some(_) => Ok(()),
                None if earlier.grants.contains(id) => Ok(()),
                None => Err(Refusal::of_field(ErrorCode::NotFound, "grant", format!("no grant `{id}` is stored"))),
            },
            Change::StagePolicy(text) => {
                let bytes = text.schema.text.len() + text.files.iter().map(|file| file.text.len()).sum::<usize>();
                bounded("policy bytes", bytes, POLICY_BYTES_MAX)
            }
            _ => Ok(()),
        }
    }
}

/// What earlier changes of one request will have stored.
#[derive(Debug, Default)]
pub struct Earlier {
    entities: HashSet<EntityUid>,
    grants: HashSet<GrantId>,
}

impl Earlier {
    /// Remembers a change that was found good.
    pub fn note(&mut self, change: &Change) {
        match change {
            Change::PutEntity(record) => {
                self.entities.insert(record.uid.clone());
            }
            Change::Grant(record) => {
                self.grants.insert(record.id);
            }
            _ => {}
        }
    }
}

/// What is stored, and what will be before the change is folded.
struct Known<'a> {
    view: WorldView<'a>,
    earlier: &'a Earlier,
}

impl Known<'_> {
    fn stored(&self, uid: &EntityUid) -> Result<(), Refusal> {
        if self.earlier.entities.contains(uid) || self.view.find(uid).is_some_and(|entity| self.view.exists(entity)) {
            return Ok(());
        }
        let message = format!("`{}` is not stored", uid.shown());
        Err(Refusal::of_field(ErrorCode::NotFound, uid.entity_type().as_str(), message))
    }

    fn check_grant(&self, record: &GrantRecord) -> Result<(), Refusal> {
        let conflict = |field: &str, message: &str| Err(Refusal::of_field(ErrorCode::Conflict, field, message));
        let view = &self.view;
        self.stored(&record.agent)?;
        self.stored(&record.subject)?;
        bounded("actions", record.actions.len(), 256)?;
        if record.actions.is_empty() {
            return Err(Refusal::of_field(ErrorCode::BadRequest, "actions", "a grant names at least one action"));
        }
        if record.depth_left > DELEGATION_DEPTH_MAX || usize::from(record.depth_left) >= CHAIN_MAX {
            return Err(Refusal::of_field(ErrorCode::BadRequest, "depth_left", "a grant is passed on at most 7 times"));
        }
        if view.world().find_grant(record.id).is_some() {
            return conflict("id", "a grant of this id exists");
        }
        let Some(parent) = record.parent else { return Ok(()) };
        if self.earlier.grants.contains(&parent) {
            return Ok(());
        }
        let missing = || Refusal::of_field(ErrorCode::NotFound, "parent", format!("no grant `{parent}` is stored"));
        let index = view.world().find_grant(parent).ok_or_else(missing)?;
        let above = view.world().grant(index).ok_or_else(missing)?;
        if view.grant_state(index) != GrantState::Live {
            return conflict("parent", "the grant to pass on has ended");
        }
        if above.record.subject != record.subject {
            return conflict("subject", "a delegation keeps its subject");
        }
        if above.record.agent != record.grantor {
            return conflict("grantor", "only the agent of a grant passes it on");
        }
        if above.record.depth_left <= record.depth_left {
            return conflict("depth_left", "a delegation has less depth left than the grant it passes on");
        }
        Ok(())
    }
}

fn bounded(what: &str, count: usize, limit: usize) -> Result<(), Refusal> {
    if count <= limit {
        return Ok(());
    }
    Err(Refusal::of_field(ErrorCode::TooLarge, what, format!("{count} {what} exceed the limit of {limit}")))
}
