//! What decisions read: every entity and grant, at one revision.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use dashmap::DashMap;
use portcullis_cells::{Chunked, Versioned};
use portcullis_model::limits::{ENTITIES_MAX, GRANTS_MAX};
use portcullis_model::{EntityFacts, EntityIndex, EntityUid, EntityView, GrantId, Revision, Timestamp};

use crate::entity_cell::{CELL_WORDS, EntityCell, absent};
use crate::grants::{GrantBody, GrantIndex, GrantList, GrantState};
use crate::names::Names;
use crate::versions::Versions;

/// What is stored of an entity beside its cell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Body {
    pub(crate) facts: Arc<EntityFacts>,
    /// All ancestors, sorted, when they do not fit the cell.
    pub(crate) ancestors: Option<Arc<[EntityIndex]>>,
    pub(crate) acts_through: Option<EntityIndex>,
    pub(crate) sponsor: Option<EntityIndex>,
    /// Foreign credentials issued up to then are dead.
    pub(crate) credentials_after: Timestamp,
}

/// The tables that decisions read and one folder writes.
pub struct World {
    epoch: u32,
    effective: AtomicU64,
    names: Arc<Names>,
    entities: Chunked<Versioned<CELL_WORDS>>,
    bodies: Chunked<ArcSwapOption<Versions<Body>>>,
    grant_states: Chunked<Versioned<1>>,
    grant_bodies: Chunked<OnceLock<GrantBody>>,
    grant_numbers: DashMap<GrantId, GrantIndex>,
    grants_of: Chunked<ArcSwapOption<Versions<GrantList>>>,
    /// Sessions born before this sequence number are dead.
    everything: Versioned<1>,
}

impl World {
    /// An empty world of the log's `epoch`, at sequence number 0.
    pub fn new(epoch: u32) -> Self {
        Self {
            epoch,
            effective: AtomicU64::new(0),
            names: Arc::new(Names::new()),
            entities: Chunked::with_capacity_max(ENTITIES_MAX),
            bodies: Chunked::with_capacity_max(ENTITIES_MAX),
            grant_states: Chunked::with_capacity_max(GRANTS_MAX),
            grant_bodies: Chunked::with_capacity_max(GRANTS_MAX),
            grant_numbers: DashMap::new(),
            grants_of: Chunked::with_capacity_max(ENTITIES_MAX),
            everything: Versioned::new(0, [0]),
        }
    }

    /// The names and their numbers.
    pub fn names(&self) -> &Arc<Names> {
        &self.names
    }

    /// The revision that decisions are made at now.
    pub fn effective(&self) -> Revision {
        Revision::new(self.epoch, self.effective.load(Ordering::Acquire))
    }

    /// A view at the effective revision.
    #[inline]
    pub fn view(&self) -> WorldView<'_> {
        // ORDERING: pairs with the Release store in `publish`: all cells of the batch are visible.
        WorldView { world: self, at: self.effective.load(Ordering::Acquire), late: Cell::new(false) }
    }

    /// The number of a grant.
    pub fn find_grant(&self, id: GrantId) -> Option<GrantIndex> {
        self.grant_numbers.get(&id).map(|number| *number)
    }

    /// The fixed part of a grant.
    pub fn grant(&self, grant: GrantIndex) -> Option<&GrantBody> {
        self.grant_bodies.get(grant.index())?.get()
    }

    /// Makes everything written up to `seq` what decisions see. The folder's owner calls it once a
    /// batch, after all that belongs to the batch is written, its own tables included.
    pub fn publish(&self, seq: u64) {
        // SeqCst: a revocation's acknowledgement may rest on `effective` instead of a deny entry.
        self.effective.store(seq, Ordering::SeqCst);
    }

    pub(crate) fn write_cell(&self, entity: EntityIndex, stamp: u64, cell: EntityCell) {
        if let Some(slot) = self.entities.ensure(entity.index(), || Versioned::new(0, absent())) {
            slot.write(stamp, cell.to_words());
        }
    }

    pub(crate) fn write_body(&self, entity: EntityIndex, stamp: u64, body: Body) {
        if let Some(slot) = self.bodies.ensure(entity.index(), ArcSwapOption::empty) {
            Versions::push(slot, stamp, body);
        }
    }

    pub(crate) fn write_grant(&self, grant: GrantIndex, stamp: u64, state: GrantState) {
        if let Some(slot) = self.grant_states.ensure(grant.index(), || Versioned::new(0, [0])) {
            slot.write(stamp, [state.to_word()]);
        }
    }

    pub(crate) fn add_grant(&self, grant: GrantIndex, body: GrantBody) {
        let id = body.id();
        if let Some(slot) = self.grant_bodies.ensure(grant.index(), OnceLock::new) {
            slot.get_or_init(|| body);
            self.grant_numbers.insert(id, grant);
        }
    }

    pub(crate) fn write_grants_of(&self, subject: EntityIndex, stamp: u64, grants: GrantList) {
        if let Some(slot) = self.grants_of.ensure(subject.index(), ArcSwapOption::empty) {
            Versions::push(slot, stamp, grants);
        }
    }

    pub(crate) fn write_everything(&self, stamp: u64, valid_after: u64) {
        self.everything.write(stamp, [valid_after]);
    }
}

