//! One value: from text or TOML to its type, and back to how the file writes it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use portcullis_identity::{AgentTrust, Fingerprint};
use portcullis_model::{EntityType, EntityUid};
use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::config::key::Kind;
use crate::output::{excerpt, nearest};

/// A value of a key's kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A name, text, entity, entity type or choice.
    Text(String),
    /// A path, resolved against the folder of the file that said it.
    Path(PathBuf),
    /// An address.
    Address(SocketAddr),
    /// A whole number.
    Count(u64),
    /// `true` or `false`.
    Flag(bool),
    /// Texts, choices, entity types or digests.
    Texts(Vec<String>),
    /// Entities.
    Entities(Vec<EntityUid>),
    /// How an issuer names agents.
    AgentTrust(AgentTrust),
}

impl Value {
    /// Reads a value of the file. The error says what would be right, and repeats no secret.
    pub(super) fn from_toml(kind: Kind, toml: &DeValue<'_>, folder: &Path) -> Result<Self, String> {
        match (kind, toml) {
            (Kind::Flag, DeValue::Boolean(flag)) => Ok(Self::Flag(*flag)),
            (Kind::Count(..), DeValue::Integer(number)) if number.radix() == 10 => {
                Self::from_text(kind, number.as_str(), folder)
            }
            (Kind::AgentProof, DeValue::Table(table)) => {
                let mut entries = table.iter();
                match (entries.next(), entries.next()) {
                    (Some((key, value)), None) if key.get_ref() == "client_claim" => match value.get_ref() {
                        DeValue::String(claim) => claim_of(claim),
                        _ => Err(wrong(kind)),
                    },
                    _ => Err(wrong(kind)),
                }
            }
            (
                Kind::Choices(_)
                | Kind::Texts
                | Kind::Entities
                | Kind::EntityTypes
                | Kind::Digests
                | Kind::SecretDigests,
                DeValue::Array(array),
            ) => {
                let texts = array.iter().map(|element| match element.get_ref() {
                    DeValue::String(text) => Ok(text.as_ref()),
                    _ => Err(wrong(kind)),
                });
                Self::list(kind, &texts.collect::<Result<Vec<_>, _>>()?)
            }
            (Kind::Entities, DeValue::String(text)) => Self::list(kind, &[text.as_ref()]),
            (
                Kind::Flag
                | Kind::Count(..)
                | Kind::Choices(_)
                | Kind::Texts
                | Kind::EntityTypes
                | Kind::Digests
                | Kind::SecretDigests,
                _,
            ) => Err(wrong(kind)),
            (_, DeValue::String(text)) => Self::from_text(kind, text, folder),
            _ => Err(wrong(kind)),
        }
    }

