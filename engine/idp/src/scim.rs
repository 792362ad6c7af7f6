//! Reads a SCIM 2.0 list response of users, groups and agents (RFC 7643, RFC 7644, and the resource
//! type Agent of draft-abbey-scim-agent-extension).

use std::fmt;

use portcullis_model::EntityUid;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;
use serde_json::error::Category;

use crate::mapping::Mapping;
use crate::resolve::resolve;
use crate::source::{ResourceFault, SourceError};
use crate::state::FullState;

/// Most resources of one source. BOUND: twice the largest directory that the budgets name.
pub const RESOURCES_MAX: usize = 2_000_000;

/// The kinds of resource that a source tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// A person.
    User,
    /// A group of users, groups and agents.
    Group,
    /// A software principal.
    Agent,
}

impl ResourceKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::User, Self::Group, Self::Agent];

    /// The entity type of its entities.
    pub const fn entity_type(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
            Self::Agent => "Agent",
        }
    }

    fn of_schemas(schemas: &[String]) -> Result<Self, ResourceFault> {
        let mut kind = None;
        for urn in schemas {
            let found = Self::ALL.into_iter().find(|kind| urn.strip_prefix(CORE_SCHEMA) == Some(kind.entity_type()));
            match found {
                Some(found) if kind.is_none() => kind = Some(found),
                None if urn.contains(":extension:") => {}
                _ => return Err(ResourceFault::Schemas),
            }
        }
        kind.ok_or(ResourceFault::Schemas)
    }
}

/// The full state that a SCIM list response describes. An entity's id is the resource's `id`.
///
/// # Errors
/// Every variant of [`SourceError`] but those of files and watching.
pub fn parse(text: &[u8], mapping: &Mapping) -> Result<FullState, SourceError> {
    let mut list = List::default();
    let mut json = serde_json::Deserializer::from_slice(text);
    let outcome = ListSeed(&mut list).deserialize(&mut json).and_then(|()| json.end());
    if let Err(error) = outcome {
        return Err(match list.fault {
            Some((position, fault)) => SourceError::at(position, fault),
            None => json_error(&error),
        });
    }
    if !list.schemas.iter().any(|urn| urn == LIST_SCHEMA) {
        return Err(SourceError::List("`schemas` does not name ListResponse"));
    }
    let Some(resources) = list.resources else { return Err(SourceError::List("`Resources` is missing")) };
    if list.start_index.is_some_and(|start| start > 1) {
        return Err(SourceError::List("`startIndex` is not 1"));
    }
    if let Some(total) = list.total.filter(|total| u64::try_from(resources.len()) != Ok(*total)) {
        return Err(SourceError::Partial { total, found: resources.len() });
    }
    resolve(resources, mapping)
}

/// serde's own words may quote the input, which may be about people: they stay here.
fn json_error(error: &serde_json::Error) -> SourceError {
    let problem = match error.classify() {
        Category::Eof => "the text ends too early",
        Category::Data => "a value is missing, given twice, or not of the type it should be",
        Category::Syntax | Category::Io => "this is not JSON",
    };
    SourceError::Json { line: error.line(), column: error.column(), problem }
}

/// One resource, checked by itself.
pub(crate) struct Resource {
    pub(crate) kind: ResourceKind,
    pub(crate) uid: EntityUid,
    pub(crate) active: bool,
    pub(crate) raw: RawResource,
}

impl Resource {
    fn check(raw: RawResource) -> Result<Self, ResourceFault> {
        let kind = ResourceKind::of_schemas(&raw.schemas)?;
        let uid = EntityUid::of(kind.entity_type(), &raw.id).map_err(|_| ResourceFault::Id)?;
        let active = match raw.active {
            Some(Json::Bool(active)) => active,
            None if kind == ResourceKind::Group => true,
            _ => return Err(ResourceFault::Active),
        };
        Ok(Self { kind, uid, active, raw })
    }
}

/// A resource as the text has it; attributes that cannot be mapped are never kept.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RawResource {
    schemas: Vec<String>,
    pub(crate) id: String,
    active: Option<Json>,
    pub(crate) external_id: Option<String>,
    pub(crate) user_name: Option<String>,
    pub(crate) display_name: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) user_type: Option<String>,
    pub(crate) agent_type: Option<String>,
    pub(crate) emails: Option<Vec<Email>>,
    pub(crate) members: Option<Vec<Reference>>,
    pub(crate) owners: Option<Vec<Reference>>,
    #[serde(rename = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User")]
    pub(crate) enterprise: Option<Enterprise>,
    #[serde(rename = "urn:portcullis:scim:schemas:extension:agent:1.0:Agent")]
    pub(crate) agent: Option<AgentExtension>,
}

#[derive(Deserialize)]
pub(crate) struct Email {
    pub(crate) value: String,
    #[serde(default)]
    pub(crate) primary: bool,
}

#[derive(Deserialize)]
pub(crate) struct Reference {
    pub(crate) value: String,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Enterprise {
    pub(crate) department: Option<String>,
}

/// What SCIM has no word for. Unknown members are refused: a misspelt one would widen what an agent may do.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AgentExtension {
    pub(crate) acts_through: Option<Reference>,
}

#[derive(Default)]
struct List {
    schemas: Vec<String>,
    total: Option<u64>,
    start_index: Option<u64>,
    resources: Option<Vec<Resource>>,
    /// Why the reading stopped, where it was not for the JSON.
    fault: Option<(usize, ResourceFault)>,
}

struct ListSeed<'a>(&'a mut List);

impl<'de> DeserializeSeed<'de> for ListSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ListSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a SCIM list response")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let twice = || A::Error::custom("given twice");
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "schemas" if self.0.schemas.is_empty() => self.0.schemas = map.next_value()?,
                "totalResults" if self.0.total.is_none() => self.0.total = Some(map.next_value()?),
                "startIndex" if self.0.start_index.is_none() => self.0.start_index = Some(map.next_value()?),
                "Resources" if self.0.resources.is_none() => map.next_value_seed(ResourcesSeed(&mut *self.0))?,
                "schemas" | "totalResults" | "startIndex" | "Resources" => return Err(twice()),
                _ => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(())
    }
}

struct ResourcesSeed<'a>(&'a mut List);

impl<'de> DeserializeSeed<'de> for ResourcesSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ResourcesSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of SCIM resources")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        let mut resources = Vec::new();
        while let Some(raw) = sequence.next_element::<RawResource>()? {
            let checked =
                if resources.len() < RESOURCES_MAX { Resource::check(raw) } else { Err(ResourceFault::TooMany) };
            match checked {
                Ok(resource) => resources.push(resource),
                Err(fault) => {
                    self.0.fault = Some((resources.len(), fault));
                    return Err(A::Error::custom("refused"));
                }
            }
        }
        self.0.resources = Some(resources);
        Ok(())
    }
}

const CORE_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:";
const LIST_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

#[cfg(test)]
mod tests;
