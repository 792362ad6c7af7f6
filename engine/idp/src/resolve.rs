//! Resources that name each other become records that name each other.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use portcullis_model::limits::{CHAIN_MAX, PARENTS_MAX};
use portcullis_model::{Attribute, EntityRecord, EntityUid, Owner, Value};

use crate::mapping::{Mapping, ScimAttribute};
use crate::scim::{RawResource, Reference, Resource, ResourceKind};
use crate::source::{ResourceFault, SourceError};
use crate::state::{FullState, Status};

/// Longest mapped text in bytes. BOUND: longer than any name, title or address that directories allow.
const TEXT_BYTES_MAX: usize = 4_096;

pub(crate) fn resolve(resources: Vec<Resource>, mapping: &Mapping) -> Result<FullState, SourceError> {
    let places = places(&resources)?;
    let mut parents = parents(&resources, &places)?;
    refuse_group_cycles(&resources, &parents)?;
    let outer = outer_agents(&resources, &places)?;
    let mut records = Vec::with_capacity(resources.len());
    let mut status = Vec::new();
    for (position, resource) in resources.iter().enumerate() {
        let named = |place: &usize| resources.get(*place).map(|resource| resource.uid.clone());
        let groups = parents.remove(&position).unwrap_or_default();
        let attributes =
            attributes(resource, mapping, &resources, &places).map_err(|fault| SourceError::at(position, fault))?;
        records.push(EntityRecord {
            parents: groups.iter().filter_map(named).collect(),
            attributes,
            acts_through: outer.get(&position).and_then(named),
            ..EntityRecord::named(resource.uid.clone())
        });
        if resource.kind != ResourceKind::Group {
            status.push((resource.uid.clone(), if resource.active { Status::Active } else { Status::Suspended }));
        }
    }
    Ok(FullState::new(records, status))
}

/// Where each id stands. Ids are unique across all kinds (RFC 7643, section 3.1).
fn places(resources: &[Resource]) -> Result<HashMap<&str, usize>, SourceError> {
    let mut places = HashMap::with_capacity(resources.len());
    for (position, resource) in resources.iter().enumerate() {
        if let Some(first) = places.insert(resource.raw.id.as_str(), position) {
            return Err(SourceError::at(position, ResourceFault::Duplicate(first + 1)));
        }
    }
    Ok(places)
}

/// The resource that a reference names, if it is of a kind that may stand there.
fn find(
    reference: &Reference,
    kinds: &[ResourceKind],
    resources: &[Resource],
    places: &HashMap<&str, usize>,
) -> Option<usize> {
    let place = *places.get(reference.value.as_str())?;
    let kind = resources.get(place)?.kind;
    let named = reference.kind.as_deref().is_none_or(|named| named.eq_ignore_ascii_case(kind.entity_type()));
    (named && kinds.contains(&kind)).then_some(place)
}

/// The groups of each resource that is in any, by place.
fn parents(resources: &[Resource], places: &HashMap<&str, usize>) -> Result<HashMap<usize, Vec<usize>>, SourceError> {
    let mut parents: HashMap<usize, Vec<usize>> = HashMap::new();
    for (group, resource) in resources.iter().enumerate().filter(|(_, resource)| resource.kind == ResourceKind::Group) {
        for member in resource.raw.members.iter().flatten() {
            let fault = ResourceFault::Reference { attribute: "members", wanted: "what its type says" };
            let place =
                find(member, &ResourceKind::ALL, resources, places).ok_or_else(|| SourceError::at(group, fault))?;
            let groups = parents.entry(place).or_default();
            // A member listed twice is a member once; groups come in order, so the last one tells.
            if groups.last() != Some(&group) {
                groups.push(group);
            }
            if groups.len() > PARENTS_MAX {
                return Err(SourceError::at(place, ResourceFault::Groups));
            }
        }
    }
    Ok(parents)
}

