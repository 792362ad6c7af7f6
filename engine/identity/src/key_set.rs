//! The public keys of an issuer at one moment: a JWKS document (RFC 7517), read whole or refused whole.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use crate::algorithm::{Algorithm, KeyKind};
use crate::strict_json;

/// Most keys of one set.
///
/// BOUND: issuers publish two to ten; a token without a key id is compared with all.
pub const KEYS_MAX: usize = 64;
/// Most bytes of one JWKS document.
///
/// BOUND: 64 keys with their certificate chains.
pub const KEY_SET_BYTES_MAX: usize = 256 * 1024;

/// Why a document is not a set of public keys. The set in force stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// More than [`KEY_SET_BYTES_MAX`].
    #[error("the key set is larger than {KEY_SET_BYTES_MAX} bytes")]
    TooLarge,
    /// More than [`KEYS_MAX`] keys.
    #[error("the key set has more than {KEYS_MAX} keys")]
    TooMany,
    /// Not a JSON object with a list `keys` of objects, or a name stands twice in it.
    #[error("the key set is not a JSON object with a list `keys` of objects")]
    Shape,
    /// A signing key lacks a member, or has one that no such key can have.
    #[error("member `{member}` of key {position} is missing or malformed")]
    Key {
        /// Its place in the list, from 0.
        position: usize,
        /// The member at fault.
        member: &'static str,
    },
    /// A shared secret or a private key: whoever published it gave it away.
    #[error("key {0} is secret: a key set holds public keys only")]
    Secret(usize),
}

/// The public signing keys of one issuer. Empty if it publishes none: then no token of it is accepted.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<PublicKey>,
}

#[derive(Clone, Debug)]
struct PublicKey {
    kid: Option<String>,
    /// The only algorithm it may verify, where the issuer says so.
    algorithm: Option<Algorithm>,
    kind: KeyKind,
    key: DecodingKey,
}

impl KeySet {
    /// Reads a JWKS document. Keys for encryption and of kinds that no allowed algorithm uses are left out.
    ///
    /// # Errors
    /// [`KeySetError`] for a document that is too large or malformed, or that holds anything secret.
    pub fn parse(document: &[u8]) -> Result<Self, KeySetError> {
        if document.len() > KEY_SET_BYTES_MAX {
            return Err(KeySetError::TooLarge);
        }
        let document = strict_json::object(document).ok_or(KeySetError::Shape)?;
        let Some(Value::Array(list)) = document.get("keys") else { return Err(KeySetError::Shape) };
        if list.len() > KEYS_MAX {
            return Err(KeySetError::TooMany);
        }
        let mut keys = Vec::with_capacity(list.len());
        for (position, value) in list.iter().enumerate() {
            let Value::Object(members) = value else { return Err(KeySetError::Shape) };
            keys.extend(Jwk { members, position }.public_key()?);
        }
        Ok(Self { keys })
    }

    /// How many keys can verify a signature.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether none can.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The one key of this name that fits `algorithm`; without a name, the only one that fits.
    pub(crate) fn select(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let mut fitting = self.keys.iter().filter(|key| key.fits(kid, algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Some(&key.key),
            _ => None,
        }
    }
}

impl PublicKey {
    fn fits(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        self.kind == algorithm.key_kind()
            && self.algorithm.is_none_or(|only| only == algorithm)
            && kid.is_none_or(|kid| self.kid.as_deref() == Some(kid))
    }
}

/// One entry of the list.
struct Jwk<'a> {
    members: &'a Map<String, Value>,
    position: usize,
}

impl<'a> Jwk<'a> {
    /// The key; `None` for one that signs nothing here.
    fn public_key(&self) -> Result<Option<PublicKey>, KeySetError> {
        let kty = self.required("kty")?;
        if kty == "oct" || SECRET_MEMBERS.iter().any(|name| self.members.contains_key(*name)) {
            return Err(KeySetError::Secret(self.position));
        }
        let named = self.text("alg")?;
        let algorithm = named.and_then(Algorithm::from_name);
        let is_other = named.is_some() && algorithm.is_none();
        if is_other || self.text("use")?.is_some_and(|purpose| purpose != "sig") || !self.may_verify()? {
            return Ok(None);
        }
        let Some((kind, key)) = self.material(kty)? else { return Ok(None) };
        if algorithm.is_some_and(|algorithm| algorithm.key_kind() != kind) {
            return Err(self.fault("alg"));
        }
        Ok(Some(PublicKey { kid: self.text("kid")?.map(str::to_owned), algorithm, kind, key }))
    }

