//! Worker threads: each with a single-threaded runtime and an endpoint of its own.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use quinn::{Endpoint, EndpointConfig, Incoming, VarInt};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::admission::{Admission, Place, Verdict};
use crate::close::CloseCode;
use crate::counters::{Counters, count};
use crate::error::QuicError;
use crate::lock::held;
use crate::options::QuicOptions;
use crate::{socket, tls};

/// Longest wait for connections to be told that they are closed.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(1);
/// Ports that are tried for several workers, where the system chose the first.
const PORT_ATTEMPTS_MAX: usize = 16;

/// How far a server has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Running,
    /// No new connections or sessions; clients are told to go.
    Draining,
    /// Over.
    Closing,
}

/// What a worker does with its connections.
pub(crate) trait Serve: Send + Sync + 'static {
    /// Serves one connection until it is over.
    fn serve(self: Arc<Self>, connection: quinn::Connection) -> impl Future<Output = ()> + Send;

    /// Runs beside all connections, for as long as the worker does.
    fn background(self: Arc<Self>) -> impl Future<Output = ()> + Send;
}

/// The worker threads of one server. Dropping them closes every connection and joins them.
pub(crate) struct Threads {
    addresses: Vec<SocketAddr>,
    phase: watch::Sender<Phase>,
    /// Closed once every thread is about to end.
    ended: tokio::sync::Mutex<mpsc::Receiver<()>>,
    joining: Mutex<Vec<JoinHandle<()>>>,
}

impl Threads {
    /// Listens, then starts one thread for each of `serves`.
    pub(crate) fn start<S: Serve>(
        options: &QuicOptions,
        admission: &Arc<Admission>,
        counters: &Arc<Counters>,
        phase: watch::Sender<Phase>,
        serves: Vec<Arc<S>>,
    ) -> Result<Self, QuicError> {
        let config = tls::server_config(options)?;
        let sockets = listen(options.address, serves.len())?;
        let (ending, ended) = mpsc::channel(1);
        // One key for all, so that each endpoint can end what another began.
        let endpoint_config = EndpointConfig::default();
        let mut addresses = Vec::new();
        let mut joining = Vec::new();
        for (number, (serve, socket)) in serves.into_iter().zip(sockets).enumerate() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(QuicError::Spawn)?;
            let endpoint = {
                let _entered = runtime.enter();
                let config = Some(config.clone());
                Endpoint::new(endpoint_config.clone(), config, socket, Arc::new(quinn::TokioRuntime))
            };
            let endpoint = endpoint.map_err(QuicError::Spawn)?;
            addresses.push(endpoint.local_addr().map_err(QuicError::Spawn)?);
            let worker = WorkerThread {
                endpoint,
                serve,
                admission: Arc::clone(admission),
                counters: Arc::clone(counters),
                phase: phase.subscribe(),
                _ending: ending.clone(),
            };
            let thread = std::thread::Builder::new().name(format!("quic-{number}"));
            joining.push(thread.spawn(move || worker.run(&runtime)).map_err(QuicError::Spawn)?);
        }
        Ok(Self { addresses, phase, ended: tokio::sync::Mutex::new(ended), joining: Mutex::new(joining) })
    }

    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Tells clients to go and waits for them until `deadline`, then closes and joins.
    pub(crate) async fn shutdown(&self, deadline: Duration) {
        let mut ended = self.ended.lock().await;
        self.phase.send_if_modified(|phase| {
            let running = *phase == Phase::Running;
            if running {
                *phase = Phase::Draining;
            }
            running
        });
        if timeout(deadline, ended.recv()).await.is_err() {
            tracing::info!(?deadline, "clients that are still connected are disconnected");
            self.phase.send_replace(Phase::Closing);
            // Each thread bounds its own end.
            let _ = ended.recv().await;
        }
        self.join();
    }

    fn join(&self) {
        for thread in std::mem::take(&mut *held(&self.joining)) {
            if thread.join().is_err() {
                tracing::error!("a QUIC worker ended with a panic");
            }
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.phase.send_replace(Phase::Closing);
        self.join();
    }
}

