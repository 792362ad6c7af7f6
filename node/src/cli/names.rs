//! Reads the names that people type.

use portcullis_audit::EntryKind;
use portcullis_model::{EntityUid, ErrorCode, Reason, ResourceScope, UidError, Verdict};
use serde::Serialize;

use crate::output::{excerpt, nearest};

/// A user: the bare id, or a full name, which may be a group's.
pub(crate) fn user(text: &str) -> Result<EntityUid, UidError> {
    of_type("User", text)
}

/// An agent: the bare id, or a full name.
pub(crate) fn agent(text: &str) -> Result<EntityUid, UidError> {
    of_type("Agent", text)
}

/// An action: the bare id, or a full name.
pub(crate) fn action(text: &str) -> Result<EntityUid, UidError> {
    of_type("Action", text)
}

/// Any entity: `Type::id` or Cedar's `Type::"id"`.
pub(crate) fn entity(text: &str) -> Result<EntityUid, UidError> {
    text.parse()
}

/// What a grant reaches.
pub(crate) fn scope(text: &str) -> Result<ResourceScope, UidError> {
    // A type name is an identifier, so that neither prefix is the start of an entity's name.
    match text.split_once(':') {
        None if text == "any" => Ok(ResourceScope::Any),
        Some(("in", name)) if !name.starts_with(':') => entity(name).map(ResourceScope::In),
        Some(("type", name)) if !name.starts_with(':') => name.parse().map(ResourceScope::OfType),
        _ => entity(text).map(ResourceScope::One),
    }
}

/// A tool's input.
pub(crate) fn input(text: &str) -> Result<serde_json::Value, String> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    if value.is_object() { Ok(value) } else { Err("a tool's input is a JSON object, for example `{}`".to_owned()) }
}

/// A verdict.
pub(crate) fn verdict(text: &str) -> Result<Verdict, String> {
    choice("verdict", text, &[Verdict::Allow, Verdict::Deny, Verdict::Suspend])
}

/// The code of a reason or of an error, as it is written.
pub(crate) fn reason(text: &str) -> Result<String, String> {
    let codes: Vec<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    let errors: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.code()).collect();
    choice("reason", text, &[codes, errors].concat()).map(str::to_owned)
}

/// A kind of audit record.
pub(crate) fn kind(text: &str) -> Result<EntryKind, String> {
    choice("kind", text, EntryKind::ALL)
}

fn choice<T: Serialize + Copy>(what: &str, text: &str, all: &[T]) -> Result<T, String> {
    let named: Vec<(String, T)> = all.iter().map(|value| (word(value), *value)).collect();
    if let Some((_, value)) = named.iter().find(|(name, _)| name == text) {
        return Ok(*value);
    }
    let names = || named.iter().map(|(name, _)| name.as_str());
    let hint = nearest(text, names()).map(|near| format!("did you mean `{near}`?"));
    let hint = hint.unwrap_or_else(|| format!("one of {}", names().collect::<Vec<_>>().join(", ")));
    Err(format!("no {what} `{}`: {hint}", excerpt(text)))
}

/// The word that JSON has for a value.
pub(crate) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

fn of_type(entity_type: &str, text: &str) -> Result<EntityUid, UidError> {
    if text.contains("::") { text.parse() } else { EntityUid::of(entity_type, text) }
}
