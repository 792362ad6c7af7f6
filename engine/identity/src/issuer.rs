//! An issuer of tokens as it is configured: whose tokens are believed, for whom, and what they prove.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use portcullis_model::EntityType;
use serde::Deserialize;

use crate::algorithm::Algorithm;
use crate::fetch;
use crate::mistake::{ConfigMistake, NAME_RULE, is_name};

/// One issuer whose tokens prove subjects, and agents where it is trusted for them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    /// What logs and metrics call it; unique.
    pub name: String,
    /// The `iss` of its tokens, compared byte for byte; unique.
    pub issuer: String,
    /// The `aud` that its tokens must have: this node and nothing else.
    pub audience: String,
    /// The algorithms it may sign with. No default: a token never chooses.
    pub algorithms: Vec<Algorithm>,
    /// Where its public keys are.
    pub keys: KeySource,
    /// The entity type of the people (or services) that its tokens speak for. Default `User`.
    #[serde(default = "user_type")]
    pub subject_type: EntityType,
    /// The claim that holds the subject's immutable id. Default `sub`; never a mail address or a name.
    #[serde(default = "subject_claim")]
    pub subject_claim: String,
    /// How far it is trusted to say which agent acts. Default: not at all.
    #[serde(default)]
    pub agents: AgentTrust,
    /// The entity type of the agents it names. Default `Agent`.
    #[serde(default = "agent_type")]
    pub agent_type: EntityType,
    /// The `typ` header values that are accepted, whatever their case; `absent` stands for no `typ` at all. Default
    /// `at+jwt`, `JWT`, `absent`.
    #[serde(default = "token_types")]
    pub token_types: Vec<String>,
    /// By how many seconds its clock may differ from ours. Default 5, at most 60.
    #[serde(default = "leeway_seconds")]
    pub leeway_seconds: u32,
}

/// Where the public keys of an issuer are: a JWKS document (RFC 7517).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeySource {
    /// A file, read again when it changes.
    File(PathBuf),
    /// An `https` address, or `http` on a loopback address.
    Url(String),
}

/// How far an issuer is trusted to say which agents act for the subject.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentTrust {
    /// Not at all: a token that names an actor is refused, since leaving the actor out would widen it.
    #[default]
    None,
    /// The `act` claim, nested for a chain (RFC 8693, section 4.1).
    Act,
    /// The claim of this name holds the client that the token was issued to: `client_id`, `azp`, `cid`.
    ClientClaim(String),
}

impl IssuerConfig {
    pub(crate) fn leeway(&self) -> Duration {
        Duration::from_secs(u64::from(self.leeway_seconds))
    }

    /// Whether a token with this `typ` is accepted. `application/` before it has no meaning (RFC 7515, section 4.1.9).
    pub(crate) fn accepts_type(&self, typ: Option<&str>) -> bool {
        let typ = match typ.map(|typ| typ.strip_prefix("application/").unwrap_or(typ)) {
            // A header that spells the word for "no header" is not the same as having none.
            Some(word) if word.eq_ignore_ascii_case(TYPE_ABSENT) => return false,
            Some(typ) => typ,
            None => TYPE_ABSENT,
        };
        self.token_types.iter().any(|accepted| accepted.eq_ignore_ascii_case(typ))
    }

    /// Adds everything that is wrong with this entry.
    fn check(&self, mistakes: &mut Vec<ConfigMistake>) {
        let key = |field: &str| format!("issuer.{}.{field}", self.name);
        if !is_name(&self.name) {
            mistakes.push(ConfigMistake::shape(key("name"), NAME_RULE));
        }
        for (field, value) in
            [("issuer", &self.issuer), ("audience", &self.audience), ("subject_claim", &self.subject_claim)]
        {
            check_text(key(field), value, mistakes);
        }
        if self.algorithms.is_empty() {
            mistakes.push(ConfigMistake::Empty { key: key("algorithms") });
        }
        if MUTABLE_CLAIMS.contains(&self.subject_claim.as_str()) {
            let rule = "a subject is known by an immutable id, never by a mail address or a name";
            mistakes.push(ConfigMistake::shape(key("subject_claim"), rule));
        }
        self.check_keys(&key, mistakes);
        self.check_agents(&key, mistakes);
        self.check_types(&key, mistakes);
        if self.leeway_seconds > LEEWAY_SECONDS_MAX {
            mistakes.push(ConfigMistake::shape(key("leeway_seconds"), "a clock differs by at most 60 seconds"));
        }
    }

