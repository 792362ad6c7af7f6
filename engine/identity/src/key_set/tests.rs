#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use serde_json::{Value, json};

use super::*;
use crate::testing::{Signer, encode};

fn parse(keys: Value) -> Result<usize, KeySetError> {
    KeySet::parse(json!({"keys": keys}).to_string().as_bytes()).map(|set| set.len())
}

/// RFC 7517, appendix A.1: one key is for encryption, one signs with RS256.
#[test]
fn the_set_of_rfc_7517_has_one_signing_key() {
    let document = br#"{"keys":[
      {"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
       "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"enc","kid":"1"},
      {"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
       "e":"AQAB","alg":"RS256","kid":"2011-04-29"}]}"#;
    let set = KeySet::parse(document).unwrap();
    assert_eq!(set.len(), 1);
    assert!(set.select(Some("2011-04-29"), Algorithm::RS256).is_some());
    assert!(set.select(None, Algorithm::RS256).is_some());
    assert!(set.select(Some("2011-04-29"), Algorithm::PS256).is_none(), "its `alg` is RS256");
    assert!(set.select(Some("1"), Algorithm::ES256).is_none(), "it is for encryption");
    assert!(set.select(Some("1"), Algorithm::RS256).is_none());
}

#[test]
fn anything_secret_refuses_the_whole_set() {
    let good = Signer::p256("a").jwk();
    let mut private = Signer::ed25519("b").jwk();
    private["d"] = encode(&[7; 32]).into();
    assert_eq!(
        parse(json!([good, {"kty": "oct", "k": "c2VjcmV0", "kid": "s", "alg": "HS256"}])),
        Err(KeySetError::Secret(1))
    );
    assert_eq!(parse(json!([{"kty": "oct"}])), Err(KeySetError::Secret(0)));
    assert_eq!(parse(json!([good, private])), Err(KeySetError::Secret(1)));
    assert_eq!(parse(json!([{"kty": "RSA", "use": "enc", "p": "AA"}])), Err(KeySetError::Secret(0)));
}

#[test]
fn keys_that_sign_nothing_here_are_left_out() {
    let mut operations = Signer::p256("a").jwk();
    operations["key_ops"] = json!(["sign", "deriveKey"]);
    assert_eq!(
        parse(json!([
            operations,
            {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"},
            {"kty": "OKP", "crv": "X25519", "x": "AA"},
            {"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"},
            {"kty": "RSA", "alg": "RS512", "n": "AA", "e": "AQAB"},
            {"kty": "RSA", "use": "enc", "n": "AA", "e": "AQAB"},
        ])),
        Ok(0)
    );
    assert_eq!(parse(json!([])), Ok(0));
    operations = Signer::p256("a").jwk();
    operations["key_ops"] = json!(["verify"]);
    operations["use"] = "sig".into();
    assert_eq!(parse(json!([operations])), Ok(1));
}

#[test]
fn malformed_keys_refuse_the_set_and_name_the_member() {
    let (rsa, ec, ed) = (Signer::rsa("a", "RS256").jwk(), Signer::p256("b").jwk(), Signer::ed25519("c").jwk());
    for (key, member, value) in [
        (&rsa, "n", json!(encode(&[0xff; 255]))),
        (&rsa, "n", json!(encode(&[&[0; 8], [0xff; 255].as_slice()].concat()))),
        (&rsa, "n", json!(encode(&[0xff; 1_025]))),
        (&rsa, "n", json!("not base64url!")),
        (&rsa, "n", json!(1)),
        (&rsa, "e", json!("AQ")),
        (&rsa, "e", json!("Ag")),
        (&rsa, "e", json!("")),
        (&rsa, "e", json!(encode(&[1; 5]))),
        (&rsa, "alg", json!("ES256")),
        (&rsa, "kid", json!(7)),
        (&rsa, "use", json!(["sig"])),
        (&rsa, "key_ops", json!("verify")),
        (&rsa, "kty", json!(null)),
        (&ec, "x", json!(encode(&[1; 31]))),
        (&ec, "x", json!(encode(&[1; 48]))),
        (&ec, "y", json!(null)),
        (&ec, "crv", json!(1)),
        (&ed, "x", json!(encode(&[1; 33]))),
    ] {
        let mut key = key.clone();
        key[member] = value.clone();
        assert_eq!(parse(json!([ec, key])), Err(KeySetError::Key { position: 1, member }), "{member} {value}");
    }
}

/// Coordinates that are no point of the curve verify nothing.
#[test]
fn a_point_off_the_curve_verifies_nothing() {
    let signer = Signer::p256("a");
    let mut jwk = signer.jwk();
    jwk["y"] = encode(&[1; 32]).into();
    let set = KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap();
    let verifier = crate::testing::verifier_with(json!({}), &[]);
    verifier.keys("acme").unwrap().install(set, crate::testing::NOW);
    let token = signer.token(&crate::testing::claims());
    assert_eq!(verifier.verify(&token, crate::testing::NOW), Err(crate::TokenError::Signature));
}

#[test]
fn other_documents_are_refused() {
    for document in ["", "{}", "[]", "null", r#"{"keys":{}}"#, r#"{"keys":[1]}"#, r#"{"keys":[],"keys":[]}"#, "<html>"]
    {
        assert_eq!(KeySet::parse(document.as_bytes()).err(), Some(KeySetError::Shape), "{document}");
    }
    let key = Signer::ed25519("a").jwk();
    assert_eq!(parse(json!(vec![&key; KEYS_MAX])), Ok(KEYS_MAX));
    assert_eq!(parse(json!(vec![&key; KEYS_MAX + 1])), Err(KeySetError::TooMany));
    assert_eq!(KeySet::parse(&vec![b' '; KEY_SET_BYTES_MAX + 1]).err(), Some(KeySetError::TooLarge));
}
