//! Who may open a session for whom: tokens, asserted names, roles.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use portcullis_audit::{EntryKind, Filter};
use portcullis_client::admin::{AdminRequest, RevokeTarget};
use portcullis_client::{DecideError, OpenError, OpenRequest, Proof};
use portcullis_identity::{IssuerConfig, Registration, Role};
use portcullis_model::{ErrorCode, Request, Verdict};
use portcullis_tests::names::{action, uid};
use portcullis_tests::nodes::{Plan, TestNode, platform, registration};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value as Json, json};

use crate::records;

/// Signs tokens of the issuer that the node trusts.
struct Signer(KeyPair);

impl Signer {
    fn new() -> Self {
        Self(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap())
    }

    fn jwks(&self) -> String {
        let raw = self.0.public_key_raw();
        let (x, y) = raw[1..].split_at(32);
        json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k1", "x": encode(x), "y": encode(y)}]}).to_string()
    }

    fn token(&self, header: &Json, claims: &str) -> String {
        let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.as_bytes()));
        let key = EncodingKey::from_ec_der(self.0.serialized_der());
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::ES256).unwrap();
        format!("{signed}.{signature}")
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn header() -> Json {
    json!({"alg": "ES256", "typ": "at+jwt", "kid": "k1"})
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn claims(changes: Json) -> String {
    let mut claims = json!({
        "iss": "https://id.example/", "aud": "portcullis", "sub": "ada", "iat": now() - 10, "exp": now() + 300,
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let kept = claims.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
    Json::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect()).to_string()
}

const STRICT: &str = "strict";

/// A node with an issuer, and a platform that may name one agent and nobody else.
async fn node(signer: &Signer) -> (TestNode, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.json");
    std::fs::write(&keys, signer.jwks()).unwrap();
    let issuer: IssuerConfig = serde_json::from_value(json!({
        "name": "acme", "issuer": "https://id.example/", "audience": "portcullis", "algorithms": ["ES256"],
        "keys": {"file": keys},
    }))
    .unwrap();
    let strict = Registration { asserts: Default::default(), ..platform(STRICT, &[]) };
    let strict = Registration {
        asserts: portcullis_identity::Asserts { agents: vec![uid("Agent::triage-bot")], ..Default::default() },
        direct: false,
        ..strict
    };
    let clients = vec![
        strict,
        registration("pep", Role::Pep),
        registration("auditor", Role::Auditor),
        platform("app", &["Agent::triage-bot"]),
    ];
    (TestNode::sample(Plan { clients, issuers: vec![issuer], ..Plan::default() }).await, folder)
}

fn by_token(token: String) -> OpenRequest {
    OpenRequest::new(Proof::Token(token), vec![Proof::Asserted(uid("Agent::triage-bot"))])
}

fn refusal(error: OpenError) -> portcullis_model::Refusal {
    match error {
        OpenError::Failed(DecideError::Refused { refusal, .. }) => refusal,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_token_opens_and_every_hostile_one_is_refused_alike_and_recorded() {
    let (signer, stranger) = (Signer::new(), Signer::new());
    let (node, _keys) = node(&signer).await;
    let client = node.client(STRICT).await;
    let session = client.open(&by_token(signer.token(&header(), &claims(json!({}))))).await.unwrap();
    assert_eq!(session.subject(), &uid("User::ada"));
    let read = Request::new(action("slack/list_channels"), uid("Server::slack"));
    assert_eq!(session.decide(&read).await.unwrap().verdict, Verdict::Allow);

    let unsigned = |alg: &str| {
        let header = encode(json!({"alg": alg, "kid": "k1"}).to_string().as_bytes());
        format!("{header}.{}.", encode(claims(json!({})).as_bytes()))
    };
    let by_public_key = {
        let secret = EncodingKey::from_secret(signer.0.public_key_raw());
        let header = json!({"alg": "HS256", "typ": "at+jwt", "kid": "k1"});
        let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims(json!({})).as_bytes()));
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &secret, Algorithm::HS256).unwrap();
        format!("{signed}.{signature}")
    };
    let good = |changes: Json| signer.token(&header(), &claims(changes));
    let with_header = |name: &str, value: Json| {
        let mut header = header();
        header[name] = value;
        signer.token(&header, &claims(json!({})))
    };
    let mut tampered = good(json!({}));
    let middle = tampered.find('.').unwrap() + 5;
    let other = if tampered.as_bytes()[middle] == b'A' { "B" } else { "A" };
    tampered.replace_range(middle..=middle, other);
    let twice = claims(json!({})).replacen('{', r#"{"sub":"chen","#, 1);
    let hostile = [
        ("expired", good(json!({"exp": now() - 60}))),
        ("unsigned", unsigned("ES256")),
        ("alg none", unsigned("none")),
        ("HS256 with the public key", by_public_key),
        ("another's key", stranger.token(&header(), &claims(json!({})))),
        ("wrong issuer", good(json!({"iss": "https://id.example/evil"}))),
        ("wrong audience", good(json!({"aud": "portcullis-staging"}))),
        ("no audience", good(json!({"aud": null}))),
        ("exp as text", good(json!({"exp": (now() + 300).to_string()}))),
        ("no exp", good(json!({"exp": null}))),
        ("negative exp", good(json!({"exp": -1}))),
        ("not yet", good(json!({"nbf": now() + 60}))),
        ("empty subject", good(json!({"sub": ""}))),
        ("subject as a list", good(json!({"sub": ["ada"]}))),
        ("an actor that this issuer may not name", good(json!({"act": {"sub": "mailer"}}))),
        ("unknown key", with_header("kid", json!("../../etc/passwd"))),
        ("key inside", with_header("jwk", json!({"kty": "EC"}))),
        ("critical", with_header("crit", json!(["exp"]))),
        ("a logout token", with_header("typ", json!("logout+jwt"))),
        ("two subjects", signer.token(&header(), &twice)),
        ("trailing bytes", signer.token(&header(), &format!("{} {{}}", claims(json!({}))))),
        ("tampered", tampered),
        ("five parts", format!("{}.a.b", good(json!({})))),
        ("no token", "x".to_owned()),
        ("long", "a".repeat(8_000)),
    ];
    let mut told = std::collections::BTreeSet::new();
    for (what, token) in &hostile {
        let refused = refusal(client.open(&by_token(token.clone())).await.err().unwrap_or_else(|| panic!("{what}")));
        assert_eq!(refused.code, ErrorCode::Unauthenticated, "{what}: {refused}");
        assert!(!refused.message.contains(token.as_str()), "{what}");
        told.insert(refused.message);
    }
    assert_eq!(told.len(), 1, "the caller learns no more than that it was refused: {told:?}");
    let reasons = records::refusals(node.engine()).await;
    assert_eq!(reasons.len(), hostile.len(), "{reasons:?}");
    let distinct: std::collections::BTreeSet<_> = reasons.iter().collect();
    assert!(distinct.len() >= 10, "the record says why: {distinct:?}");
    drop(session);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_believed_only_where_the_registration_lists_them() {
    let signer = Signer::new();
    let (node, _keys) = node(&signer).await;
    let (strict, app) = (node.client(STRICT).await, node.client("app").await);
    let token = || Proof::Token(signer.token(&header(), &claims(json!({}))));
    let named = |name: &str| Proof::Asserted(uid(name));
    for (what, client, subject, agents, code) in [
        ("a subject without proof", &strict, named("User::ada"), vec![named("Agent::triage-bot")], None),
        ("an agent outside the list", &app, named("User::ada"), vec![named("Agent::release-bot")], None),
        (
            "an agent behind a good one",
            &app,
            named("User::ada"),
            vec![named("Agent::triage-bot"), named("Agent::mailer")],
            None,
        ),
        ("an agent as the subject", &app, named("Agent::triage-bot"), vec![], None),
        ("a direct session of a client that is not", &strict, token(), vec![], None),
        ("a certificate that is nobody's", &app, Proof::Certificate, vec![], None),
        ("a forged session", &app, Proof::Session("x.y.z".to_owned()), vec![], Some(ErrorCode::Unauthenticated)),
    ] {
        let refused = client.open(&OpenRequest::new(subject, agents)).await;
        let refused = refusal(refused.err().unwrap_or_else(|| panic!("{what} opened")));
        let expected = [ErrorCode::NotPermitted, ErrorCode::Unauthenticated];
        assert!(code.map_or(expected.contains(&refused.code), |code| code == refused.code), "{what}: {refused}");
    }
    assert_eq!(records::refusals(node.engine()).await.len(), 7, "each is recorded");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_bound_what_a_client_may_ask() {
    let signer = Signer::new();
    let (node, _keys) = node(&signer).await;
    let (app, pep, auditor) = (node.client("app").await, node.client("pep").await, node.client("auditor").await);
    // An agent's session is never an administrator: its connection may not even ask.
    let session = app.open(&OpenRequest::asserted(uid("User::ada"), [uid("Agent::triage-bot")])).await.unwrap();
    let revoke = AdminRequest::Revoke { target: RevokeTarget::User { uid: uid("User::chen") } };
    for (client, request) in [
        (&app, revoke.clone()),
        (&app, AdminRequest::Status {}),
        (&pep, revoke.clone()),
        (&pep, AdminRequest::Status {}),
        (&auditor, revoke),
        (&auditor, AdminRequest::Events { changes: Vec::new() }),
    ] {
        let refused = client.admin(&request).await.unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::NotPermitted), "{:?}: {refused}", client.role());
    }
    assert!(auditor.admin(&AdminRequest::Status {}).await.is_ok());
    for client in [&pep, &auditor] {
        let refused = client.open(&OpenRequest::asserted(uid("User::ada"), [])).await.unwrap_err();
        assert_eq!(refusal(refused).code, ErrorCode::NotPermitted);
    }
    let filter = Filter { kind: Some(EntryKind::Refused), ..Filter::default() };
    assert!(records::search(node.engine(), &filter).await.len() >= 8, "every one is recorded");
    let chen = node.engine().entity(&uid("User::chen")).unwrap().1;
    assert_eq!(chen, portcullis_model::Standing::Active, "and had no effect");
    drop(session);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_known_credential_is_refused() {
    let signer = Signer::new();
    let (node, _keys) = node(&signer).await;
    let unknown = portcullis_client::Client::connect(node.options("nobody")).await.unwrap_err();
    assert!(unknown.to_string().contains("credential"), "{unknown}");
    let mut bearer = node.options("app");
    bearer.credential = portcullis_client::Credential::Token("guessed".to_owned());
    let guessed = portcullis_client::Client::connect(bearer).await.unwrap_err();
    assert_eq!(guessed.to_string(), unknown.to_string(), "both are told the same");
    let other = TestNode::start(Plan::default()).await;
    let mut foreign = node.options("app");
    foreign.roots = other.options("app").roots;
    assert!(portcullis_client::Client::connect(foreign).await.is_err(), "a node of another authority is not trusted");
    let mut foreign = other.options("app");
    foreign.roots = node.options("app").roots;
    foreign.address = node.options("app").address;
    assert!(portcullis_client::Client::connect(foreign).await.is_err(), "nor a client of another authority");
    other.stop().await;
    node.stop().await;
}
