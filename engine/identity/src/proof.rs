//! What a client brings to prove a principal, and why it may not suffice.

use std::fmt;

use portcullis_model::limits::CHAIN_MAX;
use portcullis_model::{EntityUid, ErrorCode, Refusal};

use crate::token_error::TokenError;

/// What a client brings to prove one principal.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proof {
    /// A token of a configured issuer, for our audience.
    Token(String),
    /// A name, for a client that is registered to assert it.
    Asserted(EntityUid),
    /// The connection's own certificate, for the principal that its registration names.
    Certificate,
}

/// Without the token.
impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(_) => f.write_str("Token(…)"),
            Self::Asserted(uid) => f.debug_tuple("Asserted").field(uid).finish(),
            Self::Certificate => f.write_str("Certificate"),
        }
    }
}

/// Why somebody is not who they are said to be. Its text is for the audit; callers get [`ProofError::refusal`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The token was not accepted.
    #[error("the {side}'s token was not accepted: {cause}")]
    Token {
        /// Whose.
        side: Side,
        /// Why.
        #[source]
        cause: TokenError,
    },
    /// The token is bound to the certificate of another connection.
    #[error("the {side}'s token is bound to another certificate")]
    Holder {
        /// Whose.
        side: Side,
    },
    /// The token proves a principal of the other side.
    #[error("the token does not prove the {side} that it was brought for")]
    Side {
        /// What it was brought for.
        side: Side,
    },
    /// The client is not registered to assert this name.
    #[error("client `{client}` may not assert the {side} `{uid}`")]
    NotAsserted {
        /// The client's registered name.
        client: String,
        /// Which list.
        side: Side,
        /// The name.
        uid: EntityUid,
    },
    /// The connection has no valid certificate, or the registration names no principal that it proves.
    #[error("the connection of client `{client}` has no certificate that proves the {side}")]
    NoCertificate {
        /// The client's registered name.
        client: String,
        /// Which principal.
        side: Side,
    },
    /// The certificate of the connection is over or has not begun.
    #[error("the certificate of client `{client}` is not valid now")]
    CertificateOver {
        /// The client's registered name.
        client: String,
    },
    /// A session without agents, for a client that may not open one.
    #[error("client `{client}` may not open sessions without agents")]
    NotDirect {
        /// The client's registered name.
        client: String,
    },
    /// More agents than a chain may have.
    #[error("the chain has more than {CHAIN_MAX} agents")]
    ChainTooLong,
}

/// Which side of a session a principal stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// For whom it is.
    Subject,
    /// Who acts.
    Agent,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Subject => "subject",
            Self::Agent => "agent",
        })
    }
}

impl ProofError {
    /// Whether the same proof may be accepted once the issuers' keys have been refreshed.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Token { cause, .. } if cause.is_retryable())
    }

    /// All that the caller learns: that the credential was not accepted, or that it is not good for this.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Token { .. } | Self::Holder { .. } | Self::NoCertificate { .. } | Self::CertificateOver { .. } => {
                Refusal::new(ErrorCode::Unauthenticated, "the proof was not accepted")
            }
            Self::Side { .. } | Self::NotAsserted { .. } | Self::NotDirect { .. } | Self::ChainTooLong => {
                Refusal::new(ErrorCode::NotPermitted, "this client may not open this session")
            }
        }
    }
}
