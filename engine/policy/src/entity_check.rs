//! Types an entity's record against the schema.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_model::limits::{ATTRIBUTES_MAX, PARENTS_MAX};
use portcullis_model::{EntityRecord, EntityType, EntityUid, ErrorCode, Refusal, Value};

use crate::schema::{Schema, TypeKind};
use crate::shape::{Enumerations, Fields, Path, Presence, Shape};

/// Refuses a record that the schema does not allow, naming the field.
pub(crate) fn check_entity(schema: &Schema, record: &EntityRecord) -> Result<(), Refusal> {
    let entity_type = record.uid.entity_type();
    let facts = schema.facts(entity_type).ok_or_else(|| schema.unknown_type(entity_type, "uid"))?;
    bound(record)?;
    if schema.excludes(&record.uid) {
        return Err(Path::Root("uid").mismatch(format!("is not one of the ids that `{entity_type}` enumerates")));
    }
    match &facts.kind {
        TypeKind::Standard { attributes, tags, ancestors } => {
            check_attributes(schema, record, attributes)?;
            check_tags(schema, &record.tags, tags.as_ref())?;
            let allowed = |parent: &EntityType| ancestors.contains(parent);
            record.parents.iter().try_for_each(|parent| check_parent(schema, entity_type, parent, &allowed))
        }
        TypeKind::Enumerated(_) => {
            check_attributes(schema, record, &Fields::new())?;
            check_tags(schema, &record.tags, None)?;
            record.parents.iter().try_for_each(|parent| check_parent(schema, entity_type, parent, &|_| false))
        }
    }
}

fn bound(record: &EntityRecord) -> Result<(), Refusal> {
    let limits = [
        ("attributes", record.attributes.len(), ATTRIBUTES_MAX),
        ("tags", record.tags.len(), ATTRIBUTES_MAX),
        ("parents", record.parents.len(), PARENTS_MAX),
    ];
    match limits.into_iter().find(|(_, count, limit)| count > limit) {
        Some((field, count, limit)) => {
            let message = format!("an entity has at most {limit} {field}, this one has {count}");
            Err(Refusal::of_field(ErrorCode::TooLarge, field, message))
        }
        None => Ok(()),
    }
}

fn check_attributes(schema: &Schema, record: &EntityRecord, fields: &Fields) -> Result<(), Refusal> {
    let root = Path::Root("attributes");
    for (name, attribute) in &record.attributes {
        let path = Path::Field(&root, name);
        let field = fields.get(name).ok_or_else(|| path.mismatch("is not declared in the schema"))?;
        field.shape.check(&attribute.value, &path, schema)?;
    }
    let missing = fields
        .iter()
        .find(|(name, field)| field.presence == Presence::Required && !record.attributes.contains_key(*name));
    match missing {
        Some((name, _)) => Err(Path::Field(&root, name).mismatch("is missing, the schema requires it")),
        None => Ok(()),
    }
}

fn check_tags(schema: &Schema, tags: &BTreeMap<Arc<str>, Value>, shape: Option<&Shape>) -> Result<(), Refusal> {
    let root = Path::Root("tags");
    tags.iter().try_for_each(|(key, value)| {
        let path = Path::Field(&root, key);
        match shape {
            Some(shape) => shape.check(value, &path, schema),
            None => Err(path.mismatch("is not allowed: the type has no tags")),
        }
    })
}

fn check_parent(
    schema: &Schema,
    entity_type: &EntityType,
    parent: &EntityUid,
    is_allowed: &dyn Fn(&EntityType) -> bool,
) -> Result<(), Refusal> {
    let parent_type = parent.entity_type();
    if schema.facts(parent_type).is_none() {
        return Err(schema.unknown_type(parent_type, "parents"));
    }
    if !is_allowed(parent_type) {
        return Err(Path::Root("parents").mismatch(format!("a `{entity_type}` cannot be in a `{parent_type}`")));
    }
    if schema.excludes(parent) {
        return Err(
            Path::Root("parents").mismatch(format!("a parent is not one of the ids that `{parent_type}` enumerates"))
        );
    }
    Ok(())
}