/// Takes away groups that are in no group that is left, until none is left; what stays is in a cycle
/// or below one.
fn refuse_group_cycles(resources: &[Resource], parents: &HashMap<usize, Vec<usize>>) -> Result<(), SourceError> {
    let is_group = |place: &usize| resources.get(*place).is_some_and(|resource| resource.kind == ResourceKind::Group);
    let mut waiting: BTreeMap<usize, usize> = BTreeMap::new();
    let mut children: HashMap<usize, Vec<usize>> = HashMap::new();
    for (group, above) in parents.iter().filter(|(place, _)| is_group(place)) {
        waiting.insert(*group, above.len());
        above.iter().for_each(|parent| children.entry(*parent).or_default().push(*group));
    }
    let mut free: Vec<usize> =
        (0..resources.len()).filter(|place| is_group(place) && !waiting.contains_key(place)).collect();
    while let Some(group) = free.pop() {
        for child in children.get(&group).into_iter().flatten() {
            if let Some(count) = waiting.get_mut(child) {
                *count -= 1;
                if *count == 0 {
                    waiting.remove(child);
                    free.push(*child);
                }
            }
        }
    }
    waiting.keys().next().map_or(Ok(()), |group| Err(SourceError::at(*group, ResourceFault::GroupCycle)))
}

/// The agent that each agent acts through, by place.
fn outer_agents(resources: &[Resource], places: &HashMap<&str, usize>) -> Result<BTreeMap<usize, usize>, SourceError> {
    let mut outer = BTreeMap::new();
    for (position, resource) in resources.iter().enumerate() {
        let Some(extension) = &resource.raw.agent else { continue };
        let Some(reference) = &extension.acts_through else { continue };
        let place = find(reference, &[ResourceKind::Agent], resources, places)
            .filter(|_| resource.kind == ResourceKind::Agent)
            .ok_or_else(|| SourceError::at(position, ResourceFault::reference("actsThrough", ResourceKind::Agent)))?;
        outer.insert(position, place);
    }
    for first in outer.keys() {
        let length = std::iter::successors(Some(*first), |agent| outer.get(agent).copied()).take(CHAIN_MAX + 1).count();
        if length > CHAIN_MAX {
            return Err(SourceError::at(*first, ResourceFault::Chain));
        }
    }
    Ok(outer)
}

fn attributes(
    resource: &Resource,
    mapping: &Mapping,
    resources: &[Resource],
    places: &HashMap<&str, usize>,
) -> Result<BTreeMap<Arc<str>, Attribute>, ResourceFault> {
    let mut attributes = BTreeMap::new();
    for entry in mapping.of(resource.kind) {
        let value = if entry.from == ScimAttribute::Owners {
            owners(resource, resources, places)?
        } else {
            text(&resource.raw, entry.from)?
        };
        if let Some(value) = value {
            attributes.insert(Arc::clone(&entry.to), Attribute { value, owner: Owner::Directory });
        }
    }
    Ok(attributes)
}

fn text(raw: &RawResource, attribute: ScimAttribute) -> Result<Option<Value>, ResourceFault> {
    let primary = || raw.emails.iter().flatten().find(|email| email.primary).map(|email| &email.value);
    let (name, text) = match attribute {
        ScimAttribute::UserName => ("userName", raw.user_name.as_ref()),
        ScimAttribute::DisplayName => ("displayName", raw.display_name.as_ref()),
        ScimAttribute::ExternalId => ("externalId", raw.external_id.as_ref()),
        ScimAttribute::Title => ("title", raw.title.as_ref()),
        ScimAttribute::UserType => ("userType", raw.user_type.as_ref()),
        ScimAttribute::Department => {
            ("department", raw.enterprise.as_ref().and_then(|enterprise| enterprise.department.as_ref()))
        }
        ScimAttribute::Emails => ("emails", primary()),
        ScimAttribute::AgentType => ("agentType", raw.agent_type.as_ref()),
        ScimAttribute::Owners => return Ok(None),
    };
    match text {
        Some(text) if text.len() > TEXT_BYTES_MAX => Err(ResourceFault::Long(name)),
        text => Ok(text.map(|text| Value::String(text.as_str().into()))),
    }
}

fn owners(
    resource: &Resource,
    resources: &[Resource],
    places: &HashMap<&str, usize>,
) -> Result<Option<Value>, ResourceFault> {
    let Some(owners) = &resource.raw.owners else { return Ok(None) };
    let mut users: Vec<&EntityUid> = Vec::with_capacity(owners.len());
    for owner in owners {
        let place = find(owner, &[ResourceKind::User], resources, places);
        let user = place.and_then(|place| resources.get(place));
        users.push(&user.ok_or_else(|| ResourceFault::reference("owners", ResourceKind::User))?.uid);
    }
    users.sort_unstable();
    users.dedup();
    Ok(Some(Value::Set(users.into_iter().cloned().map(Value::Entity).collect())))
}
