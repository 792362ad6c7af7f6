//! Answers that wait for their audit record.

use std::collections::VecDeque;

use crate::ask::{Ask, Reply};

/// An answer that was decided and must not leave yet.
#[derive(Debug)]
pub(crate) struct HeldAnswer {
    pub(crate) ask: Ask,
    pub(crate) reply: Reply,
    /// The restrictions at which it was decided.
    pub(crate) mark: u64,
}

/// One lane's answers that wait for the watermark, in the order of their records.
#[derive(Debug, Default)]
pub(crate) struct Held {
    answers: VecDeque<HeldAnswer>,
}

impl Held {
    /// Keeps an answer. Its record is newer than those of all that are kept: one decider made them.
    pub(crate) fn push(&mut self, answer: HeldAnswer) {
        self.answers.push_back(answer);
    }

    /// The next answer whose record is durable.
    pub(crate) fn pop(&mut self, durable: u64) -> Option<HeldAnswer> {
        self.answers.pop_front_if(|answer| answer.reply.ticket <= durable)
    }

    /// The next answer, durable or not: because no record becomes durable any more.
    pub(crate) fn pop_any(&mut self) -> Option<HeldAnswer> {
        self.answers.pop_front()
    }

    /// Whether the next answer's record is durable.
    pub(crate) fn is_due(&self, durable: u64) -> bool {
        self.answers.front().is_some_and(|answer| answer.reply.ticket <= durable)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// Whether the lane must not read on.
    pub(crate) fn is_full(&self) -> bool {
        self.answers.len() >= HELD_MAX
    }
}

/// BOUND: four lanes hold what a connection may have in flight. When full, the lane is not read.
const HELD_MAX: usize = portcullis_wire::limits::IN_FLIGHT_MAX / portcullis_wire::limits::LANES_MAX;
