//! The node's own certificates and keys: made, written with the right modes, read with care.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use portcullis_identity::Fingerprint;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

/// A certificate authority for one installation; its key signs and does nothing else.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    not_before: SystemTime,
}

/// A certificate and its private key.
pub struct Identity {
    /// The certificate in PEM.
    pub certificate_pem: String,
    /// The private key in PEM, PKCS#8. Secret.
    pub key_pem: String,
    /// SHA-256 of the certificate, as `client.certificate_sha256` lists it.
    pub fingerprint: Fingerprint,
}

/// Why a certificate or key could not be made, written or read. Never contains key material.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PkiError {
    /// The certificate library refused.
    #[error("could not make {what}")]
    Make {
        /// What was to be made.
        what: &'static str,
        /// Its reason.
        #[source]
        source: rcgen::Error,
    },
    /// The name cannot stand in a certificate or file name.
    #[error("`{0}` is not a client name: 1 to 64 of `a-z0-9_-`")]
    Name(String),
    /// The file exists: keys are never overwritten.
    #[error("`{}` exists already: keys are never overwritten; move it away first", .0.display())]
    Exists(PathBuf),
    /// A secret that others may read or write is no secret.
    #[error("`{}` has mode {mode:03o}, so others may use it: run `chmod 600` on it", .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is larger than any certificate chain or key.
    #[error("`{}` is larger than {PEM_BYTES_MAX} bytes", .0.display())]
    Large(PathBuf),
    /// The file holds no certificate.
    #[error("`{}` holds no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
    /// The system refused.
    #[error("could not use `{}`", .path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl Authority {
    /// Makes an authority that is valid from a day before `now`, for ten years.
    ///
    /// # Errors
    /// [`PkiError::Make`].
    pub fn create(now: SystemTime) -> Result<Self, PkiError> {
        let make = |source| PkiError::Make { what: "the certificate authority", source };
        let not_before = now - SKEW;
        let mut params = params("Portcullis CA", not_before, AUTHORITY_LIFE);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(make)?;
        let issuer = CertifiedIssuer::self_signed(params, key).map_err(make)?;
        Ok(Self { issuer, not_before })
    }

    /// The authority's certificate in PEM: what clients and node trust.
    pub fn certificate_pem(&self) -> String {
        self.issuer.pem()
    }

    /// The authority's private key in PEM. Secret; needed only to sign further certificates.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A server certificate for `localhost`, the loopback addresses and `names`, for two years.
    ///
    /// # Errors
    /// [`PkiError::Make`], also where a name is not a DNS name or address.
    pub fn server(&self, names: &[String]) -> Result<Identity, PkiError> {
        let make = |source| PkiError::Make { what: "the server certificate", source };
        let dns = |name: &str| name.try_into().map(SanType::DnsName).map_err(make);
        let mut alternatives = vec![
            dns("localhost")?,
            SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        ];
        for name in names {
            let alternative = match name.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => dns(name)?,
            };
            if !alternatives.contains(&alternative) {
                alternatives.push(alternative);
            }
        }
        self.sign("Portcullis node", alternatives, ExtendedKeyUsagePurpose::ServerAuth).map_err(make)
    }

    /// A client certificate whose URI name is `portcullis:client/<name>`, for two years.
    ///
    /// # Errors
    /// [`PkiError::Name`] or [`PkiError::Make`].
    pub fn client(&self, name: &str) -> Result<Identity, PkiError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        if !(1..=64).contains(&name.len()) || !name.bytes().all(allowed) {
            return Err(PkiError::Name(crate::output::excerpt(name)));
        }
        let make = |source| PkiError::Make { what: "a client certificate", source };
        let uri = SanType::URI(client_uri(name).try_into().map_err(make)?);
        self.sign(name, vec![uri], ExtendedKeyUsagePurpose::ClientAuth).map_err(make)
    }

    fn sign(
        &self,
        name: &str,
        alternatives: Vec<SanType>,
        purpose: ExtendedKeyUsagePurpose,
    ) -> Result<Identity, rcgen::Error> {
        let mut params = params(name, self.not_before, LEAF_LIFE);
        params.subject_alt_names = alternatives;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            fingerprint: Fingerprint::of(certificate.der()),
        })
    }
}

