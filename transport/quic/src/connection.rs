//! One connection: from its hello to the closing of its sessions.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_cells::Handle;
use portcullis_identity::{CertificateIdentity, Registration};
use portcullis_runtime::Engine;
use portcullis_wire::Role;
use portcullis_wire::admin::AdminAssembler;
use portcullis_wire::limits::{LANES_MAX, SESSIONS_PER_CONNECTION_MAX};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::close::CloseCode;
use crate::greeting::greet;
use crate::lane::Lane;
use crate::lock::held;
use crate::names::Names;
use crate::push::{Push, push};
use crate::sessions::Sessions;
use crate::worker::Worker;

/// Calls of one connection on the control runtime, replies that it has not taken included. When there
/// are more, requests are refused.
const CALLS_MAX: usize = 1_024;
/// Longest wait for the client to let the push stream be opened.
const PUSH_WAIT_MAX: Duration = Duration::from_secs(5);
/// Sessions that are closed before other control tasks get their turn.
const CLOSE_AT_ONCE: usize = 256;

/// A connection that was welcomed, as its lanes, its push stream and its control calls share it.
pub(crate) struct Link {
    pub(crate) quic: quinn::Connection,
    pub(crate) registration: Arc<Registration>,
    pub(crate) certificate: Option<CertificateIdentity>,
    pub(crate) role: Role,
    pub(crate) table: Mutex<Table>,
    pub(crate) push: Push,
    /// The newest stamp of the client, which heartbeats echo.
    pub(crate) stamp: AtomicU64,
    pub(crate) permits: Arc<Semaphore>,
    /// Its number on its worker.
    pub(crate) number: u64,
}

/// What frames of a connection refer to.
pub(crate) struct Table {
    pub(crate) names: Names,
    pub(crate) sessions: Sessions,
    pub(crate) calls: AdminAssembler,
    /// Chunks of administrative calls since one was complete.
    pub(crate) chunks: usize,
}

impl Link {
    pub(crate) fn new(
        quic: quinn::Connection,
        registration: Arc<Registration>,
        certificate: Option<CertificateIdentity>,
        stamp: u64,
        number: u64,
    ) -> Self {
        let role = crate::doors::role_of(&registration);
        let table = Table {
            names: Names::default(),
            sessions: Sessions::new(SESSIONS_PER_CONNECTION_MAX),
            calls: AdminAssembler::default(),
            chunks: 0,
        };
        Self {
            quic,
            registration,
            certificate,
            role,
            table: Mutex::new(table),
            push: Push::default(),
            stamp: AtomicU64::new(stamp),
            permits: Arc::new(Semaphore::new(CALLS_MAX)),
            number,
        }
    }
}

/// Serves one connection until it is over.
pub(crate) async fn serve(worker: Arc<Worker>, quic: quinn::Connection) {
    let Some(greeted) = greet(&worker, &quic).await else { return };
    let link = Arc::new(greeted.link);
    let entered = Entered::new(Arc::clone(&worker), Arc::clone(&link));
    let mut tasks = JoinSet::new();
    tasks.spawn(open_push(Arc::clone(&worker), Arc::clone(&link)));
    let first = Lane::new(Arc::clone(&worker), Arc::clone(&link), greeted.send, greeted.receive, greeted.reader);
    tasks.spawn(first.run());
    loop {
        tokio::select! {
            stream = quic.accept_bi() => {
                let Ok((send, receive)) = stream else { break };
                // The transport lets no more be open; those that have ended here may not be joined yet.
                if tasks.len() > 2 * LANES_MAX {
                    CloseCode::Protocol.close(&quic, "too many lanes");
                    break;
                }
                let reader = portcullis_wire::FrameReader::for_server();
                tasks.spawn(Lane::new(Arc::clone(&worker), Arc::clone(&link), send, receive, reader).run());
            }
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                if ended.is_err() {
                    CloseCode::Protocol.close(&quic, "internal: a part of the connection has failed");
                    break;
                }
            }
        }
    }
    tasks.shutdown().await;
    drop(entered);
}

async fn open_push(worker: Arc<Worker>, link: Arc<Link>) {
    match timeout(PUSH_WAIT_MAX, link.quic.open_uni()).await {
        Ok(Ok(stream)) => push(worker, link, stream).await,
        Ok(Err(_)) => {}
        Err(_) => CloseCode::Protocol.close(&link.quic, "the push stream may not be opened"),
    }
}

/// A connection among those of its worker. However it ends, its sessions are closed.
struct Entered {
    worker: Arc<Worker>,
    link: Arc<Link>,
}

impl Entered {
    fn new(worker: Arc<Worker>, link: Arc<Link>) -> Self {
        worker.enter(&link);
        Self { worker, link }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.worker.leave(&self.link);
        let handles = held(&self.link.table).sessions.end();
        if handles.is_empty() {
            return;
        }
        // The permit only lets a stopping server wait for this.
        let permit = Arc::clone(&self.worker.permits).try_acquire_owned().ok();
        let engine = self.worker.engine.clone();
        self.worker.control.spawn(async move {
            close_all(&engine, &handles).await;
            drop(permit);
        });
    }
}

async fn close_all(engine: &Engine, handles: &[Handle]) {
    for some in handles.chunks(CLOSE_AT_ONCE) {
        for handle in some {
            engine.close_session(*handle);
        }
        tokio::task::yield_now().await;
    }
}
