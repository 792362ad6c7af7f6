//! One thing that happened, as readers get it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use portcullis_model::{
    DecisionId, EntityUid, ErrorCode, EventId, GrantId, Intent, PolicyRef, Reason, Revision, SessionId, Timestamp,
    Verdict,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The version of stored entries that this code writes. Readers skip fields that they do not know.
pub const SCHEMA_VERSION: u8 = 1;

/// A stored entry: its place, and what happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Version of the stored form.
    pub schema_version: u8,
    /// Place in the log, from 1, without gaps.
    pub number: u64,
    /// Who recorded it: 0 is the control side and the log itself, others are producers of this run.
    pub worker: u32,
    /// Running number among this worker's records of this run, from 1; 0 for the log's own entries.
    pub worker_number: u64,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What happened. Only what applies is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// What sort of thing.
    pub kind: EntryKind,
    /// When, by the clock of the node. Orders nothing: `number` does.
    pub time: Timestamp,
    /// The decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_id: Option<DecisionId>,
    /// Its verdict; `None` where none was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Why the verdict is what it is; `None` also for a reason that this version does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Why no verdict was reached, or a call was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
    /// Whose authority was asked about, or who a change concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<EntityUid>,
    /// The chain of agents, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<EntityUid>,
    /// The session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// Name of the client's registration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<EntityUid>,
    /// The resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<EntityUid>,
    /// Hash of the input as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_digest: Option<InputDigest>,
    /// The determining policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyRef>,
    /// The grant: of a decision the leaf of the path that covered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantId>,
    /// Revision of the decision, or of the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// What the caller was going to do with the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// Whether the answer waited for this entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Durability>,
    /// How long it took, in nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ns: Option<u64>,
    /// Who caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The event of a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventId>,
    /// Whatever else belongs to this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<serde_json::Value>,
}

impl Entry {
    /// An entry with a kind and a time and nothing else.
    pub fn new(kind: EntryKind, time: Timestamp) -> Self {
        Self {
            kind,
            time,
            decision_id: None,
            verdict: None,
            reason: None,
            code: None,
            subject: None,
            chain: Vec::new(),
            session: None,
            client: None,
            action: None,
            resource: None,
            input_digest: None,
            policies: Vec::new(),
            grant: None,
            revision: None,
            intent: None,
            mode: None,
            latency_ns: None,
            by: None,
            event: None,
            detail: None,
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        /// What sort of thing an entry records. Numbers are never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum EntryKind {
            $($(#[$doc])* $name,)*
        }

        impl EntryKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            pub(crate) const fn number(self) -> u8 {
                match self { $(Self::$name => $number,)* }
            }

            pub(crate) const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

kinds! {
    /// A verdict was reached.
    Decision = 1;
    /// No verdict was reached.
    Error = 2;
    /// A session was opened.
    Open = 3;
    /// A session ended.
    End = 4;
    /// A change of the ordered log took effect.
    Change = 5;
    /// An administrator asked or did something that is no change.
    Admin = 6;
    /// A call was refused before it was asked: credentials, role, registration, a session not opened.
    Refused = 7;
    /// Records that a crash may have taken: `worker`, the last one kept, and how many at most.
    Gap = 8;
    /// How many records each worker refused because its queue was full.
    RefusalSummary = 9;
    /// The log was opened: what recovery found.
    Start = 10;
    /// The log was closed.
    Stop = 11;
}

/// What a caller was promised about an entry before the answer left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// It is in a queue of this process; a crash may take it, and then a gap says so.
    Buffered,
    /// It is on the device.
    #[default]
    Durable,
}

/// SHA-256 over the bytes of an input exactly as they were sent, without canonicalisation: the same
/// JSON value spelled otherwise has another digest. Written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct InputDigest([u8; 32]);

impl InputDigest {
    /// The digest of an input.
    pub fn of(input: &[u8]) -> Self {
        Self(Sha256::digest(input).into())
    }

    /// A digest from its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Display for InputDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for InputDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest is `sha256:` and 64 hexadecimal digits")]
pub struct DigestError;

impl FromStr for InputDigest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let digits = text.strip_prefix("sha256:").filter(|digits| digits.len() == 64).ok_or(DigestError)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let digit = |at: usize| pair.get(at).and_then(|digit| char::from(*digit).to_digit(16));
            let (high, low) = digit(0).zip(digit(1)).ok_or(DigestError)?;
            *byte = u8::try_from(high * 16 + low).map_err(|_| DigestError)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for InputDigest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InputDigest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// `text`, cut to `limit` bytes at a character with `…` at its end where it is longer.
pub(crate) fn cut(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return Cow::Borrowed(text);
    }
    let mark = '…';
    let end = (0..=limit.saturating_sub(mark.len_utf8())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let mut short = text[..end].to_owned();
    short.push(mark);
    Cow::Owned(short)
}
