//! Reads a file of grants, which may have names in the place of ids.

use portcullis_model::{EntityUid, GrantId, GrantRecord, ResourceScope, Timestamp};
use serde::Deserialize;

/// A grant as a file has it: with a `name` of at most 16 bytes, or an `id`; `parent` is one or the other.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantInFile {
    name: Option<String>,
    id: Option<GrantId>,
    grantor: EntityUid,
    subject: EntityUid,
    agent: EntityUid,
    parent: Option<String>,
    #[serde(default)]
    depth_left: u8,
    actions: Vec<EntityUid>,
    resource: ResourceScope,
    condition: Option<String>,
    not_before: Option<Timestamp>,
    expires: Option<Timestamp>,
}

/// The grants, in the order of the file.
pub(super) fn records(grants: Vec<GrantInFile>) -> Result<Vec<GrantRecord>, String> {
    grants.into_iter().map(record).collect()
}

fn record(grant: GrantInFile) -> Result<GrantRecord, String> {
    let id = match (&grant.name, grant.id) {
        (Some(name), None) => id_of(name)?,
        (None, Some(id)) => id,
        _ => return Err("a grant has either a `name` or an `id`".to_owned()),
    };
    let parent = grant.parent.as_deref().map(|parent| parent.parse().or_else(|_| id_of(parent))).transpose()?;
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
        not_before: grant.not_before,
        expires: grant.expires,
    })
}

/// The bytes of a name, filled up with zeros.
fn id_of(name: &str) -> Result<GrantId, String> {
    let mut bytes = [0; 16];
    match bytes.get_mut(..name.len()) {
        Some(head) if !name.is_empty() => head.copy_from_slice(name.as_bytes()),
        _ => return Err(format!("grant name `{}` has not 1 to 16 bytes", crate::output::excerpt(name))),
    }
    Ok(GrantId::from_bytes(bytes))
}
