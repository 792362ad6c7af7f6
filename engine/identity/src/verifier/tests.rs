#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::time::Duration;

use jsonwebtoken::EncodingKey;
use portcullis_model::limits::CHAIN_MAX;
use serde_json::{Value, json};

use super::*;
use crate::jws::TOKEN_BYTES_MAX;
use crate::testing::{NOW, NOW_SECONDS, Signer, claims, claims_with, encode, issuer_with, key_set, verifier_with};
use crate::token::SpeaksFor;

fn seconds(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

fn malformed(claim: &str) -> TokenError {
    TokenError::ClaimMalformed(claim.into())
}

fn missing(claim: &str) -> TokenError {
    TokenError::ClaimMissing(claim.into())
}

fn unknown_key() -> TokenError {
    TokenError::UnknownKey { issuer: "acme".into() }
}

#[test]
fn every_allowed_algorithm_verifies_its_own_key() {
    let signers = [
        Signer::rsa("rs", "RS256"),
        Signer::rsa("ps", "PS256"),
        Signer::p256("p256"),
        Signer::p384("p384"),
        Signer::ed25519("ed"),
    ];
    let verifier = verifier_with(json!({}), &signers.iter().collect::<Vec<_>>());
    let claims = claims_with(json!({"auth_time": NOW_SECONDS - 60, "client_id": "web"}));
    for signer in &signers {
        let token = verifier.verify(&signer.token(&claims), NOW).unwrap();
        assert_eq!(token.subject().to_string(), r#"User::"ada""#);
        assert_eq!((token.speaks_for(), token.actors().chain()), (SpeaksFor::Subject, [].as_slice()));
        assert_eq!((token.client(), token.token_id(), token.issuer()), (Some("web"), Some("t-1"), "acme"));
        assert_eq!(token.issued_at(), Some(seconds(NOW_SECONDS - 10)));
        assert_eq!(token.auth_time(), Some(seconds(NOW_SECONDS - 60)));
        assert_eq!(token.issued(), seconds(NOW_SECONDS - 10));
        assert_eq!(token.expires(), seconds(NOW_SECONDS + 300));
        assert_eq!(token.holder(), None);
    }
}

/// RFC 8037, appendix A.4: a signature that this crate's dependencies did not make.
#[test]
fn the_signature_of_rfc_8037_verifies() {
    let set =
        KeySet::parse(br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#)
            .unwrap();
    let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let mut signature = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, signature).unwrap();
    let key = set.select(None, crate::Algorithm::EdDsa).unwrap();
    assert!(crate::crypto::is_signed(message, &signature, key, jsonwebtoken::Algorithm::EdDSA));
    signature[0] ^= 1;
    assert!(!crate::crypto::is_signed(message, &signature, key, jsonwebtoken::Algorithm::EdDSA));
}

#[test]
fn hostile_headers_are_refused() {
    let signer = Signer::p256("k");
    let verifier = verifier_with(json!({}), &[&signer]);
    let check = |header: Value, expected: TokenError| {
        let token = signer.token_of(&header.to_string(), &claims().to_string());
        assert_eq!(verifier.verify(&token, NOW), Err(expected), "{header}");
    };
    for algorithm in ["none", "None", "NONE", "", "HS256", "HS512", "es256", "ES512", "RSA-OAEP", "PBES2-HS256+A128KW"]
    {
        check(json!({"alg": algorithm, "kid": "k"}), TokenError::Algorithm);
    }
    check(json!({"kid": "k"}), TokenError::Algorithm);
    check(json!({"alg": ["ES256"], "kid": "k"}), TokenError::Malformed("algorithm"));
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["AAAA"])),
        ("jwk", signer.jwk()),
        ("b64", json!(false)),
        ("enc", json!("A128GCM")),
        ("zip", json!("DEF")),
    ] {
        let mut header = signer.header();
        header[name] = value;
        check(header, TokenError::Header(name));
    }
    for kid in ["other", "../../etc/passwd", "https://evil.example/k", "' OR 1=1 --", "K"] {
        check(json!({"alg": "ES256", "kid": kid}), unknown_key());
    }
    for kid in [json!(1), json!(null), json!(""), json!("k".repeat(257))] {
        check(json!({"alg": "ES256", "kid": kid}), TokenError::Malformed("key id"));
    }
    for typ in [
        "logout+jwt",
        "secevent+jwt",
        "dpop+jwt",
        "portcullis-session+jwt",
        "at+jwt ",
        "",
        "absent",
        "application/absent",
    ] {
        check(json!({"alg": "ES256", "kid": "k", "typ": typ}), TokenError::Type);
    }
    check(json!({"alg": "ES256", "kid": "k", "typ": 1}), TokenError::Malformed("type"));
    // The right kind of key for the wrong algorithm, and the other way round.
    check(json!({"alg": "ES384", "kid": "k"}), unknown_key());
    check(json!({"alg": "RS256", "kid": "k"}), unknown_key());
}

