//! A signed token cut into its parts (RFC 7515, compact serialisation), with nothing believed yet.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::algorithm::Algorithm;
use crate::strict_json;
use crate::token_error::TokenError;

/// Most bytes of a token; a longer one is refused before any of it is decoded.
///
/// BOUND: real access tokens stay below 8 KiB, which is what HTTP servers take for all headers.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// The parts of a token. Only the signature check makes them more than a caller's words.
pub(crate) struct Jws<'a> {
    pub(crate) header: Header,
    /// The payload's members.
    pub(crate) payload: Map<String, Value>,
    signed: &'a [u8],
    signature: Vec<u8>,
}

/// The header's members that mean something here.
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) typ: Option<String>,
    pub(crate) kid: Option<String>,
}

impl<'a> Jws<'a> {
    /// Cuts and decodes a token.
    ///
    /// # Errors
    /// [`TokenError`] for what is too large or malformed, and for headers that are refused.
    pub(crate) fn parse(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLarge);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed("token"))?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed("token"))?;
        if payload.contains('.') {
            return Err(TokenError::Malformed("token"));
        }
        let header = Header::parse(&decode(header, "header")?)?;
        let payload = strict_json::object(&decode(payload, "payload")?).ok_or(TokenError::Malformed("payload"))?;
        Ok(Self { header, payload, signed: signed.as_bytes(), signature: decode(signature, "signature")? })
    }

    /// Whether `key` signed it, with the algorithm of its header, which the caller has checked.
    pub(crate) fn is_signed_by(&self, key: &jsonwebtoken::DecodingKey) -> bool {
        crate::crypto::is_signed(self.signed, &self.signature, key, self.header.algorithm.primitive())
    }
}

impl Header {
    fn parse(bytes: &[u8]) -> Result<Self, TokenError> {
        let header = strict_json::object(bytes).ok_or(TokenError::Malformed("header"))?;
        if let Some(name) = REFUSED.into_iter().find(|name| header.contains_key(*name)) {
            return Err(TokenError::Header(name));
        }
        let name = text(&header, "alg", "algorithm")?.ok_or(TokenError::Algorithm)?;
        let kid = text(&header, "kid", "key id")?;
        if kid.is_some_and(|kid| kid.is_empty() || kid.len() > KEY_ID_BYTES_MAX) {
            return Err(TokenError::Malformed("key id"));
        }
        Ok(Self {
            algorithm: Algorithm::from_name(name).ok_or(TokenError::Algorithm)?,
            typ: text(&header, "typ", "type")?.map(str::to_owned),
            kid: kid.map(str::to_owned),
        })
    }
}

fn text<'m>(header: &'m Map<String, Value>, name: &str, what: &'static str) -> Result<Option<&'m str>, TokenError> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(TokenError::Malformed(what)),
    }
}

fn decode(part: &str, what: &'static str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed(what))
}

/// Header members that bring a key or say where to fetch one, that must be understood, that change what is signed
/// (RFC 7797), or that belong to encrypted tokens.
const REFUSED: [&str; 8] = ["crit", "jku", "jwk", "x5u", "x5c", "b64", "enc", "zip"];
/// BOUND: a key id is a name or a digest.
const KEY_ID_BYTES_MAX: usize = 256;
