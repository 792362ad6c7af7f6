//! What comes up after the engine: policies, sources, seed, clients and the QUIC server.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock, Weak};

use portcullis_identity::{Demand, Registration, Registry, TokenVerifier};
use portcullis_idp::{FileSource, Mapping};
use portcullis_model::{Change, EntityUid, GrantRecord, Origin, SetHash};
use portcullis_policy::set_hash;
use portcullis_quic::{Doors, QuicLimits, QuicOptions, QuicServer};
use portcullis_runtime::{Engine, PublishError};

use crate::node::background::{Background, refresh_keys};
use crate::node::data_dir::DataDir;
use crate::node::error::NodeError;
use crate::node::policy_folder::{FolderStamp, read_policies};
use crate::node::readiness::Readiness;
use crate::node::record::{NODE_RECORD, NodeRecord};
use crate::node::settings::{Clients, NodeSettings, Policies};
use crate::service::Service;

/// What comes up after the engine.
pub(crate) struct Opened {
    pub(crate) service: Service,
    pub(crate) quic: Arc<QuicServer>,
    pub(crate) background: Background,
    pub(crate) record: NodeRecord,
}

impl Opened {
    /// Brings them up. What was brought up before a failure ends when it is dropped.
    pub(crate) async fn open(
        settings: &NodeSettings,
        data_dir: &DataDir,
        readiness: &Arc<Readiness>,
        engine: &Engine,
        admin: SocketAddr,
    ) -> Result<Self, NodeError> {
        let mut background = Background::new();
        readiness.progress("putting the first policies in force");
        open_policies(settings, engine, &mut background).await?;
        readiness.progress("reading identity sources");
        open_sources(settings, engine).await?;
        seed(settings, engine).await?;
        readiness.progress("reading signing keys");
        let verifier = TokenVerifier::new(settings.issuers.clone()).map_err(NodeError::Registrations)?;
        let verifier = Arc::new(verifier);
        if !settings.issuers.is_empty() {
            refresh_keys(engine.clone(), Arc::clone(&verifier), Demand::Now).await;
            background.refresh_keys(engine, &verifier);
        }
        background.snapshot(engine);
        let registry = Registry::new(clients(settings, engine)).map_err(NodeError::Registrations)?;
        readiness.progress("listening");
        let (service, quic) = open_quic(settings, data_dir, engine, registry, verifier).await?;
        readiness.quic(Arc::clone(&quic));
        let address = quic.local_addresses().first().copied().unwrap_or(settings.quic);
        let record = NodeRecord::of_process(settings.mode, address, admin);
        let path = data_dir.path().join(NODE_RECORD);
        record.write(data_dir.path()).map_err(|source| NodeError::File { path, source })?;
        Ok(Self { service, quic, background, record })
    }
}

/// Puts the policies of the configured folder in force, if that is what its configuration says.
async fn open_policies(settings: &NodeSettings, engine: &Engine, background: &mut Background) -> Result<(), NodeError> {
    let (folder, is_watched) = match &settings.policies {
        Policies::Pushed => return Ok(()),
        Policies::First(folder) => (folder, false),
        Policies::Watched(folder) => (folder, true),
    };
    let in_force = engine.active_policy().map(|(hash, _)| hash);
    if in_force.is_some() && !is_watched {
        return Ok(());
    }
    // Before it is read, so that what changes meanwhile is published as well.
    let stamp = FolderStamp::of(folder);
    match (publish(engine, folder, in_force).await, in_force) {
        (Ok(()), _) => {}
        (Err(error), None) => return Err(error),
        (Err(error), Some(_)) => {
            tracing::error!("policies refused, the last good set stays in force: {}", error.chain());
        }
    }
    if is_watched {
        background.watch_policies(engine, folder.clone(), stamp);
    }
    Ok(())
}

async fn publish(engine: &Engine, folder: &Path, in_force: Option<SetHash>) -> Result<(), NodeError> {
    let set = read_policies(folder)?;
    if in_force == Some(set_hash(&set)) {
        return Ok(());
    }
    match engine.publish_policy(set, Origin::Node).await {
        Ok(published) => {
            for warning in published.warnings {
                tracing::warn!("{warning}");
            }
            Ok(())
        }
        Err(PublishError::Invalid(errors)) => Err(NodeError::Policy { folder: folder.to_owned(), errors }),
        Err(PublishError::Refused(refusal)) => Err(NodeError::refused("the policy set")(refusal)),
    }
}

