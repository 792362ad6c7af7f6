#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use rcgen::string::Ia5String;
use rcgen::{CertificateParams, CustomExtension, DnType, KeyPair, SanType};

use super::*;

fn uri(text: &str) -> SanType {
    SanType::URI(Ia5String::try_from(text).unwrap())
}

fn der(names: Vec<SanType>, change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names;
    change(&mut params);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

#[test]
fn names_and_lifetime_are_read() {
    let names = vec![uri("spiffe://acme/bot"), SanType::DnsName("bot.acme.example".try_into().unwrap())];
    let der = der(names, |params| {
        params.distinguished_name.push(DnType::CommonName, "bot");
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
    });
    let identity = CertificateIdentity::from_der(&der).unwrap();
    assert_eq!(identity.uris(), ["spiffe://acme/bot"]);
    assert_eq!(identity.dns_names(), ["bot.acme.example"]);
    assert_eq!(identity.common_name(), Some("bot"));
    assert_eq!(identity.not_before().to_string(), "2026-01-01T00:00:00.000Z");
    assert_eq!(identity.not_after().to_string(), "2027-01-01T00:00:00.000Z");
    assert_eq!(identity.fingerprint(), Fingerprint::of(&der));
    let second = std::time::Duration::from_secs(1);
    let before = Timestamp::from_millis(identity.not_before().as_millis() - 1_000);
    for (now, is_valid) in [
        (before, false),
        (identity.not_before(), true),
        (identity.not_after(), true),
        (identity.not_after().plus(second), false),
    ] {
        assert_eq!(identity.is_valid_at(now), is_valid, "{now}");
    }
}

#[test]
fn a_certificate_without_names_has_none() {
    let identity = CertificateIdentity::from_der(&der(vec![], |params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
    }))
    .unwrap();
    assert_eq!((identity.uris(), identity.dns_names(), identity.common_name()), ([].as_slice(), [].as_slice(), None));
}

#[test]
fn names_that_could_be_taken_for_others_are_refused() {
    let check = |names: Vec<SanType>| CertificateIdentity::from_der(&der(names, |_| {})).map(|_| ());
    assert_eq!(check(vec![uri("spiffe://acme/a"), uri("spiffe://acme/b")]), Err(CertificateError::SpiffeIds));
    assert_eq!(check(vec![uri("spiffe://acme/a"), uri("SPIFFE://acme/b")]), Err(CertificateError::SpiffeIds));
    assert_eq!(check(vec![uri("spiffe://acme/a"), uri("urn:b")]), Ok(()));
    for text in
        ["", "spiffe://acme/a b", "spiffe://acme/a\0", "spiffe://acme/a\n", &format!("urn:{}", "x".repeat(2_045))]
    {
        assert_eq!(check(vec![uri(text)]), Err(CertificateError::Names), "{text:?}");
    }
    let many = |count: usize| (0..count).map(|number| uri(&format!("urn:{number}"))).collect::<Vec<_>>();
    assert_eq!(check(many(8)), Ok(()));
    assert_eq!(check(many(9)), Err(CertificateError::Names));
}

#[test]
fn a_second_list_of_names_is_refused() {
    // 2.5.29.17 again, with the URI `urn:a`.
    let extension =
        CustomExtension::from_oid_content(&[2, 5, 29, 17], [&[0x30, 7, 0x86, 5], b"urn:a".as_slice()].concat());
    let der = der(vec![uri("urn:b")], |params| params.custom_extensions = vec![extension]);
    assert_eq!(CertificateIdentity::from_der(&der), Err(CertificateError::Malformed));
}

#[test]
fn other_bytes_are_refused() {
    let good = der(vec![uri("urn:a")], |_| {});
    for length in 0..good.len() {
        assert_eq!(CertificateIdentity::from_der(&good[..length]), Err(CertificateError::Malformed), "{length}");
    }
    let trailing = [good.as_slice(), &[0]].concat();
    assert_eq!(CertificateIdentity::from_der(&trailing), Err(CertificateError::Malformed));
    assert_eq!(CertificateIdentity::from_der(&vec![0; CERTIFICATE_BYTES_MAX + 1]), Err(CertificateError::TooLarge));
    // Flipped bytes may still be a certificate, but then another one.
    for position in 0..good.len() {
        let mut flipped = good.clone();
        flipped[position] ^= 0x41;
        if let Ok(identity) = CertificateIdentity::from_der(&flipped) {
            assert_ne!(identity.fingerprint(), Fingerprint::of(&good), "{position}");
        }
    }
}
