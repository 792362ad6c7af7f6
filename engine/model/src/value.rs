//! Values that attributes, tags and contexts hold: Cedar's, in Cedar's JSON form.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value as Json, json};

use crate::limits::{VALUE_DEPTH_MAX, VALUE_ELEMENTS_MAX};
use crate::uid::EntityUid;

/// Why a JSON text is not a Cedar value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// Cedar has no null.
    #[error("`null` is not a value: leave the attribute out")]
    Null,
    /// Cedar's only numbers are 64-bit signed integers.
    #[error("`{0}` is not a 64-bit integer: write fractions as decimal extension values")]
    Number(String),
    /// An `__entity` or `__extn` escape is malformed.
    #[error("malformed `{0}` escape")]
    Escape(&'static str),
    /// The value nests deeper than [`VALUE_DEPTH_MAX`].
    #[error("a value nests at most {VALUE_DEPTH_MAX} deep")]
    Deep,
    /// The value has more elements than [`VALUE_ELEMENTS_MAX`].
    #[error("a value has at most {VALUE_ELEMENTS_MAX} elements")]
    Large,
}

/// One Cedar value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A 64-bit signed integer.
    Long(i64),
    /// A text.
    String(Arc<str>),
    /// The name of an entity.
    Entity(EntityUid),
    /// A set; order and duplicates have no meaning.
    Set(Vec<Value>),
    /// A record.
    Record(BTreeMap<Arc<str>, Value>),
    /// An extension value as constructor and argument, for example `decimal` and `1.5`.
    Extension {
        /// The constructor: `decimal`, `ip`, `datetime` or `duration`.
        function: Arc<str>,
        /// Its argument.
        argument: Arc<str>,
    },
}

impl Value {
    /// The value of a JSON document in Cedar's entity format: `{"__entity": {"type", "id"}}` and
    /// `{"__extn": {"fn", "arg"}}` are escapes, everything else stands for itself.
    ///
    /// # Errors
    /// [`ValueError`] for what Cedar cannot hold or what exceeds the limits.
    pub fn from_json(json: &Json) -> Result<Self, ValueError> {
        let mut elements = 0;
        parse(json, 0, &mut elements)
    }

    /// The JSON document of this value in Cedar's entity format.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Bool(value) => json!(value),
            Self::Long(value) => json!(value),
            Self::String(value) => json!(&**value),
            Self::Entity(uid) => json!({"__entity": {"type": uid.entity_type().as_str(), "id": uid.id()}}),
            Self::Set(values) => Json::Array(values.iter().map(Self::to_json).collect()),
            Self::Record(fields) => {
                Json::Object(fields.iter().map(|(key, value)| (key.to_string(), value.to_json())).collect())
            }
            Self::Extension { function, argument } => json!({"__extn": {"fn": &**function, "arg": &**argument}}),
        }
    }

    /// The names of all entities that the value mentions, nested ones included.
    pub fn entities(&self) -> Vec<&EntityUid> {
        match self {
            Self::Entity(uid) => vec![uid],
            Self::Set(values) => values.iter().flat_map(Self::entities).collect(),
            Self::Record(fields) => fields.values().flat_map(Self::entities).collect(),
            Self::Bool(_) | Self::Long(_) | Self::String(_) | Self::Extension { .. } => Vec::new(),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        Self::from_json(&json).map_err(serde::de::Error::custom)
    }
}

fn parse(json: &Json, depth: usize, elements: &mut usize) -> Result<Value, ValueError> {
    *elements += 1;
    if depth > VALUE_DEPTH_MAX {
        return Err(ValueError::Deep);
    }
    if *elements > VALUE_ELEMENTS_MAX {
        return Err(ValueError::Large);
    }
    match json {
        Json::Null => Err(ValueError::Null),
        Json::Bool(value) => Ok(Value::Bool(*value)),
        Json::Number(number) => number.as_i64().map(Value::Long).ok_or_else(|| ValueError::Number(number.to_string())),
        Json::String(text) => Ok(Value::String(text.as_str().into())),
        Json::Array(items) => {
            items.iter().map(|item| parse(item, depth + 1, elements)).collect::<Result<_, _>>().map(Value::Set)
        }
        Json::Object(fields) => parse_object(fields, depth, elements),
    }
}

fn parse_object(fields: &Map<String, Json>, depth: usize, elements: &mut usize) -> Result<Value, ValueError> {
    if let Some(escape) = fields.get("__entity") {
        let (entity_type, id) = escape_pair(fields, escape, "type", "id").ok_or(ValueError::Escape("__entity"))?;
        return EntityUid::of(entity_type, id).map(Value::Entity).map_err(|_| ValueError::Escape("__entity"));
    }
    if let Some(escape) = fields.get("__extn") {
        let (function, argument) = escape_pair(fields, escape, "fn", "arg").ok_or(ValueError::Escape("__extn"))?;
        return Ok(Value::Extension { function: function.into(), argument: argument.into() });
    }
    fields
        .iter()
        .map(|(key, value)| Ok((key.as_str().into(), parse(value, depth + 1, elements)?)))
        .collect::<Result<_, _>>()
        .map(Value::Record)
}

fn escape_pair<'a>(
    outer: &Map<String, Json>,
    escape: &'a Json,
    first: &str,
    second: &str,
) -> Option<(&'a str, &'a str)> {
    let inner = escape.as_object().filter(|inner| inner.len() == 2 && outer.len() == 1)?;
    Some((inner.get(first)?.as_str()?, inner.get(second)?.as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Json, ValueError> {
        let json = serde_json::from_str(text).expect("test JSON");
        Value::from_json(&json).map(|value| value.to_json())
    }

    #[test]
    fn cedar_values_round_trip() {
        for text in [
            "true",
            "-9223372036854775808",
            r#""text""#,
            r#"[1,"a",{"k":[]}]"#,
            r#"{"__entity":{"type":"User","id":"ada"}}"#,
            r#"{"__extn":{"fn":"decimal","arg":"1.5"}}"#,
        ] {
            assert_eq!(check(text), Ok(serde_json::from_str(text).expect("test JSON")));
        }
    }

    #[test]
    fn what_cedar_cannot_hold_is_refused() {
        let deep = format!("{}{}", "[".repeat(VALUE_DEPTH_MAX + 2), "]".repeat(VALUE_DEPTH_MAX + 2));
        let large = format!("[{}1]", "1,".repeat(VALUE_ELEMENTS_MAX));
        for (text, error) in [
            ("null", ValueError::Null),
            ("1.5", ValueError::Number("1.5".into())),
            ("9223372036854775808", ValueError::Number("9223372036854775808".into())),
            (r#"{"__entity":{"type":"User"}}"#, ValueError::Escape("__entity")),
            (r#"{"__entity":{"type":"User","id":"a"},"x":1}"#, ValueError::Escape("__entity")),
            (r#"{"__extn":"ip"}"#, ValueError::Escape("__extn")),
            (deep.as_str(), ValueError::Deep),
            (large.as_str(), ValueError::Large),
        ] {
            assert_eq!(check(text), Err(error), "{text:.60}");
        }
    }
}
