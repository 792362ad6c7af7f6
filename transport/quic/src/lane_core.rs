//! What a lane is made of besides its reading half.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Context;

use portcullis_model::Refusal;
use portcullis_runtime::Decider;
use portcullis_wire::frames::ErrorV1;
use quinn::SendStream;
use tokio::sync::mpsc;

use crate::ask::Ask;
use crate::connection::Link;
use crate::control::{Answered, Inbound, Parcel};
use crate::counters::count;
use crate::held::Held;
use crate::node_clock::node_ns;
use crate::outbox::Outbox;
use crate::worker::Worker;

/// Longest deciding in one batch: a revocation's acknowledgement waits for batches.
const BATCH_NS_MAX: u64 = 200_000;

/// Everything but the reading half, so that a frame can be answered while it is being read.
pub(crate) struct Core {
    pub(crate) worker: Arc<Worker>,
    pub(crate) link: Arc<Link>,
    pub(crate) outbox: Outbox,
    pub(crate) held: Held,
    pub(crate) parcels: VecDeque<Parcel>,
    /// For what other tasks bring. Bounded: each sender holds a permit or is one of `waits`.
    pub(crate) sender: mpsc::UnboundedSender<Inbound>,
    /// Calls on the control runtime that have not answered.
    pub(crate) calls: usize,
    /// Questions that wait for their revision.
    pub(crate) waits: usize,
    /// The restrictions at the beginning of this batch.
    mark: u64,
    /// When this batch must end.
    until_ns: u64,
    last_ns: u64,
    /// Whether an answer waits for the audit writer.
    pub(crate) must_nudge: bool,
    /// Why the lane must end.
    pub(crate) failure: Option<Refusal>,
    pub(crate) send: SendStream,
    number: u64,
}

/// Why a lane is over.
pub(crate) enum End {
    /// The client has ended it, and everything is answered.
    Finished,
    /// The connection is lost.
    Lost,
    /// The client broke the protocol.
    Protocol(Refusal),
    /// A part of an allow has left, and the rest may not follow.
    Overtaken,
}

impl Drop for Core {
    fn drop(&mut self) {
        self.worker.waiting.forget(self.number);
    }
}

impl Core {
    pub(crate) fn new(
        worker: Arc<Worker>,
        link: Arc<Link>,
        send: SendStream,
        sender: mpsc::UnboundedSender<Inbound>,
    ) -> Self {
        let number = worker.number();
        Self {
            worker,
            link,
            outbox: Outbox::default(),
            held: Held::default(),
            parcels: VecDeque::new(),
            sender,
            calls: 0,
            waits: 0,
            mark: 0,
            until_ns: 0,
            last_ns: 0,
            must_nudge: false,
            failure: None,
            send,
            number,
        }
    }

    /// Begins a batch.
    pub(crate) fn begin(&mut self, decider: &Decider) {
        self.mark = decider.restrictions();
        self.last_ns = node_ns();
        self.until_ns = self.last_ns.saturating_add(BATCH_NS_MAX);
    }

    /// Goes on writing what the transport did not take. What may have become wrong is decided again.
    pub(crate) fn write_rest(&mut self, context: &mut Context<'_>, decider: &mut Decider) -> Result<(), End> {
        let again = self.outbox.decide_again(decider, &mut self.held, self.mark).map_err(|_| End::Overtaken)?;
        self.again(again);
        self.must_nudge |= again > 0;
        self.write(context)
    }

    /// Makes room for the answers of this batch.
    pub(crate) fn begin_answers(&mut self) {
        self.outbox.begin(self.mark);
    }

