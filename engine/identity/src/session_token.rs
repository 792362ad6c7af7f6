//! The node's own session tokens: proof that a session was opened here or on a node with the same key.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;
use std::time::Duration;

use jsonwebtoken::{DecodingKey, EncodingKey};
use portcullis_model::limits::{CHAIN_MAX, SESSION_LIFE_MAX, TOKEN_LIFE_MAX};
use portcullis_model::{EntityUid, Revision, SessionId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::claims::{Claims, malformed};
use crate::crypto;
use crate::jws::TOKEN_BYTES_MAX;
use crate::strict_json;
use crate::token_error::TokenError;

/// What a session token says about its session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionClaims {
    /// The session.
    #[serde(rename = "sid")]
    pub session: SessionId,
    /// Its subject.
    #[serde(rename = "sub")]
    pub subject: EntityUid,
    /// Its chain, outermost first, at most [`CHAIN_MAX`].
    pub agents: Vec<EntityUid>,
    /// The sessions it was opened within, nearest first, at most [`CHAIN_MAX`].
    #[serde(default)]
    pub ancestors: Vec<SessionId>,
    /// The revision at which it was born: a later revocation of anything it stands on ends it.
    pub born_at: Revision,
    /// The revision that its opener had seen: a node that has seen less does not take the token.
    pub opener: Revision,
    /// When the session ends by itself, at most [`SESSION_LIFE_MAX`] from now.
    #[serde(rename = "session_expires_ms")]
    pub session_expires: Timestamp,
    /// The registered name of the client that opened it: nobody else may use the token.
    #[serde(rename = "client_id")]
    pub client: String,
}

/// A session token that was checked. Only [`SessionTokens::verify`] builds one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedSession {
    claims: SessionClaims,
    issued: Timestamp,
    expires: Timestamp,
}

impl VerifiedSession {
    /// What it says about its session.
    pub fn claims(&self) -> &SessionClaims {
        &self.claims
    }

    /// When it was issued, in whole seconds.
    pub fn issued(&self) -> Timestamp {
        self.issued
    }

    /// When it ends and must have been refreshed, in whole seconds.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// What it says about its session, by value.
    pub fn into_claims(self) -> SessionClaims {
        self.claims
    }
}

/// Why no token was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MintError {
    /// The caller's: the session is over, or over within the second.
    #[error("the session is over")]
    Over,
    /// The caller's: the session lasts longer, or its chain is longer, than a session's may be.
    #[error("the session exceeds its limits")]
    Limits,
    /// Ours: the key does not sign.
    #[error("the session key does not sign")]
    Key,
}

/// The key is not an Ed25519 private key in PKCS#8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session key is not an Ed25519 private key in PKCS#8")]
pub struct SessionKeyError;

/// Makes and checks session tokens with one Ed25519 key.
pub struct SessionTokens {
    signing: EncodingKey,
    verifying: DecodingKey,
    /// The only header that is made, and the only one that is accepted, encoded.
    header: String,
}

impl SessionTokens {
    /// From an Ed25519 private key in PKCS#8 (DER), version 1 or 2.
    ///
    /// # Errors
    /// [`SessionKeyError`] for anything else.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, SessionKeyError> {
        let public = crypto::ed25519_public(pkcs8).ok_or(SessionKeyError)?;
        let digest = crate::digest::Fingerprint::of(&public).to_string();
        let kid: String = digest.chars().take(KEY_ID_DIGITS).collect();
        let header = format!(r#"{{"typ":"{TYPE}","alg":"EdDSA","kid":"{kid}"}}"#);
        Ok(Self {
            signing: EncodingKey::from_ed_der(pkcs8),
            verifying: DecodingKey::from_ed_der(&public),
            header: URL_SAFE_NO_PAD.encode(header),
        })
    }

    /// Makes a token that lives from `now` for [`TOKEN_LIFE_MAX`] or until the session ends, whichever is sooner, in
    /// whole seconds.
    ///
    /// # Errors
    /// [`MintError`].
    pub fn mint(&self, claims: &SessionClaims, now: Timestamp) -> Result<String, MintError> {
        if !within_limits(claims) || claims.session_expires > now.plus(SESSION_LIFE_MAX) {
            return Err(MintError::Limits);
        }
        let expires = now.plus(TOKEN_LIFE_MAX).min(claims.session_expires);
        let (iat, exp) = (now.as_millis() / 1_000, expires.as_millis() / 1_000);
        if iat >= exp {
            return Err(MintError::Over);
        }
        let payload = Payload { aud: AUDIENCE, iat, exp, claims };
        let payload = serde_json::to_vec(&payload).map_err(|_| MintError::Limits)?;
        let mut token = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(payload));
        let signature = crypto::sign_ed25519(token.as_bytes(), &self.signing).ok_or(MintError::Key)?;
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature));
        if token.len() > TOKEN_BYTES_MAX { Err(MintError::Limits) } else { Ok(token) }
    }

    /// Checks a token of this node's key at `now`. It says nothing about what was revoked since.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<VerifiedSession, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLarge);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed("token"))?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed("token"))?;
        if header != self.header {
            return Err(TokenError::Type);
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Malformed("signature"))?;
        if !crypto::is_signed(signed.as_bytes(), &signature, &self.verifying, jsonwebtoken::Algorithm::EdDSA) {
            return Err(TokenError::Signature);
        }
        read(payload, now)
    }
}

/// Without the key.
impl fmt::Debug for SessionTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionTokens").finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Payload<'a> {
    aud: &'a str,
    iat: u64,
    exp: u64,
    #[serde(flatten)]
    claims: &'a SessionClaims,
}

/// The session of a payload whose signature is good.
fn read(payload: &str, now: Timestamp) -> Result<VerifiedSession, TokenError> {
    let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| TokenError::Malformed("payload"))?;
    let mut members = strict_json::object(&payload).ok_or(TokenError::Malformed("payload"))?;
    let claims = Claims(&members);
    claims.check_audience(AUDIENCE)?;
    let expires = claims.check_expiry(Duration::ZERO, now)?;
    claims.check_not_early(&["iat"], NODE_SKEW_MAX, now)?;
    let issued = claims.time("iat")?.ok_or_else(|| TokenError::ClaimMissing("iat".into()))?;
    if expires > issued.plus(TOKEN_LIFE_MAX) {
        return Err(malformed("exp"));
    }
    for name in ["aud", "iat", "exp"] {
        members.remove(name);
    }
    let claims: SessionClaims =
        serde_json::from_value(Value::Object(members)).map_err(|_| TokenError::Malformed("payload"))?;
    if !within_limits(&claims) || claims.session_expires < expires {
        return Err(TokenError::Malformed("payload"));
    }
    Ok(VerifiedSession { claims, issued, expires })
}

fn within_limits(claims: &SessionClaims) -> bool {
    claims.agents.len() <= CHAIN_MAX && claims.ancestors.len() <= CHAIN_MAX
}

/// No other token of any issuer has this type, so none can be taken for another.
const TYPE: &str = "portcullis-session+jwt";
const AUDIENCE: &str = "portcullis-session";
/// BOUND: 64 bits tell the few keys of one cluster apart.
const KEY_ID_DIGITS: usize = 16;
/// How far ahead the clock of the node that made a token may be.
const NODE_SKEW_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
