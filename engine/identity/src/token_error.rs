//! Why a token proves nothing.

use std::time::Duration;

/// Why a token was not accepted. Its text is for the audit and never holds any part of a token; callers are told
/// [`TokenError::public_word`] at most.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The caller's: larger than [`crate::TOKEN_BYTES_MAX`].
    #[error("the token is larger than {} bytes", crate::TOKEN_BYTES_MAX)]
    TooLarge,
    /// The caller's: not three parts of base64url with JSON objects in the first two.
    #[error("the {0} is not what a signed token has there")]
    Malformed(&'static str),
    /// The caller's: the header brings a key, a place to fetch one, or an extension that must be understood.
    #[error("the header has a `{0}`")]
    Header(&'static str),
    /// The caller's: `none`, a shared secret, or an algorithm that this issuer is not allowed.
    #[error("the algorithm is not one that the issuer is allowed")]
    Algorithm,
    /// The caller's: for example a logout or an identity token in place of an access token.
    #[error("the token is not of a type that is accepted here")]
    Type,
    /// The caller's: no issuer is configured under exactly this name.
    #[error("no issuer of this name is configured")]
    Issuer,
    /// The caller's: made for someone else, or for several.
    #[error("the token is not for this node alone")]
    Audience,
    /// The caller's: the signature is not the key's.
    #[error("the signature is wrong")]
    Signature,
    /// The caller's or the issuer's: no key of this name, or no single key that fits. May pass once the keys are
    /// refreshed.
    #[error("no key of issuer `{issuer}` fits the token")]
    UnknownKey {
        /// The issuer's configured name.
        issuer: String,
    },
    /// The issuer's or ours: its keys were never fetched, or too long ago. May pass once they are.
    #[error("the keys of issuer `{issuer}` are not known or too old")]
    KeysUnavailable {
        /// The issuer's configured name.
        issuer: String,
    },
    /// The issuer's: a required claim is missing.
    #[error("the claim `{0}` is missing")]
    ClaimMissing(String),
    /// The issuer's: a claim does not have the type or the bounds that it must have.
    #[error("the claim `{0}` is malformed")]
    ClaimMalformed(String),
    /// The caller's: the token is over.
    #[error("the token expired {0:?} ago")]
    Expired(Duration),
    /// The issuer's or ours: the clocks differ, or the token is not valid yet.
    #[error("the claim `{claim}` is {ahead:?} ahead of this node's clock")]
    Early {
        /// `nbf`, `iat` or `auth_time`.
        claim: &'static str,
        /// By how much.
        ahead: Duration,
    },
    /// The issuer's: the token names an actor, and the issuer is not trusted to.
    #[error("the token names an actor, for which its issuer is not trusted")]
    ActorUntrusted,
    /// The caller's: more actors than a chain may have.
    #[error("the token's chain of actors has more than {} links", portcullis_model::limits::CHAIN_MAX)]
    ChainTooLong,
    /// The issuer's: the token is bound to its holder in a way that cannot be checked here.
    #[error("the token is bound to its holder by `{0}`, which is not checked here")]
    Binding(&'static str),
}

impl TokenError {
    /// Whether the same token may be accepted once the issuer's keys have been refreshed.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::UnknownKey { .. } | Self::KeysUnavailable { .. })
    }

    /// All that a caller may know: `token_not_checked` where a refresh of keys may help, else `token_refused`.
    pub fn public_word(&self) -> &'static str {
        if self.is_retryable() { "token_not_checked" } else { "token_refused" }
    }
}
