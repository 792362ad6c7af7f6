//! Real keys and tokens for the tests of this crate.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::jwk::Jwk;
use portcullis_model::Timestamp;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};
use serde_json::{Value, json};

use crate::issuer::IssuerConfig;
use crate::key_set::KeySet;
use crate::verifier::TokenVerifier;

/// 2026-01-01T00:00:00Z in seconds.
pub(crate) const NOW_SECONDS: u64 = 1_767_225_600;
pub(crate) const NOW: Timestamp = Timestamp::from_millis(NOW_SECONDS * 1_000);

/// A key pair that signs tokens.
pub(crate) struct Signer {
    pub(crate) kid: &'static str,
    name: &'static str,
    algorithm: jsonwebtoken::Algorithm,
    encoding: EncodingKey,
    jwk: Value,
    pub(crate) pair: KeyPair,
}

impl Signer {
    pub(crate) fn ed25519(kid: &'static str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key_raw())});
        let encoding = EncodingKey::from_ed_der(pair.serialized_der());
        Self { kid, name: "EdDSA", algorithm: jsonwebtoken::Algorithm::EdDSA, encoding, jwk, pair }
    }

    pub(crate) fn p256(kid: &'static str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        Self::ec(kid, "ES256", jsonwebtoken::Algorithm::ES256, "P-256", pair)
    }

    pub(crate) fn p384(kid: &'static str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        Self::ec(kid, "ES384", jsonwebtoken::Algorithm::ES384, "P-384", pair)
    }

    fn ec(
        kid: &'static str,
        name: &'static str,
        algorithm: jsonwebtoken::Algorithm,
        curve: &str,
        pair: KeyPair,
    ) -> Self {
        let (x, y) = pair.public_key_raw()[1..].split_at(pair.public_key_raw().len() / 2);
        let jwk = json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)});
        let encoding = EncodingKey::from_ec_der(pair.serialized_der());
        Self { kid, name, algorithm, encoding, jwk, pair }
    }

    pub(crate) fn rsa(kid: &'static str, name: &'static str) -> Self {
        static PEM: LazyLock<String> =
            LazyLock::new(|| KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap().serialize_pem());
        let algorithm = name.parse().unwrap();
        let encoding = EncodingKey::from_rsa_pem(PEM.as_bytes()).unwrap();
        let jwk = serde_json::to_value(Jwk::from_encoding_key(&encoding, algorithm).unwrap()).unwrap();
        let jwk = json!({"kty": "RSA", "n": jwk["n"], "e": jwk["e"]});
        Self { kid, name, algorithm, encoding, jwk, pair: KeyPair::from_pem(&PEM).unwrap() }
    }

    pub(crate) fn encoding(&self) -> &EncodingKey {
        &self.encoding
    }

    /// The public key with its name.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = self.jwk.clone();
        jwk["kid"] = self.kid.into();
        jwk
    }

    pub(crate) fn header(&self) -> Value {
        json!({"alg": self.name, "typ": "at+jwt", "kid": self.kid})
    }

    /// A token with this key's usual header.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_of(&self.header().to_string(), &claims.to_string())
    }

    /// A token of any header and payload text, signed with this key whatever the header says.
    pub(crate) fn token_of(&self, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", encode(header.as_bytes()), encode(payload.as_bytes()));
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &self.encoding, self.algorithm).unwrap();
        format!("{signed}.{signature}")
    }
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn key_set(signers: &[&Signer]) -> KeySet {
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
    KeySet::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap()
}

/// The claims of a good token.
pub(crate) fn claims() -> Value {
    json!({
        "iss": "https://id.example/", "aud": "portcullis", "sub": "ada", "jti": "t-1",
        "iat": NOW_SECONDS - 10, "exp": NOW_SECONDS + 300,
    })
}

/// The good claims with some replaced, or taken out where the value is null.
pub(crate) fn claims_with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    claims
}

/// An issuer that allows every algorithm, with some settings replaced.
pub(crate) fn issuer_with(changes: Value) -> IssuerConfig {
    let mut config = json!({
        "name": "acme", "issuer": "https://id.example/", "audience": "portcullis",
        "algorithms": ["RS256", "PS256", "ES256", "ES384", "EdDSA"], "keys": {"file": "keys.json"},
    });
    for (name, value) in changes.as_object().unwrap() {
        config[name] = value.clone();
    }
    serde_json::from_value(config).unwrap()
}

/// A verifier of that one issuer, whose keys are those of `signers`.
pub(crate) fn verifier_with(changes: Value, signers: &[&Signer]) -> TokenVerifier {
    let verifier = TokenVerifier::new(vec![issuer_with(changes)]).unwrap();
    verifier.keys("acme").unwrap().install(key_set(signers), NOW);
    verifier
}
