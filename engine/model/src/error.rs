//! Why no decision was reached: one registry of codes with stable numbers.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $code:literal, $retry:literal, $fix:literal;)*) => {
        /// Why no decision was reached, or a command was not carried out. Never a verdict: the
        /// enforcement point refuses. Numbers and codes are never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[repr(u16)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $code)] $name = $number,)*
        }

        impl ErrorCode {
            /// Every code, by number.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable number, as frames carry it.
            pub const fn number(self) -> u16 {
                match self { $(Self::$name => $number,)* }
            }

            /// The code of a number; `None` for one that this version does not know.
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }

            /// The code, as JSON and metrics carry it.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// Whether the same request may succeed later without anybody changing it.
            pub const fn is_retryable(self) -> bool {
                match self { $(Self::$name => $retry,)* }
            }

            /// What to do about it.
            pub const fn fix(self) -> &'static str {
                match self { $(Self::$name => $fix,)* }
            }
        }
    };
}

codes! {
    /// A field is missing, malformed or out of its bounds.
    BadRequest = 100, "bad_request", false, "correct the field that the message names";
    /// The schema declares no such action.
    UnknownAction = 101, "unknown_action", false, "use an action of the schema";
    /// The schema declares no such entity type.
    UnknownType = 102, "unknown_type", false, "use an entity type of the schema";
    /// The context or input does not have the shape that the action's schema declares.
    SchemaMismatch = 103, "schema_mismatch", false, "give the context the shape that the action's schema declares";
    /// The request brought a context key that the engine fills.
    ReservedKey = 104, "reserved_key", false, "leave out the context keys that the engine fills";
    /// The request brought an attribute that it does not own.
    AttributeNotOwned = 105, "attribute_not_owned", false, "send only attributes that the client's registration lists";
    /// Something is larger than its limit.
    TooLarge = 106, "too_large", false, "stay within the limit that the message names";
    /// The handle does not belong to this connection.
    UnknownHandle = 107, "unknown_handle", false, "open a session on this connection and use its handle";
    /// The frame kind or its schema is not known here.
    UnknownFrame = 108, "unknown_frame", false, "speak a version that the node announces in its welcome";
    /// The bytes are not a frame.
    MalformedFrame = 109, "malformed_frame", false, "send frames as the protocol defines them";
    /// No such session, user, agent, grant, entity or policy.
    NotFound = 110, "not_found", false, "name something that exists";
    /// It exists already, or contradicts what exists.
    Conflict = 111, "conflict", false, "look at what exists, then ask for something that fits it";
    /// The policy set does not parse, validate or compile.
    PolicyInvalid = 112, "policy_invalid", false, "correct the policies: the message says where";
    /// The credential is missing or was not accepted.
    Unauthenticated = 120, "unauthenticated", false, "present a credential that this node accepts";
    /// The credential is good, but not for this.
    NotPermitted = 121, "not_permitted", false, "use a client whose role or registration covers this";
    /// The revision asked for is not here yet.
    NotFresh = 130, "not_fresh", true, "ask again: the node has not seen the revision yet";
    /// A bounded queue is full.
    Overloaded = 131, "overloaded", true, "ask again after a pause";
    /// The audit log cannot be written: nothing is allowed.
    AuditUnavailable = 132, "audit_unavailable", false, "look at the node's disk, then restart it";
    /// The audit ring is full.
    AuditBackpressure = 133, "audit_backpressure", true, "ask again after a pause";
    /// The change log cannot be written.
    LogUnavailable = 134, "log_unavailable", false, "look at the node's disk, then restart it";
    /// The node is stopping.
    ShuttingDown = 135, "shutting_down", true, "connect again";
    /// The node's lease is over.
    Fenced = 136, "fenced", true, "ask another node";
    /// A fact is older than its action class allows.
    FactsStale = 137, "facts_stale", true, "ask again when the fact provider has answered";
    /// The policy reaches more entities than one evaluation may.
    SliceTooLarge = 138, "slice_too_large", false, "narrow the policy: it reaches more entities than one evaluation may";
    /// The bounded memory of ended sessions is full.
    TombstonesFull = 139, "tombstones_full", true, "ask again when tokens of ended sessions have expired";
    /// The node has no policy set in force.
    NoPolicy = 140, "no_policy", false, "push a policy set";
    /// A defect of this node.
    Internal = 150, "internal", false, "report it with the node's log";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An error for a caller: a code, and in words what exactly, without secrets or personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// The code.
    pub code: ErrorCode,
    /// What exactly, in words.
    pub message: String,
    /// The field that is at fault, where there is one, for example `context.input.size`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Refusal {
    /// A refusal without a field.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), field: None }
    }

    /// A refusal that names the field at fault.
    pub fn of_field(code: ErrorCode, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), field: Some(field.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_codes_name_one_error_each() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_number(code.number()), Some(*code));
            assert_eq!(serde_json::to_value(code).ok(), Some(code.code().into()));
        }
        assert!(ErrorCode::ALL.windows(2).all(|pair| pair[0].number() < pair[1].number()));
    }
}
