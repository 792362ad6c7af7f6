//! Which SCIM attributes become attributes of entities; nothing else enters the directory.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;

use crate::scim::ResourceKind;

/// A SCIM attribute that can be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ScimAttribute {
    /// `userName` of a user, as a text.
    UserName,
    /// `displayName`, as a text.
    DisplayName,
    /// `externalId`, as a text.
    ExternalId,
    /// `title` of a user, as a text.
    Title,
    /// `userType` of a user, as a text.
    UserType,
    /// `department` of a user's enterprise extension, as a text.
    Department,
    /// The value of a user's primary entry of `emails`, as a text; left out where none is primary.
    Emails,
    /// `agentType` of an agent, as a text.
    AgentType,
    /// `owners` of an agent, as a set of users.
    Owners,
}

impl ScimAttribute {
    fn belongs_to(self, resource: ResourceKind) -> bool {
        match self {
            Self::DisplayName | Self::ExternalId => true,
            Self::AgentType | Self::Owners => resource == ResourceKind::Agent,
            Self::UserName | Self::Title | Self::UserType | Self::Department | Self::Emails => {
                resource == ResourceKind::User
            }
        }
    }
}

/// One attribute that enters, and its name in policies.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappedAttribute {
    /// The kind of resource that has it.
    pub resource: ResourceKind,
    /// The SCIM attribute.
    pub from: ScimAttribute,
    /// The attribute of the entity.
    pub to: Arc<str>,
}

/// The list of attributes that enter. An attribute that a resource does not have is left out.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<MappedAttribute>")]
pub struct Mapping(Vec<MappedAttribute>);

impl Mapping {
    /// A mapping from its list.
    ///
    /// # Errors
    /// [`MappingError`] for the first entry that cannot be used.
    pub fn new(list: Vec<MappedAttribute>) -> Result<Self, MappingError> {
        let mut taken = BTreeSet::new();
        for entry in &list {
            if !entry.from.belongs_to(entry.resource) {
                return Err(MappingError::Kind { resource: entry.resource, from: entry.from });
            }
            if entry.to.is_empty() || !taken.insert((entry.resource, Arc::clone(&entry.to))) {
                return Err(MappingError::Name(entry.to.to_string()));
            }
        }
        Ok(Self(list))
    }

    pub(crate) fn of(&self, resource: ResourceKind) -> impl Iterator<Item = &MappedAttribute> {
        self.0.iter().filter(move |entry| entry.resource == resource)
    }
}

/// Names, titles, departments, primary mail addresses, and the owners of agents.
impl Default for Mapping {
    fn default() -> Self {
        let entry = |resource, from, to: &str| MappedAttribute { resource, from, to: to.into() };
        Self(vec![
            entry(ResourceKind::User, ScimAttribute::UserName, "userName"),
            entry(ResourceKind::User, ScimAttribute::DisplayName, "displayName"),
            entry(ResourceKind::User, ScimAttribute::Title, "title"),
            entry(ResourceKind::User, ScimAttribute::Department, "department"),
            entry(ResourceKind::User, ScimAttribute::Emails, "email"),
            entry(ResourceKind::Group, ScimAttribute::DisplayName, "displayName"),
            entry(ResourceKind::Agent, ScimAttribute::DisplayName, "displayName"),
            entry(ResourceKind::Agent, ScimAttribute::Owners, "owners"),
        ])
    }
}

impl TryFrom<Vec<MappedAttribute>> for Mapping {
    type Error = MappingError;

    fn try_from(list: Vec<MappedAttribute>) -> Result<Self, MappingError> {
        Self::new(list)
    }
}

/// Why a mapping cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MappingError {
    /// That kind of resource has no such attribute.
    #[error("a {resource:?} has no SCIM attribute {from:?}")]
    Kind {
        /// The kind.
        resource: ResourceKind,
        /// The attribute.
        from: ScimAttribute,
    },
    /// A target is empty or used twice for one kind.
    #[error("`{0}` is empty or the target of two attributes")]
    Name(String),
}