impl Identity {
    /// Writes `STEM.crt` and `STEM.key` into an existing folder.
    ///
    /// # Errors
    /// [`PkiError::Exists`] before anything is written, or [`PkiError::File`].
    pub fn write(&self, folder: &Path, stem: &str) -> Result<(), PkiError> {
        let (certificate, key) = (folder.join(format!("{stem}.crt")), folder.join(format!("{stem}.key")));
        if let Some(path) = [&certificate, &key].into_iter().find(|path| path.symlink_metadata().is_ok()) {
            return Err(PkiError::Exists(path.clone()));
        }
        write_secret(&key, self.key_pem.as_bytes())?;
        write_public(&certificate, self.certificate_pem.as_bytes())
    }
}

/// The fingerprint of the first certificate in a PEM file.
///
/// # Errors
/// [`PkiError::File`], [`PkiError::Large`] or [`PkiError::NoCertificate`].
pub fn fingerprint(path: &Path) -> Result<Fingerprint, PkiError> {
    let pem = read_bounded(open(path)?, path)?;
    let certificate = CertificateDer::from_pem_slice(&pem);
    certificate.map(|der| Fingerprint::of(&der)).map_err(|_| PkiError::NoCertificate(path.to_owned()))
}

/// The URI name in the certificate of a client.
pub fn client_uri(name: &str) -> String {
    format!("portcullis:client/{name}")
}

/// A new Ed25519 key for session tokens, PKCS#8 in DER. Secret.
///
/// # Errors
/// [`PkiError::Make`].
pub fn token_key() -> Result<PrivatePkcs8KeyDer<'static>, PkiError> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519);
    let key = key.map_err(|source| PkiError::Make { what: "the session token key", source })?;
    Ok(PrivatePkcs8KeyDer::from(key.serialize_der()))
}

/// Creates a folder and its parents for the owner alone (mode 0700). One that exists keeps its mode.
///
/// # Errors
/// [`PkiError::File`].
pub fn create_private_folder(path: &Path) -> Result<(), PkiError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| file(path, source))
}

/// Writes a new file for the owner alone (mode 0600), synced to disk.
///
/// # Errors
/// [`PkiError::Exists`] or [`PkiError::File`].
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), PkiError> {
    write_new(path, bytes, 0o600)
}

/// Writes a new file that anyone may read (mode 0644), synced to disk.
///
/// # Errors
/// [`PkiError::Exists`] or [`PkiError::File`].
pub fn write_public(path: &Path, bytes: &[u8]) -> Result<(), PkiError> {
    write_new(path, bytes, 0o644)
}

/// Reads a secret that nobody but its owner may use.
///
/// # Errors
/// [`PkiError::Exposed`] where the mode is wider than 0700, [`PkiError::Large`] or [`PkiError::File`].
pub fn read_secret(path: &Path) -> Result<Vec<u8>, PkiError> {
    let secret = open(path)?;
    let mode = secret.metadata().map_err(|source| file(path, source))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(PkiError::Exposed { path: path.to_owned(), mode });
    }
    read_bounded(secret, path)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PkiError> {
    let created = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut created = created.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => PkiError::Exists(path.to_owned()),
        _ => file(path, source),
    })?;
    let written = created.write_all(bytes).and_then(|()| created.sync_all());
    written.map_err(|source| {
        // Half a key is worse than none: the next start would take it for whole.
        let _ = fs::remove_file(path);
        file(path, source)
    })
}

fn open(path: &Path) -> Result<File, PkiError> {
    File::open(path).map_err(|source| file(path, source))
}

fn read_bounded(opened: File, path: &Path) -> Result<Vec<u8>, PkiError> {
    let mut bytes = Vec::new();
    opened.take(PEM_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|source| file(path, source))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= PEM_BYTES_MAX) {
        Ok(bytes)
    } else {
        Err(PkiError::Large(path.to_owned()))
    }
}

fn file(path: &Path, source: io::Error) -> PkiError {
    PkiError::File { path: path.to_owned(), source }
}

fn params(name: &str, not_before: SystemTime, life: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = not_before.into();
    params.not_after = (not_before + life).into();
    params
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How far before now a certificate is valid, for machines whose clock is behind.
const SKEW: Duration = DAY;
/// How long the authority is valid. `init` makes a new one.
const AUTHORITY_LIFE: Duration = DAY.saturating_mul(3_650);
/// How long server and client certificates are valid.
const LEAF_LIFE: Duration = DAY.saturating_mul(730);
/// Largest key or certificate file read, in bytes: a chain of RSA certificates has less than 20 KiB.
const PEM_BYTES_MAX: u64 = 256 * 1024;

#[cfg(test)]
mod tests;
