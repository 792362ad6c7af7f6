//! Why a decision is what it is: one registry of codes with stable numbers.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $code:literal, $words:literal;)*) => {
        /// Why a decision is what it is. Numbers and codes are never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[repr(u16)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[$doc])* #[serde(rename = $code)] $name = $number,)*
        }

        impl Reason {
            /// Every reason, by number.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable number, as frames and audit records carry it.
            pub const fn number(self) -> u16 {
                match self { $(Self::$name => $number,)* }
            }

            /// The reason of a number; `None` for one that this version does not know.
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }

            /// The code, as JSON and metrics carry it.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// One sentence for people.
            pub const fn words(self) -> &'static str {
                match self { $(Self::$name => $words,)* }
            }
        }
    };
}

reasons! {
    /// Policy permits and everything else holds.
    Permitted = 1, "permitted", "policy permits it for every principal";
    /// No policy permits it.
    NoPermit = 10, "no_permit", "no policy permits it";
    /// A policy forbids it.
    Forbidden = 11, "forbidden", "a policy forbids it";
    /// A forbid could not be evaluated and `policy.on_error` is `deny`.
    PolicyError = 12, "policy_error", "a policy that may forbid it could not be evaluated";
    /// The session was closed by its client.
    SessionEnded = 20, "session_ended", "the session was closed";
    /// The session's time is over.
    SessionExpired = 21, "session_expired", "the session has expired";
    /// The session was revoked.
    SessionRevoked = 22, "session_revoked", "the session was revoked";
    /// Everything was revoked after the session began.
    EverythingRevoked = 23, "everything_revoked", "every session was revoked";
    /// The user was revoked by an administrator.
    UserRevoked = 30, "user_revoked", "the user was revoked";
    /// The user is held on a hint.
    UserHeld = 31, "user_held", "the user is held until the identity source has been asked";
    /// The user is suspended.
    UserSuspended = 32, "user_suspended", "the user is suspended at the identity source";
    /// The user is deactivated.
    UserDeactivated = 33, "user_deactivated", "the user was deactivated at the identity source";
    /// No such user.
    UnknownUser = 34, "unknown_user", "no such user is in the directory";
    /// The service principal's sponsor is not active.
    SponsorInactive = 35, "sponsor_inactive", "the sponsor of the service principal is not active";
    /// An agent of the chain was revoked by an administrator.
    AgentRevoked = 40, "agent_revoked", "an agent of the chain was revoked";
    /// An agent of the chain is held on a hint.
    AgentHeld = 41, "agent_held", "an agent of the chain is held until its source has been asked";
    /// An agent of the chain is suspended.
    AgentSuspended = 42, "agent_suspended", "an agent of the chain is suspended";
    /// An agent of the chain is deactivated.
    AgentDeactivated = 43, "agent_deactivated", "an agent of the chain was deactivated";
    /// No such agent.
    UnknownAgent = 44, "unknown_agent", "no such agent is in the directory";
    /// No grant path from the subject through the chain.
    NotDelegated = 50, "not_delegated", "no grant from the subject through the chain covers it";
    /// The only grant path was revoked.
    GrantRevoked = 51, "grant_revoked", "the grant was revoked";
    /// The only grant path has expired or has not begun.
    GrantExpired = 52, "grant_expired", "the grant has expired or has not begun";
    /// The only grant path has a condition that does not hold.
    GrantCondition = 53, "grant_condition", "the condition of the grant does not hold";
    /// The credential of the client was revoked.
    ClientRevoked = 60, "client_revoked", "the credential of the client was revoked";
    /// A person must approve first.
    ApprovalRequired = 70, "approval_required", "a person must approve it first";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_codes_name_one_reason_each() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_number(reason.number()), Some(*reason));
            assert_eq!(serde_json::to_value(reason).ok(), Some(reason.code().into()));
        }
        assert!(Reason::ALL.windows(2).all(|pair| pair[0].number() < pair[1].number()));
        assert_eq!(Reason::from_number(0), None);
    }
}
