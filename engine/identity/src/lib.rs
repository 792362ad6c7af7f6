//! Proof of who speaks: tokens, certificates and registrations of what comes in, and the node's own session tokens.
//!
//! Owns: the configured issuers and their keys, the registered clients, the session key. Verification takes keys and
//! time as arguments; fetching keys is the only thing here that waits, and only in `refresh_blocking`. Never here:
//! what a principal may do, what was revoked, and any memory of tokens.
//!
//! Invariants: a name alone proves nothing; an algorithm comes from the configuration and the key, never from a token
//! alone; nothing before the signature check is believed; no error and no `Debug` holds a token or a key.
#![warn(missing_docs)]
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::as_conversions))]

mod actor_claim;
mod algorithm;
mod certificate;
mod claims;
mod crypto;
mod digest;
mod fetch;
mod issuer;
mod jws;
mod key_set;
mod keys;
mod mistake;
mod proof;
mod proven;
mod prover;
mod registration;
mod registry;
mod session_token;
mod strict_json;
#[cfg(test)]
mod testing;
mod token;
mod token_error;
mod verifier;

pub use actor_claim::ActorClaim;
pub use algorithm::Algorithm;
pub use certificate::{CERTIFICATE_BYTES_MAX, CertificateError, CertificateIdentity};
pub use crypto::install_crypto;
pub use digest::{BearerHash, DigestError, Fingerprint};
pub use fetch::FetchError;
pub use issuer::{AgentTrust, IssuerConfig, KeySource};
pub use jws::TOKEN_BYTES_MAX;
pub use key_set::{KEY_SET_BYTES_MAX, KEYS_MAX, KeySet, KeySetError};
pub use keys::{Demand, KEYS_REFRESH_EVERY, KEYS_REFRESH_PAUSE, KEYS_STALE_MAX, Keys, KeysError, Refresh};
pub use mistake::ConfigMistake;
pub use proof::{Proof, ProofError, Side};
pub use proven::{Proven, ProvenPrincipal, ProvenSubject};
pub use prover::Prover;
pub use registration::{Asserts, Credentials, Registration, Role};
pub use registry::{BEARER_BYTES_MAX, BEARERS_MAX, REGISTRATIONS_MAX, Registry};
pub use session_token::{MintError, SessionClaims, SessionKeyError, SessionTokens, VerifiedSession};
pub use token::{SpeaksFor, VerifiedToken};
pub use token_error::TokenError;
pub use verifier::{RefreshFailure, TokenVerifier};