    /// Whether this batch is long enough.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.outbox.is_full() || self.last_ns >= self.until_ns
    }

    /// Whether nothing is to come from elsewhere.
    pub(crate) fn is_quiet(&self) -> bool {
        self.held.is_empty() && self.parcels.is_empty() && self.calls == 0 && self.waits == 0
    }

    pub(crate) fn write(&mut self, context: &mut Context<'_>) -> Result<(), End> {
        self.outbox.write(&mut self.send, context).map_err(|_| End::Lost)
    }

    /// Decides a question and places its answer.
    #[inline]
    pub(crate) fn decide(&mut self, ask: Ask, decider: &mut Decider) {
        let reply = ask.answer(decider);
        match self.outbox.place(ask, reply, decider, &mut self.held, self.mark) {
            Some(now) => self.last_ns = now,
            None => {
                self.must_nudge = true;
                self.last_ns = node_ns();
            }
        }
    }

    /// Lets go of what was held and is durable now, or never will be.
    pub(crate) fn mature(&mut self, decider: &mut Decider) {
        let is_halted = !self.worker.may_decide.load(Ordering::Acquire);
        while !self.is_full() {
            let next = self.held.pop(decider.durable());
            let next = next.or_else(|| if is_halted { self.held.pop_any() } else { None });
            let Some(answer) = next else { return };
            if answer.mark == self.mark && answer.reply.ticket <= decider.durable() {
                self.last_ns = self.outbox.answer(answer.ask, answer.reply);
            } else {
                self.again(1);
                self.decide(answer.ask, decider);
            }
        }
    }

    /// Has the lane woken when the next held answer may be durable; says whether one is already.
    pub(crate) fn await_record(&self, context: &Context<'_>, decider: &Decider) -> bool {
        if self.held.is_empty() {
            return false;
        }
        // Before looking at the watermark: if it moves after the look, it wakes.
        self.worker.waiting.register(self.number, context.waker());
        self.held.is_due(decider.durable())
    }

    fn again(&self, answers: u64) {
        if answers > 0 {
            count(&self.worker.counters.decided_again, answers);
        }
    }

    /// Takes what another task has brought.
    pub(crate) fn arrived(&mut self, inbound: Inbound, decider: &mut Decider) {
        match inbound {
            Inbound::Again(ask) => {
                self.waits = self.waits.saturating_sub(1);
                self.decide(ask, decider);
            }
            Inbound::Answered { corr, answered, permits } => {
                self.calls = self.calls.saturating_sub(1);
                let written = match answered {
                    Answered::Opened(opened) => self.outbox.frame(corr, &*opened),
                    Answered::Closed(closed) => self.outbox.frame(corr, &closed),
                    Answered::Denied(decision) => self.outbox.frame(corr, &*decision),
                    Answered::Refused(refusal) => self.outbox.frame(corr, &ErrorV1::new(&refusal)),
                    Answered::Admin(json) => {
                        self.parcels.push_back(Parcel { corr, json, sent: 0, permits });
                        return;
                    }
                };
                if let Err(error) = written {
                    self.refuse(corr, &error.to_refusal());
                }
            }
        }
    }

    /// Writes chunks of administrative replies while there is room, the oldest first.
    pub(crate) fn send_parcels(&mut self) {
        while !self.is_full() {
            let Some(parcel) = self.parcels.front_mut() else { return };
            let (flags, chunk) = parcel.next();
            // A chunk is cut to fit.
            let _ = self.outbox.chunk(flags, parcel.corr, chunk);
            parcel.sent += 1;
            if !flags.has_more() {
                self.parcels.pop_front();
            }
        }
    }

    /// Refuses one request.
    pub(crate) fn refuse(&mut self, corr: u32, refusal: &Refusal) {
        if let Err(error) = self.outbox.frame(corr, &ErrorV1::new(refusal)) {
            tracing::error!(%error, "an error frame cannot be written");
        }
    }

    /// Says why the lane ends. Nothing is read any more.
    pub(crate) fn fail(&mut self, refusal: &Refusal) {
        count(&self.worker.counters.frames_malformed, 1);
        self.refuse(0, refusal);
        self.failure = Some(refusal.clone());
    }
}
