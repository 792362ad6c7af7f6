//! The JSON Schema of `portcullis.toml`, for editors.

use serde_json::{Map, Value as Json, json};

use crate::config::key::{Default, Key, Kind, Shape};
use crate::config::keys::{KEYS, SECTIONS};
use crate::config::value::Value;

/// The JSON Schema (draft 2020-12) of `portcullis.toml`.
pub fn schema() -> Json {
    let sections: Map<String, Json> = SECTIONS
        .iter()
        .map(|section| {
            let table = table(section.name);
            let shape = match section.shape {
                Shape::Once => described(table, section.meaning),
                Shape::Named(max) => {
                    let names = json!({ "pattern": "^[a-z0-9_-]{1,64}$" });
                    let tables = json!({ "type": "object", "propertyNames": names, "additionalProperties": table, "maxProperties": max });
                    described(tables, section.meaning)
                }
                Shape::Listed(max) => {
                    described(json!({ "type": "array", "items": table, "maxItems": max }), section.meaning)
                }
            };
            (section.name.to_owned(), shape)
        })
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "portcullis.toml",
        "type": "object",
        "properties": sections,
        "additionalProperties": false,
    })
}

fn table(section: &str) -> Json {
    let keys = || KEYS.iter().filter(|key| key.section == section);
    let properties: Map<String, Json> = keys().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<&str> = keys().filter(|key| key.default == Default::Required).map(|key| key.name).collect();
    let mut table = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if let (Some(table), false) = (table.as_object_mut(), required.is_empty()) {
        table.insert("required".to_owned(), json!(required));
    }
    table
}

fn property(key: &Key) -> Json {
    let mut property = described(kind(key.kind), key.meaning);
    let default = match key.default {
        Default::Is(text) => Value::from_text(key.kind, text, std::path::Path::new("")).ok(),
        Default::Nothing | Default::Required => None,
    };
    if let (Some(property), Some(default)) = (property.as_object_mut(), default) {
        property.insert("default".to_owned(), default.json());
    }
    property
}

fn kind(kind: Kind) -> Json {
    let text = json!({ "type": "string", "minLength": 1 });
    match kind {
        Kind::Name => json!({ "type": "string", "pattern": "^[a-z0-9._-]{1,64}$" }),
        Kind::Text | Kind::Path | Kind::Address | Kind::Entity | Kind::EntityType => text,
        Kind::Count(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Choice(texts) => json!({ "enum": texts }),
        Kind::Choices(texts) => json!({ "type": "array", "items": { "enum": texts }, "minItems": 1 }),
        Kind::Texts | Kind::EntityTypes => json!({ "type": "array", "items": text }),
        Kind::Entities => json!({ "oneOf": [text, { "type": "array", "items": text }] }),
        Kind::Digests | Kind::SecretDigests => {
            json!({ "type": "array", "items": { "type": "string", "pattern": "^[0-9a-fA-F]{64}$" } })
        }
        Kind::AgentProof => json!({ "oneOf": [
            { "enum": ["none", "act"] },
            { "type": "object", "properties": { "client_claim": text }, "required": ["client_claim"], "additionalProperties": false },
        ] }),
    }
}

fn described(mut schema: Json, meaning: &str) -> Json {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".to_owned(), json!(meaning));
    }
    schema
}
