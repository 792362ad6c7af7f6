//! Storing, removing and listing entities.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_model::limits::{ATTRIBUTES_MAX, MEMBERS_PER_CHANGE_MAX, PARENTS_MAX};
use portcullis_model::{EntityFacts, EntityIndex, EntityRecord, EntityUid, SourceName, Standing, Timestamp};

use super::{Ended, FoldError, FoldReport, Folder};
use crate::entity_cell::EntityCell;
use crate::world::Body;

/// What the folder knows of a name.
#[derive(Debug, Default)]
pub(super) struct EntityState {
    pub(super) exists: bool,
    pub(super) generation: u32,
    pub(super) parents: Vec<EntityIndex>,
    pub(super) children: Vec<EntityIndex>,
    /// All ancestors, sorted. Shared by entities with the same parents.
    pub(super) ancestors: Option<Arc<[EntityIndex]>>,
    pub(super) facts: Arc<EntityFacts>,
    pub(super) acts_through: Option<EntityIndex>,
    pub(super) sponsor: Option<EntityIndex>,
    pub(super) valid_after: u64,
    pub(super) killed_by: Standing,
    pub(super) credentials_after: Timestamp,
    pub(super) revoked: bool,
    /// The walk over the hierarchy that met it last.
    pub(super) met: u64,
    /// What sources say; nothing for most.
    pub(super) claims: BTreeMap<SourceName, SourceClaim>,
}

/// What one source says of a user or agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceClaim {
    pub(super) held: bool,
    pub(super) standing: Standing,
}

impl EntityState {
    /// The worst of what sources and administrators say.
    pub(super) fn standing(&self) -> Standing {
        let claimed = self
            .claims
            .values()
            .map(|claim| if claim.held { claim.standing.max(Standing::Held) } else { claim.standing });
        let revoked = if self.revoked { Standing::Revoked } else { Standing::Active };
        claimed.fold(revoked, Standing::max)
    }

    pub(super) fn ancestors(&self) -> &[EntityIndex] {
        self.ancestors.as_deref().unwrap_or_default()
    }

    fn cell(&self) -> EntityCell {
        EntityCell::new(
            self.exists,
            self.standing(),
            self.killed_by,
            self.generation,
            self.valid_after,
            self.ancestors(),
        )
    }
}

/// Some entities, in the order of their names' first appearance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityPage {
    /// The entities and how they stand.
    pub entities: Vec<(EntityRecord, Standing)>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<u32>,
}

impl Folder {
    pub(super) fn put_entity(&mut self, record: &EntityRecord) -> Result<(), FoldError> {
        if record.attributes.len() > ATTRIBUTES_MAX || record.tags.len() > ATTRIBUTES_MAX {
            return Err(FoldError::TooMany("attributes"));
        }
        if record.parents.len() > PARENTS_MAX {
            return Err(FoldError::TooMany("parents"));
        }
        let entity = self.intern(&record.uid)?;
        let mut parents = record.parents.iter().map(|uid| self.intern(uid)).collect::<Result<Vec<_>, _>>()?;
        parents.sort_unstable();
        parents.dedup();
        self.refuse_cycle(entity, &parents)?;
        let acts_through = record.acts_through.as_ref().map(|uid| self.intern(uid)).transpose()?;
        let sponsor = record.sponsor.as_ref().map(|uid| self.intern(uid)).transpose()?;
        let facts = EntityFacts { attributes: record.attributes.clone(), tags: record.tags.clone() };
        self.reparent(entity, parents);
        if let Some(state) = self.state_mut(entity) {
            state.exists = true;
            state.facts = Arc::new(facts);
            state.acts_through = acts_through;
            state.sponsor = sponsor;
        }
        self.write_body(entity);
        self.close_over(&[entity]);
        Ok(())
    }

