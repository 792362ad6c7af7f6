//! Names of entities, as Cedar and the command line write them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::{ID_BYTES_MAX, TYPE_BYTES_MAX};

/// Why a text does not name an entity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UidError {
    /// There is no `::` between type and id.
    #[error("`{0}` does not name an entity: write `Type::id` or `Type::\"id\"`")]
    Shape(String),
    /// The part before the last `::` is not a Cedar type name.
    #[error("`{0}` is not an entity type: write identifiers joined by `::`")]
    Type(String),
    /// A bare id has characters that need quotes.
    #[error("`{0}` needs quotes: bare ids have letters, digits and `._/-` only")]
    BareId(String),
    /// The quoted id is not a Cedar string.
    #[error(
        "the quoted id of `{0}` is not a string: escapes are `\\\"`, `\\\\`, `\\n`, `\\r`, `\\t`, `\\0`, `\\'` and `\\u{{…}}`"
    )]
    QuotedId(String),
    /// Type or id is longer than its limit.
    #[error("an entity {part} has at most {limit} bytes")]
    Long {
        /// `type` or `id`.
        part: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
    /// The id is empty.
    #[error("an entity id is not empty")]
    Empty,
}

/// An entity type: Cedar identifiers joined by `::`, for example `User` or `Slack::Channel`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityType(Arc<str>);

impl EntityType {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EntityType {
    type Err = UidError;

    fn from_str(text: &str) -> Result<Self, UidError> {
        if text.len() > TYPE_BYTES_MAX {
            return Err(UidError::Long { part: "type", limit: TYPE_BYTES_MAX });
        }
        let identifier = |part: &str| {
            part.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if text.split("::").all(identifier) { Ok(Self(text.into())) } else { Err(UidError::Type(excerpt(text))) }
    }
}

impl fmt::Display for EntityType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for EntityType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for EntityType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::ids::deserialize(deserializer)
    }
}

/// The name of an entity: its type and its id. Ids compare byte for byte.
///
/// ```
/// use portcullis_model::EntityUid;
/// let bare: EntityUid = "Channel::general".parse()?;
/// let quoted: EntityUid = r#"Channel::"general""#.parse()?;
/// assert_eq!(bare, quoted);
/// assert!("Channel::two words".parse::<EntityUid>().is_err());
/// # Ok::<(), portcullis_model::UidError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityUid {
    entity_type: EntityType,
    id: Arc<str>,
}

impl EntityUid {
    /// A uid from its parts.
    ///
    /// # Errors
    /// [`UidError::Long`] or [`UidError::Empty`] for an id outside its limits.
    pub fn new(entity_type: EntityType, id: &str) -> Result<Self, UidError> {
        if id.len() > ID_BYTES_MAX {
            return Err(UidError::Long { part: "id", limit: ID_BYTES_MAX });
        }
        if id.is_empty() {
            return Err(UidError::Empty);
        }
        Ok(Self { entity_type, id: id.into() })
    }

    /// A uid from a type name and an id.
    ///
    /// # Errors
    /// As [`EntityType::from_str`] and [`EntityUid::new`].
    pub fn of(entity_type: &str, id: &str) -> Result<Self, UidError> {
        Self::new(entity_type.parse()?, id)
    }

    /// The type.
    pub fn entity_type(&self) -> &EntityType {
        &self.entity_type
    }

    /// The id, without quotes or escapes.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The form a person types: bare where the id allows it, quoted where not.
    pub fn shown(&self) -> String {
        if self.id.bytes().all(is_bare) { format!("{}::{}", self.entity_type, self.id) } else { self.to_string() }
    }
}

/// Cedar's form: `Type::"id"` with escapes.
impl fmt::Display for EntityUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::\"{}\"", self.entity_type, self.id.escape_debug())
    }
}

impl FromStr for EntityUid {
    type Err = UidError;

    fn from_str(text: &str) -> Result<Self, UidError> {
        if text.len() > TYPE_BYTES_MAX + 8 * ID_BYTES_MAX {
            return Err(UidError::Long { part: "id", limit: ID_BYTES_MAX });
        }
        if let Some((entity_type, quoted)) = text.split_once("::\"") {
            let body = quoted.strip_suffix('"').ok_or_else(|| UidError::QuotedId(excerpt(text)))?;
            let id = unescape(body).ok_or_else(|| UidError::QuotedId(excerpt(text)))?;
            return Self::of(entity_type, &id);
        }
        let (entity_type, id) = text.rsplit_once("::").ok_or_else(|| UidError::Shape(excerpt(text)))?;
        if !id.bytes().all(is_bare) {
            return Err(UidError::BareId(excerpt(id)));
        }
        Self::of(entity_type, id)
    }
}

/// The form that a person types: events name entities by the hundred thousand, and the bare form needs
/// no escapes in JSON.
impl Serialize for EntityUid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.id.bytes().all(is_bare) {
            return serializer.collect_str(self);
        }
        let mut text = String::with_capacity(self.entity_type.0.len() + 2 + self.id.len());
        text.push_str(&self.entity_type.0);
        text.push_str("::");
        text.push_str(&self.id);
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for EntityUid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::ids::deserialize(deserializer)
    }
}

fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'/' | b'-')
}

fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

/// The text that a Cedar string body stands for; `None` for a bad escape or a bare quote.
fn unescape(body: &str) -> Option<String> {
    let mut plain = String::with_capacity(body.len());
    let mut rest = body.chars();
    while let Some(character) = rest.next() {
        match character {
            '"' => return None,
            '\\' => plain.push(escape(&mut rest)?),
            other => plain.push(other),
        }
    }
    Some(plain)
}

fn escape(rest: &mut std::str::Chars<'_>) -> Option<char> {
    match rest.next()? {
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        '0' => Some('\0'),
        same @ ('\\' | '"' | '\'') => Some(same),
        'u' => {
            let (digits, after) = rest.as_str().strip_prefix('{')?.split_once('}')?;
            *rest = after.chars();
            if digits.is_empty() || digits.len() > 6 || digits.starts_with('+') {
                return None;
            }
            char::from_u32(u32::from_str_radix(digits, 16).ok()?)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_name_the_same_entity() {
        let uid: EntityUid = "Slack::Channel::general".parse().expect("bare");
        assert_eq!((uid.entity_type().as_str(), uid.id()), ("Slack::Channel", "general"));
        assert_eq!(uid.to_string().parse(), Ok(uid.clone()));
        assert_eq!(uid.shown(), "Slack::Channel::general");
    }

    #[test]
    fn quoted_ids_keep_every_character() {
        for id in ["a b", "q\"uote", "back\\slash", "new\nline", "nul\0", "\u{1F600}", "::\"", "e\u{301}"] {
            let uid = EntityUid::of("T", id).expect("valid");
            assert_eq!(uid.to_string().parse::<EntityUid>().map(|uid| uid.id().to_owned()), Ok(id.to_owned()));
        }
    }

    #[test]
    fn malformed_names_are_refused() {
        for text in [
            "",
            "User",
            "::x",
            "User::",
            "1User::x",
            "User::a b",
            "User::\"a",
            "User::\"a\"b\"",
            "User::\"\\x\"",
            "User::\"\\u{110000}\"",
            "User::\"\\u{}\"",
            "User::\"\"",
            "Us er::x",
            "User::\"a\\",
        ] {
            assert!(text.parse::<EntityUid>().is_err(), "{text}");
        }
        assert!(EntityUid::of("User", &"x".repeat(ID_BYTES_MAX + 1)).is_err());
        assert!(EntityUid::of("User", &"x".repeat(ID_BYTES_MAX)).is_ok());
    }
}
