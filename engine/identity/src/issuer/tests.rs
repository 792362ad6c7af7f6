#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use serde_json::json;

use super::*;
use crate::testing::issuer_with;
use crate::verifier::TokenVerifier;

#[test]
fn a_short_entry_gets_safe_defaults() {
    let config: IssuerConfig = toml::from_str(
        r#"
        name = "acme"
        issuer = "https://id.example/"
        audience = "portcullis"
        algorithms = ["ES256", "EdDSA"]
        keys = { url = "https://id.example/keys" }
        "#,
    )
    .unwrap();
    assert_eq!(config.algorithms, [Algorithm::ES256, Algorithm::EdDsa]);
    assert_eq!((config.subject_type.as_str(), config.agent_type.as_str()), ("User", "Agent"));
    assert_eq!((config.subject_claim.as_str(), config.leeway()), ("sub", Duration::from_secs(5)));
    assert_eq!(config.agents, AgentTrust::None);
    assert_eq!(config.token_types, ["at+jwt", "JWT", "absent"]);
    assert_eq!(mistakes_of(&[config]), []);
}

#[test]
fn every_form_of_a_setting_is_read_and_others_are_not() {
    for good in [
        json!({"agents": "none"}),
        json!({"agents": "act"}),
        json!({"agents": {"client_claim": "azp"}}),
        json!({"keys": {"file": "keys.json"}}),
        json!({"token_types": ["at+jwt"]}),
    ] {
        assert_eq!(mistakes_of(&[issuer_with(good.clone())]), [], "{good}");
    }
    for bad in [
        r#"algorithms = ["HS256"]"#,
        r#"algorithms = ["none"]"#,
        r#"algorithms = ["RS512"]"#,
        r#"agents = "all""#,
        r#"keys = { inline = "x" }"#,
        r#"audiences = "x""#,
        "leeway_seconds = -1",
        r#"subject_type = "not a type""#,
    ] {
        let text = format!("name = \"a\"\nissuer = \"i\"\naudience = \"a\"\n{bad}\n");
        assert!(toml::from_str::<IssuerConfig>(&text).is_err(), "{bad}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let bad = issuer_with(json!({
        "name": "two words", "issuer": "", "audience": "", "algorithms": [], "keys": {"url": "http://id.example/keys"},
        "subject_claim": "email", "agents": {"client_claim": "sub"}, "token_types": [], "leeway_seconds": 61,
    }));
    let twin = issuer_with(json!({"issuer": "https://other.example/"}));
    let double = issuer_with(json!({"name": "double"}));
    let shown: Vec<String> = TokenVerifier::new(vec![bad, issuer_with(json!({})), twin, double])
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
    for key in
        ["name", "issuer", "audience", "algorithms", "keys.url", "subject_claim", "agents.client_claim", "token_types"]
    {
        assert!(shown.iter().any(|text| text.contains(&format!("`issuer.two words.{key}`"))), "{key}: {shown:?}");
    }
    assert!(shown.iter().any(|text| text.contains("leeway_seconds")));
    assert!(shown.contains(&"`acme` and `acme` have the same name".to_owned()));
    assert!(shown.contains(&"`acme` and `double` have the same issuer".to_owned()));
    assert_eq!(shown.len(), 11);
}

#[test]
fn single_mistakes_are_found() {
    for bad in [
        json!({"issuer": "a b"}),
        json!({"audience": "x".repeat(2_049)}),
        json!({"keys": {"file": ""}}),
        json!({"keys": {"url": "https://user:word@id.example/"}}),
        json!({"subject_type": "Agent"}),
        json!({"agents": {"client_claim": ""}}),
        json!({"token_types": vec!["x"; 17]}),
        json!({"subject_claim": "upn"}),
    ] {
        assert_eq!(mistakes_of(&[issuer_with(bad.clone())]).len(), 1, "{bad}");
    }
    let many: Vec<_> = (0..65).map(|number| issuer_with(json!({"name": format!("n{number}")}))).collect();
    assert_eq!(mistakes_of(&many), [ConfigMistake::Limit { key: "issuer".into(), limit: 64 }]);
}
