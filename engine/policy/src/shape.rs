//! Types of the schema, and whether a value has one.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy::Context;
use portcullis_model::{EntityType, EntityUid, ErrorCode, Refusal, Value};

use crate::convert::extension;

/// A type as a schema declares it. Common types are shared, not written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Bool,
    Long,
    String,
    Entity(EntityType),
    Set(Arc<Shape>),
    Record(Arc<Fields>),
    Extension(Extension),
}

/// The fields of a record type.
pub(crate) type Fields = BTreeMap<Arc<str>, Field>;

/// One field of a record type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) shape: Shape,
    pub(crate) presence: Presence,
}

/// Whether a field must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Required,
    Optional,
}

/// Cedar's extension types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extension {
    Decimal,
    Ip,
    Datetime,
    Duration,
}

impl Extension {
    /// The extension of a type's name.
    pub(crate) fn of_type(name: &str) -> Option<Self> {
        match name {
            "decimal" => Some(Self::Decimal),
            "ipaddr" => Some(Self::Ip),
            "datetime" => Some(Self::Datetime),
            "duration" => Some(Self::Duration),
            _ => None,
        }
    }

    fn type_name(self) -> &'static str {
        match self {
            Self::Decimal => "decimal",
            Self::Ip => "ipaddr",
            Self::Datetime => "datetime",
            Self::Duration => "duration",
        }
    }

    fn constructor(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            other => other.type_name(),
        }
    }
}

/// Which names an enumerated type may take; the schema knows.
pub(crate) trait Enumerations {
    /// Whether the schema forbids this name: its type is enumerated and its id not among the choices.
    fn excludes(&self, uid: &EntityUid) -> bool;
}

impl Shape {
    /// Refuses a value that does not have this type, naming the field.
    pub(crate) fn check(&self, value: &Value, path: &Path<'_>, names: &dyn Enumerations) -> Result<(), Refusal> {
        match (self, value) {
            (Self::Bool, Value::Bool(_)) | (Self::Long, Value::Long(_)) | (Self::String, Value::String(_)) => Ok(()),
            (Self::Entity(entity_type), Value::Entity(uid)) if uid.entity_type() == entity_type => {
                if names.excludes(uid) {
                    return Err(path.mismatch(format!("is not one of the ids that `{entity_type}` enumerates")));
                }
                Ok(())
            }
            (Self::Set(element), Value::Set(values)) => {
                values.iter().try_for_each(|value| element.check(value, &Path::Element(path), names))
            }
            (Self::Record(fields), Value::Record(values)) => check_fields(fields, values, path, names),
            (Self::Extension(wanted), Value::Extension { function, argument })
                if wanted.constructor() == &**function =>
            {
                check_argument(*wanted, argument, path)
            }
            _ => Err(path.mismatch(format!("is {}, the schema wants {}", kind(value), self.name()))),
        }
    }

    /// The value with each text, where this type wants an extension value, made into one: what Cedar's
    /// own typed JSON does. Changes nothing else, and checks nothing.
    pub(crate) fn coerce(&self, value: Value) -> Value {
        match (self, value) {
            (Self::Extension(wanted), Value::String(argument)) => {
                Value::Extension { function: wanted.constructor().into(), argument }
            }
            (Self::Set(element), Value::Set(values)) => {
                Value::Set(values.into_iter().map(|value| element.coerce(value)).collect())
            }
            (Self::Record(fields), Value::Record(values)) => Value::Record(coerce_fields(fields, values)),
            (_, value) => value,
        }
    }

    /// The type's name for a person.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Bool => "a Bool".to_owned(),
            Self::Long => "a Long".to_owned(),
            Self::String => "a String".to_owned(),
            Self::Entity(entity_type) => format!("the name of a `{entity_type}`"),
            Self::Set(_) => "a set".to_owned(),
            Self::Record(_) => "a record".to_owned(),
            Self::Extension(extension) => format!("a value of type `{}`", extension.type_name()),
        }
    }
}

/// Refuses fields that are undeclared, missing or of another type.
pub(crate) fn check_fields(
    fields: &Fields,
    values: &BTreeMap<Arc<str>, Value>,
    path: &Path<'_>,
    names: &dyn Enumerations,
) -> Result<(), Refusal> {
    for (key, value) in values {
        let here = Path::Field(path, key);
        let field = fields.get(key).ok_or_else(|| here.mismatch("is not declared in the schema"))?;
        field.shape.check(value, &here, names)?;
    }
    let missing = fields.iter().find(|(key, field)| field.presence == Presence::Required && !values.contains_key(*key));
    match missing {
        Some((key, _)) => Err(Path::Field(path, key).mismatch("is missing, the schema requires it")),
        None => Ok(()),
    }
}

/// [`Shape::coerce`] for the fields of a record.
pub(crate) fn coerce_fields(fields: &Fields, values: BTreeMap<Arc<str>, Value>) -> BTreeMap<Arc<str>, Value> {
    let coerced = |key: &Arc<str>, value: Value| match fields.get(key) {
        Some(field) => field.shape.coerce(value),
        None => value,
    };
    values
        .into_iter()
        .map(|(key, value)| {
            let value = coerced(&key, value);
            (key, value)
        })
        .collect()
}

fn check_argument(wanted: Extension, argument: &str, path: &Path<'_>) -> Result<(), Refusal> {
    let value = extension(wanted.constructor(), argument);
    let is_good = value.is_some_and(|value| Context::from_pairs([("value".to_owned(), value)]).is_ok());
    if is_good { Ok(()) } else { Err(path.mismatch(format!("is not a valid `{}`", wanted.type_name()))) }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "a Bool",
        Value::Long(_) => "a Long",
        Value::String(_) => "a String",
        Value::Entity(_) => "the name of another entity",
        Value::Set(_) => "a set",
        Value::Record(_) => "a record",
        _ => "another extension value",
    }
}

/// Where in a value one stands; written out only for a refusal.
pub(crate) enum Path<'a> {
    Root(&'a str),
    Field(&'a Path<'a>, &'a str),
    Element(&'a Path<'a>),
}

impl Path<'_> {
    fn shown(&self) -> String {
        match self {
            Self::Root(name) => (*name).to_owned(),
            // BOUND: a key is the caller's, and may be as long as a request.
            Self::Field(outer, key) => format!("{}.{}", outer.shown(), key.chars().take(80).collect::<String>()),
            Self::Element(outer) => format!("{}[]", outer.shown()),
        }
    }

    /// The refusal of what stands here.
    pub(crate) fn mismatch(&self, problem: impl std::fmt::Display) -> Refusal {
        let field = self.shown();
        let message = format!("`{field}` {problem}");
        Refusal::of_field(ErrorCode::SchemaMismatch, field, message)
    }
}
