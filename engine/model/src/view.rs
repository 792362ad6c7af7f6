//! What an evaluation may ask of a world, and nothing more.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::entity::{Attribute, EntityIndex};
use crate::uid::EntityUid;
use crate::value::Value;

/// The stored attributes and tags of one entity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityFacts {
    /// Attributes by name.
    pub attributes: BTreeMap<Arc<str>, Attribute>,
    /// Tags by key.
    pub tags: BTreeMap<Arc<str>, Value>,
}

/// A reader's view of the entities at one revision.
///
/// Methods answer for that revision only. An implementation that can no longer answer for it
/// remembers that, and whoever made the view must ask it before trusting anything computed from it.
pub trait EntityView {
    /// The number of a name; `None` if the name was never seen.
    fn find(&self, uid: &EntityUid) -> Option<EntityIndex>;

    /// The name of a number; `None` for a number that was never given out.
    fn uid(&self, entity: EntityIndex) -> Option<&EntityUid>;

    /// Whether an entity of that name is stored.
    fn exists(&self, entity: EntityIndex) -> bool;

    /// Whether `ancestor` is a direct or indirect parent of `entity`. Not reflexive.
    fn is_in(&self, entity: EntityIndex, ancestor: EntityIndex) -> bool;

    /// Calls `visit` with each direct and indirect parent, once each, in no order.
    fn ancestors(&self, entity: EntityIndex, visit: &mut dyn FnMut(EntityIndex));

    /// Attributes and tags; `None` if the entity is not stored.
    fn facts(&self, entity: EntityIndex) -> Option<Arc<EntityFacts>>;
}

/// Gives names their numbers.
pub trait Intern {
    /// The number of a name, new or old; `None` when [`crate::limits::ENTITIES_MAX`] names are in use.
    fn intern(&self, uid: &EntityUid) -> Option<EntityIndex>;
}
