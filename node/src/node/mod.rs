//! A whole node: its parts, started in order and stopped in the opposite one.
//!
//! Owns the data folder's lock, the admin listener, the engine, the QUIC server and the background
//! tasks. It decides nothing itself. A node whose start fails has let go of everything it took.

mod background;
pub mod data_dir;
mod error;
mod opened;
pub mod policy_folder;
mod readiness;
pub mod record;
mod settings;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis_audit::FileSystem;
use portcullis_http::AdminListener;
use portcullis_identity::SessionTokens;
use portcullis_log::LogOptions;
use portcullis_quic::QuicServer;
use portcullis_runtime::{Clock, Engine, EngineOptions};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::node::background::Background;
use crate::node::data_dir::DataDir;
use crate::node::opened::Opened;
use crate::node::readiness::Readiness;
use crate::pki;
use crate::service::Service;

pub use data_dir::{DataDirError, Mode};
pub use error::NodeError;
pub use record::{NODE_RECORD, NodeRecord};
pub use settings::{Clients, FileSettings, Kept, NodeSettings, Policies, Seed};

/// A running node.
pub struct Node {
    data_dir: DataDir,
    readiness: Arc<Readiness>,
    http: HttpTask,
    admin: SocketAddr,
    engine: Engine,
    service: Service,
    quic: Arc<QuicServer>,
    background: Background,
    record: NodeRecord,
}

/// The admin listener's task and the way to end it.
struct HttpTask {
    task: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Node {
    /// Starts a node: data folder, admin listener (live at once), engine, policies, sources, seed, QUIC.
    /// It answers clients when this returns, and `/readyz` says so from [`Node::announce`] on. Must be
    /// called within a multi-threaded tokio runtime.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn start(settings: NodeSettings) -> Result<Self, NodeError> {
        let readiness = Readiness::new();
        let data_dir = DataDir::open(&settings.data_dir, settings.mode)?;
        if settings.kept == Kept::Removed {
            data_dir.remove_engine()?;
        }
        let (http, admin) = start_http(&settings, &readiness).await?;
        let engine = match start_engine(&settings, &data_dir, &readiness).await {
            Ok(engine) => engine,
            Err(error) => {
                http.stop().await;
                return Err(error);
            }
        };
        readiness.engine(engine.clone());
        match Opened::open(&settings, &data_dir, &readiness, &engine, admin).await {
            Ok(Opened { service, quic, background, record }) => {
                Ok(Self { data_dir, readiness, http, admin, engine, service, quic, background, record })
            }
            Err(error) => {
                engine.stop().await;
                http.stop().await;
                Err(error)
            }
        }
    }

    /// Says that the node takes work.
    pub fn announce(&self) {
        self.readiness.ready();
    }

    /// Where clients connect.
    pub fn quic(&self) -> SocketAddr {
        self.record.quic
    }

    /// Where health and metrics are.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What carries out administrative calls.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// The data folder.
    pub fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }

    /// Stops in order: clients are told to go and what they asked is finished, the audit record is
    /// flushed, actors and logs are closed. Takes at most half a minute.
    pub async fn stop(mut self) {
        self.readiness.stopping();
        let started = std::time::Instant::now();
        if let Err(cause) = NodeRecord::remove(self.data_dir.path()) {
            tracing::warn!(%cause, "the node's record could not be removed");
        }
        within("clients", QUIC_STOP_MAX, self.quic.shutdown(QUIC_DRAIN_MAX)).await;
        self.service.close();
        self.background.stop().await;
        within("the engine", ENGINE_STOP_MAX, self.engine.stop()).await;
        self.http.stop().await;
        tracing::info!(elapsed = ?started.elapsed(), "stopped");
    }

    /// Runs until the process is told to stop (SIGTERM or SIGINT), then stops.
    pub async fn run_until_signal(self) {
        let signal = stop_signal().await;
        tracing::info!(signal, "stopping");
        self.stop().await;
    }
}

async fn start_http(settings: &NodeSettings, readiness: &Arc<Readiness>) -> Result<(HttpTask, SocketAddr), NodeError> {
    let listener = AdminListener::bind(settings.admin, settings.admin_hosts.clone()).await?;
    let admin = listener.address();
    let (stop, stopped) = oneshot::channel();
    let probes = Arc::clone(readiness) as Arc<dyn portcullis_http::Probes>;
    let task = tokio::spawn(listener.serve(probes, async move {
        // Dropped without a word, the listener ends as well.
        let _ = stopped.await;
    }));
    Ok((HttpTask { task, stop }, admin))
}

impl HttpTask {
    async fn stop(self) {
        // An error says that it has ended already.
        let _ = self.stop.send(());
        within("the admin listener", HTTP_STOP_MAX, self.task).await;
    }
}

async fn start_engine(
    settings: &NodeSettings,
    data_dir: &DataDir,
    readiness: &Arc<Readiness>,
) -> Result<Engine, NodeError> {
    readiness.progress("opening the logs");
    let told = Arc::clone(readiness);
    let folder = data_dir.engine();
    pki::create_private_folder(&folder)?;
    let options = EngineOptions {
        folder,
        audit_mode: settings.audit_mode,
        classes: settings.classes.clone(),
        compile: settings.compile,
        tokens: Some(Arc::new(session_tokens(data_dir.path())?)),
        sessions_max: settings.sessions_max,
        clock: Clock::System,
        log: LogOptions::default(),
        audit_disk: Arc::new(FileSystem),
        progress: Arc::new(move |progress| told.engine_progress(progress)),
    };
    Ok(Engine::start(options).await?)
}

/// The key of session tokens, made at the first start: tokens outlive a restart.
fn session_tokens(data_dir: &Path) -> Result<SessionTokens, NodeError> {
    let path = data_dir.join("session.key");
    if !path.exists() {
        let beside = data_dir.join("session.key.new");
        let failed = |source| NodeError::File { path: path.clone(), source };
        match std::fs::remove_file(&beside) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => return Err(failed(source)),
            _ => {}
        }
        pki::write_secret(&beside, pki::token_key()?.secret_pkcs8_der())?;
        std::fs::rename(&beside, &path).map_err(failed)?;
    }
    let key = pki::read_secret(&path)?;
    SessionTokens::from_pkcs8(&key).map_err(|_| NodeError::SessionKey(path))
}

/// Waits for a part to stop, and says so where it does not in time.
async fn within<T>(what: &str, longest: Duration, stopping: impl Future<Output = T>) {
    let started = std::time::Instant::now();
    match timeout(longest, stopping).await {
        Ok(_) => tracing::debug!(what, elapsed = ?started.elapsed(), "a part has stopped"),
        Err(_) => tracing::error!(what, "a part did not stop in time and is left behind"),
    }
}

/// Completes when the process is told to stop, and says by which signal.
async fn stop_signal() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupted = async {
        // Without a handler the process just ends, which the log and the audit record survive.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let Ok(mut terminated) = signal(SignalKind::terminate()) else {
        interrupted.await;
        return "SIGINT";
    };
    tokio::select! {
        () = interrupted => "SIGINT",
        _ = terminated.recv() => "SIGTERM",
    }
}

/// How long clients may take to finish what they asked.
const QUIC_DRAIN_MAX: Duration = Duration::from_secs(5);
/// How long the server may take in all: the drain, and calls on the control runtime.
const QUIC_STOP_MAX: Duration = Duration::from_secs(12);
/// How long the engine may take to flush and close; a snapshot of a large directory is among it.
const ENGINE_STOP_MAX: Duration = Duration::from_secs(15);
/// The listener gives answers in flight one second.
const HTTP_STOP_MAX: Duration = Duration::from_secs(2);