#[test]
fn accepted_types_are_accepted_in_every_spelling() {
    let signer = Signer::p256("k");
    let verifier = verifier_with(json!({}), &[&signer]);
    for header in [
        json!({"alg": "ES256", "kid": "k"}),
        json!({"alg": "ES256", "kid": "k", "typ": "jwt"}),
        json!({"alg": "ES256", "kid": "k", "typ": "AT+JWT"}),
        json!({"alg": "ES256", "kid": "k", "typ": "application/at+jwt"}),
    ] {
        let token = signer.token_of(&header.to_string(), &claims().to_string());
        assert!(verifier.verify(&token, NOW).is_ok(), "{header}");
    }
}

#[test]
fn a_public_key_is_no_shared_secret() {
    let signer = Signer::rsa("k", "RS256");
    let verifier = verifier_with(json!({}), &[&signer]);
    let secrets = [
        signer.pair.public_key_pem().into_bytes(),
        signer.pair.public_key_raw().to_vec(),
        signer.jwk().to_string().into(),
    ];
    for secret in secrets {
        let header = encode(br#"{"alg":"HS256","typ":"JWT","kid":"k"}"#);
        let signed = format!("{header}.{}", encode(claims().to_string().as_bytes()));
        let key = EncodingKey::from_secret(&secret);
        let mac = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, jsonwebtoken::Algorithm::HS256).unwrap();
        assert_eq!(verifier.verify(&format!("{signed}.{mac}"), NOW), Err(TokenError::Algorithm));
    }
}

#[test]
fn only_the_configured_algorithms_are_accepted() {
    let signer = Signer::rsa("k", "PS256");
    let verifier = verifier_with(json!({"algorithms": ["RS256"]}), &[&signer]);
    assert_eq!(verifier.verify(&signer.token(&claims()), NOW), Err(TokenError::Algorithm));
    // A key that names its algorithm verifies no other, even where both are allowed.
    let mut jwk = signer.jwk();
    jwk["alg"] = "RS256".into();
    let verifier = verifier_with(json!({}), &[]);
    let set = KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap();
    verifier.keys("acme").unwrap().install(set, NOW);
    assert_eq!(verifier.verify(&signer.token(&claims()), NOW), Err(unknown_key()));
    assert!(verifier.verify(&Signer::rsa("k", "RS256").token(&claims()), NOW).is_ok());
}

