//! A tool's input: JSON from outside, made into a value.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use portcullis_model::limits::INPUT_BYTES_MAX;
use portcullis_model::{ErrorCode, Refusal, Value};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value as Json};

/// Refuses an input that is longer than [`INPUT_BYTES_MAX`].
pub(crate) fn bound(input: &str) -> Result<(), Refusal> {
    if input.len() > INPUT_BYTES_MAX {
        let message = format!("the input has {} bytes, the limit is {INPUT_BYTES_MAX}", input.len());
        return Err(Refusal::of_field(ErrorCode::TooLarge, "input", message));
    }
    Ok(())
}

/// The fields of an input, which is one JSON object without a key twice in any object.
///
/// # Errors
/// `bad_request` if it is not that, `schema_mismatch` if Cedar cannot hold a value in it.
pub(crate) fn parse(input: &str) -> Result<BTreeMap<Arc<str>, Value>, Refusal> {
    bound(input)?;
    let malformed = |message: String| Refusal::of_field(ErrorCode::BadRequest, "input", message);
    let json: Unique = serde_json::from_str(input).map_err(|error| {
        let place = format!("line {} column {}", error.line(), error.column());
        let what = if error.is_data() { "a key twice in one object" } else { "text that is not JSON" };
        malformed(format!("the input has {what} at {place}"))
    })?;
    if !json.0.is_object() {
        return Err(malformed("the input is not a JSON object".to_owned()));
    }
    let mismatch = |message: String| {
        Refusal::of_field(ErrorCode::SchemaMismatch, "context.input", format!("the input: {message}"))
    };
    match Value::from_json(&json.0).map_err(|error| mismatch(error.to_string()))? {
        Value::Record(fields) => Ok(fields),
        _ => Err(mismatch("an escape stands for the whole of it".to_owned())),
    }
}

/// JSON in which no object has a key twice: two readers of such an input could see different values.
struct Unique(Json);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut array = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut object = Map::new();
        while let Some((key, Unique(value))) = entries.next_entry::<String, Unique>()? {
            if object.insert(key, value).is_some() {
                return Err(A::Error::custom("a key twice"));
            }
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn an_object_of_cedar_values_is_read() {
        let fields = parse(r#"{"size": 3, "to": ["a", {"x": true}]}"#).unwrap();
        assert_eq!(fields.get("size"), Some(&Value::Long(3)));
        assert_eq!(fields.len(), 2);
    }

    #[test]
    fn anything_else_is_refused() {
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(INPUT_BYTES_MAX));
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(1_000), "]".repeat(1_000));
        for (text, code) in [
            ("", ErrorCode::BadRequest),
            ("[]", ErrorCode::BadRequest),
            ("{\"a\":1}{", ErrorCode::BadRequest),
            (r#"{"a":1,"a":2}"#, ErrorCode::BadRequest),
            (r#"{"o":{"a":1,"\u0061":2}}"#, ErrorCode::BadRequest),
            (deep.as_str(), ErrorCode::BadRequest),
            (r#"{"a":1.5}"#, ErrorCode::SchemaMismatch),
            (r#"{"a":null}"#, ErrorCode::SchemaMismatch),
            (r#"{"a":18446744073709551615}"#, ErrorCode::SchemaMismatch),
            (r#"{"__entity":{"type":"User","id":"root"}}"#, ErrorCode::SchemaMismatch),
            (large.as_str(), ErrorCode::TooLarge),
        ] {
            assert_eq!(parse(text).map_err(|refusal| refusal.code), Err(code), "{text:.60}");
        }
    }
}
