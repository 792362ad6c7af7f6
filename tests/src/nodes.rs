//! Whole nodes in process: real QUIC, real TLS, real files, and clients with certificates.

use std::path::Path;
use std::time::SystemTime;

use portcullis::node::{Clients, Mode, Node, NodeSettings};
use portcullis::pki::{Authority, client_uri};
use portcullis_client::{Client, ClientOptions, Credential};
use portcullis_identity::{Asserts, Credentials, IssuerConfig, Registration, Role};
use portcullis_model::Origin;
use portcullis_policy::CompileOptions;
use portcullis_quic::TlsIdentity;
use portcullis_runtime::Engine;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

use crate::engines::{LIVE, sample_changes};
use crate::names::uid;

/// The client that may do everything.
pub const OPERATOR: &str = "operator";

/// What a node in process is started with, apart from certificates and addresses.
pub struct Plan {
    /// How policies are compiled.
    pub compile: CompileOptions,
    /// Who may connect besides [`OPERATOR`], each by the certificate of its name.
    pub clients: Vec<Registration>,
    /// Whose tokens are trusted.
    pub issuers: Vec<IssuerConfig>,
    /// Most live sessions.
    pub sessions_max: usize,
    /// Most connections.
    pub connections_max: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self { compile: LIVE, clients: Vec::new(), issuers: Vec::new(), sessions_max: 100_000, connections_max: 256 }
    }
}

/// A running node with the authority that issues its clients' certificates.
pub struct TestNode {
    node: Node,
    authority: Authority,
    folder: TempDir,
}

impl TestNode {
    /// Starts a node that holds nothing.
    pub async fn start(plan: Plan) -> Self {
        let folder = TempDir::new().unwrap();
        let authority = Authority::create(SystemTime::now()).unwrap();
        let server = authority.server(&[]).unwrap();
        let tls = TlsIdentity::from_pem(server.certificate_pem.as_bytes(), server.key_pem.as_bytes()).unwrap();
        let any_port = "127.0.0.1:0".parse().unwrap();
        let mut clients = plan.clients;
        clients.push(registration(OPERATOR, Role::Operator));
        let settings = NodeSettings {
            client_ca: Some(vec![certificate(&authority.certificate_pem())]),
            compile: plan.compile,
            issuers: plan.issuers,
            sessions_max: plan.sessions_max,
            connections_max: plan.connections_max,
            clients: Clients::Listed(clients),
            ..NodeSettings::new(Mode::Serve, folder.path().join("data"), any_port, any_port, tls)
        };
        let node = Node::start(settings).await.unwrap_or_else(|cause| panic!("{cause}"));
        node.announce();
        Self { node, authority, folder }
    }

    /// Starts a node that holds the sample organisation.
    pub async fn sample(plan: Plan) -> Self {
        let node = Self::start(plan).await;
        node.engine().publish_policy(portcullis_sample::policy_set(), Origin::Node).await.unwrap();
        node.engine().apply(sample_changes(), Origin::Node).await.unwrap();
        node
    }

    /// The engine inside.
    pub fn engine(&self) -> &Engine {
        self.node.engine()
    }

    /// A folder for files of the test.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// How the client of a name connects: with a certificate made for it now.
    pub fn options(&self, name: &str) -> ClientOptions {
        let identity = self.authority.client(name).unwrap();
        let credential = Credential::Certificate {
            chain: vec![certificate(&identity.certificate_pem)],
            key: PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap(),
        };
        let roots = vec![certificate(&self.authority.certificate_pem())];
        let mut options = ClientOptions::new(self.node.quic().to_string(), "localhost", roots, credential);
        // A busy machine is no reason for a test to fail.
        options.deadline = crate::wait::DEADLINE;
        options.connect_timeout = crate::wait::DEADLINE;
        options
    }

    /// Connects as the client of a name.
    pub async fn client(&self, name: &str) -> Client {
        Client::connect(self.options(name)).await.unwrap_or_else(|cause| panic!("{name}: {cause}"))
    }

    /// Stops it in order.
    pub async fn stop(self) {
        self.node.stop().await;
    }
}

/// A client that is known by the certificate of its name, and may do what its role says.
pub fn registration(name: &str, role: Role) -> Registration {
    Registration {
        name: name.to_owned(),
        role,
        credentials: Credentials { uris: vec![client_uri(name)], ..Credentials::default() },
        asserts: Asserts::default(),
        subject: None,
        agent: None,
        direct: false,
        attributes: Vec::new(),
    }
}

/// A platform that may name users, and these agents, without further proof.
pub fn platform(name: &str, agents: &[&str]) -> Registration {
    let asserts = Asserts {
        subject_types: vec!["User".parse().unwrap()],
        agents: agents.iter().map(|agent| uid(agent)).collect(),
        ..Asserts::default()
    };
    Registration { asserts, direct: true, ..registration(name, Role::Platform) }
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}