/// A reader's view at one revision. It never blocks; when the revision is too old to be answered
/// for, it says so through [`WorldView::is_late`] and whatever it answered meanwhile is void.
pub struct WorldView<'a> {
    world: &'a World,
    at: u64,
    late: Cell<bool>,
}

impl<'a> WorldView<'a> {
    /// The world it looks at.
    pub fn world(&self) -> &'a World {
        self.world
    }

    /// The revision it looks at.
    pub fn revision(&self) -> Revision {
        Revision::new(self.world.epoch, self.at)
    }

    /// Whether some answer came too late, so that everything computed from this view is void.
    pub fn is_late(&self) -> bool {
        self.late.get()
    }

    /// The cell of an entity; of a name that nothing is stored under, an absent one.
    #[inline]
    pub fn entity(&self, entity: EntityIndex) -> EntityCell {
        let words = match self.world.entities.get(entity.index()) {
            None => absent(),
            Some(cell) => cell.read(self.at).unwrap_or_else(|_| {
                self.late.set(true);
                absent()
            }),
        };
        EntityCell::from_words(words)
    }

    /// Sessions born before this sequence number are dead, whoever they belong to.
    pub fn everything_valid_after(&self) -> u64 {
        self.world.everything.read(self.at).map_or_else(
            |_| {
                self.late.set(true);
                u64::MAX
            },
            |[word]| word,
        )
    }

    /// How a grant stands.
    pub fn grant_state(&self, grant: GrantIndex) -> GrantState {
        match self.world.grant_states.get(grant.index()).map(|cell| cell.read(self.at)) {
            None => GrantState::Absent,
            Some(Ok([word])) => GrantState::from_word(word),
            Some(Err(_)) => {
                self.late.set(true);
                GrantState::Revoked
            }
        }
    }

    /// Calls `visit` with the grants that `subject` itself has for `agent`, in order of issue, until
    /// it answers `true`.
    pub fn grants_for(
        &self,
        subject: EntityIndex,
        agent: EntityIndex,
        visit: &mut dyn FnMut(GrantIndex) -> bool,
    ) -> bool {
        let Some(slot) = self.world.grants_of.get(subject.index()) else { return false };
        let guard = slot.load();
        let Some(versions) = guard.as_ref() else { return false };
        match versions.at(self.at) {
            Err(_) => {
                self.late.set(true);
                false
            }
            Ok(None) => false,
            Ok(Some(list)) => {
                let from = list.partition_point(|(other, _)| *other < agent);
                list.iter().skip(from).take_while(|(other, _)| *other == agent).any(|(_, grant)| visit(*grant))
            }
        }
    }

    /// The agent that an agent acts through.
    pub fn acts_through(&self, agent: EntityIndex) -> Option<EntityIndex> {
        self.body(agent)?.acts_through
    }

    /// The person who answers for a service principal.
    pub fn sponsor(&self, principal: EntityIndex) -> Option<EntityIndex> {
        self.body(principal)?.sponsor
    }

    /// The time up to which foreign credentials of a principal are dead, by the clock of the node that
    /// ended them; the epoch's beginning if none were.
    pub fn credentials_after(&self, principal: EntityIndex) -> Timestamp {
        self.body(principal).map(|body| body.credentials_after).unwrap_or_default()
    }

    fn body(&self, entity: EntityIndex) -> Option<Body> {
        let slot = self.world.bodies.get(entity.index())?;
        let guard = slot.load();
        match guard.as_ref()?.at(self.at) {
            Ok(body) => body.cloned(),
            Err(_) => {
                self.late.set(true);
                None
            }
        }
    }

    /// All ancestors of an entity whose cell says that they are in the body. If they are not, the
    /// answer is void: a missing membership could lift a forbid.
    fn overflow(&self, entity: EntityIndex) -> Arc<[EntityIndex]> {
        self.body(entity).and_then(|body| body.ancestors).unwrap_or_else(|| {
            self.late.set(true);
            Arc::new([])
        })
    }
}

impl EntityView for WorldView<'_> {
    fn find(&self, uid: &EntityUid) -> Option<EntityIndex> {
        self.world.names.find(uid)
    }

    fn uid(&self, entity: EntityIndex) -> Option<&EntityUid> {
        self.world.names.uid(entity)
    }

    fn exists(&self, entity: EntityIndex) -> bool {
        self.entity(entity).exists
    }

    fn is_in(&self, entity: EntityIndex, ancestor: EntityIndex) -> bool {
        let cell = self.entity(entity);
        if cell.overflow {
            return self.overflow(entity).binary_search(&ancestor).is_ok();
        }
        cell.holds_ancestor(ancestor)
    }

    fn ancestors(&self, entity: EntityIndex, visit: &mut dyn FnMut(EntityIndex)) {
        let cell = self.entity(entity);
        if cell.overflow {
            self.overflow(entity).iter().for_each(|ancestor| visit(*ancestor));
        } else {
            cell.ancestors().for_each(visit);
        }
    }

    fn facts(&self, entity: EntityIndex) -> Option<Arc<EntityFacts>> {
        if !self.entity(entity).exists {
            return None;
        }
        self.body(entity).map(|body| body.facts)
    }
}