    fn check_keys(&self, key: &impl Fn(&str) -> String, mistakes: &mut Vec<ConfigMistake>) {
        match &self.keys {
            KeySource::File(path) if path.as_os_str().is_empty() => {
                mistakes.push(ConfigMistake::Empty { key: key("keys.file") });
            }
            KeySource::Url(url) if !fetch::is_allowed(url) => mistakes.push(ConfigMistake::shape(
                key("keys.url"),
                "write an `https` address without credentials, or `http` on a loopback address",
            )),
            KeySource::File(_) | KeySource::Url(_) => {}
        }
    }

    fn check_agents(&self, key: &impl Fn(&str) -> String, mistakes: &mut Vec<ConfigMistake>) {
        match &self.agents {
            AgentTrust::ClientClaim(name) => {
                check_text(key("agents.client_claim"), name, mistakes);
                if name == &self.subject_claim || RESERVED_CLAIMS.contains(&name.as_str()) {
                    let rule = "name the claim that holds the client, for example `client_id`";
                    mistakes.push(ConfigMistake::shape(key("agents.client_claim"), rule));
                }
            }
            AgentTrust::None if self.subject_type == self.agent_type => {
                let rule = "an issuer whose subjects are agents has `agents` set to `act` or a client claim";
                mistakes.push(ConfigMistake::shape(key("subject_type"), rule));
            }
            AgentTrust::None | AgentTrust::Act => {}
        }
    }

    fn check_types(&self, key: &impl Fn(&str) -> String, mistakes: &mut Vec<ConfigMistake>) {
        if self.token_types.is_empty() {
            mistakes.push(ConfigMistake::Empty { key: key("token_types") });
        }
        if self.token_types.len() > TOKEN_TYPES_MAX {
            mistakes.push(ConfigMistake::Limit { key: key("token_types"), limit: TOKEN_TYPES_MAX });
        }
        for token_type in &self.token_types {
            check_text(key("token_types"), token_type, mistakes);
        }
    }
}

/// Everything that is wrong with the issuers, each alone and together.
pub(crate) fn mistakes_of(issuers: &[IssuerConfig]) -> Vec<ConfigMistake> {
    let mut mistakes = Vec::new();
    if issuers.len() > ISSUERS_MAX {
        mistakes.push(ConfigMistake::Limit { key: "issuer".into(), limit: ISSUERS_MAX });
        return mistakes;
    }
    let (mut names, mut identifiers) = (HashMap::new(), HashMap::new());
    for issuer in issuers {
        issuer.check(&mut mistakes);
        for (what, value, seen) in [("name", &issuer.name, &mut names), ("issuer", &issuer.issuer, &mut identifiers)] {
            if let Some(first) = seen.insert(value, &issuer.name) {
                let (first, second) = (first.clone(), issuer.name.clone());
                mistakes.push(ConfigMistake::Duplicate { what, first, second });
            }
        }
    }
    mistakes
}

fn check_text(key: String, value: &str, mistakes: &mut Vec<ConfigMistake>) {
    if value.is_empty() {
        mistakes.push(ConfigMistake::Empty { key });
    } else if value.len() > TEXT_BYTES_MAX {
        mistakes.push(ConfigMistake::Limit { key, limit: TEXT_BYTES_MAX });
    } else if value.chars().any(|character| character.is_control() || character.is_whitespace()) {
        mistakes.push(ConfigMistake::shape(key, "it has no spaces or control characters"));
    }
}

#[expect(clippy::expect_used, reason = "`User` is an entity type: the tests read it")]
fn user_type() -> EntityType {
    "User".parse().expect("an entity type")
}

#[expect(clippy::expect_used, reason = "`Agent` is an entity type: the tests read it")]
fn agent_type() -> EntityType {
    "Agent".parse().expect("an entity type")
}

fn subject_claim() -> String {
    "sub".into()
}

fn token_types() -> Vec<String> {
    vec!["at+jwt".into(), "JWT".into(), TYPE_ABSENT.into()]
}

const fn leeway_seconds() -> u32 {
    5
}

/// What stands for a missing `typ` in a configuration.
const TYPE_ABSENT: &str = "absent";
/// Claims that a person or an administrator can change, and that another person may have later.
const MUTABLE_CLAIMS: [&str; 8] =
    ["email", "preferred_username", "upn", "unique_name", "name", "nickname", "username", "phone_number"];
/// Claims with another meaning.
const RESERVED_CLAIMS: [&str; 9] = ["iss", "aud", "sub", "exp", "nbf", "iat", "jti", "act", "auth_time"];
/// BOUND: each issuer holds a key set of up to 256 KiB and a refresh.
const ISSUERS_MAX: usize = 64;
/// BOUND: a token of 16 KiB holds no longer claim that could be equal.
const TEXT_BYTES_MAX: usize = 2_048;
const TOKEN_TYPES_MAX: usize = 16;
const LEEWAY_SECONDS_MAX: u32 = 60;

#[cfg(test)]
mod tests;
