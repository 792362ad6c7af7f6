#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use serde_json::json;

use super::*;
use crate::testing::{NOW, NOW_SECONDS, Signer};

fn tokens() -> (Signer, SessionTokens) {
    let signer = Signer::ed25519("s");
    let tokens = SessionTokens::from_pkcs8(signer.pair.serialized_der()).unwrap();
    (signer, tokens)
}

fn claims() -> SessionClaims {
    SessionClaims {
        session: SessionId::from_bytes([7; 16]),
        subject: r#"User::"ada \"l\"""#.parse().unwrap(),
        agents: vec!["Agent::triage-bot".parse().unwrap(), "Agent::mailer".parse().unwrap()],
        ancestors: vec![SessionId::from_bytes([8; 16])],
        born_at: Revision::new(1, 42),
        opener: Revision::new(1, 43),
        session_expires: NOW.plus(Duration::from_millis(3_600_500)),
        client: "slack".into(),
    }
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[test]
fn what_was_minted_is_what_is_verified() {
    let (_, tokens) = tokens();
    let token = tokens.mint(&claims(), NOW.plus(Duration::from_millis(999))).unwrap();
    let session = tokens.verify(&token, NOW).unwrap();
    assert_eq!((session.issued(), session.expires()), (NOW, NOW.plus(TOKEN_LIFE_MAX)));
    assert_eq!(session.into_claims(), claims());
    let header = decoded(token.split('.').next().unwrap());
    assert_eq!((&header["typ"], &header["alg"]), (&json!("portcullis-session+jwt"), &json!("EdDSA")));
}

#[test]
fn a_token_ends_with_its_session() {
    let (_, tokens) = tokens();
    let claims = SessionClaims { session_expires: NOW.plus(Duration::from_millis(60_999)), ..claims() };
    let session = tokens.verify(&tokens.mint(&claims, NOW).unwrap(), NOW).unwrap();
    assert_eq!(session.expires(), NOW.plus(Duration::from_secs(60)));
    let over = SessionClaims { session_expires: NOW.plus(Duration::from_millis(999)), ..claims.clone() };
    assert_eq!(tokens.mint(&over, NOW), Err(MintError::Over));
    let over = SessionClaims { session_expires: Timestamp::default(), ..claims };
    assert_eq!(tokens.mint(&over, NOW), Err(MintError::Over));
}

#[test]
fn sessions_beyond_their_limits_get_no_token() {
    let (_, tokens) = tokens();
    let agent: EntityUid = "Agent::a".parse().unwrap();
    let life = SESSION_LIFE_MAX + Duration::from_millis(1);
    for claims in [
        SessionClaims { session_expires: NOW.plus(life), ..claims() },
        SessionClaims { agents: vec![agent.clone(); CHAIN_MAX + 1], ..claims() },
        SessionClaims { ancestors: vec![SessionId::from_bytes([1; 16]); CHAIN_MAX + 1], ..claims() },
        SessionClaims { client: "c".repeat(TOKEN_BYTES_MAX), ..claims() },
    ] {
        assert_eq!(tokens.mint(&claims, NOW), Err(MintError::Limits));
    }
    // The longest that there can be.
    let longest = EntityUid::of("Agent", &"x".repeat(512)).unwrap();
    let claims = SessionClaims { agents: vec![longest; CHAIN_MAX], ..claims() };
    assert!(tokens.mint(&claims, NOW).is_ok());
}

#[test]
fn lifetimes_are_checked_without_leeway() {
    let (_, tokens) = tokens();
    let token = tokens.mint(&claims(), NOW).unwrap();
    let end = NOW.plus(TOKEN_LIFE_MAX);
    let last = Timestamp::from_millis(end.as_millis() - 1);
    assert!(tokens.verify(&token, last).is_ok());
    assert_eq!(tokens.verify(&token, end), Err(TokenError::Expired(Duration::ZERO)));
    let early = |seconds: u64| Timestamp::from_millis((NOW_SECONDS - seconds) * 1_000);
    assert!(tokens.verify(&token, early(5)).is_ok());
    let ahead = Duration::from_secs(6);
    assert_eq!(tokens.verify(&token, early(6)), Err(TokenError::Early { claim: "iat", ahead }));
}

#[test]
fn nothing_else_is_a_session_token() {
    let (signer, tokens) = tokens();
    let token = tokens.mint(&claims(), NOW).unwrap();
    let (header, rest) = token.split_once('.').unwrap();
    let payload = decoded(rest.split('.').next().unwrap());
    let header = decoded(header).to_string();
    let sign = |header: &str, payload: &Value| signer.token_of(header, &payload.to_string());

    // Even with the right key, another header makes it another kind of token.
    for header in [r#"{"alg":"none"}"#, r#"{"alg":"EdDSA","typ":"JWT"}"#, &signer.header().to_string()] {
        assert_eq!(tokens.verify(&sign(header, &payload), NOW), Err(TokenError::Type), "{header}");
    }
    let raw = String::from_utf8(URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap();
    assert!(tokens.verify(&sign(&raw, &payload), NOW).is_ok(), "{header}");
    for (name, value) in [
        ("aud", json!("portcullis")),
        ("aud", json!(["portcullis-session", "x"])),
        ("exp", json!("1767226200")),
        ("exp", json!(NOW_SECONDS + 601)),
        ("exp", json!(u64::MAX)),
        ("iat", json!(null)),
        ("iat", json!(-1)),
        ("sub", json!("")),
        ("sub", json!("ada")),
        ("sid", json!("s_1")),
        ("agents", json!(vec!["Agent::a"; 9])),
        ("agents", json!(null)),
        ("born_at", json!({"epoch": 1})),
        ("session_expires_ms", json!(NOW.as_millis())),
        ("extra", json!(1)),
    ] {
        let mut payload = payload.clone();
        payload[name] = value.clone();
        assert!(tokens.verify(&sign(&raw, &payload), NOW).is_err(), "{name} {value}");
    }
    let doubled = payload.to_string().replacen('{', r#"{"sub":"User::\"ben\"","#, 1);
    assert_eq!(tokens.verify(&signer.token_of(&raw, &doubled), NOW), Err(TokenError::Malformed("payload")));
}

#[test]
fn another_key_or_any_change_is_refused() {
    let ((_, tokens), (_, others)) = (tokens(), tokens());
    let token = tokens.mint(&claims(), NOW).unwrap();
    assert_eq!(others.verify(&token, NOW), Err(TokenError::Type), "another key id");
    for position in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        assert!(tokens.verify(std::str::from_utf8(&bytes).unwrap(), NOW).is_err(), "{position}");
        assert!(tokens.verify(&token[..position], NOW).is_err(), "{position}");
    }
    assert_eq!(tokens.verify(&"x".repeat(TOKEN_BYTES_MAX + 1), NOW), Err(TokenError::TooLarge));
    assert!(tokens.verify("", NOW).is_err());
}

#[test]
fn only_ed25519_keys_are_taken_and_none_is_shown() {
    for bytes in
        [&[][..], &[0; 48], Signer::p256("p").pair.serialized_der(), Signer::rsa("r", "RS256").pair.serialized_der()]
    {
        assert_eq!(SessionTokens::from_pkcs8(bytes).err(), Some(SessionKeyError));
    }
    let (_, tokens) = tokens();
    assert_eq!(format!("{tokens:?}"), "SessionTokens { .. }");
}

/// Version 1 of PKCS#8, as `openssl genpkey` writes it; the key is that of RFC 8037, appendix A.1.
#[test]
fn keys_of_openssl_are_read() {
    let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let prefix = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let pkcs8 = [&prefix[..], &seed].concat();
    assert_eq!(
        crypto::ed25519_public(&pkcs8),
        URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").ok()
    );
    let tokens = SessionTokens::from_pkcs8(&pkcs8).unwrap();
    assert!(tokens.verify(&tokens.mint(&claims(), NOW).unwrap(), NOW).is_ok());
}
