//! What the process tells its caller in one number.

use std::process::{ExitCode, Termination};

use portcullis_model::{ErrorCode, Verdict};

macro_rules! exits {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $meaning:literal;)*) => {
        /// How a command ended. Numbers are never reused; scripts may rely on them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Exit {
            $($(#[$doc])* $name,)*
        }

        impl Exit {
            /// Every exit code, by number.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The number that the process exits with.
            pub const fn number(self) -> u8 {
                match self { $(Self::$name => $number,)* }
            }

            /// What it means, in words.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }
        }
    };
}

exits! {
    /// Done, or allowed.
    Ok = 0, "done; for `check`: allowed";
    /// Not done, for a reason that no other code names.
    Failure = 1, "failed";
    /// The command line, the configuration or a name in it is wrong.
    Usage = 2, "the command line, the configuration or a name given is wrong";
    /// The policy set does not parse, validate or compile.
    PolicyInvalid = 3, "the policy set does not parse, validate or compile";
    /// The policy set is valid, and its tests fail.
    TestsFailed = 4, "tests of the policy set fail";
    /// Denied.
    Deny = 5, "denied";
    /// No decision was reached: refuse.
    CannotDecide = 6, "no decision was reached: refuse, perhaps ask again";
    /// The credential is missing, was not accepted, or does not cover this.
    CredentialsNeeded = 7, "credentials are missing, not accepted, or do not cover this";
    /// The node was not reached or is stopping.
    Unreachable = 8, "the node was not reached or is stopping: ask again";
    /// A person must approve first.
    NeedsApproval = 9, "a person must approve it first";
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Allow => Self::Ok,
            Verdict::Suspend => Self::NeedsApproval,
            Verdict::Deny => Self::Deny,
        }
    }
}

impl From<ErrorCode> for Exit {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::BadRequest
            | ErrorCode::UnknownAction
            | ErrorCode::UnknownType
            | ErrorCode::SchemaMismatch
            | ErrorCode::ReservedKey
            | ErrorCode::AttributeNotOwned
            | ErrorCode::TooLarge
            | ErrorCode::NotFound => Self::Usage,
            ErrorCode::PolicyInvalid => Self::PolicyInvalid,
            ErrorCode::Unauthenticated | ErrorCode::NotPermitted => Self::CredentialsNeeded,
            ErrorCode::ShuttingDown => Self::Unreachable,
            ErrorCode::UnknownHandle
            | ErrorCode::UnknownFrame
            | ErrorCode::MalformedFrame
            | ErrorCode::Conflict
            | ErrorCode::Internal => Self::Failure,
            // The node could not decide, for this reason or one that this version does not know.
            _ => Self::CannotDecide,
        }
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_documented_ones() {
        let numbers: Vec<u8> = Exit::ALL.iter().map(|exit| exit.number()).collect();
        assert_eq!(numbers, (0..=9).collect::<Vec<u8>>());
    }

    #[test]
    fn only_an_allow_exits_with_0() {
        assert_eq!(Exit::from(Verdict::Allow), Exit::Ok);
        assert_eq!(Exit::from(Verdict::Deny), Exit::Deny);
        assert_eq!(Exit::from(Verdict::Suspend), Exit::NeedsApproval);
        for code in ErrorCode::ALL {
            assert!(!matches!(Exit::from(*code), Exit::Ok | Exit::Deny | Exit::NeedsApproval), "{code}");
        }
    }

    #[test]
    fn what_may_succeed_later_is_told_apart_from_what_cannot() {
        for code in ErrorCode::ALL.iter().filter(|code| code.is_retryable()) {
            assert!(matches!(Exit::from(*code), Exit::CannotDecide | Exit::Unreachable), "{code}");
        }
        assert_eq!(Exit::from(ErrorCode::NotFound), Exit::Usage);
        assert_eq!(Exit::from(ErrorCode::AuditUnavailable), Exit::CannotDecide);
    }
}
