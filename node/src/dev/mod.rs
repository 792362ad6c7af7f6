//! `portcullis dev`: a node on the sample organisation, with credentials beside its data.
//!
//! For one machine and one person: whoever reads the data folder is its operator. `serve` takes
//! neither its folder nor its certificates.

mod banner;
mod credentials;
mod sample;
mod try_list;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_model::SourceName;
use portcullis_runtime::AuditMode;

use crate::dev::credentials::Credentials;
use crate::node::data_dir::DataDir;
use crate::node::{Clients, FileSettings, Kept, Mode, Node, NodeError, NodeSettings, Policies};
use crate::shell::Program;

pub use credentials::{DEV_MARK, OPERATOR_FILE};
pub(crate) use credentials::{client_file, is_dev_uri};

/// How `dev` is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevOptions {
    /// The data folder.
    pub data_dir: PathBuf,
    /// UDP address for clients.
    pub quic: SocketAddr,
    /// TCP address of health and metrics.
    pub admin: SocketAddr,
    /// What becomes of the state of earlier runs.
    pub kept: Kept,
    /// Whether and how decisions are recorded; the command line leaves it to the action's class.
    pub audit_mode: AuditMode,
    /// How the commands begin that are proposed.
    pub program: Program,
}

/// A running `dev` node and what it says of itself.
pub struct Dev {
    /// The node. It says that it is ready once it is announced.
    pub node: Node,
    /// Where it listens, what it loaded and what to type next.
    pub banner: String,
}

/// Starts a node on the sample organisation. Whoever calls prints the banner, then announces the node.
///
/// # Errors
/// [`NodeError`].
pub async fn start(options: DevOptions) -> Result<Dev, NodeError> {
    let DevOptions { data_dir, quic, admin, kept, audit_mode, program } = options;
    let prepared = prepare(&data_dir)?;
    let credentials = prepared.credentials;
    let listed = credentials.clone();
    let source: SourceName = SOURCE.parse().map_err(|_| sample_fault("the source's name"))?;
    let settings = NodeSettings {
        kept,
        client_ca: Some(credentials.authority()?),
        policies: Policies::Watched(prepared.sample.policies()),
        audit_mode,
        clients: Clients::OfAgents(Arc::new(move |agents| listed.clients(agents))),
        sources: vec![FileSettings { name: source, path: prepared.sample.directory() }],
        seed: prepared.sample.seed()?,
        program: program.clone(),
        ..NodeSettings::new(Mode::Dev, data_dir, quic, admin, credentials.identity()?)
    };
    let node = Node::start(settings).await?;
    match describe(&node, &credentials, &program).await {
        Ok(banner) => Ok(Dev { node, banner }),
        Err(error) => {
            node.stop().await;
            Err(error)
        }
    }
}

struct Prepared {
    sample: sample::Unpacked,
    credentials: Credentials,
}

/// Unpacks the sample and makes certificates, where an earlier start has not. The folder is locked
/// meanwhile; that the node locks it again only afterwards does no harm, as nothing is overwritten.
fn prepare(data_dir: &Path) -> Result<Prepared, NodeError> {
    let locked = DataDir::open(data_dir, Mode::Dev)?;
    let sample = sample::Unpacked::open(locked.path())?;
    let credentials = Credentials::open(locked.path())?;
    Ok(Prepared { sample, credentials })
}

/// Writes the clients' files, which name the address, and tells everything.
async fn describe(node: &Node, credentials: &Credentials, program: &Program) -> Result<String, NodeError> {
    credentials.write_files(node.quic())?;
    let lines = try_list::lines(node.service(), node.engine(), program).await;
    Ok(banner::text(node, &lines))
}

fn sample_fault(what: &str) -> NodeError {
    let refusal =
        portcullis_model::Refusal::new(portcullis_model::ErrorCode::Internal, "the program's own data is damaged");
    NodeError::Refused { what: what.to_owned(), refusal }
}

/// The name of the sample's identity source.
const SOURCE: &str = "file";
