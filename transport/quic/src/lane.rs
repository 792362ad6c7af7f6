//! One lane: reads questions, has them decided, and writes their answers.
//!
//! A lane is one task of its worker's thread. Each time it runs it does one *batch* without waiting:
//! it begins a batch of the worker's decider, writes what was left over, decides what has arrived,
//! gives the answers to the transport, and ends the batch. What the transport did not take is looked
//! at again in the batch that goes on writing. As long as something is left over nothing is read, so
//! that a client that does not read is not read either.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use portcullis_runtime::Decider;
use portcullis_wire::FrameReader;
use quinn::{RecvStream, SendStream, VarInt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::close::CloseCode;
use crate::connection::Link;
use crate::control::Inbound;
use crate::counters::count;
use crate::lane_core::{Core, End};
use crate::lane_source::{Broken, Source};
use crate::lock::held;
use crate::worker::Worker;

/// Longest wait for the client to read why its connection is closed.
const FAREWELL_WAIT_MAX: Duration = Duration::from_secs(1);

/// One lane.
pub(crate) struct Lane {
    source: Source,
    core: Core,
    inbox: mpsc::UnboundedReceiver<Inbound>,
}

/// Whether there is more to do at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Again,
    Wait,
}

impl Lane {
    pub(crate) fn new(
        worker: Arc<Worker>,
        link: Arc<Link>,
        send: SendStream,
        receive: RecvStream,
        reader: FrameReader,
    ) -> Self {
        let (sender, inbox) = mpsc::unbounded_channel();
        let core = Core::new(worker, link, send, sender);
        Self { source: Source::new(receive, reader), core, inbox }
    }

    /// Serves the lane until it or the connection is over.
    pub(crate) async fn run(mut self) {
        let end = poll_fn(|context| self.poll(context)).await;
        let Core { worker, link, send, .. } = &mut self.core;
        match end {
            End::Finished => farewell(send).await,
            End::Lost => {}
            End::Protocol(refusal) => {
                tracing::debug!(client = link.registration.name, %refusal, "the client broke the protocol");
                farewell(send).await;
                CloseCode::Protocol.close(&link.quic, &refusal.to_string());
            }
            End::Overtaken => {
                count(&worker.counters.overtaken, 1);
                // What the transport has taken and not sent is dropped with it.
                let _ = send.reset(VarInt::from_u32(CloseCode::Overtaken.number()));
                CloseCode::Overtaken.close(&link.quic, "a revocation has overtaken an answer");
            }
        }
    }

    /// One batch.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<End> {
        let worker = Arc::clone(&self.core.worker);
        let mut decider = held(&worker.decider);
        decider.begin();
        let step = self.step(context, &mut decider);
        decider.idle();
        if std::mem::take(&mut self.core.must_nudge) {
            decider.nudge();
        }
        drop(decider);
        match step {
            Ok(Step::Again) => {
                // Others have their turn first, the one that sends packets among them.
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Ok(Step::Wait) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        }
    }

    fn step(&mut self, context: &mut Context<'_>, decider: &mut Decider) -> Result<Step, End> {
        self.core.begin(decider);
        if !self.core.outbox.is_empty() {
            self.core.write_rest(context, decider)?;
            if !self.core.outbox.is_empty() {
                return self.wait();
            }
        }
        self.core.begin_answers();
        let step = self.fill(context, decider)?;
        if !self.core.outbox.is_empty() {
            count(&self.core.worker.counters.batches, 1);
            self.core.write(context)?;
            if !self.core.outbox.is_empty() {
                return self.wait();
            }
        }
        if let Some(refusal) = self.core.failure.take() {
            return Err(End::Protocol(refusal));
        }
        if self.core.await_record(context, decider) {
            return Ok(Step::Again);
        }
        if step == Step::Wait && self.source.is_over && self.core.is_quiet() {
            return Err(End::Finished);
        }
        Ok(step)
    }

    /// The client does not read on. One that also broke the protocol is not waited for.
    fn wait(&mut self) -> Result<Step, End> {
        self.core.failure.take().map_or(Ok(Step::Wait), |refusal| Err(End::Protocol(refusal)))
    }

    /// Fills the outbox with what can be answered now.
    fn fill(&mut self, context: &mut Context<'_>, decider: &mut Decider) -> Result<Step, End> {
        let core = &mut self.core;
        core.mature(decider);
        while !core.is_full() {
            match self.inbox.poll_recv(context) {
                Poll::Ready(Some(inbound)) => core.arrived(inbound, decider),
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        core.send_parcels();
        if core.is_full() {
            return Ok(Step::Again);
        }
        self.read(context, decider)
    }

    /// Answers the frames that have arrived.
    fn read(&mut self, context: &mut Context<'_>, decider: &mut Decider) -> Result<Step, End> {
        let Self { source, core, .. } = self;
        let link = Arc::clone(&core.link);
        let mut table = held(&link.table);
        let mut frames = 0;
        let step = loop {
            if core.is_full() {
                break Step::Again;
            }
            // The watermark wakes a lane that holds too much.
            if core.held.is_full() || core.failure.is_some() {
                break Step::Wait;
            }
            match source.reader.next_frame() {
                Ok(Some(frame)) => {
                    frames += 1;
                    core.frame(&frame, &mut table, decider);
                }
                Ok(None) => match source.refill(context) {
                    Ok(true) => {}
                    Ok(false) => break Step::Wait,
                    Err(Broken::Lost) => return Err(End::Lost),
                    Err(Broken::Protocol(error)) => core.fail(&error.to_refusal()),
                },
                Err(error) => core.fail(&error.to_refusal()),
            }
        };
        count(&core.worker.counters.frames, frames);
        Ok(step)
    }
}

/// Ends the writing half and waits a little until the client has all of it.
async fn farewell(send: &mut SendStream) {
    if send.finish().is_ok() {
        // A client that does not read it reads the reason phrase.
        let _ = timeout(FAREWELL_WAIT_MAX, send.stopped()).await;
    }
}
