//! A client of the node as it is registered: how it is known and what it may say.

use portcullis_model::{EntityType, EntityUid};
use serde::{Deserialize, Serialize};

use crate::certificate::CertificateIdentity;
use crate::digest::{BearerHash, Fingerprint};
use crate::mistake::{ConfigMistake, NAME_RULE, is_name};

/// What a client may do on its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Opens sessions and asks for decisions.
    Platform,
    /// Asks for decisions about named subjects.
    Pep,
    /// Reads audit and state.
    Auditor,
    /// Changes state.
    Operator,
}

impl Role {
    /// The name, as configuration and audit write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Pep => "pep",
            Self::Auditor => "auditor",
            Self::Operator => "operator",
        }
    }
}

/// One registered client. It has at least one credential, which no other client has.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// What audit and metrics call it; unique.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// How it is known.
    pub credentials: Credentials,
    /// Whom it may name without further proof. Default: nobody.
    #[serde(default)]
    pub asserts: Asserts,
    /// The subject that it is itself, proven by its certificate: a registered service.
    #[serde(default)]
    pub subject: Option<EntityUid>,
    /// The agent that it is itself, proven by its certificate.
    #[serde(default)]
    pub agent: Option<EntityUid>,
    /// Whether it may open sessions without agents. Default: no.
    #[serde(default)]
    pub direct: bool,
    /// The resource attributes that its requests may bring. Default: none.
    #[serde(default)]
    pub attributes: Vec<String>,
}

/// How a client is known: any one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Certificates, by SHA-256 of their DER form.
    #[serde(default)]
    pub certificates: Vec<Fingerprint>,
    /// URIs among a certificate's alternative names, compared byte for byte: SPIFFE ids, for example.
    #[serde(default)]
    pub uris: Vec<String>,
    /// Bearer tokens, by SHA-256 of their text.
    #[serde(default)]
    pub bearers: Vec<BearerHash>,
}

/// Whom a client may name without further proof.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asserts {
    /// These subjects.
    #[serde(default)]
    pub subjects: Vec<EntityUid>,
    /// Any subject of these types.
    #[serde(default)]
    pub subject_types: Vec<EntityType>,
    /// These agents.
    #[serde(default)]
    pub agents: Vec<EntityUid>,
}

impl Registration {
    /// Whether the client may name `subject` without further proof.
    pub fn may_assert_subject(&self, subject: &EntityUid) -> bool {
        self.asserts.subjects.contains(subject) || self.asserts.subject_types.contains(subject.entity_type())
    }

    /// Whether the client may name `agent` without further proof.
    pub fn may_assert_agent(&self, agent: &EntityUid) -> bool {
        self.asserts.agents.contains(agent)
    }

    /// Whether `certificate` is one of the client's credentials.
    pub fn is_known_by(&self, certificate: &CertificateIdentity) -> bool {
        self.credentials.certificates.contains(&certificate.fingerprint())
            || certificate.uris().iter().any(|uri| self.credentials.uris.contains(uri))
    }

    /// Adds everything that is wrong with this entry.
    pub(crate) fn check(&self, mistakes: &mut Vec<ConfigMistake>) {
        let key = |field: &str| format!("client.{}.{field}", self.name);
        if !is_name(&self.name) {
            mistakes.push(ConfigMistake::shape(key("name"), NAME_RULE));
        }
        let credentials = &self.credentials;
        let by_certificate = credentials.certificates.len() + credentials.uris.len();
        if by_certificate + credentials.bearers.len() == 0 {
            mistakes.push(ConfigMistake::Empty { key: key("credentials") });
        }
        for (field, length, limit) in [
            ("credentials", by_certificate + credentials.bearers.len(), CREDENTIALS_MAX),
            ("asserts", self.asserts.subjects.len() + self.asserts.agents.len(), ASSERTS_MAX),
            ("asserts.subject_types", self.asserts.subject_types.len(), ASSERTS_MAX),
            ("attributes", self.attributes.len(), ATTRIBUTES_MAX),
        ] {
            if length > limit {
                mistakes.push(ConfigMistake::Limit { key: key(field), limit });
            }
        }
        if credentials.uris.iter().any(|uri| !is_uri(uri)) {
            let rule = "a URI has a scheme, no spaces and at most 2048 bytes";
            mistakes.push(ConfigMistake::shape(key("credentials.uris"), rule));
        }
        if self.attributes.iter().any(String::is_empty) {
            mistakes.push(ConfigMistake::Empty { key: key("attributes") });
        }
        for (field, own) in [("subject", &self.subject), ("agent", &self.agent)] {
            if own.is_some() && by_certificate == 0 {
                let rule = "only a certificate proves it: add one to the credentials";
                mistakes.push(ConfigMistake::shape(key(field), rule));
            }
        }
    }
}

fn is_uri(uri: &str) -> bool {
    uri.len() <= URI_BYTES_MAX
        && uri.bytes().all(|byte| byte.is_ascii_graphic())
        && uri.split_once(':').is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty())
}

/// BOUND: old and new ones during a rotation, on every host of a platform.
const CREDENTIALS_MAX: usize = 256;
/// BOUND: each is compared at each opening of a session.
const ASSERTS_MAX: usize = 4_096;
const ATTRIBUTES_MAX: usize = portcullis_model::limits::ATTRIBUTES_MAX;
const URI_BYTES_MAX: usize = 2_048;
