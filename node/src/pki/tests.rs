#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::*;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn server_certificate_serves_loopback_names_to_those_who_trust_the_authority() {
    let authority = Authority::create(now()).unwrap();
    let server = authority.server(&["node.internal".to_owned(), "10.1.2.3".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(der(&authority.certificate_pem())).unwrap();
    let verifier =
        rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let verify = |name: &str, at: SystemTime| {
        use rustls::client::danger::ServerCertVerifier;
        let at = UnixTime::since_unix_epoch(at.duration_since(SystemTime::UNIX_EPOCH).unwrap());
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.verify_server_cert(&der(&server.certificate_pem), &[], &name, &[], at).is_ok()
    };
    for name in ["localhost", "127.0.0.1", "::1", "node.internal", "10.1.2.3"] {
        assert!(verify(name, now()), "{name}");
    }
    assert!(!verify("evil.example", now()));
    assert!(verify("localhost", now() - SKEW) && !verify("localhost", now() - SKEW - DAY));
    assert!(!verify("localhost", now() + LEAF_LIFE));
    let key = PrivateKeyDer::from_pem_slice(server.key_pem.as_bytes()).unwrap();
    assert!(provider.key_provider.load_private_key(key).is_ok());
}

#[test]
fn client_certificate_names_its_client_and_cannot_serve() {
    let authority = Authority::create(now()).unwrap();
    let client = authority.client("operator").unwrap();
    let certificate = der(&client.certificate_pem);
    let (_, parsed) = X509Certificate::from_der(&certificate).unwrap();
    let names: Vec<_> = parsed.subject_alternative_name().unwrap().unwrap().value.general_names.clone();
    assert_eq!(names, [GeneralName::URI("portcullis:client/operator")]);
    let purposes = parsed.extended_key_usage().unwrap().unwrap().value;
    assert!(purposes.client_auth && !purposes.server_auth && !purposes.any);
    assert!(!parsed.is_ca());
    assert!(
        parsed.iter_extensions().any(|e| matches!(e.parsed_extension(), ParsedExtension::AuthorityKeyIdentifier(_)))
    );
    assert_eq!(client.fingerprint, Fingerprint::of(&certificate));
    assert_eq!(client.fingerprint.to_string().len(), 64);

    let accepts = |root: &Authority| {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(der(&root.certificate_pem())).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let at = UnixTime::since_unix_epoch(now().duration_since(SystemTime::UNIX_EPOCH).unwrap());
        verifier.verify_client_cert(&certificate, &[], at).is_ok()
    };
    assert!(accepts(&authority));
    assert!(!accepts(&Authority::create(now()).unwrap()), "another authority's client is a stranger");
}

#[test]
fn client_names_that_could_leave_the_folder_are_refused() {
    let authority = Authority::create(now()).unwrap();
    for name in ["", "../ca", "a/b", "Ada", "a b", "a\0", &"x".repeat(65)] {
        assert!(matches!(authority.client(name), Err(PkiError::Name(_))), "{name:?}");
    }
}

#[test]
fn token_keys_sign_with_ed25519() {
    let key = token_key().unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let signer = provider.key_provider.load_private_key(PrivateKeyDer::Pkcs8(key.clone_key())).unwrap();
    assert!(signer.choose_scheme(&[rustls::SignatureScheme::ED25519]).is_some());
    assert_ne!(key.secret_pkcs8_der(), token_key().unwrap().secret_pkcs8_der());
}

#[test]
fn keys_are_private_from_the_first_byte_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let tls = folder.path().join("data/tls");
    create_private_folder(&tls).unwrap();
    assert_eq!((mode(&tls), mode(&folder.path().join("data"))), (0o700, 0o700));
    let client = Authority::create(now()).unwrap().client("operator").unwrap();
    client.write(&tls, "operator").unwrap();
    assert_eq!((mode(&tls.join("operator.key")), mode(&tls.join("operator.crt"))), (0o600, 0o644));
    assert_eq!(fingerprint(&tls.join("operator.crt")).unwrap(), client.fingerprint);
    assert!(matches!(client.write(&tls, "operator"), Err(PkiError::Exists(_))));
    std::os::unix::fs::symlink("/nowhere", tls.join("other.crt")).unwrap();
    assert!(matches!(client.write(&tls, "other"), Err(PkiError::Exists(_))));
    assert!(!tls.join("other.key").exists(), "nothing is written beside what exists");
}

#[test]
fn secrets_that_others_may_use_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    write_secret(&path, b"secret").unwrap();
    assert_eq!(read_secret(&path).unwrap(), b"secret");
    for wider in [0o640, 0o604, 0o660, 0o666, 0o622] {
        fs::set_permissions(&path, fs::Permissions::from_mode(wider)).unwrap();
        let error = read_secret(&path).unwrap_err();
        assert!(matches!(error, PkiError::Exposed { mode, .. } if mode == wider));
        assert!(!error.to_string().contains("secret"));
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, vec![0; 300 * 1024]).unwrap();
    assert!(matches!(read_secret(&path), Err(PkiError::Large(_))));
    assert!(matches!(read_secret(&folder.path().join("none")), Err(PkiError::File { .. })));
    assert!(matches!(fingerprint(&folder.path().join("none")), Err(PkiError::File { .. })));
    fs::write(&path, "no pem").unwrap();
    assert!(matches!(fingerprint(&path), Err(PkiError::NoCertificate(_))));
}
