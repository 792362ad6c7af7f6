//! What a node is started with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use portcullis_identity::{IssuerConfig, Registration};
use portcullis_model::{EntityRecord, EntityUid, GrantRecord, SourceName};
use portcullis_policy::{CompileOptions, OnError, Validation};
use portcullis_quic::TlsIdentity;
use portcullis_runtime::{AuditMode, Classes};
use rustls_pki_types::CertificateDer;

use crate::node::data_dir::Mode;
use crate::shell::Program;

/// What a node is started with. Begin with [`NodeSettings::new`].
pub struct NodeSettings {
    /// What kind of node.
    pub mode: Mode,
    /// The folder of everything that it keeps.
    pub data_dir: PathBuf,
    /// Whether what the engine has kept is removed first.
    pub kept: Kept,
    /// UDP address for clients.
    pub quic: SocketAddr,
    /// TCP address of health and metrics.
    pub admin: SocketAddr,
    /// Host names, besides loopback ones, that the admin listener answers to.
    pub admin_hosts: Vec<String>,
    /// Threads that decide.
    pub workers: usize,
    /// The certificate that the node shows.
    pub tls: TlsIdentity,
    /// Whose client certificates are accepted; `None` accepts none.
    pub client_ca: Option<Vec<CertificateDer<'static>>>,
    /// Where policies come from.
    pub policies: Policies,
    /// How policy sets are compiled.
    pub compile: CompileOptions,
    /// Whether and how decisions are recorded.
    pub audit_mode: AuditMode,
    /// Action classes.
    pub classes: Classes,
    /// Whose tokens are trusted.
    pub issuers: Vec<IssuerConfig>,
    /// Who may connect. It is asked when the directory has been read.
    pub clients: Clients,
    /// Identity sources of the kind `file`.
    pub sources: Vec<FileSettings>,
    /// What a new engine holds from the beginning.
    pub seed: Seed,
    /// Most live sessions.
    pub sessions_max: usize,
    /// Most connections.
    pub connections_max: usize,
    /// How the commands begin that answers propose.
    pub program: Program,
}

impl NodeSettings {
    /// Settings with every default for a data folder, addresses and a certificate: no clients, no
    /// policies, no sources.
    pub fn new(mode: Mode, data_dir: PathBuf, quic: SocketAddr, admin: SocketAddr, tls: TlsIdentity) -> Self {
        Self {
            mode,
            data_dir,
            kept: Kept::Used,
            quic,
            admin,
            admin_hosts: Vec::new(),
            workers: 1,
            tls,
            client_ca: None,
            policies: Policies::Pushed,
            compile: CompileOptions { validation: Validation::Strict, on_error: OnError::Deny },
            audit_mode: AuditMode::ByClass,
            classes: Classes::default(),
            issuers: Vec::new(),
            clients: Clients::Listed(Vec::new()),
            sources: Vec::new(),
            seed: Seed::default(),
            sessions_max: SESSIONS_DEFAULT,
            connections_max: CONNECTIONS_DEFAULT,
            program: Program::by_name(),
        }
    }
}

/// What becomes of the engine's state of earlier runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is where the node goes on.
    Used,
    /// It is removed, the audit record included.
    Removed,
}

/// Where policies come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policies {
    /// Operators push them.
    Pushed,
    /// A folder, where the log holds none; then operators push them.
    First(PathBuf),
    /// A folder, now and whenever it changes.
    Watched(PathBuf),
}

/// Who may connect.
pub enum Clients {
    /// These.
    Listed(Vec<Registration>),
    /// Those that follow from the agents in the directory.
    OfAgents(Arc<dyn Fn(Vec<EntityUid>) -> Vec<Registration> + Send + Sync>),
}

/// One identity source of the kind `file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSettings {
    /// Its name.
    pub name: SourceName,
    /// The file.
    pub path: PathBuf,
}

/// What a new engine holds from the beginning; what is there already is left as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seed {
    /// Entities, for example resources.
    pub entities: Vec<EntityRecord>,
    /// Grants, each after the one that it passes on. One whose subject or agent is not stored is left out.
    pub grants: Vec<GrantRecord>,
}

const SESSIONS_DEFAULT: usize = 1_000_000;
const CONNECTIONS_DEFAULT: usize = 2_048;
