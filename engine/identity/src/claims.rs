//! The claims of a token, read by type: a claim of the wrong type is an error, never an absent one.

use std::time::Duration;

use portcullis_model::Timestamp;
use serde_json::{Map, Value};

use crate::token_error::TokenError;

/// The payload of a token, or an object within it.
#[derive(Clone, Copy)]
pub(crate) struct Claims<'a>(pub(crate) &'a Map<String, Value>);

impl<'a> Claims<'a> {
    pub(crate) fn contains(self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A non-empty text, if it is there.
    pub(crate) fn text(self, name: &str) -> Result<Option<&'a str>, TokenError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(malformed(name)),
        }
    }

    /// A non-empty text.
    pub(crate) fn required_text(self, name: &str) -> Result<&'a str, TokenError> {
        self.text(name)?.ok_or_else(|| TokenError::ClaimMissing(name.to_owned()))
    }

    /// A time in whole seconds since the epoch, before the year 10000, if it is there.
    pub(crate) fn time(self, name: &str) -> Result<Option<Timestamp>, TokenError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(seconds) if seconds <= SECONDS_MAX => Ok(Some(Timestamp::from_millis(seconds * 1_000))),
                _ => Err(malformed(name)),
            },
        }
    }

    /// An object, if it is there.
    pub(crate) fn object(self, name: &str) -> Result<Option<Claims<'a>>, TokenError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Claims(map))),
            Some(_) => Err(malformed(name)),
        }
    }

    pub(crate) fn names(self) -> impl Iterator<Item = &'a str> {
        self.0.keys().map(String::as_str)
    }

    /// That the token is for `audience` and nobody else. A list is accepted with that one element: a token for
    /// several could be taken from here and used there.
    pub(crate) fn check_audience(self, audience: &str) -> Result<(), TokenError> {
        let found = match self.0.get("aud") {
            None => return Err(TokenError::ClaimMissing("aud".into())),
            Some(Value::String(text)) => text,
            Some(Value::Array(list)) => match list.as_slice() {
                [Value::String(text)] => text,
                [] | [_] => return Err(malformed("aud")),
                _ => return Err(TokenError::Audience),
            },
            Some(_) => return Err(malformed("aud")),
        };
        if found == audience { Ok(()) } else { Err(TokenError::Audience) }
    }

    /// That none of the named times is more than `leeway` ahead of `now`.
    pub(crate) fn check_not_early(
        self,
        names: &[&'static str],
        leeway: Duration,
        now: Timestamp,
    ) -> Result<(), TokenError> {
        for claim in names {
            if let Some(time) = self.time(claim)?.filter(|time| *time > now.plus(leeway)) {
                return Err(TokenError::Early { claim, ahead: time.since(now) });
            }
        }
        Ok(())
    }

    /// When the token ends; it lives while `now` is before that and `leeway`.
    pub(crate) fn check_expiry(self, leeway: Duration, now: Timestamp) -> Result<Timestamp, TokenError> {
        let expires = self.time("exp")?.ok_or_else(|| TokenError::ClaimMissing("exp".into()))?;
        if now >= expires.plus(leeway) { Err(TokenError::Expired(now.since(expires))) } else { Ok(expires) }
    }
}

pub(crate) fn malformed(name: &str) -> TokenError {
    TokenError::ClaimMalformed(name.to_owned())
}

/// 9999-12-31T23:59:59Z.
const SECONDS_MAX: u64 = 253_402_300_799;
