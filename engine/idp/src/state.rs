//! Everything that a source says at one time.

use std::collections::BTreeMap;

use portcullis_model::{EntityRecord, EntityUid, Standing};

/// How a source says that a user or agent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// It may act.
    Active,
    /// `active` is false.
    Suspended,
    /// It has vanished, and was deactivated for that.
    Removed,
    /// Not known, because something else hides it: what the source says next is said again.
    Unknown,
}

impl Status {
    /// What the directory's standing tells of what a source said before.
    pub fn of(standing: Standing) -> Self {
        match standing {
            Standing::Active | Standing::Held => Self::Active,
            Standing::Suspended => Self::Suspended,
            // An administrator's revocation hides what the source said.
            Standing::Revoked => Self::Unknown,
            Standing::Deactivated => Self::Removed,
        }
    }
}

/// Everything that a source says at one time, or has said before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FullState {
    entities: BTreeMap<EntityUid, EntityRecord>,
    status: BTreeMap<EntityUid, Status>,
    digest: Option<[u8; 32]>,
}

impl FullState {
    /// A state from records and the status of users and agents.
    ///
    /// For [`crate::diff`]'s first comparison after a start, pass what the directory holds *of this
    /// source*: users, agents and groups that came from elsewhere would seem to have vanished.
    pub fn new(
        entities: impl IntoIterator<Item = EntityRecord>,
        status: impl IntoIterator<Item = (EntityUid, Status)>,
    ) -> Self {
        let ordered = |mut record: EntityRecord| {
            record.parents.sort_unstable();
            record.parents.dedup();
            (record.uid.clone(), record)
        };
        Self {
            entities: entities.into_iter().map(ordered).collect(),
            status: status.into_iter().collect(),
            digest: None,
        }
    }

    pub(crate) fn with_digest(self, digest: [u8; 32]) -> Self {
        Self { digest: Some(digest), ..self }
    }

    /// The records by name.
    pub fn entities(&self) -> &BTreeMap<EntityUid, EntityRecord> {
        &self.entities
    }

    /// How the users and agents stand; groups have no status.
    pub fn status(&self) -> &BTreeMap<EntityUid, Status> {
        &self.status
    }

    /// SHA-256 of the text that was read: states of equal digests are equal. `None` for a state that
    /// was not read from a text.
    pub fn digest(&self) -> Option<[u8; 32]> {
        self.digest
    }

    /// The status of one user or agent.
    pub fn status_of(&self, uid: &EntityUid) -> Status {
        self.status.get(uid).copied().unwrap_or(Status::Unknown)
    }
}
