//! Certificates for one run, as files that the parent connects with.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use portcullis::pki::{Authority, Identity, PkiError};
use portcullis_identity::{Asserts, Credentials, Registration, Role};
use portcullis_quic::TlsIdentity;

use crate::error::LoadError;

/// Client file of the platform: opens sessions and asks.
pub(crate) const PLATFORM_FILE: &str = "platform.toml";
/// Client file of the operator: revokes and changes.
pub(crate) const OPERATOR_FILE: &str = "operator.toml";
/// Client file for an echo, which asks nobody who they are.
pub(crate) const ECHO_FILE: &str = "echo.toml";

/// Certificates of one run.
pub(super) struct Pki {
    authority: Authority,
    folder: PathBuf,
    server: Identity,
}

impl Pki {
    pub(super) fn create(folder: &Path) -> Result<Self, LoadError> {
        let authority = Authority::create(SystemTime::now()).map_err(failed)?;
        let server = authority.server(&[]).map_err(failed)?;
        write(&folder.join("ca.crt"), authority.certificate_pem().as_bytes())?;
        Ok(Self { authority, folder: folder.to_owned(), server })
    }

    /// What the server shows.
    pub(super) fn tls(&self) -> Result<TlsIdentity, LoadError> {
        let (chain, key) = (self.server.certificate_pem.as_bytes(), self.server.key_pem.as_bytes());
        TlsIdentity::from_pem(chain, key).map_err(failed)
    }

    /// The certificate that clients' certificates are signed with, in PEM.
    pub(super) fn client_ca(&self) -> String {
        self.authority.certificate_pem()
    }

    /// A client with a certificate of its own, registered for `role`.
    pub(super) fn register(&self, name: &str, role: Role, asserts: Asserts) -> Result<Registration, LoadError> {
        let identity = self.authority.client(name).map_err(failed)?;
        identity.write(&self.folder, name).map_err(failed)?;
        let credentials = Credentials { certificates: vec![identity.fingerprint], ..Credentials::default() };
        Ok(Registration {
            name: name.to_owned(),
            role,
            credentials,
            asserts,
            subject: None,
            agent: None,
            direct: true,
            attributes: Vec::new(),
        })
    }

    /// Writes `file`, with which a client reaches `address` by the certificate of `name`.
    pub(super) fn write_client(&self, file: &str, address: SocketAddr, name: &str) -> Result<(), LoadError> {
        let text = format!(
            "address = \"{address}\"\nserver_name = \"localhost\"\nca = \"ca.crt\"\ncertificate = \"{name}.crt\"\nkey = \"{name}.key\"\n"
        );
        write(&self.folder.join(file), text.as_bytes())
    }

    /// Writes `file`, with which a client reaches an address that wants no certificate.
    pub(super) fn write_anonymous(&self, file: &str, address: SocketAddr) -> Result<(), LoadError> {
        let text = format!("address = \"{address}\"\nserver_name = \"localhost\"\nca = \"ca.crt\"\ntoken = \"none\"\n");
        write(&self.folder.join(file), text.as_bytes())
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), LoadError> {
    fs::write(path, bytes).map_err(LoadError::file(path))
}

fn failed(error: impl Into<CredentialError>) -> LoadError {
    LoadError::Child { what: "child", problem: format!("cannot make its certificates: {}", error.into().0) }
}

/// The message of either library's error.
struct CredentialError(String);

impl From<PkiError> for CredentialError {
    fn from(error: PkiError) -> Self {
        Self(error.to_string())
    }
}

impl From<portcullis_quic::QuicError> for CredentialError {
    fn from(error: portcullis_quic::QuicError) -> Self {
        Self(error.to_string())
    }
}
