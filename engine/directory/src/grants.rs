//! Grants as decisions read them.

use std::sync::Arc;

use portcullis_model::{EntityIndex, EntityType, EntityUid, GrantId, GrantRecord, ResourceScope, Timestamp};

/// Dense number of a grant, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantIndex(u32);

impl GrantIndex {
    /// An index from its number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The number as an array index.
    #[inline]
    #[expect(clippy::as_conversions, reason = "u32 fits usize on every supported target; the one cast lives here")]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// How a grant stands at a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantState {
    /// Not issued yet.
    Absent,
    /// It counts.
    Live,
    /// Revoked for good.
    Revoked,
    /// Ended with its subject.
    Tombstone,
}

impl GrantState {
    pub(crate) fn to_word(self) -> u64 {
        match self {
            Self::Absent => 0,
            Self::Live => 1,
            Self::Revoked => 2,
            Self::Tombstone => 3,
        }
    }

    /// Fails closed: a word that nobody writes reads as revoked.
    pub(crate) fn from_word(word: u64) -> Self {
        match word {
            0 => Self::Absent,
            1 => Self::Live,
            3 => Self::Tombstone,
            _ => Self::Revoked,
        }
    }
}

/// The part of a grant that never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantBody {
    /// The grant as it was issued.
    pub record: GrantRecord,
    /// Its subject.
    pub subject: EntityIndex,
    /// Its agent.
    pub agent: EntityIndex,
    /// The grant it passes on.
    pub parent: Option<GrantIndex>,
    /// The entity that its resource scope names, where it names one.
    pub resource: Option<EntityIndex>,
}

impl GrantBody {
    /// The grant's id.
    pub fn id(&self) -> GrantId {
        self.record.id
    }

    /// Whether it covers at `now`.
    pub fn covers_time(&self, now: Timestamp) -> bool {
        self.record.not_before.is_none_or(|from| from <= now) && self.record.expires.is_none_or(|until| now < until)
    }

    /// Whether its resource scope reaches `resource`, of which `is_in` tells the ancestors.
    pub fn covers_resource(&self, resource: &EntityUid, is_in: impl FnOnce(EntityIndex) -> bool) -> bool {
        match &self.record.resource {
            ResourceScope::Any => true,
            ResourceScope::One(uid) => uid == resource,
            ResourceScope::OfType(entity_type) => same_type(entity_type, resource),
            ResourceScope::In(uid) => uid == resource || self.resource.is_some_and(is_in),
        }
    }
}

fn same_type(entity_type: &EntityType, resource: &EntityUid) -> bool {
    entity_type == resource.entity_type()
}

/// The grants of one subject, sorted by agent.
pub(crate) type GrantList = Arc<[(EntityIndex, GrantIndex)]>;
