//! Verification of foreign tokens against the configured issuers.

use std::sync::Arc;

use portcullis_model::Timestamp;
use tracing::info;

use crate::claims::Claims;
use crate::issuer::{IssuerConfig, mistakes_of};
use crate::jws::Jws;
use crate::key_set::KeySet;
use crate::keys::{Demand, Keys, KeysError, Refresh};
use crate::mistake::ConfigMistake;
use crate::token::VerifiedToken;
use crate::token_error::TokenError;

/// The configured issuers and their keys. Without any issuer it accepts nothing.
#[derive(Debug, Default)]
pub struct TokenVerifier {
    issuers: Vec<(IssuerConfig, Arc<Keys>)>,
}

/// The refresh of one issuer's keys that failed.
#[derive(Debug, thiserror::Error)]
#[error("the keys of issuer `{issuer}` were not refreshed")]
pub struct RefreshFailure {
    /// The issuer's configured name.
    pub issuer: String,
    /// Why.
    #[source]
    pub cause: KeysError,
}

impl TokenVerifier {
    /// A verifier whose keys are still to be read: see [`TokenVerifier::refresh_blocking`].
    ///
    /// # Errors
    /// Every mistake of the configuration.
    pub fn new(issuers: Vec<IssuerConfig>) -> Result<Self, Vec<ConfigMistake>> {
        let mistakes = mistakes_of(&issuers);
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let keyed = issuers.into_iter().map(|issuer| {
            let keys = Arc::new(Keys::new(issuer.keys.clone()));
            (issuer, keys)
        });
        Ok(Self { issuers: keyed.collect() })
    }

    /// Checks a token at `now` with the keys in force. Pure but for a note of unknown keys; never waits. Cost: one
    /// signature, 20 to 60 us: once for a session, never for a decision.
    ///
    /// ```
    /// use portcullis_identity::{TokenError, TokenVerifier};
    /// use portcullis_model::Timestamp;
    /// // {"alg":"none"}.{"iss":"x"}. is refused for its algorithm, before its issuer is looked for.
    /// let result = TokenVerifier::default().verify("eyJhbGciOiJub25lIn0.eyJpc3MiOiJ4In0.", Timestamp::from_millis(0));
    /// assert_eq!(result, Err(TokenError::Algorithm));
    /// ```
    ///
    /// # Errors
    /// [`TokenError`]; where it [is retryable](TokenError::is_retryable), a refresh of keys may help.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<VerifiedToken, TokenError> {
        let jws = Jws::parse(token)?;
        let (issuer, keys) = self.issuer_of(Claims(&jws.payload))?;
        let Some(set) = keys.snapshot(now) else {
            keys.want();
            return Err(TokenError::KeysUnavailable { issuer: issuer.name.clone() });
        };
        let result = check(&jws, issuer, &set, now);
        if matches!(result, Err(TokenError::UnknownKey { .. })) {
            keys.want();
        }
        result
    }

    /// Refreshes the keys of every issuer as `demand` says; one that fails keeps its last good keys and does not
    /// hold up the answer for the others. Blocks for at most five seconds an issuer: call it off any async runtime.
    pub fn refresh_blocking(&self, now: Timestamp, demand: Demand) -> Vec<RefreshFailure> {
        let mut failures = Vec::new();
        for (issuer, keys) in &self.issuers {
            match keys.refresh_blocking(now, demand) {
                Ok(Refresh::NotDue) => {}
                Ok(Refresh::Replaced) => {
                    let count = keys.snapshot(now).map_or(0, |set| set.len());
                    info!(issuer = issuer.name, count, "signing keys read");
                }
                Err(cause) => failures.push(RefreshFailure { issuer: issuer.name.clone(), cause }),
            }
        }
        failures
    }

    /// The keys of the issuer of this configured name.
    pub fn keys(&self, name: &str) -> Option<&Arc<Keys>> {
        self.issuers.iter().find(|(issuer, _)| issuer.name == name).map(|(_, keys)| keys)
    }

    /// The issuer that the token claims, byte for byte.
    fn issuer_of(&self, claims: Claims<'_>) -> Result<&(IssuerConfig, Arc<Keys>), TokenError> {
        let name = claims.required_text("iss")?;
        self.issuers.iter().find(|(issuer, _)| issuer.issuer == name).ok_or(TokenError::Issuer)
    }
}

/// Checks everything but the issuer's name, which chose `issuer`: algorithm and key come from the configuration and
/// the key set, and the signature is checked before any claim means anything.
fn check(jws: &Jws<'_>, issuer: &IssuerConfig, keys: &KeySet, now: Timestamp) -> Result<VerifiedToken, TokenError> {
    let header = &jws.header;
    if !issuer.accepts_type(header.typ.as_deref()) {
        return Err(TokenError::Type);
    }
    if !issuer.algorithms.contains(&header.algorithm) {
        return Err(TokenError::Algorithm);
    }
    let key = keys
        .select(header.kid.as_deref(), header.algorithm)
        .ok_or_else(|| TokenError::UnknownKey { issuer: issuer.name.clone() })?;
    if !jws.is_signed_by(key) {
        return Err(TokenError::Signature);
    }
    VerifiedToken::check(Claims(&jws.payload), issuer, now)
}

#[cfg(test)]
mod tests;
