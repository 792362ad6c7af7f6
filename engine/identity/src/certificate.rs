//! What a client certificate says about its holder. Whether it is to be believed is the TLS verifier's matter.

use portcullis_model::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use crate::digest::Fingerprint;

/// Most bytes of a certificate.
///
/// BOUND: client certificates have 1 to 3 KiB.
pub const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;

/// Why the names of a certificate cannot be used. All of them are the peer's: another certificate is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// More than [`CERTIFICATE_BYTES_MAX`].
    #[error("the certificate is larger than {CERTIFICATE_BYTES_MAX} bytes")]
    TooLarge,
    /// Not one X.509 certificate in DER.
    #[error("the certificate is malformed")]
    Malformed,
    /// Too many names, or one that is too long or has characters that no such name has.
    #[error("the certificate's alternative names are malformed or too many")]
    Names,
    /// More than one SPIFFE id (X.509-SVID, section 2).
    #[error("the certificate has more than one SPIFFE id")]
    SpiffeIds,
}

/// Names and lifetime of a client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateIdentity {
    fingerprint: Fingerprint,
    uris: Vec<String>,
    dns_names: Vec<String>,
    common_name: Option<String>,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl CertificateIdentity {
    /// Reads a certificate that the TLS verifier has accepted.
    ///
    /// # Errors
    /// [`CertificateError`] for one that is too large or malformed, or whose names could be taken for others.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(CertificateError::TooLarge);
        }
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
        if !rest.is_empty() {
            return Err(CertificateError::Malformed);
        }
        let (uris, dns_names) = alternative_names(&certificate)?;
        if uris.iter().filter(|uri| is_spiffe(uri)).count() > 1 {
            return Err(CertificateError::SpiffeIds);
        }
        let validity = certificate.validity();
        Ok(Self {
            fingerprint: Fingerprint::of(der),
            uris,
            dns_names,
            common_name: common_name(&certificate),
            not_before: time(&validity.not_before),
            not_after: time(&validity.not_after),
        })
    }

    /// SHA-256 of the DER form.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The URIs among its alternative names, at most 8; a SPIFFE id is one of them.
    pub fn uris(&self) -> &[String] {
        &self.uris
    }

    /// The DNS names among its alternative names, at most 32.
    pub fn dns_names(&self) -> &[String] {
        &self.dns_names
    }

    /// The subject's common name, for people to read; it proves nothing.
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }

    /// When it begins.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// When it ends.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Whether `now` lies in its lifetime; the TLS verifier looked only once, when the connection began.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }
}

fn alternative_names(certificate: &X509Certificate<'_>) -> Result<(Vec<String>, Vec<String>), CertificateError> {
    let (mut uris, mut dns_names) = (Vec::new(), Vec::new());
    let extension = certificate.subject_alternative_name().map_err(|_| CertificateError::Malformed)?;
    for name in extension.iter().flat_map(|extension| &extension.value.general_names) {
        let (names, text) = match name {
            GeneralName::URI(uri) => (&mut uris, uri),
            GeneralName::DNSName(dns_name) => (&mut dns_names, dns_name),
            GeneralName::Invalid(..) => return Err(CertificateError::Names),
            _ => continue,
        };
        if text.is_empty() || text.len() > NAME_BYTES_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(CertificateError::Names);
        }
        names.push((*text).to_owned());
    }
    if uris.len() > URIS_MAX || dns_names.len() > DNS_NAMES_MAX {
        return Err(CertificateError::Names);
    }
    Ok((uris, dns_names))
}

/// The common name if there is exactly one of a length that can be shown.
fn common_name(certificate: &X509Certificate<'_>) -> Option<String> {
    let mut names = certificate.subject().iter_common_name();
    match (names.next(), names.next()) {
        (Some(name), None) => {
            let text = name.as_str().ok()?;
            (text.len() <= COMMON_NAME_BYTES_MAX && !text.chars().any(char::is_control)).then(|| text.to_owned())
        }
        _ => None,
    }
}

/// Schemes compare without regard to case (RFC 3986, section 3.1).
fn is_spiffe(uri: &str) -> bool {
    uri.get(..SPIFFE.len()).is_some_and(|start| start.eq_ignore_ascii_case(SPIFFE))
}

fn time(time: &ASN1Time) -> Timestamp {
    Timestamp::from_millis(u64::try_from(time.timestamp()).unwrap_or(0).saturating_mul(1_000))
}

const SPIFFE: &str = "spiffe://";
/// BOUND: the longest SPIFFE id.
const NAME_BYTES_MAX: usize = 2_048;
const URIS_MAX: usize = 8;
const DNS_NAMES_MAX: usize = 32;
/// BOUND: `ub-common-name` of RFC 5280, in UTF-8.
const COMMON_NAME_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests;