    pub(super) fn delete_entity(&mut self, uid: &EntityUid, report: &mut FoldReport) -> Result<(), FoldError> {
        let entity = self.stored(uid)?;
        let (revision, subject, now) = (self.revision, entity, self.now);
        self.reparent(entity, Vec::new());
        self.bury_grants(subject);
        if let Some(state) = self.state_mut(entity) {
            state.exists = false;
            state.generation = state.generation.saturating_add(1);
            state.valid_after = revision.seq;
            state.killed_by = Standing::Deactivated;
            state.credentials_after = now;
            // An administrator's revocation is of the name: re-creating the entity does not lift it.
            state.claims.clear();
            state.facts = Arc::default();
            state.acts_through = None;
            state.sponsor = None;
        }
        self.write_body(entity);
        self.close_over(&[entity]);
        report.ended.push((revision, Ended::Subject(entity)));
        report.ended.push((revision, Ended::Agent(entity)));
        Ok(())
    }

    pub(super) fn change_members(
        &mut self,
        group: &EntityUid,
        add: &[EntityUid],
        remove: &[EntityUid],
    ) -> Result<(), FoldError> {
        if add.len() + remove.len() > MEMBERS_PER_CHANGE_MAX {
            return Err(FoldError::TooMany("members"));
        }
        let group = self.intern(group)?;
        let added = add.iter().map(|uid| self.stored(uid)).collect::<Result<Vec<_>, _>>()?;
        self.refuse_cycles(group, &added)?;
        let removed: Vec<_> = remove.iter().filter_map(|uid| self.world.names().find(uid)).collect();
        self.change_children(group, &added, &removed);
        let mut changed = added;
        changed.extend(removed);
        self.close_over(&changed);
        Ok(())
    }

    /// The record of a stored entity and how it stands.
    pub fn entity(&self, uid: &EntityUid) -> Option<(EntityRecord, Standing)> {
        let entity = self.world.names().find(uid)?;
        self.record(entity)
    }

    /// At most `limit` stored entities, of one type or all, from the name numbered `after` on.
    pub fn entities(&self, of_type: Option<&str>, after: u32, limit: usize) -> EntityPage {
        let mut page = EntityPage::default();
        for number in after..u32::try_from(self.entities.len()).unwrap_or(u32::MAX) {
            if page.entities.len() == limit {
                page.next = Some(number);
                break;
            }
            let entity = EntityIndex::new(number);
            let wanted = of_type.is_none_or(|wanted| {
                self.world.names().uid(entity).is_some_and(|uid| uid.entity_type().as_str() == wanted)
            });
            if wanted {
                page.entities.extend(self.record(entity));
            }
        }
        page
    }

    pub(super) fn record(&self, entity: EntityIndex) -> Option<(EntityRecord, Standing)> {
        let names = self.world.names();
        let state = self.state(entity).filter(|state| state.exists)?;
        let named = |index: &EntityIndex| names.uid(*index).cloned();
        let record = EntityRecord {
            uid: named(&entity)?,
            parents: state.parents.iter().filter_map(named).collect(),
            attributes: state.facts.attributes.clone(),
            tags: state.facts.tags.clone(),
            acts_through: state.acts_through.as_ref().and_then(named),
            sponsor: state.sponsor.as_ref().and_then(named),
        };
        Some((record, state.standing()))
    }

    pub(super) fn write_cell(&self, entity: EntityIndex) {
        if let Some(state) = self.state(entity) {
            self.world.write_cell(entity, self.revision.seq, state.cell());
        }
    }

    pub(super) fn write_body(&self, entity: EntityIndex) {
        if let Some(state) = self.state(entity) {
            let body = Body {
                facts: Arc::clone(&state.facts),
                ancestors: state.ancestors.clone().filter(|_| state.cell().overflow),
                acts_through: state.acts_through,
                sponsor: state.sponsor,
                credentials_after: state.credentials_after,
            };
            self.world.write_body(entity, self.revision.seq, body);
        }
    }
}
