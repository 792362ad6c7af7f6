//! A hot lane: sends prepared requests on a schedule and times their answers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use portcullis_wire::frames::{ArchivedDecisionV1, DecisionV1};
use portcullis_wire::{FrameKind, FrameReader, WireError};
use quinn::{ReadError, RecvStream, SendStream, WriteError};
use tokio::time::timeout;

use super::frames::Frames;
use super::pace::{Pacing, Schedule};
use super::recorder::Recorder;
use crate::error::LoadError;

/// Most requests in flight on one lane, all lanes of a connection within what a node allows; when as
/// many are, a request that is due is skipped and counted as an error.
const IN_FLIGHT_MAX: usize = portcullis_wire::limits::IN_FLIGHT_MAX / portcullis_wire::limits::LANES_MAX;
/// Bytes read at once.
const READ_BYTES_MAX: usize = 64 * 1024;
/// Longest wait for answers after the last request.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// One lane and its requests.
pub(crate) struct Lane {
    send: SendStream,
    receive: RecvStream,
    pub(crate) frames: Arc<Frames>,
    answers: Answers,
    /// Number of the next request.
    next: usize,
    out: Vec<u8>,
    written: usize,
    pub(crate) probes: Option<Arc<Probes>>,
}

/// How answers find their requests.
enum Answers {
    /// By correlation number.
    Decisions { reader: FrameReader, slots: Vec<Option<Sent>>, free: Vec<u32> },
    /// In order, by their length.
    Blocks { block_bytes: usize, part: usize, waiting: VecDeque<Sent> },
}

/// A request in flight.
#[derive(Clone, Copy)]
struct Sent {
    due: Duration,
    sent: Duration,
    /// Whether the revocation had been acknowledged before it was sent.
    is_after_ack: bool,
}

/// What probing lanes share while a revocation runs.
#[derive(Default)]
pub(crate) struct Probes {
    /// Set when the acknowledgement has arrived.
    pub(crate) acknowledged: AtomicBool,
    /// Set when enough was probed.
    pub(crate) enough: AtomicBool,
    /// Answers to probes sent after the acknowledgement.
    pub(crate) after_ack: AtomicU64,
    /// Allows among them: must stay 0.
    pub(crate) allows_after_ack: AtomicU64,
    /// The node's time of the last allow.
    pub(crate) last_allow_node_ns: AtomicU64,
}

impl Lane {
    /// A lane to a node.
    pub(crate) fn decisions(send: SendStream, receive: RecvStream, frames: Arc<Frames>) -> Self {
        let free = (0..u32::try_from(IN_FLIGHT_MAX).unwrap_or(0)).rev().collect();
        let slots = vec![None; IN_FLIGHT_MAX];
        Self::new(send, receive, frames, Answers::Decisions { reader: FrameReader::for_client(), slots, free })
    }

    /// A lane to an echo that answers with blocks of `block_bytes`.
    pub(crate) fn blocks(send: SendStream, receive: RecvStream, frames: Arc<Frames>, block_bytes: usize) -> Self {
        Self::new(send, receive, frames, Answers::Blocks { block_bytes, part: 0, waiting: VecDeque::new() })
    }

    fn new(send: SendStream, receive: RecvStream, frames: Arc<Frames>, answers: Answers) -> Self {
        Self { send, receive, frames, answers, next: 0, out: Vec::new(), written: 0, probes: None }
    }

    /// Sends for `span`, then waits for the answers that are missing. The beginning is `base`.
    pub(crate) async fn run(
        &mut self,
        pacing: Pacing,
        base: Instant,
        span: Duration,
        seed: u64,
    ) -> Result<Recorder, LoadError> {
        let mut recorder = Recorder::new();
        let sending = self.send_and_receive(pacing, base, span, seed, &mut recorder);
        match timeout(span + DRAIN_MAX, sending).await {
            Ok(result) => result?,
            Err(_) => recorder.lost += u64::try_from(self.in_flight()).unwrap_or(u64::MAX),
        }
        Ok(recorder)
    }

    async fn send_and_receive(
        &mut self,
        pacing: Pacing,
        base: Instant,
        span: Duration,
        seed: u64,
        recorder: &mut Recorder,
    ) -> Result<(), LoadError> {
        let mut schedule = match pacing {
            Pacing::Window(_) => None,
            Pacing::Rate { per_s, arrivals } => Some(Schedule::new(per_s, arrivals, seed)),
        };
        let window = if let Pacing::Window(window) = pacing { window.min(IN_FLIGHT_MAX) } else { 0 };
        loop {
            let now = base.elapsed();
            let is_over = now >= span || self.is_enough();
            match (&mut schedule, is_over) {
                (_, true) if self.in_flight() == 0 && self.out.is_empty() => return Ok(()),
                (_, true) => {}
                (Some(schedule), false) => self.send_due(schedule, now, recorder),
                (None, false) => (self.in_flight()..window).for_each(|_| self.push(now, now, recorder)),
            }
            // Everything due is one write; pending answers go first, so that their time is right.
            tokio::select! {
                biased;
                chunk = self.receive.read_chunk(READ_BYTES_MAX, true) => {
                    let chunk = chunk.map_err(lost_reading)?.ok_or_else(|| LoadError::Lost("a lane ended".into()))?;
                    self.answers.take(&chunk.bytes, base, recorder, self.probes.as_deref())?;
                }
                written = self.send.write(&self.out[self.written..]), if !self.out.is_empty() => {
                    self.written += written.map_err(lost_writing)?;
                    if self.written == self.out.len() {
                        self.out.clear();
                        self.written = 0;
                    }
                }
                // A turn of the runtime, which looks at the socket: timers are a thousand times coarser.
                () = tokio::task::yield_now(), if schedule.is_some() && !is_over => {}
            }
        }
    }