#[test]
fn a_token_without_key_id_needs_exactly_one_fitting_key() {
    let (first, second, other) = (Signer::p256("a"), Signer::p256("b"), Signer::ed25519("c"));
    let token = first.token_of(r#"{"alg":"ES256"}"#, &claims().to_string());
    assert!(verifier_with(json!({}), &[&first, &other]).verify(&token, NOW).is_ok());
    assert_eq!(verifier_with(json!({}), &[&first, &second]).verify(&token, NOW), Err(unknown_key()));
    assert_eq!(verifier_with(json!({}), &[&second]).verify(&token, NOW), Err(TokenError::Signature));
    assert_eq!(verifier_with(json!({}), &[&other]).verify(&token, NOW), Err(unknown_key()));
}

#[test]
fn hostile_claims_are_refused() {
    let signer = Signer::ed25519("k");
    let verifier = verifier_with(json!({}), &[&signer]);
    let check = |changes: Value, expected: TokenError| {
        let token = signer.token(&claims_with(changes.clone()));
        assert_eq!(verifier.verify(&token, NOW), Err(expected), "{changes}");
    };
    for name in ["exp", "aud", "sub", "iss"] {
        check(json!({name: null}), missing(name));
    }
    let text = (NOW_SECONDS + 300).to_string();
    for time in
        [json!(text), json!(-1), json!(1.5e9), json!([1]), json!(true), json!(u64::MAX), json!(253_402_300_800_u64)]
    {
        for name in ["exp", "nbf", "iat", "auth_time"] {
            check(json!({name: time}), malformed(name));
        }
    }
    for issuer in ["https://id.example", "https://id.example/x", "https://ID.example/", "https://id.example/ ", "http"]
    {
        check(json!({"iss": issuer}), TokenError::Issuer);
    }
    check(json!({"iss": ["https://id.example/"]}), malformed("iss"));
    check(json!({"iss": ""}), malformed("iss"));
    for audience in [json!("other"), json!(""), json!("portcullis2"), json!("portculli"), json!(["other"])] {
        check(json!({"aud": audience}), TokenError::Audience);
    }
    check(json!({"aud": ["portcullis", "other"]}), TokenError::Audience);
    for audience in [json!([]), json!({"portcullis": 1}), json!(1), json!([["portcullis"]])] {
        check(json!({"aud": audience}), malformed("aud"));
    }
    for subject in [json!(""), json!(7), json!(["ada"]), json!({"id": "ada"}), json!("x".repeat(513))] {
        check(json!({"sub": subject}), malformed("sub"));
    }
    for name in ["events", "at_hash", "c_hash", "s_hash"] {
        check(json!({name: {}}), TokenError::Type);
    }
    check(json!({"jti": 1}), malformed("jti"));
    check(json!({"azp": 1}), malformed("azp"));
    check(json!({"act": {"sub": "bot"}}), TokenError::ActorUntrusted);
    check(json!({"act": []}), TokenError::ActorUntrusted);
    check(json!({"cnf": {"jkt": "x"}}), TokenError::Binding("jkt"));
    check(json!({"cnf": {"jwk": {}}}), TokenError::Binding("cnf"));
    check(json!({"cnf": {}}), missing("x5t#S256"));
    check(json!({"cnf": {"x5t#S256": "short"}}), malformed("cnf"));
    check(json!({"cnf": "x"}), malformed("cnf"));
}

/// Payloads that no JSON library would write.
#[test]
fn hostile_payload_texts_are_refused() {
    let signer = Signer::ed25519("k");
    let verifier = verifier_with(json!({}), &[&signer]);
    let good = claims().to_string();
    let with = |extra: &str| format!("{},{extra}}}", good.strip_suffix('}').unwrap());
    let header = signer.header().to_string();
    assert!(verifier.verify(&signer.token_of(&header, &with(r#""x":1"#)), NOW).is_ok());
    for payload in [
        with(r#""exp":9999999999"#),
        with(r#""sub":"ada""#),
        with(r#""\u0073ub":"ben""#),
        with(r#""nbf":1e400"#),
        with(r#""x":{"y":1,"y":2}"#),
        with(&format!("\"x\":{}{}", "[".repeat(500), "]".repeat(500))),
        format!("{good}{good}"),
        "[]".into(),
        "null".into(),
        String::new(),
    ] {
        let token = signer.token_of(&header, &payload);
        assert_eq!(verifier.verify(&token, NOW), Err(TokenError::Malformed("payload")), "{payload}");
    }
    let token = signer.token_of(r#"{"alg":"EdDSA","kid":"k","kid":"k"}"#, &good);
    assert_eq!(verifier.verify(&token, NOW), Err(TokenError::Malformed("header")));
}

#[test]
fn times_are_checked_to_the_leeway_and_no_further() {
    let signer = Signer::ed25519("k");
    let check = |leeway: u64, changes: Value, expected: Result<(), TokenError>| {
        let verifier = verifier_with(json!({"leeway_seconds": leeway}), &[&signer]);
        let result = verifier.verify(&signer.token(&claims_with(changes.clone())), NOW).map(|_| ());
        assert_eq!(result, expected, "{changes}");
    };
    let early = |claim, ahead| Err(TokenError::Early { claim, ahead: Duration::from_secs(ahead) });
    check(5, json!({"exp": NOW_SECONDS - 4}), Ok(()));
    check(5, json!({"exp": NOW_SECONDS - 5}), Err(TokenError::Expired(Duration::from_secs(5))));
    check(0, json!({"exp": NOW_SECONDS + 1}), Ok(()));
    check(0, json!({"exp": NOW_SECONDS}), Err(TokenError::Expired(Duration::ZERO)));
    check(5, json!({"exp": 0}), Err(TokenError::Expired(Duration::from_secs(NOW_SECONDS))));
    for claim in ["nbf", "iat", "auth_time"] {
        check(5, json!({claim: NOW_SECONDS + 5}), Ok(()));
        check(5, json!({claim: NOW_SECONDS + 6}), early(claim, 6));
        check(0, json!({claim: NOW_SECONDS}), Ok(()));
        check(0, json!({claim: NOW_SECONDS + 1}), early(claim, 1));
    }
}

#[test]
fn a_token_that_does_not_tell_its_age_is_as_old_as_can_be() {
    let signer = Signer::ed25519("k");
    let verifier = verifier_with(json!({}), &[&signer]);
    let issued = |changes| verifier.verify(&signer.token(&claims_with(changes)), NOW).unwrap().issued();
    assert_eq!(issued(json!({"iat": null})), Timestamp::default());
    assert_eq!(issued(json!({"iat": null, "auth_time": 7})), seconds(7));
    assert_eq!(issued(json!({"iat": 5, "auth_time": 7})), seconds(7));
    assert_eq!(issued(json!({"iat": 7, "auth_time": 5})), seconds(7));
}

#[test]
fn one_audience_in_a_list_is_that_audience() {
    let signer = Signer::ed25519("k");
    let verifier = verifier_with(json!({}), &[&signer]);
    assert!(verifier.verify(&signer.token(&claims_with(json!({"aud": ["portcullis"]}))), NOW).is_ok());
}

#[test]
fn shapes_that_are_no_tokens_are_refused_before_any_crypto() {
    let signer = Signer::ed25519("k");
    let verifier = verifier_with(json!({}), &[&signer]);
    let good = signer.token(&claims());
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    for token in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        "a.b.c.d.e".into(),
        "\u{1F600}.\u{1F600}.\u{1F600}".into(),
        header.to_owned(),
        format!("{header}.{payload}"),
        format!("{good}.{signature}"),
        format!(".{payload}.{signature}"),
        format!("{header}..{signature}"),
        format!("{header}.{payload}.{signature}="),
        format!("{header}.{payload}. {signature}"),
        format!("{header}=.{payload}.{signature}"),
        format!("Bearer {good}"),
        format!("{good}\n"),
    ] {
        assert!(matches!(verifier.verify(&token, NOW), Err(TokenError::Malformed(_))), "{token}");
    }
    assert_eq!(verifier.verify(&format!("{header}.{payload}."), NOW), Err(TokenError::Signature));
    assert_eq!(verifier.verify(&"a".repeat(TOKEN_BYTES_MAX + 1), NOW), Err(TokenError::TooLarge));
    assert!(matches!(verifier.verify(&"a".repeat(TOKEN_BYTES_MAX), NOW), Err(TokenError::Malformed(_))));
}

#[test]
fn the_size_limit_holds_for_good_tokens_too() {
    let signer = Signer::ed25519("k");
    let verifier = verifier_with(json!({}), &[&signer]);
    let padded = |bytes: usize| signer.token(&claims_with(json!({"scope": "s".repeat(bytes)})));
    assert!(verifier.verify(&padded(11_000), NOW).is_ok());
    assert_eq!(verifier.verify(&padded(13_000), NOW), Err(TokenError::TooLarge));
}

#[test]
fn every_flipped_byte_breaks_the_token() {
    let signer = Signer::ed25519("k");
    let verifier = verifier_with(json!({}), &[&signer]);
    let token = signer.token(&claims());
    for position in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        assert!(verifier.verify(std::str::from_utf8(&bytes).unwrap(), NOW).is_err(), "{position}");
        assert!(verifier.verify(&token[..position], NOW).is_err(), "{position}");
    }
}

#[test]
fn errors_and_debug_hold_nothing_of_the_token() {
    let signer = Signer::ed25519("k");
    let verifier = verifier_with(json!({}), &[&signer]);
    for changes in [json!({"sub": ["secretsub"]}), json!({"iss": "secretiss"}), json!({"aud": "secretaud"})] {
        let error = verifier.verify(&signer.token(&claims_with(changes)), NOW).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("secret"), "{shown}");
        assert_eq!(error.public_word(), "token_refused");
    }
}

#[test]
fn actors_are_read_only_from_issuers_trusted_for_them() {
    let signer = Signer::ed25519("k");
    let trusted = verifier_with(json!({"agents": "act", "agent_type": "Bot"}), &[&signer]);
    let chain = |act: Value| {
        let token = trusted.verify(&signer.token(&claims_with(json!({"act": act}))), NOW)?;
        Ok(token.actors().chain().iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    // RFC 8693, section 4.1: the outermost `act` acts now, so it is the chain's last.
    let nested = json!({"sub": "mailer", "act": {"sub": "triage", "iss": "https://id.example/"}});
    assert_eq!(chain(nested), Ok(vec![r#"Bot::"triage""#.into(), r#"Bot::"mailer""#.into()]));
    let deep = |links: usize| {
        (1..links).fold(json!({"sub": "a0"}), |act, link| json!({"sub": format!("a{link}"), "act": act}))
    };
    assert_eq!(chain(deep(CHAIN_MAX)).map(|chain| chain.len()), Ok(CHAIN_MAX));
    assert_eq!(chain(deep(CHAIN_MAX + 1)), Err(TokenError::ChainTooLong));
    assert_eq!(chain(json!({})), Err(missing("act.sub")));
    assert_eq!(chain(json!({"sub": ""})), Err(malformed("sub")));
    assert_eq!(chain(json!({"sub": "a", "act": {"sub": 1}})), Err(malformed("sub")));
    assert_eq!(chain(json!({"sub": "a", "act": "b"})), Err(malformed("act")));
    assert_eq!(chain(json!("mailer")), Err(malformed("act")));
    assert_eq!(chain(json!({"sub": "a", "iss": "https://other.example/"})), Err(TokenError::ActorUntrusted));
}

#[test]
fn a_client_claim_names_the_agent_or_says_that_the_token_is_its_own() {
    let signer = Signer::ed25519("k");
    let verifier = verifier_with(json!({"agents": {"client_claim": "azp"}}), &[&signer]);
    let verify = |changes| verifier.verify(&signer.token(&claims_with(changes)), NOW);
    let token = verify(json!({"azp": "mailer"})).unwrap();
    assert_eq!(token.actors().chain(), ["Agent::mailer".parse().unwrap()]);
    assert_eq!((token.client(), token.speaks_for()), (Some("mailer"), SpeaksFor::Subject));
    let own = verify(json!({"azp": "mailer", "sub": "mailer"})).unwrap();
    assert_eq!((own.subject().to_string().as_str(), own.speaks_for()), (r#"Agent::"mailer""#, SpeaksFor::Agent));
    assert!(verify(json!({})).unwrap().actors().chain().is_empty());
    assert_eq!(verify(json!({"azp": ["mailer"]})), Err(malformed("azp")));
    assert_eq!(verify(json!({"azp": "mailer", "act": {"sub": "x"}})), Err(TokenError::ActorUntrusted));
}

#[test]
fn another_subject_claim_is_used_instead_of_sub() {
    let signer = Signer::ed25519("k");
    let verifier = verifier_with(json!({"subject_claim": "oid", "subject_type": "Entra::User"}), &[&signer]);
    let verify = |changes| verifier.verify(&signer.token(&claims_with(changes)), NOW);
    assert_eq!(verify(json!({"oid": "42"})).unwrap().subject().to_string(), r#"Entra::User::"42""#);
    assert_eq!(verify(json!({})), Err(missing("oid")));
    assert_eq!(verify(json!({"oid": 42})), Err(malformed("oid")));
    assert_eq!(verify(json!({"oid": "42", "sub": null})), Err(missing("sub")));
}

#[test]
fn each_issuer_is_verified_with_its_own_keys_only() {
    let (ours, theirs) = (Signer::ed25519("k"), Signer::ed25519("k"));
    let other = issuer_with(json!({"name": "other", "issuer": "https://other.example/"}));
    let verifier = TokenVerifier::new(vec![issuer_with(json!({})), other]).unwrap();
    verifier.keys("acme").unwrap().install(key_set(&[&ours]), NOW);
    verifier.keys("other").unwrap().install(key_set(&[&theirs]), NOW);
    let from_other = claims_with(json!({"iss": "https://other.example/"}));
    assert_eq!(verifier.verify(&theirs.token(&from_other), NOW).unwrap().issuer(), "other");
    assert_eq!(verifier.verify(&theirs.token(&claims()), NOW), Err(TokenError::Signature));
    assert_eq!(verifier.verify(&ours.token(&from_other), NOW), Err(TokenError::Signature));
}

#[test]
fn without_issuers_or_keys_nothing_is_accepted() {
    let signer = Signer::ed25519("k");
    let token = signer.token(&claims());
    assert_eq!(TokenVerifier::default().verify(&token, NOW), Err(TokenError::Issuer));
    let verifier = TokenVerifier::new(vec![issuer_with(json!({}))]).unwrap();
    let unavailable = TokenError::KeysUnavailable { issuer: "acme".into() };
    assert_eq!(verifier.verify(&token, NOW), Err(unavailable.clone()));
    assert_eq!((unavailable.is_retryable(), unavailable.public_word()), (true, "token_not_checked"));
    // A set without keys is the issuer's word that there are none.
    verifier.keys("acme").unwrap().install(key_set(&[]), NOW);
    assert_eq!(verifier.verify(&token, NOW), Err(unknown_key()));
    verifier.keys("acme").unwrap().install(key_set(&[&signer]), NOW);
    assert!(verifier.verify(&token, NOW).is_ok());
    let day_later = NOW.plus(crate::KEYS_STALE_MAX + Duration::from_secs(1));
    assert_eq!(verifier.verify(&token, day_later), Err(unavailable));
}

#[test]
fn an_unknown_key_id_is_known_after_the_refresh_it_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let (old, new) = (Signer::ed25519("old"), Signer::ed25519("new"));
    let write = |signer: &Signer| std::fs::write(&path, json!({"keys": [signer.jwk()]}).to_string()).unwrap();
    write(&old);
    let verifier = TokenVerifier::new(vec![issuer_with(json!({"keys": {"file": path}}))]).unwrap();
    assert!(verifier.refresh_blocking(NOW, Demand::Now).is_empty());
    assert_eq!(verifier.verify(&new.token(&claims()), NOW), Err(unknown_key()));
    write(&new);
    let later = NOW.plus(crate::KEYS_REFRESH_PAUSE);
    assert!(verifier.refresh_blocking(later, Demand::IfDue).is_empty());
    assert!(verifier.verify(&new.token(&claims()), NOW).is_ok());
    assert_eq!(verifier.verify(&old.token(&claims()), NOW), Err(unknown_key()));
    std::fs::remove_file(&path).unwrap();
    let failures = verifier.refresh_blocking(later, Demand::Now);
    assert_eq!(failures.iter().map(|failure| failure.issuer.as_str()).collect::<Vec<_>>(), ["acme"]);
    assert!(verifier.verify(&new.token(&claims()), NOW).is_ok(), "the last good keys stay");
}