    /// Reads a value of the environment, the command line or the table of defaults; lists are
    /// separated by commas.
    pub(super) fn from_text(kind: Kind, text: &str, folder: &Path) -> Result<Self, String> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(format!("is longer than {TEXT_BYTES_MAX} bytes"));
        }
        let told = |what: String| format!("is `{}`: expected {what}", excerpt(text));
        let as_text = |fits: bool| if fits { Ok(Self::Text(text.to_owned())) } else { Err(told(kind.words())) };
        match kind {
            Kind::Name => as_text(is_name(text)),
            Kind::Text => as_text(is_line(text)),
            Kind::Entity => as_text(text.parse::<EntityUid>().is_ok()),
            Kind::EntityType => as_text(text.parse::<EntityType>().is_ok()),
            Kind::Choice(texts) => choice(texts, text).map(|choice| Self::Text(choice.to_owned())),
            Kind::Path if is_line(text) => Ok(Self::Path(folder.join(text))),
            Kind::Path => Err(told(kind.words())),
            Kind::Address => {
                text.parse().map(Self::Address).map_err(|_| told(format!("{}, as `127.0.0.1:7443`", kind.words())))
            }
            Kind::Count(min, max) => {
                let number = text.replace('_', "").parse().ok().filter(|number| (min..=max).contains(number));
                number.map(Self::Count).ok_or_else(|| told(kind.words()))
            }
            Kind::Flag => text.parse().map(Self::Flag).map_err(|_| told(kind.words())),
            Kind::AgentProof => match text {
                "none" => Ok(Self::AgentTrust(AgentTrust::None)),
                "act" => Ok(Self::AgentTrust(AgentTrust::Act)),
                _ => Err(told(kind.words())),
            },
            Kind::Choices(_)
            | Kind::Texts
            | Kind::Entities
            | Kind::EntityTypes
            | Kind::Digests
            | Kind::SecretDigests => {
                let texts: Vec<&str> = text.split(',').map(str::trim).filter(|text| !text.is_empty()).collect();
                Self::list(kind, &texts)
            }
        }
    }

    fn list(kind: Kind, texts: &[&str]) -> Result<Self, String> {
        if texts.len() > LIST_MAX {
            return Err(format!("has more than {LIST_MAX} elements"));
        }
        if let Some(long) = texts.iter().find(|text| text.len() > TEXT_BYTES_MAX) {
            return Err(format!("has an element of {} bytes: at most {TEXT_BYTES_MAX}", long.len()));
        }
        match kind {
            Kind::Choices(choices) => {
                let chosen: Result<Vec<String>, String> =
                    texts.iter().map(|text| choice(choices, text).map(str::to_owned)).collect();
                chosen.and_then(
                    |chosen| if chosen.is_empty() { Err("is empty".to_owned()) } else { Ok(Self::Texts(chosen)) },
                )
            }
            Kind::Entities => {
                let entity = |text: &&str| text.parse().map_err(|error| format!("has `{}`: {error}", excerpt(text)));
                texts.iter().map(entity).collect::<Result<_, _>>().map(Self::Entities)
            }
            Kind::EntityTypes => match texts.iter().find(|text| text.parse::<EntityType>().is_err()) {
                Some(text) => Err(format!("has `{}`: expected {}", excerpt(text), Kind::EntityType.words())),
                None => Ok(Self::Texts(texts.iter().map(|text| (*text).to_owned()).collect())),
            },
            // What is not a digest may be the secret itself: it is not repeated.
            Kind::Digests | Kind::SecretDigests => {
                let digests = texts.iter().map(|text| text.parse().map(|digest: Fingerprint| digest.to_string()));
                let digests = digests.collect::<Result<_, _>>();
                digests.map(Self::Texts).map_err(|_| format!("has what is not one: expected {}", kind.words()))
            }
            _ => match texts.iter().find(|text| !is_line(text)) {
                Some(text) => Err(format!("has `{}`: expected {}", excerpt(text), Kind::Text.words())),
                None => Ok(Self::Texts(texts.iter().map(|text| (*text).to_owned()).collect())),
            },
        }
    }

    /// The value as the file would write it, and as JSON does.
    pub(super) fn json(&self) -> Json {
        match self {
            Self::Text(text) => json!(text),
            Self::Path(path) => json!(path.to_string_lossy()),
            Self::Address(address) => json!(address.to_string()),
            Self::Count(count) => json!(count),
            Self::Flag(flag) => json!(flag),
            Self::Texts(texts) => json!(texts),
            Self::Entities(entities) => json!(entities.iter().map(ToString::to_string).collect::<Vec<_>>()),
            Self::AgentTrust(AgentTrust::None) => json!("none"),
            Self::AgentTrust(AgentTrust::Act) => json!("act"),
            Self::AgentTrust(AgentTrust::ClientClaim(claim)) => json!({ "client_claim": claim }),
        }
    }
}

fn wrong(kind: Kind) -> String {
    format!("has the wrong type: expected {}", kind.words())
}

fn claim_of(claim: &str) -> Result<Value, String> {
    if is_line(claim) && claim.len() <= TEXT_BYTES_MAX {
        Ok(Value::AgentTrust(AgentTrust::ClientClaim(claim.to_owned())))
    } else {
        Err("has a `client_claim` that is not a text".to_owned())
    }
}

fn choice(choices: &'static [&'static str], text: &str) -> Result<&'static str, String> {
    if let Some(choice) = choices.iter().find(|choice| **choice == text) {
        return Ok(choice);
    }
    let near = nearest(text, choices.iter().copied());
    let hint = near.map_or_else(
        || format!("expected {}", Kind::Choice(choices).words()),
        |near| format!("did you mean `{near}`?"),
    );
    Err(format!("is `{}`: {hint}", excerpt(text)))
}

/// Whether a text is one line of something: what the record and the terminal can show.
fn is_line(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}

pub(super) fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

/// Longest text, in bytes: longer than any path or URL in use.
const TEXT_BYTES_MAX: usize = 4_096;
/// Most elements of one list: a platform that asserts a named list of people.
const LIST_MAX: usize = 10_000;
