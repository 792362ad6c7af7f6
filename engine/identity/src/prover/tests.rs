#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_model::{ErrorCode, SessionTerms};
use rcgen::{CertificateParams, KeyPair, SanType};
use serde_json::{Value, json};

use super::*;
use crate::testing::{NOW, NOW_SECONDS, Signer, claims_with, verifier_with};
use crate::token_error::TokenError;

/// A client that may assert Ada and two agents, and one signer whose tokens name agents by `act`.
struct Bench {
    registration: Registration,
    certificate: CertificateIdentity,
    der: Vec<u8>,
    signer: Signer,
    verifier: TokenVerifier,
}

impl Bench {
    fn new(registration: Value) -> Self {
        Self::with_issuer(registration, json!({"agents": "act"}))
    }

    fn with_issuer(registration: Value, issuer: Value) -> Self {
        let mut value = json!({
            "name": "slack", "role": "platform", "credentials": {"uris": ["spiffe://acme/slack"]},
            "asserts": {"subjects": ["User::ada"], "agents": ["Agent::triage", "Agent::mailer"]},
        });
        for (name, change) in registration.as_object().unwrap() {
            value[name] = change.clone();
        }
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI("spiffe://acme/slack".try_into().unwrap())];
        params.not_before = rcgen::date_time_ymd(2025, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
        let signer = Signer::ed25519("k");
        Self {
            registration: serde_json::from_value(value).unwrap(),
            certificate: CertificateIdentity::from_der(&der).unwrap(),
            der,
            verifier: verifier_with(issuer, &[&signer]),
            signer,
        }
    }

    fn prover(&self) -> Prover<'_> {
        Prover {
            registration: &self.registration,
            certificate: Some(&self.certificate),
            verifier: &self.verifier,
            now: NOW,
        }
    }

    fn prove(&self, subject: Proof, agents: &[Proof]) -> Result<Proven, ProofError> {
        self.prover().prove(&subject, agents)
    }

    fn token(&self, changes: Value) -> Proof {
        Proof::Token(self.signer.token(&claims_with(changes)))
    }
}

fn asserted(uid: &str) -> Proof {
    Proof::Asserted(uid.parse().unwrap())
}

fn chain(proven: &Proven) -> Vec<String> {
    proven.agents().iter().map(|agent| agent.uid().shown()).collect()
}

