//! What a connection may ask for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The role that a client's registration gives its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// Opens sessions and asks for decisions in them.
    Platform,
    /// Asks about named subjects, as an enforcement point that has authenticated them.
    Pep,
    /// Reads state and audit record.
    Auditor,
    /// Reads and changes everything.
    Operator,
}

impl Role {
    /// Every role.
    pub const ALL: &[Self] = &[Self::Platform, Self::Pep, Self::Auditor, Self::Operator];

    /// The stable number, as the welcome carries it.
    pub const fn number(self) -> u8 {
        match self {
            Self::Platform => 1,
            Self::Pep => 2,
            Self::Auditor => 3,
            Self::Operator => 4,
        }
    }

    /// The role of a number; `None` for one that this version does not know.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Platform),
            2 => Some(Self::Pep),
            3 => Some(Self::Auditor),
            4 => Some(Self::Operator),
            _ => None,
        }
    }

    /// The word, as configuration and JSON write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Pep => "pep",
            Self::Auditor => "auditor",
            Self::Operator => "operator",
        }
    }

    /// Whether a connection of this role may do what needs `needed`. An operator may do everything;
    /// every other role only its own.
    pub const fn covers(self, needed: Self) -> bool {
        matches!(self, Self::Operator) || self.number() == needed.number()
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