/// Sockets on consecutive ports, beginning with the address's.
fn listen(address: SocketAddr, count: usize) -> Result<Vec<std::net::UdpSocket>, QuicError> {
    let attempts = if address.port() == 0 { PORT_ATTEMPTS_MAX } else { 1 };
    let mut result = listen_once(address, count);
    for _ in 1..attempts {
        if result.is_ok() {
            break;
        }
        result = listen_once(address, count);
    }
    result
}

fn listen_once(mut address: SocketAddr, count: usize) -> Result<Vec<std::net::UdpSocket>, QuicError> {
    let mut sockets = Vec::with_capacity(count);
    for _ in 0..count {
        let listen = |source| QuicError::Listen { address, source };
        let socket = socket::bind(address).map_err(listen)?;
        let bound = socket.local_addr().map_err(listen)?;
        let next = bound.port().checked_add(1).ok_or_else(|| listen(std::io::ErrorKind::AddrNotAvailable.into()))?;
        address.set_port(next);
        sockets.push(socket);
    }
    Ok(sockets)
}

/// What one thread owns.
struct WorkerThread<S> {
    endpoint: Endpoint,
    serve: Arc<S>,
    admission: Arc<Admission>,
    counters: Arc<Counters>,
    phase: watch::Receiver<Phase>,
    _ending: mpsc::Sender<()>,
}

impl<S: Serve> WorkerThread<S> {
    fn run(self, runtime: &Runtime) {
        runtime.block_on(self.serve_until_closing());
    }

    async fn serve_until_closing(self) {
        let mut tasks = JoinSet::new();
        let background = tokio::spawn(Arc::clone(&self.serve).background());
        let mut closing = self.phase.clone();
        loop {
            tokio::select! {
                incoming = self.endpoint.accept() => match incoming {
                    Some(incoming) => self.admit(incoming, &mut tasks),
                    None => break,
                },
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => report(ended),
                _ = closing.wait_for(|phase| *phase != Phase::Running) => break,
            }
        }
        // Whoever still comes is refused; whoever is here finishes and closes.
        self.endpoint.set_server_config(None);
        tokio::select! {
            () = self.endpoint.wait_idle() => {}
            _ = closing.wait_for(|phase| *phase == Phase::Closing) => {}
        }
        self.endpoint.close(VarInt::from_u32(CloseCode::Done.number()), b"the node is stopping");
        let ended = async {
            while let Some(ended) = tasks.join_next().await {
                report(ended);
            }
            self.endpoint.wait_idle().await;
        };
        if timeout(CLOSE_WAIT_MAX, ended).await.is_err() {
            tracing::debug!("connections were dropped before they were told");
        }
        background.abort();
        let _ = background.await;
        tasks.shutdown().await;
    }

    /// Judges one handshake; those that are accepted wait for their turn in a task of their own.
    fn admit(&self, incoming: Incoming, tasks: &mut JoinSet<()>) {
        let address = incoming.remote_address().ip();
        match self.admission.judge(address, incoming.remote_address_validated(), Instant::now()) {
            Verdict::Accept(place) => {
                let (admission, counters) = (Arc::clone(&self.admission), Arc::clone(&self.counters));
                tasks.spawn(admitted(incoming, place, admission, counters, Arc::clone(&self.serve)));
            }
            Verdict::Retry => {
                count(&self.counters.handshakes_retried, 1);
                // One that may not be sent back again is refused by being dropped.
                let _ = incoming.retry();
            }
            Verdict::Refuse => {
                count(&self.counters.handshakes_refused, 1);
                incoming.refuse();
            }
            Verdict::Ignore => {
                count(&self.counters.handshakes_refused, 1);
                incoming.ignore();
            }
        }
    }
}

/// Takes one connection from its handshake to its end.
async fn admitted<S: Serve>(
    incoming: Incoming,
    mut place: Place,
    admission: Arc<Admission>,
    counters: Arc<Counters>,
    serve: Arc<S>,
) {
    let handshake = async {
        let _permit = admission.handshakes.acquire().await.ok()?;
        incoming.accept().ok()?.await.ok()
    };
    let Ok(Some(connection)) = timeout(admission.handshake_timeout(), handshake).await else {
        count(&counters.handshakes_failed, 1);
        return;
    };
    place.established();
    count(&counters.handshakes, 1);
    serve.serve(connection).await;
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if ended.is_err_and(|cause| cause.is_panic()) {
        tracing::error!("a connection's task ended with a panic: the connection is closed");
    }
}