async fn open_sources(settings: &NodeSettings, engine: &Engine) -> Result<(), NodeError> {
    for file in &settings.sources {
        let opened = FileSource::open(&file.path, file.name.clone(), Mapping::default());
        let source = opened.map_err(|source| NodeError::Source { name: file.name.to_string(), source })?;
        let what = format!("what the identity source `{}` says (`{}`)", file.name, file.path.display());
        engine.start_source(Box::new(source)).await.map_err(NodeError::refused(what))?;
    }
    Ok(())
}

/// Adds what is missing of the seed, in one append.
async fn seed(settings: &NodeSettings, engine: &Engine) -> Result<(), NodeError> {
    let missing = settings.seed.entities.iter().filter(|record| !engine.is_stored(&record.uid));
    let mut changes: Vec<Change> = missing.cloned().map(Change::PutEntity).collect();
    let issued: Vec<_> = engine.grants(0, usize::MAX).into_iter().map(|(record, _)| record.id).collect();
    let is_possible = |grant: &&GrantRecord| {
        let is_stored = engine.is_stored(&grant.subject) && engine.is_stored(&grant.agent);
        if !is_stored {
            tracing::warn!(grant = %grant.id, "a grant of the seed names somebody who is not in the directory");
        }
        is_stored
    };
    let grants = settings.seed.grants.iter().filter(|grant| !issued.contains(&grant.id)).filter(is_possible);
    changes.extend(grants.cloned().map(Change::Grant));
    if changes.is_empty() {
        return Ok(());
    }
    engine.apply(changes, Origin::Node).await.map(drop).map_err(NodeError::refused("the seed"))
}

fn clients(settings: &NodeSettings, engine: &Engine) -> Vec<Registration> {
    match &settings.clients {
        Clients::Listed(clients) => clients.clone(),
        Clients::OfAgents(of) => of(agents(engine)),
    }
}

/// The agents in the directory, at most [`AGENTS_ASSERTED_MAX`].
fn agents(engine: &Engine) -> Vec<EntityUid> {
    let page = engine.entities(Some("Agent"), 0, AGENTS_ASSERTED_MAX);
    page.entities.into_iter().map(|(record, _)| record.uid).collect()
}

async fn open_quic(
    settings: &NodeSettings,
    data_dir: &DataDir,
    engine: &Engine,
    registry: Registry,
    verifier: Arc<TokenVerifier>,
) -> Result<(Service, Arc<QuicServer>), NodeError> {
    let control = tokio::runtime::Handle::current();
    let options = QuicOptions {
        workers: settings.workers,
        client_ca: settings.client_ca.clone(),
        limits: QuicLimits { connections_max: settings.connections_max, ..QuicLimits::default() },
        ..QuicOptions::new(settings.quic, settings.tls.clone(), control)
    };
    // The server counts connections, and exists only after the service that tells of them.
    let server: Arc<OnceLock<Weak<QuicServer>>> = Arc::default();
    let counted = Arc::clone(&server);
    let connections = move || {
        let server = counted.get().and_then(Weak::upgrade);
        server.map_or(0, |server| server.stats().connections)
    };
    let node_id = data_dir.node_id().to_owned();
    let service = Service::new(engine.clone(), node_id.clone(), settings.program.clone(), Arc::new(connections));
    let doors = Doors { registry: Arc::new(registry), verifier, admin: Arc::new(service.clone()), node_id };
    let engine = engine.clone();
    // Each worker waits for a write of the audit record.
    let started = tokio::task::spawn_blocking(move || QuicServer::start(options, engine, doors)).await;
    let quic = Arc::new(started.map_err(|_| NodeError::Interrupted("the QUIC server"))??);
    // Set once, here.
    let _ = server.set(Arc::downgrade(&quic));
    Ok((service, quic))
}

/// BOUND: a registration lists at most 4,096 names.
const AGENTS_ASSERTED_MAX: usize = 1_024;
