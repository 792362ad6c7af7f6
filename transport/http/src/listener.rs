//! The socket, its limits and its way to stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::probes::Probes;
use crate::routes::{Refusals, Shared, router};

/// The admin listener, bound and not yet answering.
///
/// Owns its socket and one task a connection, at most [`CONNECTIONS_MAX`]. A connection carries one
/// request, whose head must arrive within 5 s, and is over after 10 s, whoever is slow.
#[derive(Debug)]
pub struct AdminListener {
    socket: TcpListener,
    address: SocketAddr,
    hosts: Vec<String>,
}

/// Why the listener could not be bound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another process has the port.
    #[error("the admin address `{address}` is in use: stop what listens there, or choose another with `node.admin`")]
    InUse {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The system refused otherwise.
    #[error("could not listen on the admin address `{address}`")]
    Refused {
        /// The address asked for.
        address: SocketAddr,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl AdminListener {
    /// Binds `address`. `hosts` are names, without port, that requests may use besides loopback ones.
    ///
    /// # Errors
    /// [`BindError`] names the address.
    pub async fn bind(address: SocketAddr, hosts: Vec<String>) -> Result<Self, BindError> {
        let refused = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse { address },
            _ => BindError::Refused { address, source },
        };
        let socket = TcpListener::bind(address).await.map_err(refused)?;
        let address = socket.local_addr().map_err(refused)?;
        Ok(Self { socket, address, hosts })
    }

    /// Where it listens: the port that the system chose, where port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown` completes; then accepts nothing more, lets answers in flight finish
    /// for at most 1 s, and returns.
    pub async fn serve(self, probes: Arc<dyn Probes>, shutdown: impl Future<Output = ()>) {
        let shared = Arc::new(Shared { probes, hosts: self.hosts, refusals: Refusals::default() });
        let mut connections = JoinSet::new();
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => {}
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, _)) if connections.len() < CONNECTIONS_MAX => {
                        connections.spawn(answer(stream, Arc::clone(&shared)));
                    }
                    Ok(_) => {
                        shared.refusals.connections.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the admin listener could not accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(self.socket);
        let drained = timeout(DRAIN_MAX, async { while connections.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            tracing::info!(connections = connections.len(), "the admin listener cut what was still in flight");
        }
        connections.shutdown().await;
    }
}

/// Answers one request and closes.
async fn answer(stream: TcpStream, shared: Arc<Shared>) {
    let Ok(reached) = stream.local_addr() else { return };
    let service = TowerToHyperService::new(router(shared, reached));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_READ_MAX)
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(CONNECTION_LIFE_MAX, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an admin connection ended early"),
        Err(_) => tracing::debug!("an admin connection took too long"),
    }
}

/// Most connections at once. A scraper and a few probes need ten; more are closed unanswered.
pub const CONNECTIONS_MAX: usize = 256;
/// How long a request's head may take: a slow client holds one of [`CONNECTIONS_MAX`] places.
const HEAD_READ_MAX: Duration = Duration::from_secs(5);
/// How long a connection may last in all, so that a client that does not read is cut too.
const CONNECTION_LIFE_MAX: Duration = Duration::from_secs(10);
/// Largest request head in bytes; curl and Prometheus send less than 500.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Most headers of one request.
const HEADERS_MAX: usize = 64;
/// How long to wait when the system is out of descriptors, rather than spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long answers in flight may take once the node stops.
const DRAIN_MAX: Duration = Duration::from_secs(1);
