//! Names and values to and from cedar-policy's types.

use std::str::FromStr;

use cedar_policy::{EntityId, EntityTypeName, RestrictedExpression};
use portcullis_model::{EntityType, EntityUid, UidError, Value};

use crate::schema::Schema;

/// A name out of cedar-policy's syntax tree.
///
/// # Errors
/// [`UidError`] for a name that no entity can have here, for example one with an empty id.
pub(crate) fn uid_of_tree(uid: &cedar_policy::pst::EntityUID) -> Result<EntityUid, UidError> {
    EntityUid::of(&uid.ty.to_string(), uid.eid.as_str())
}

/// A name out of cedar-policy's own type.
///
/// # Errors
/// As [`uid_of_tree`].
pub(crate) fn uid_of_cedar(uid: &cedar_policy::EntityUid) -> Result<EntityUid, UidError> {
    EntityUid::of(&uid.type_name().to_string(), uid.id().unescaped())
}

/// A name as cedar-policy's type; `None` for one whose type Cedar reserves.
pub(crate) fn cedar_uid(schema: &Schema, uid: &EntityUid) -> Option<cedar_policy::EntityUid> {
    let name = cedar_type(schema, uid.entity_type())?;
    Some(cedar_policy::EntityUid::from_type_name_and_id(name, EntityId::new(uid.id())))
}

fn cedar_type(schema: &Schema, entity_type: &EntityType) -> Option<EntityTypeName> {
    match schema.cedar_type(entity_type) {
        Some(name) => Some(name.clone()),
        None => EntityTypeName::from_str(entity_type.as_str()).ok(),
    }
}

/// A value as the expression of a constant; `None` for one that Cedar cannot hold.
pub(crate) fn expression(schema: &Schema, value: &Value) -> Option<RestrictedExpression> {
    Some(match value {
        Value::Bool(value) => RestrictedExpression::new_bool(*value),
        Value::Long(value) => RestrictedExpression::new_long(*value),
        Value::String(value) => RestrictedExpression::new_string(value.to_string()),
        Value::Entity(uid) => RestrictedExpression::new_entity_uid(cedar_uid(schema, uid)?),
        Value::Set(values) => {
            let values: Option<Vec<_>> = values.iter().map(|value| expression(schema, value)).collect();
            RestrictedExpression::new_set(values?)
        }
        Value::Record(fields) => {
            let fields: Option<Vec<_>> =
                fields.iter().map(|(key, value)| Some((key.to_string(), expression(schema, value)?))).collect();
            RestrictedExpression::new_record(fields?).ok()?
        }
        Value::Extension { function, argument } => extension(function, argument)?,
        _ => return None,
    })
}

/// The expression of an extension value; whether its argument is good shows when it is evaluated.
pub(crate) fn extension(function: &str, argument: &str) -> Option<RestrictedExpression> {
    match function {
        "decimal" => Some(RestrictedExpression::new_decimal(argument)),
        "ip" => Some(RestrictedExpression::new_ip(argument)),
        "datetime" => Some(RestrictedExpression::new_datetime(argument)),
        "duration" => Some(RestrictedExpression::new_duration(argument)),
        _ => None,
    }
}