    /// Whether `key_ops`, where it is there, allows verification.
    fn may_verify(&self) -> Result<bool, KeySetError> {
        match self.members.get("key_ops") {
            None => Ok(true),
            Some(Value::Array(operations)) => Ok(operations.iter().any(|operation| operation == "verify")),
            Some(_) => Err(self.fault("key_ops")),
        }
    }

    fn material(&self, kty: &str) -> Result<Option<(KeyKind, DecodingKey)>, KeySetError> {
        if kty == "RSA" {
            return self.rsa().map(|key| Some((KeyKind::Rsa, key)));
        }
        Ok(match (kty, self.text("crv")?) {
            ("EC", Some("P-256")) => Some((KeyKind::P256, self.point(32)?)),
            ("EC", Some("P-384")) => Some((KeyKind::P384, self.point(48)?)),
            ("OKP", Some("Ed25519")) => Some((KeyKind::Ed25519, DecodingKey::from_ed_der(&self.bytes("x", 32)?))),
            ("EC" | "OKP", None) => return Err(self.fault("crv")),
            _ => None,
        })
    }

    fn rsa(&self) -> Result<DecodingKey, KeySetError> {
        let modulus = self.number("n")?;
        if !RSA_MODULUS_BYTES.contains(&modulus.len()) {
            return Err(self.fault("n"));
        }
        let exponent = self.number("e")?;
        // At least 3 and odd, as RFC 8017 has it; longer ones only make verification slow.
        let is_odd = exponent.last().is_some_and(|last| last & 1 == 1);
        if !is_odd || exponent.as_slice() == [1] || exponent.len() > RSA_EXPONENT_BYTES_MAX {
            return Err(self.fault("e"));
        }
        Ok(DecodingKey::from_rsa_raw_components(&modulus, &exponent))
    }

    /// An uncompressed point of the curve with coordinates of `size` bytes.
    fn point(&self, size: usize) -> Result<DecodingKey, KeySetError> {
        let mut point = vec![4];
        point.extend(self.bytes("x", size)?);
        point.extend(self.bytes("y", size)?);
        Ok(DecodingKey::from_ec_der(&point))
    }

    /// A big-endian number without leading zeros.
    fn number(&self, member: &'static str) -> Result<Vec<u8>, KeySetError> {
        let bytes = self.decoded(member)?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Ok(bytes.into_iter().skip(zeros).collect())
    }

    fn bytes(&self, member: &'static str, size: usize) -> Result<Vec<u8>, KeySetError> {
        let bytes = self.decoded(member)?;
        if bytes.len() == size { Ok(bytes) } else { Err(self.fault(member)) }
    }

    fn decoded(&self, member: &'static str) -> Result<Vec<u8>, KeySetError> {
        URL_SAFE_NO_PAD.decode(self.required(member)?).map_err(|_| self.fault(member))
    }

    fn required(&self, member: &'static str) -> Result<&'a str, KeySetError> {
        self.text(member)?.ok_or_else(|| self.fault(member))
    }

    fn text(&self, member: &'static str) -> Result<Option<&'a str>, KeySetError> {
        match self.members.get(member) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.fault(member)),
        }
    }

    fn fault(&self, member: &'static str) -> KeySetError {
        KeySetError::Key { position: self.position, member }
    }
}

/// Members that only private and symmetric keys have (RFC 7518, section 6).
const SECRET_MEMBERS: [&str; 8] = ["d", "k", "p", "q", "dp", "dq", "qi", "oth"];
/// 2048 to 8192 bits.
const RSA_MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1_024;
const RSA_EXPONENT_BYTES_MAX: usize = 4;

#[cfg(test)]
mod tests;