fn seconds(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

#[test]
fn a_registered_client_asserts_only_the_names_on_its_lists() {
    let bench = Bench::new(json!({}));
    let proven = bench.prove(asserted("User::ada"), &[asserted("Agent::triage"), asserted("Agent::mailer")]).unwrap();
    assert_eq!(proven.subject().uid().shown(), "User::ada");
    assert_eq!(chain(&proven), ["Agent::triage", "Agent::mailer"]);
    assert_eq!(
        (proven.subject().issued(), proven.agents()[0].issued()),
        (Timestamp::MAX, Timestamp::MAX),
        "an assertion is made for this session"
    );
    assert_eq!(proven.expires(), bench.certificate.not_after(), "the connection's credential is the only one");
    let terms = proven.terms(NOW.plus(std::time::Duration::from_secs(60)));
    assert_eq!(
        terms,
        SessionTerms {
            subject: "User::ada".parse().unwrap(),
            agents: vec!["Agent::triage".parse().unwrap(), "Agent::mailer".parse().unwrap()],
            expires: seconds(NOW_SECONDS + 60),
        }
    );
    for (subject, agent, side) in [
        ("User::ben", "Agent::mailer", Side::Subject),
        ("Agent::mailer", "Agent::mailer", Side::Subject),
        ("User::ada", "Agent::release", Side::Agent),
        ("User::ada", "User::ada", Side::Agent),
    ] {
        let error = bench.prove(asserted(subject), &[asserted(agent)]).unwrap_err();
        assert!(matches!(&error, ProofError::NotAsserted { side: found, .. } if *found == side), "{error}");
        assert_eq!(error.refusal().code, ErrorCode::NotPermitted);
        assert!(!error.refusal().message.contains("User"), "{}", error.refusal());
    }
}

#[test]
fn tokens_prove_subject_and_chain_and_end_the_session() {
    let bench = Bench::new(json!({}));
    let act = json!({"sub": "mailer", "act": {"sub": "triage"}});
    let proven = bench.prove(bench.token(json!({"act": act, "client_id": "web"})), &[]).unwrap();
    assert_eq!(chain(&proven), ["Agent::triage", "Agent::mailer"]);
    assert_eq!((proven.client(), proven.expires()), (Some("web"), seconds(NOW_SECONDS + 300)));
    assert_eq!(proven.subject().issued(), seconds(NOW_SECONDS - 10));
    assert_eq!(proven.agents()[1].issued(), seconds(NOW_SECONDS - 10));

    // The token's own actors cannot be left out; asserted ones come after them.
    let proven = bench.prove(bench.token(json!({"act": {"sub": "release"}})), &[asserted("Agent::mailer")]).unwrap();
    assert_eq!(chain(&proven), ["Agent::release", "Agent::mailer"]);

    // A second token for the same subject proves its actor; the sooner end counts, each age is its own.
    let agent = bench.token(json!({"act": {"sub": "mailer"}, "exp": NOW_SECONDS + 30, "iat": NOW_SECONDS - 99}));
    let proven = bench.prove(bench.token(json!({})), &[agent]).unwrap();
    assert_eq!((chain(&proven), proven.expires()), (vec!["Agent::mailer".to_owned()], seconds(NOW_SECONDS + 30)));
    assert_eq!(proven.subject().issued(), seconds(NOW_SECONDS - 10));
    assert_eq!(proven.agents()[0].issued(), seconds(NOW_SECONDS - 99));
}

#[test]
fn a_token_proves_only_the_side_it_speaks_for() {
    let bench = Bench::with_issuer(json!({}), json!({"agents": {"client_claim": "azp"}}));
    let own = || bench.token(json!({"sub": "mailer", "azp": "mailer"}));
    let person = || bench.token(json!({}));
    let proven = bench.prove(person(), &[own()]).unwrap();
    assert_eq!(chain(&proven), ["Agent::mailer"]);
    let subject = Err(ProofError::Side { side: Side::Subject });
    let agent = Err(ProofError::Side { side: Side::Agent });
    assert_eq!(bench.prove(own(), &[own()]), subject, "an agent is nobody's subject");
    assert_eq!(bench.prove(person(), &[person()]), agent, "a person is nobody's agent");
    let other = bench.token(json!({"sub": "ben", "azp": "mailer"}));
    assert_eq!(bench.prove(person(), &[other]), agent, "it acts for Ben");
}

#[test]
fn tokens_that_are_not_accepted_prove_nothing_and_callers_learn_nothing() {
    let bench = Bench::new(json!({}));
    let expired = bench.token(json!({"exp": 1, "act": {"sub": "mailer"}}));
    for (subject, agents, side) in [
        (expired.clone(), vec![asserted("Agent::mailer")], Side::Subject),
        (asserted("User::ada"), vec![expired], Side::Agent),
        (asserted("User::ada"), vec![Proof::Token("secret".into())], Side::Agent),
        (Proof::Token(String::new()), vec![], Side::Subject),
    ] {
        let error = bench.prove(subject, &agents).unwrap_err();
        assert!(matches!(&error, ProofError::Token { side: found, .. } if *found == side), "{error}");
        assert!(!error.is_retryable());
        let refusal = error.refusal();
        assert_eq!(
            (refusal.code, refusal.message.as_str()),
            (ErrorCode::Unauthenticated, "the proof was not accepted")
        );
        assert!(!format!("{error:?}").contains("secret"));
    }
    let error = bench.prove(bench.token(json!({"exp": 1})), &[]).unwrap_err();
    assert!(error.to_string().starts_with("the subject's token was not accepted: the token expired"), "{error}");
    assert_eq!(format!("{:?}", Proof::Token("secret".into())), "Token(…)");
    let unknown = TokenError::UnknownKey { issuer: "acme".into() };
    assert!(ProofError::Token { side: Side::Subject, cause: unknown }.is_retryable());
}

#[test]
fn only_direct_clients_open_sessions_without_agents() {
    let error = Bench::new(json!({})).prove(asserted("User::ada"), &[]).unwrap_err();
    assert_eq!(error, ProofError::NotDirect { client: "slack".into() });
    assert_eq!(error.refusal().code, ErrorCode::NotPermitted);
    assert!(Bench::new(json!({"direct": true})).prove(asserted("User::ada"), &[]).unwrap().agents().is_empty());
}

#[test]
fn a_chain_is_bounded_before_its_proofs_are_looked_at() {
    let bench = Bench::new(json!({}));
    let agents = |count: usize| vec![asserted("Agent::mailer"); count];
    assert_eq!(bench.prove(asserted("User::ada"), &agents(CHAIN_MAX)).unwrap().agents().len(), CHAIN_MAX);
    assert_eq!(bench.prove(asserted("User::ada"), &agents(CHAIN_MAX + 1)), Err(ProofError::ChainTooLong));
    let garbage = vec![Proof::Token("x".into()); CHAIN_MAX + 1];
    assert_eq!(bench.prove(asserted("User::ada"), &garbage), Err(ProofError::ChainTooLong));
    let subject = || bench.token(json!({"act": {"sub": "triage"}}));
    assert!(bench.prove(subject(), &agents(CHAIN_MAX - 1)).is_ok());
    assert_eq!(bench.prove(subject(), &agents(CHAIN_MAX)), Err(ProofError::ChainTooLong));
    // Tokens with several actors each may pass the count of proofs and still be too many agents.
    let act = json!({"sub": "a", "act": {"sub": "b", "act": {"sub": "c"}}});
    let many = vec![bench.token(json!({"act": act})); 3];
    assert_eq!(bench.prove(asserted("User::ada"), &many), Err(ProofError::ChainTooLong));
}

#[test]
fn a_certificate_proves_what_its_registration_names() {
    let bench = Bench::new(json!({"agent": "Agent::slackbot", "subject": "Service::nightly", "direct": true}));
    let proven = bench.prove(asserted("User::ada"), &[Proof::Certificate]).unwrap();
    assert_eq!(chain(&proven), ["Agent::slackbot"]);
    assert_eq!(proven.agents()[0].issued(), bench.certificate.not_before());
    let service = bench.prove(Proof::Certificate, &[]).unwrap();
    assert_eq!(service.subject().uid().shown(), "Service::nightly");

    let nothing = |side| Err(ProofError::NoCertificate { client: "slack".into(), side });
    let plain = Bench::new(json!({}));
    assert_eq!(plain.prove(asserted("User::ada"), &[Proof::Certificate]), nothing(Side::Agent));
    assert_eq!(plain.prove(Proof::Certificate, &[]), nothing(Side::Subject));
    let bearer = Prover { certificate: None, ..bench.prover() };
    assert_eq!(bearer.prove(&asserted("User::ada"), &[Proof::Certificate]), nothing(Side::Agent));
    // A certificate that is not among the client's credentials, on a connection opened by a bearer token.
    let other = Bench::new(json!({"agent": "Agent::slackbot", "credentials": {"uris": ["spiffe://acme/other"]}}));
    assert_eq!(other.prove(asserted("User::ada"), &[Proof::Certificate]), nothing(Side::Agent));
}

#[test]
fn a_connection_outlives_its_certificate_but_opens_nothing_more() {
    let bench = Bench::new(json!({}));
    let second = std::time::Duration::from_secs(1);
    let late = Prover { now: bench.certificate.not_after().plus(second), ..bench.prover() };
    let error = late.prove(&asserted("User::ada"), &[asserted("Agent::mailer")]).unwrap_err();
    assert_eq!(error, ProofError::CertificateOver { client: "slack".into() });
    assert_eq!(error.refusal().code, ErrorCode::Unauthenticated);
    let bearer = Prover { certificate: None, ..late };
    let proven = bearer.prove(&asserted("User::ada"), &[asserted("Agent::mailer")]).unwrap();
    assert_eq!(proven.expires(), Timestamp::MAX);
}

#[test]
fn a_token_bound_to_a_certificate_works_on_that_connection_only() {
    let bench = Bench::new(json!({"direct": true}));
    let digest = <sha2::Sha256 as sha2::Digest>::digest(&bench.der);
    let bound = bench.token(json!({"cnf": {"x5t#S256": URL_SAFE_NO_PAD.encode(digest)}}));
    assert!(bench.prove(bound.clone(), &[]).is_ok());
    let elsewhere = Prover { certificate: None, ..bench.prover() };
    let refused = Err(ProofError::Holder { side: Side::Subject });
    assert_eq!(elsewhere.prove(&bound, &[]), refused);
    let stranger = Bench::new(json!({}));
    let stranger = Prover { certificate: Some(&stranger.certificate), ..bench.prover() };
    assert_eq!(stranger.prove(&bound, &[]), refused);
}
