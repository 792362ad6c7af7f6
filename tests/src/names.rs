//! Short ways to write names.

use portcullis_model::{EntityUid, SourceName};

/// The entity of a name, for example `User::ada`.
pub fn uid(text: &str) -> EntityUid {
    text.parse().unwrap_or_else(|cause| panic!("{cause}"))
}

/// The entity of a type and an id of any characters.
pub fn named(entity_type: &str, id: &str) -> EntityUid {
    EntityUid::of(entity_type, id).unwrap_or_else(|cause| panic!("{cause}"))
}

/// The action of an id.
pub fn action(id: &str) -> EntityUid {
    named("Action", id)
}

/// The identity source of the sample's directory.
pub fn file_source() -> SourceName {
    "file".parse().unwrap_or_else(|cause| panic!("{cause}"))
}
