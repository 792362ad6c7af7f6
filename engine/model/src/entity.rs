//! What the directory holds of users, groups, agents and resources.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::uid::EntityUid;
use crate::value::Value;

/// Dense number of an entity name. A name keeps its number for the life of the process, whether or
/// not an entity of that name exists; a deleted and re-created entity has a new generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityIndex(u32);

impl EntityIndex {
    /// An index from its number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number, as cells and frames carry it.
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

/// Name of an identity source, for example `okta` or `file`: 1 to 64 of `[a-z0-9._-]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SourceName(Arc<str>);

impl SourceName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SourceName {
    type Err = SourceNameError;

    fn from_str(text: &str) -> Result<Self, SourceNameError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(SourceNameError)
        }
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SourceName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::ids::deserialize(deserializer)
    }
}

/// The text does not name a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a source name has 1 to 64 of `a-z0-9._-`")]
pub struct SourceNameError;

/// Who may say what an attribute's value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// An identity source or an administrator, through the log.
    #[default]
    Directory,
    /// A fact provider with a maximum age.
    Fact,
    /// The request itself, where the client's registration lists the attribute.
    Request,
}

/// A stored attribute and its one owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    /// The value.
    pub value: Value,
    /// Who may change it.
    #[serde(default)]
    pub owner: Owner,
}

/// Everything that is stored of one entity, as events and files carry it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntityRecord {
    /// Its name.
    pub uid: EntityUid,
    /// Direct parents, at most [`crate::limits::PARENTS_MAX`]. They need not exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<EntityUid>,
    /// Attributes, at most [`crate::limits::ATTRIBUTES_MAX`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<Arc<str>, Attribute>,
    /// Cedar entity tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<Arc<str>, Value>,
    /// For an agent: the agent that it acts through, which stands outside it in every chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acts_through: Option<EntityUid>,
    /// For a service principal that is a subject: the person who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sponsor: Option<EntityUid>,
}

impl EntityRecord {
    /// A record with a name and nothing else.
    pub fn named(uid: EntityUid) -> Self {
        Self {
            uid,
            parents: Vec::new(),
            attributes: BTreeMap::new(),
            tags: BTreeMap::new(),
            acts_through: None,
            sponsor: None,
        }
    }
}

/// How a user or agent stands; the worst of what all its sources and administrators say. Ordered
/// from best to worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nothing stands against it.
    #[default]
    Active,
    /// A hint came in: decisions deny until it is released; sessions revive.
    Held,
    /// Its source suspended it: sessions from before are dead for good, grants sleep.
    Suspended,
    /// An administrator revoked it: sessions from before are dead for good, until `restore`.
    Revoked,
    /// Its source removed it: sessions are dead, grants have become tombstones.
    Deactivated,
}
