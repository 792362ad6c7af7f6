//! Certificates and clients of a `dev` node, made at its first start.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use portcullis_identity::{Asserts, Credentials as Known, Registration, Role};
use portcullis_model::EntityUid;
use portcullis_quic::{QuicError, TlsIdentity};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::node::NodeError;
use crate::node::data_dir::replace_file;
use crate::pki::{Authority, client_uri, create_private_folder, write_public};

/// The folder of the certificates and the clients that have one.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    data_dir: PathBuf,
}

impl Credentials {
    /// The certificates of a data folder, made where they are not there yet: whole or not at all.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, NodeError> {
        let credentials = Self { data_dir: data_dir.to_owned() };
        if !credentials.folder().is_dir() {
            credentials.create()?;
        }
        Ok(credentials)
    }

    fn folder(&self) -> PathBuf {
        self.data_dir.join("pki")
    }

    fn create(&self) -> Result<(), NodeError> {
        let beside = self.data_dir.join("pki.new");
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| NodeError::File { path, source }
        };
        match fs::remove_dir_all(&beside) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => return Err(failed(&beside)(source)),
            _ => {}
        }
        create_private_folder(&beside)?;
        // The authority's key is not kept: nobody can make further certificates for this node.
        let authority = Authority::create(SystemTime::now())?;
        authority.server(&[])?.write(&beside, "server")?;
        for client in CLIENTS {
            authority.client(&certificate_name(client))?.write(&beside, client.name)?;
        }
        let marked = format!("{DEV_MARK}\n{}", authority.certificate_pem());
        write_public(&beside.join(AUTHORITY_FILE), marked.as_bytes())?;
        fs::rename(&beside, self.folder()).map_err(failed(&self.folder()))
    }

    /// The certificate that the node shows.
    pub(crate) fn identity(&self) -> Result<TlsIdentity, NodeError> {
        let folder = self.folder();
        Ok(TlsIdentity::from_pem_files(&folder.join("server.crt"), &folder.join("server.key"))?)
    }

    /// Whose client certificates are accepted.
    pub(crate) fn authority(&self) -> Result<Vec<CertificateDer<'static>>, NodeError> {
        let path = self.folder().join(AUTHORITY_FILE);
        let read = CertificateDer::from_pem_file(&path);
        Ok(vec![read.map_err(|source| QuicError::File { path, source })?])
    }

    /// The registered clients; those that decide may name every user, and these agents.
    pub(crate) fn clients(&self, agents: Vec<EntityUid>) -> Vec<Registration> {
        let users = "User".parse().ok().into_iter().collect();
        let asserts = Asserts { subjects: Vec::new(), subject_types: users, agents };
        CLIENTS
            .iter()
            .map(|client| {
                let decides = matches!(client.role, Role::Platform | Role::Pep);
                Registration {
                    name: client.name.to_owned(),
                    role: client.role,
                    credentials: Known { uris: vec![client_uri(&certificate_name(client))], ..Known::default() },
                    asserts: if decides { asserts.clone() } else { Asserts::default() },
                    subject: None,
                    agent: None,
                    direct: decides,
                    attributes: Vec::new(),
                }
            })
            .collect()
    }

    /// Writes each client's file, which says where the node listens now.
    pub(crate) fn write_files(&self, address: SocketAddr) -> Result<(), NodeError> {
        for client in CLIENTS {
            let path = self.data_dir.join(client.file);
            let text = client_file(address, "pki/", AUTHORITY_FILE, client.name);
            let text = format!(
                "# The client `{}` of a `dev` node, by its role {}.\n{text}",
                client.name,
                client.role.as_str()
            );
            replace_file(&path, text.as_bytes(), 0o600).map_err(|source| NodeError::File { path, source })?;
        }
        Ok(())
    }
}

/// A file for the client crate and the command line; paths count from its folder.
pub(crate) fn client_file(address: SocketAddr, folder: &str, authority: &str, name: &str) -> String {
    format!(
        "address = \"{address}\"\nserver_name = \"localhost\"\nca = \"{folder}{authority}\"\n\
         certificate = \"{folder}{name}.crt\"\nkey = \"{folder}{name}.key\"\n"
    )
}

/// One client of a `dev` node.
struct Client {
    /// Name of its registration and stem of its certificate's file.
    name: &'static str,
    role: Role,
    /// Its file in the data folder.
    file: &'static str,
}

/// The name in its certificate, which no client of a served node has.
fn certificate_name(client: &Client) -> String {
    format!("{DEV_NAME_PREFIX}{}", client.name)
}

/// Whether a URI is the name in a certificate of some `dev` node.
pub(crate) fn is_dev_uri(uri: &str) -> bool {
    uri.starts_with(&client_uri(DEV_NAME_PREFIX))
}

const CLIENTS: &[Client] = &[
    Client { name: "operator", role: Role::Operator, file: OPERATOR_FILE },
    Client { name: "app", role: Role::Platform, file: "client.toml" },
    Client { name: "pep", role: Role::Pep, file: "pep.toml" },
    Client { name: "auditor", role: Role::Auditor, file: "auditor.toml" },
];

/// The operator's file in a data folder.
pub const OPERATOR_FILE: &str = "operator.toml";
/// What names of certificates begin with that only a `dev` node accepts.
const DEV_NAME_PREFIX: &str = "dev-";
/// First line of the authority's certificate file of a `dev` node, by which `serve` knows and refuses it.
pub const DEV_MARK: &str = "# Authority of a `portcullis dev` node: `portcullis serve` refuses it.";
const AUTHORITY_FILE: &str = "ca.crt";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]
    use super::*;
    use portcullis_client::ClientOptions;
    use portcullis_identity::{CertificateIdentity, Registry};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn every_client_is_known_by_its_own_certificate() {
        let data_dir = tempfile::tempdir().unwrap();
        let credentials = Credentials::open(data_dir.path()).unwrap();
        let registry = Registry::new(credentials.clients(vec!["Agent::mailer".parse().unwrap()])).unwrap();
        for client in CLIENTS {
            let path = credentials.folder().join(format!("{}.crt", client.name));
            let der = CertificateDer::from_pem_file(path).unwrap();
            let found = registry.by_certificate(&CertificateIdentity::from_der(&der).unwrap()).unwrap();
            assert_eq!((found.name.as_str(), found.role), (client.name, client.role));
        }
        assert_eq!(registry.by_name("operator").unwrap().asserts, Asserts::default());
        assert!(registry.by_name("app").unwrap().may_assert_subject(&"User::ada".parse().unwrap()));
    }

    #[test]
    fn files_are_for_their_owner_and_name_the_address_of_the_last_start() {
        let data_dir = tempfile::tempdir().unwrap();
        let credentials = Credentials::open(data_dir.path()).unwrap();
        for address in ["127.0.0.1:1000", "127.0.0.1:2000"] {
            credentials.write_files(address.parse().unwrap()).unwrap();
            for client in CLIENTS {
                let path = data_dir.path().join(client.file);
                assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
                assert_eq!(ClientOptions::from_file(&path).unwrap().address, address);
            }
        }
    }

    #[test]
    fn certificates_are_made_once_and_the_authority_is_marked() {
        let data_dir = tempfile::tempdir().unwrap();
        let first = Credentials::open(data_dir.path()).unwrap().authority().unwrap();
        let again = Credentials::open(data_dir.path()).unwrap().authority().unwrap();
        assert_eq!(first, again);
        let text = fs::read_to_string(data_dir.path().join("pki/ca.crt")).unwrap();
        assert!(text.starts_with(DEV_MARK));
        assert!(!data_dir.path().join("pki/ca.key").exists());
    }
}