    fn send_due(&mut self, schedule: &mut Schedule, now: Duration, recorder: &mut Recorder) {
        while schedule.next() <= now {
            if self.in_flight() < IN_FLIGHT_MAX {
                self.push(schedule.next(), now, recorder);
            } else {
                recorder.skipped += 1;
            }
            schedule.advance();
        }
    }

    fn push(&mut self, due: Duration, sent: Duration, recorder: &mut Recorder) {
        // ORDERING: Acquire, with the Release of whoever saw the acknowledgement.
        let is_after_ack = self.probes.as_ref().is_some_and(|probes| probes.acknowledged.load(Ordering::Acquire));
        let request = Sent { due, sent, is_after_ack };
        let corr = match &mut self.answers {
            Answers::Blocks { waiting, .. } => {
                waiting.push_back(request);
                0
            }
            Answers::Decisions { slots, free, .. } => {
                let Some(slot) = free.pop() else { return };
                slots[slot as usize] = Some(request);
                slot + 1
            }
        };
        recorder.lag.saturating_record(nanoseconds(sent.saturating_sub(due)));
        self.frames.append(self.next, corr, &mut self.out);
        self.next = self.next.wrapping_add(1);
    }

    fn in_flight(&self) -> usize {
        match &self.answers {
            Answers::Decisions { free, .. } => IN_FLIGHT_MAX - free.len(),
            Answers::Blocks { waiting, .. } => waiting.len(),
        }
    }

    fn is_enough(&self) -> bool {
        self.probes.as_ref().is_some_and(|probes| probes.enough.load(Ordering::Relaxed))
    }
}

impl Answers {
    /// Everything in `chunk` has arrived now.
    fn take(
        &mut self,
        chunk: &[u8],
        base: Instant,
        recorder: &mut Recorder,
        probes: Option<&Probes>,
    ) -> Result<(), LoadError> {
        let now = base.elapsed();
        match self {
            Self::Blocks { block_bytes, part, waiting } => {
                let bytes = *part + chunk.len();
                *part = bytes % *block_bytes;
                for _ in 0..bytes / *block_bytes {
                    let request = waiting.pop_front().ok_or_else(|| LoadError::Lost("an echo of nothing".into()))?;
                    record(recorder, request, now);
                }
            }
            Self::Decisions { reader, slots, free } => {
                let mut rest = chunk;
                while !rest.is_empty() {
                    let taken = reader.push(rest);
                    rest = &rest[taken..];
                    while let Some(frame) = reader.next_frame()? {
                        let place = frame.header.corr.wrapping_sub(1);
                        let slot = slots.get_mut(place as usize).and_then(Option::take);
                        let request = slot.ok_or_else(|| LoadError::Lost("an answer to nothing".into()))?;
                        free.push(place);
                        record(recorder, request, now);
                        match frame.kind()? {
                            FrameKind::Decision => {
                                decided(frame.access::<DecisionV1>()?, request, recorder, probes);
                            }
                            FrameKind::Error => recorder.refused += 1,
                            other => return Err(WireError::UnexpectedKind(other).into()),
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

fn record(recorder: &mut Recorder, request: Sent, now: Duration) {
    recorder.record(nanoseconds(now.saturating_sub(request.due)), nanoseconds(now.saturating_sub(request.sent)), now);
}

fn decided(decision: &ArchivedDecisionV1, request: Sent, recorder: &mut Recorder, probes: Option<&Probes>) {
    let is_allow = decision.verdict == VERDICT_ALLOW;
    if is_allow {
        recorder.allows += 1;
    } else {
        recorder.denies += 1;
    }
    let Some(probes) = probes else { return };
    if is_allow {
        probes.last_allow_node_ns.fetch_max(decision.node_ns.to_native(), Ordering::Relaxed);
    }
    if request.is_after_ack {
        probes.after_ack.fetch_add(1, Ordering::Relaxed);
        probes.allows_after_ack.fetch_add(u64::from(is_allow), Ordering::Relaxed);
    }
}

pub(super) fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

pub(super) fn lost_reading(error: ReadError) -> LoadError {
    LoadError::Lost(error.to_string())
}

pub(super) fn lost_writing(error: WriteError) -> LoadError {
    LoadError::Lost(error.to_string())
}

/// The number of an allow on the wire.
const VERDICT_ALLOW: u8 = 1;
