//! The server: its start, its figures and its end.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use portcullis_model::{ErrorCode, Refusal};
use portcullis_runtime::Engine;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::admission::Admission;
use crate::counters::{Counters, QuicStats};
use crate::doors::Doors;
use crate::error::QuicError;
use crate::options::QuicOptions;
use crate::socket;
use crate::threads::{Phase, Threads};
use crate::waiting::Waiting;
use crate::worker::{Common, Worker};

/// Calls of all connections on the control runtime, replies that were not taken yet included.
///
/// BOUND: each holds one request frame of at most 16 KiB, so 128 MiB.
const CONTROL_CALLS_MAX: u32 = 8_192;
/// Longest wait for control calls once every connection is gone.
const CONTROL_WAIT_MAX: Duration = Duration::from_secs(5);

/// A running server. Dropping it closes every connection at once; [`QuicServer::shutdown`] is the
/// friendly end.
pub struct QuicServer {
    threads: Threads,
    admission: Arc<Admission>,
    counters: Arc<Counters>,
    permits: Arc<Semaphore>,
}

impl QuicServer {
    /// Listens and starts the workers. Blocks for one audit write for each: call it where that is no
    /// harm.
    ///
    /// # Errors
    /// [`QuicError`]; nothing is left running.
    pub fn start(options: QuicOptions, engine: Engine, doors: Doors) -> Result<Self, QuicError> {
        options.check()?;
        let admission = Admission::new(options.limits.clone());
        let counters = Arc::new(Counters::default());
        let permits = Arc::new(Semaphore::new(usize::try_from(CONTROL_CALLS_MAX).unwrap_or(usize::MAX)));
        let (phase, watched) = watch::channel(Phase::Running);
        let common = Common {
            engine: engine.clone(),
            doors,
            counters: Arc::clone(&counters),
            control: options.control.clone(),
            permits: Arc::clone(&permits),
            phase: watched,
            tokens: options.tokens,
        };
        let workers = (0..options.workers).map(|_| Worker::new(common.clone()).map(Arc::new));
        let workers = workers.collect::<Result<Vec<_>, _>>().map_err(QuicError::Engine)?;
        wake_with(&engine, workers.iter().map(|worker| Arc::downgrade(&worker.waiting)).collect())?;
        let threads = Threads::start(&options, &admission, &counters, phase, workers)?;
        tracing::info!(addresses = ?threads.addresses(), "listening for QUIC");
        Ok(Self { threads, admission, counters, permits })
    }

    /// Where the workers listen, in their order.
    pub fn local_addresses(&self) -> &[SocketAddr] {
        self.threads.addresses()
    }

    /// What has been counted since the start. Reads a file of the system: for metrics, not for loops.
    pub fn stats(&self) -> QuicStats {
        let connections = u64::try_from(self.admission.connections()).unwrap_or(u64::MAX);
        self.counters.read(connections, socket::receive_buffer_errors())
    }

    /// Ends the server: takes no more connections and sessions, tells clients to go, answers what is in
    /// flight, waits until they have closed or `deadline` is over, closes what is left, and joins the
    /// threads. The engine must be stopped after this, not before. Calling it again does nothing.
    pub async fn shutdown(&self, deadline: Duration) {
        self.threads.shutdown(deadline).await;
        // With all permits back, every control call is over.
        if timeout(CONTROL_WAIT_MAX, self.permits.acquire_many(CONTROL_CALLS_MAX)).await.is_err() {
            tracing::warn!("control calls are still running");
        }
    }
}

impl std::fmt::Debug for QuicServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuicServer").field("addresses", &self.threads.addresses()).finish_non_exhaustive()
    }
}

/// Has the audit writer wake the lanes that wait for it; a server that has ended is not woken.
fn wake_with(engine: &Engine, waiting: Vec<Weak<Waiting>>) -> Result<(), QuicError> {
    let wake = move || waiting.iter().filter_map(Weak::upgrade).for_each(|waiting| waiting.wake());
    let full = |_| QuicError::Engine(Refusal::new(ErrorCode::Overloaded, "the audit log wakes nobody else"));
    engine.audit().on_durable(Arc::new(wake)).map_err(full)
}
