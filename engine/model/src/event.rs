//! Changes, as the ordered log holds them.

use serde::{Deserialize, Serialize};

use crate::entity::{EntityRecord, SourceName};
use crate::grant::GrantRecord;
use crate::ids::{GrantId, SessionId, id128};
use crate::time::Timestamp;
use crate::uid::EntityUid;

id128!(
    /// An event. Appending an id twice is one append. Written `e_` and 32 hexadecimal digits.
    EventId,
    "event",
    "e_"
);

/// SHA-256 over a policy set's schema and files, in order.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SetHash([u8; 32]);

impl SetHash {
    /// A hash from its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }
}

impl std::fmt::Display for SetHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for SetHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl Serialize for SetHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SetHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let (head, tail) =
            text.split_at_checked(32).ok_or_else(|| D::Error::custom("a set hash has 64 hexadecimal digits"))?;
        let half = |digits: &str| {
            let plain = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            plain.then(|| u128::from_str_radix(digits, 16).ok()).flatten().map(u128::to_be_bytes)
        };
        let (Some(head), Some(tail)) = (half(head), half(tail)) else {
            return Err(D::Error::custom("a set hash has 64 hexadecimal digits"));
        };
        let mut bytes = [0; 32];
        let (first, second) = bytes.split_at_mut(16);
        first.copy_from_slice(&head);
        second.copy_from_slice(&tail);
        Ok(Self(bytes))
    }
}

/// One file of a policy set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// Name as shown in diagnostics, for example `mail.cedar`. Files are read by name, ascending.
    pub name: String,
    /// Cedar text.
    pub text: String,
}

/// A whole policy set as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySetText {
    /// Cedar schema in Cedar's schema syntax.
    pub schema: PolicyFile,
    /// The policy files.
    pub files: Vec<PolicyFile>,
}

/// What a revocation withdraws.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevokeScope {
    /// One session, for good.
    Session {
        /// The session.
        id: SessionId,
        /// When the last token issued for it has ended, and its tombstone may go.
        until: Timestamp,
    },
    /// A user: every session, and new ones until restored.
    User(EntityUid),
    /// An agent: every session with it in its chain, and new ones until restored.
    Agent(EntityUid),
    /// A grant, for good; what was delegated from it covers nothing any more.
    Grant(GrantId),
    /// A grant and every delegation below it, for good.
    Subtree(GrantId),
    /// Every session of the engine.
    Everything,
}

/// Who caused an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// An administrator, by the name of the client registration used.
    Admin(String),
    /// An identity source.
    Source(SourceName),
    /// An agent that delegates, or a subject that grants.
    Principal(EntityUid),
    /// The node itself, for example the first policy set.
    Node,
}

/// One change to an engine's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// Stores an entity whole, in the place of what was stored before. Its standing stays.
    PutEntity(EntityRecord),
    /// Removes an entity; sessions that name it die, a later entity of that name is another one.
    DeleteEntity(EntityUid),
    /// Adds members to a group and removes others, without touching their other parents.
    ChangeMembers {
        /// The group.
        group: EntityUid,
        /// Entities that get the group as a parent.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        add: Vec<EntityUid>,
        /// Entities that lose it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        remove: Vec<EntityUid>,
    },
    /// Holds a user or agent on a hint of a source.
    Hold {
        /// Who.
        uid: EntityUid,
        /// On whose hint.
        source: SourceName,
    },
    /// Takes a source's hold away.
    Release {
        /// Who.
        uid: EntityUid,
        /// Whose hold.
        source: SourceName,
    },
    /// A source suspends a user or agent.
    Suspend {
        /// Who.
        uid: EntityUid,
        /// By which source.
        source: SourceName,
    },
    /// A source removes a user or agent.
    Deactivate {
        /// Who.
        uid: EntityUid,
        /// By which source.
        source: SourceName,
    },
    /// A source lifts its suspension or deactivation. Revives no session and no grant.
    Reactivate {
        /// Who.
        uid: EntityUid,
        /// By which source.
        source: SourceName,
    },
    /// Issues a grant or delegation.
    Grant(GrantRecord),
    /// Withdraws.
    Revoke(RevokeScope),
    /// Lifts an administrator's revocation of a user or agent. Revives no session.
    Restore(EntityUid),
    /// Stores a policy set, compiled everywhere before it is activated.
    StagePolicy(PolicySetText),
    /// Puts a staged set in force.
    ActivatePolicy(SetHash),
}

/// A change with its id, time and cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// When it was made, by the clock of the node that made it. Orders nothing.
    pub at: Timestamp,
    /// Who caused it.
    pub by: Origin,
    /// The change.
    pub change: Change,
}
