#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use rcgen::{CertificateParams, KeyPair, SanType};
use serde_json::{Value, json};

use super::*;
use crate::registration::Role;

fn registration(changes: Value) -> Registration {
    let mut value =
        json!({"name": "slack", "role": "platform", "credentials": {"bearers": [BearerHash::of(b"secret")]}});
    for (name, change) in changes.as_object().unwrap() {
        value[name] = change.clone();
    }
    serde_json::from_value(value).unwrap()
}

fn certificate(uris: &[&str]) -> CertificateIdentity {
    let mut params = CertificateParams::default();
    params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
    let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    CertificateIdentity::from_der(certificate.der()).unwrap()
}

fn name(found: Option<Arc<Registration>>) -> Option<String> {
    found.map(|registration| registration.name.clone())
}

#[test]
fn a_registration_is_read_from_toml_with_safe_defaults() {
    let text = format!(
        r#"
        name = "slack"
        role = "platform"
        credentials = {{ uris = ["spiffe://acme/slack"], bearers = ["{}"] }}
        asserts = {{ subjects = ["User::ada"], subject_types = ["Guest"], agents = ["Agent::mailer"] }}
        "#,
        BearerHash::of(b"secret")
    );
    let registration: Registration = toml::from_str(&text).unwrap();
    assert_eq!(
        (registration.role, registration.role.as_str(), registration.direct),
        (Role::Platform, "platform", false)
    );
    assert!(registration.attributes.is_empty() && registration.subject.is_none() && registration.agent.is_none());
    for (uid, is_subject, is_agent) in [
        ("User::ada", true, false),
        ("User::Ada", false, false),
        ("User::ben", false, false),
        ("Guest::anyone", true, false),
        ("Agent::mailer", false, true),
        ("Agent::other", false, false),
        ("Other::mailer", false, false),
    ] {
        let uid = uid.parse().unwrap();
        assert_eq!(registration.may_assert_subject(&uid), is_subject, "{uid}");
        assert_eq!(registration.may_assert_agent(&uid), is_agent, "{uid}");
    }
    for bad in [
        "name = \"a\"\nrole = \"root\"\ncredentials = {}",
        "name = \"a\"\nrole = \"Operator\"\ncredentials = {}",
        "name = \"a\"\nrole = \"pep\"",
        "name = \"a\"\nrole = \"pep\"\ncredentials = { bearers = [\"secret\"] }",
        "name = \"a\"\nrole = \"pep\"\ncredentials = {}\nadmin = true",
        "name = \"a\"\nrole = \"pep\"\ncredentials = {}\nasserts = { agents = [\"*\"] }",
    ] {
        assert!(toml::from_str::<Registration>(bad).is_err(), "{bad}");
    }
}

#[test]
fn bearer_tokens_find_their_client_wherever_it_stands() {
    let registrations = (0..50).map(|number| {
        let hashes = [0, 1].map(|turn| BearerHash::of(format!("secret-{number}-{turn}").as_bytes()));
        registration(json!({"name": format!("c{number}"), "credentials": {"bearers": hashes}}))
    });
    let registry = Registry::new(registrations.collect()).unwrap();
    for number in 0..50 {
        for turn in 0..2 {
            let token = format!("secret-{number}-{turn}");
            assert_eq!(name(registry.by_bearer(&token)), Some(format!("c{number}")), "{token}");
        }
    }
    let hash = BearerHash::of(b"secret-0-0").to_string();
    for token in ["", "secret-0-", "secret-0-00", "Secret-0-0", "secret-50-0", &hash, &"x".repeat(BEARER_BYTES_MAX + 1)]
    {
        assert_eq!(name(registry.by_bearer(token)), None, "{token}");
    }
    assert_eq!(name(Registry::default().by_bearer("secret-0-0")), None);
    assert_eq!(registry.iter().count(), 50);
    assert_eq!(name(registry.by_name("c7")), Some("c7".into()));
}

/// Even a registration whose token is as long as allowed.
#[test]
fn a_bearer_token_of_the_greatest_length_is_found() {
    let token = "x".repeat(BEARER_BYTES_MAX);
    let registration = registration(json!({"credentials": {"bearers": [BearerHash::of(token.as_bytes())]}}));
    assert!(Registry::new(vec![registration]).unwrap().by_bearer(&token).is_some());
}

#[test]
fn certificates_find_their_client_by_fingerprint_or_uri() {
    let (pinned, named, both) =
        (certificate(&[]), certificate(&["spiffe://acme/b"]), certificate(&["spiffe://acme/a", "urn:b"]));
    let registry = Registry::new(vec![
        registration(
            json!({"name": "a", "credentials": {"certificates": [pinned.fingerprint()], "uris": ["spiffe://acme/a"]}}),
        ),
        registration(json!({"name": "b", "credentials": {"uris": ["spiffe://acme/b", "urn:b"]}})),
    ])
    .unwrap();
    assert_eq!(name(registry.by_certificate(&pinned)), Some("a".into()));
    assert_eq!(name(registry.by_certificate(&named)), Some("b".into()));
    assert_eq!(name(registry.by_certificate(&certificate(&["spiffe://acme/a", "urn:x"]))), Some("a".into()));
    assert_eq!(name(registry.by_certificate(&both)), None, "its names are two clients'");
    for uri in ["spiffe://acme/", "spiffe://acme/a/", "spiffe://ACME/a", "spiffe://acme/ab"] {
        assert_eq!(name(registry.by_certificate(&certificate(&[uri]))), None, "{uri}");
    }
    assert_eq!(name(registry.by_certificate(&certificate(&[]))), None);
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let uri = json!({"credentials": {"uris": ["urn:a"]}});
    let mistakes = Registry::new(vec![
        registration(json!({})),
        registration(json!({"credentials": {"bearers": [BearerHash::of(b"secret")], "uris": ["urn:a"]}})),
        registration(json!({"name": "a b", "credentials": uri["credentials"], "attributes": [""]})),
        registration(json!({"name": "none", "credentials": {}})),
        registration(json!({"name": "odd", "credentials": {"uris": ["no uri"]}})),
        registration(json!({"name": "self", "credentials": {"bearers": [BearerHash::of(b"x")]}, "agent": "Agent::a"})),
        registration(json!({"name": "many", "credentials": {"bearers": (0..257_u32).map(|n| BearerHash::of(&n.to_le_bytes())).collect::<Vec<_>>()}})),
    ])
    .unwrap_err();
    let shown: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    for expected in [
        "`slack` and `slack` have the same name",
        "`slack` and `slack` have the same bearer token",
        "`slack` and `a b` have the same URI",
        "`client.none.credentials` is empty",
        "`client.a b.attributes` is empty",
        "`client.many.credentials` exceeds its limit of 256",
    ] {
        assert!(shown.iter().any(|text| text == expected), "{expected}: {shown:#?}");
    }
    for part in ["`client.a b.name`", "`client.odd.credentials.uris`", "`client.self.agent`"] {
        assert!(shown.iter().any(|text| text.starts_with(part)), "{part}: {shown:#?}");
    }
    assert_eq!(shown.len(), 9, "{shown:#?}");
    assert!(!shown.join(" ").contains(&BearerHash::of(b"secret").to_string()));
}

#[test]
fn a_registry_is_bounded() {
    let many = vec![registration(json!({})); REGISTRATIONS_MAX + 1];
    assert_eq!(Registry::new(many).unwrap_err().len(), 1);
}
