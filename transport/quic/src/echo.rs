//! A bare echo to measure against: the endpoint, thread, runtime and transport of the server, and
//! nothing else.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use quinn::{RecvStream, SendStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::admission::Admission;
use crate::counters::Counters;
use crate::error::QuicError;
use crate::options::QuicOptions;
use crate::threads::{Phase, Serve, Threads};

/// Bytes that one lane reads at once, and writes at once: what the server's lanes do.
const BATCH_BYTES_MAX: usize = 16 * 1024;
/// Most bytes of a block either way.
const BLOCK_BYTES_MAX: usize = 16 * 1024;

/// Answers each complete block of one size with a block of another, without looking at it. For a load
/// generator: it authenticates nobody and belongs in no node.
pub struct EchoServer {
    threads: Threads,
}

impl EchoServer {
    /// Listens and starts the workers. Every lane of every connection is an echo.
    ///
    /// # Errors
    /// [`QuicError`]; sizes are 1 to 16,384 bytes.
    pub fn start(options: QuicOptions, request_bytes: usize, response_bytes: usize) -> Result<Self, QuicError> {
        options.check()?;
        let range = 1..=BLOCK_BYTES_MAX;
        if !range.contains(&request_bytes) || !range.contains(&response_bytes) {
            return Err(QuicError::Option { option: "request_bytes", range: "1 to 16384" });
        }
        let admission = Admission::new(options.limits.clone());
        let counters = Arc::new(Counters::default());
        let echo = Arc::new(Echo { request_bytes, response: vec![ECHO_BYTE; response_bytes] });
        let echoes = (0..options.workers).map(|_| Arc::clone(&echo)).collect();
        let phase = watch::Sender::new(Phase::Running);
        Ok(Self { threads: Threads::start(&options, &admission, &counters, phase, echoes)? })
    }

    /// Where the workers listen, in their order.
    pub fn local_addresses(&self) -> &[SocketAddr] {
        self.threads.addresses()
    }

    /// Ends the server: waits until clients have closed or `deadline` is over, then closes and joins.
    pub async fn shutdown(&self, deadline: Duration) {
        self.threads.shutdown(deadline).await;
    }
}

impl std::fmt::Debug for EchoServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EchoServer").field("addresses", &self.threads.addresses()).finish_non_exhaustive()
    }
}

struct Echo {
    request_bytes: usize,
    response: Vec<u8>,
}

impl Serve for Echo {
    async fn serve(self: Arc<Self>, connection: quinn::Connection) {
        let mut lanes = JoinSet::new();
        while let Ok((send, receive)) = connection.accept_bi().await {
            let lane = EchoLane {
                echo: Arc::clone(&self),
                send,
                receive,
                part: 0,
                owed: 0,
                out: Vec::new(),
                sent: 0,
                is_over: false,
            };
            lanes.spawn(lane.run());
            while lanes.try_join_next().is_some() {}
        }
        lanes.shutdown().await;
    }

    async fn background(self: Arc<Self>) {}
}

struct EchoLane {
    echo: Arc<Echo>,
    send: SendStream,
    receive: RecvStream,
    /// Bytes of an incomplete request.
    part: usize,
    /// Requests that are not answered.
    owed: usize,
    out: Vec<u8>,
    sent: usize,
    is_over: bool,
}

impl EchoLane {
    async fn run(mut self) {
        poll_fn(|context| self.poll(context)).await;
        if self.send.finish().is_ok() {
            // The client's end of the connection ends this too.
            let _ = self.send.stopped().await;
        }
    }

    /// As the server's lane: what is left over, then what has arrived, one batch a turn.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.write(context).is_err() {
            return Poll::Ready(());
        }
        if !self.out.is_empty() {
            return Poll::Pending;
        }
        let mut is_full = false;
        while !is_full && !self.is_over {
            match pin!(self.receive.read_chunk(BATCH_BYTES_MAX, true)).poll(context) {
                Poll::Pending => break,
                Poll::Ready(Ok(Some(chunk))) => {
                    let bytes = self.part + chunk.bytes.len();
                    self.owed += bytes / self.echo.request_bytes;
                    self.part = bytes % self.echo.request_bytes;
                    is_full = self.owed >= BATCH_BLOCKS_MAX;
                }
                Poll::Ready(Ok(None) | Err(_)) => self.is_over = true,
            }
        }
        let now = self.owed.min((BATCH_BYTES_MAX / self.echo.response.len()).max(1));
        for _ in 0..now {
            self.out.extend_from_slice(&self.echo.response);
        }
        self.owed -= now;
        if self.write(context).is_err() {
            return Poll::Ready(());
        }
        if !self.out.is_empty() {
            return Poll::Pending;
        }
        if self.owed > 0 || is_full {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.is_over { Poll::Ready(()) } else { Poll::Pending }
    }

    fn write(&mut self, context: &mut Context<'_>) -> Result<(), quinn::WriteError> {
        while let Some(rest) = self.out.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut self.send).poll_write(context, rest) {
                Poll::Ready(taken) => self.sent += taken?,
                Poll::Pending => return Ok(()),
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(())
    }
}

/// Blocks after which the server's lanes would write.
const BATCH_BLOCKS_MAX: usize = 64;
const ECHO_BYTE: u8 = 0xA7;
