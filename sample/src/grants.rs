//! The sample's grants, whose ids follow from their names.

use std::collections::BTreeSet;

use portcullis_model::{EntityUid, GrantId, GrantRecord, ResourceScope};
use serde::Deserialize;

use crate::{GRANTS, SampleError, parse};

/// The grants, each after the grant that it passes on.
///
/// A grant's id is the bytes of its name, filled up with zeros to 16: the same in every run.
///
/// # Errors
/// [`SampleError::Json`] if the data does not parse; [`SampleError::Grant`] for a name that is empty,
/// longer than 16 bytes or used twice, and for a parent that does not come before.
pub fn grants() -> Result<Vec<GrantRecord>, SampleError> {
    records(parse("grants.json", GRANTS)?)
}

/// A grant as `grants.json` writes it: a [`GrantRecord`] with names in the place of ids.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamedGrant {
    name: String,
    grantor: EntityUid,
    subject: EntityUid,
    agent: EntityUid,
    parent: Option<String>,
    #[serde(default)]
    depth_left: u8,
    actions: Vec<EntityUid>,
    resource: ResourceScope,
    condition: Option<String>,
}

pub(crate) fn records(named: Vec<NamedGrant>) -> Result<Vec<GrantRecord>, SampleError> {
    let mut seen = BTreeSet::new();
    named
        .into_iter()
        .map(|grant| {
            let id = id_of(&grant.name)?;
            let parent = grant.parent.as_deref().map(id_of).transpose()?;
            if parent.is_some_and(|parent| !seen.contains(&parent)) || !seen.insert(id) {
                return Err(SampleError::Grant(grant.name));
            }
            Ok(GrantRecord {
                id,
                grantor: grant.grantor,
                subject: grant.subject,
                agent: grant.agent,
                parent,
                depth_left: grant.depth_left,
                actions: grant.actions,
                resource: grant.resource,
                condition: grant.condition,
                not_before: None,
                expires: None,
            })
        })
        .collect()
}

fn id_of(name: &str) -> Result<GrantId, SampleError> {
    let mut bytes = [0; 16];
    match bytes.get_mut(..name.len()) {
        Some(head) if !name.is_empty() => head.copy_from_slice(name.as_bytes()),
        _ => return Err(SampleError::Grant(name.to_owned())),
    }
    Ok(GrantId::from_bytes(bytes))
}
