//! What one lane writes, and the questions behind it until the transport has taken it.

use std::pin::Pin;
use std::task::{Context, Poll};

use portcullis_runtime::Decider;
use portcullis_wire::{Flags, FrameKind, FrameWriter, HEADER_BYTES, Header, Payload, WireError};
use quinn::{SendStream, WriteError};

use crate::ask::{Ask, Reply};
use crate::held::{Held, HeldAnswer};

/// Bytes of answers after which they are written: what a lane adds to the transport at once.
const BATCH_BYTES_MAX: usize = 16 * 1024;
/// Answers after which they are written, so that a batch is short also where answers are slow.
const BATCH_ANSWERS_MAX: usize = 64;

/// The frames of one batch, of which the transport may have taken a part.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    writer: FrameWriter,
    /// Bytes that the transport has taken.
    sent: usize,
    /// The allows among the frames, in order.
    allows: Vec<Allow>,
    answers: usize,
    /// The restrictions at which the allows were decided.
    mark: u64,
}

/// An allow that has not left.
#[derive(Debug)]
struct Allow {
    /// Where its frame begins.
    begin: usize,
    ask: Ask,
}

/// A part of an allow has left, and the rest may not follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overtaken;

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.writer.is_empty()
    }

    /// Whether it is time to write.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.writer.len() >= BATCH_BYTES_MAX || self.answers >= BATCH_ANSWERS_MAX
    }

    /// Begins a batch at these restrictions; nothing is left of the one before.
    pub(crate) fn begin(&mut self, mark: u64) {
        self.mark = mark;
        self.answers = 0;
    }

    /// Appends an answer, and keeps its question where it allows. Returns when that was.
    #[inline]
    pub(crate) fn answer(&mut self, ask: Ask, mut reply: Reply) -> u64 {
        let begin = self.writer.len();
        self.answers += 1;
        match reply.append(ask.corr(), &mut self.writer) {
            Ok(now) => {
                if reply.allows {
                    self.allows.push(Allow { begin, ask });
                }
                now
            }
            Err(error) => {
                // Too long, for example with all its policies: the client asks for less.
                let mut refusal = Reply::refusal(&error.to_refusal());
                refusal.append(ask.corr(), &mut self.writer).unwrap_or(0)
            }
        }
    }

    /// Appends a frame that is no answer to a question.
    pub(crate) fn frame<P: Payload>(&mut self, corr: u32, payload: &P) -> Result<(), WireError> {
        self.answers += 1;
        self.writer.append(corr, payload)
    }

    /// Appends a chunk of an administrative reply.
    pub(crate) fn chunk(&mut self, flags: Flags, corr: u32, payload: &[u8]) -> Result<(), WireError> {
        self.writer.append_bytes(FrameKind::AdminReply, flags, corr, payload)
    }

    /// Decides again what has not left, if a restriction may have come since it was decided; says how
    /// many. Must be called within the batch that writes.
    ///
    /// # Errors
    /// [`Overtaken`].
    pub(crate) fn decide_again(&mut self, decider: &mut Decider, held: &mut Held, mark: u64) -> Result<u64, Overtaken> {
        if mark == self.mark {
            return Ok(0);
        }
        let old = std::mem::take(self);
        self.mark = mark;
        let mut allows = old.allows.into_iter().peekable();
        let mut again = 0;
        let mut begin = 0;
        while let Some(frame) = OwnFrame::at(old.writer.bytes(), begin) {
            let allow = allows.next_if(|allow| allow.begin == begin);
            let is_cut = begin < old.sent;
            if frame.end > old.sent {
                match allow {
                    None => self.copy(&frame),
                    Some(Allow { ask, .. }) => {
                        again += 1;
                        let reply = ask.answer(decider);
                        if !is_cut {
                            self.place(ask, reply, decider, held, mark);
                        } else if reply.allows && matches!(ask, Ask::One { .. }) {
                            self.allows.push(Allow { begin: 0, ask });
                            self.copy(&frame);
                        } else {
                            // Of a batch that is cut, which of its allows still hold is not told by one answer.
                            return Err(Overtaken);
                        }
                    }
                }
                if is_cut {
                    self.sent = old.sent - begin;
                }
            }
            begin = frame.end;
        }
        Ok(again)
    }

    /// An answer goes out now or, where its record is not durable yet, when it is. Returns when that
    /// was decided.
    #[inline]
    pub(crate) fn place(
        &mut self,
        ask: Ask,
        reply: Reply,
        decider: &Decider,
        held: &mut Held,
        mark: u64,
    ) -> Option<u64> {
        if reply.ticket == 0 || reply.ticket <= decider.durable() {
            return Some(self.answer(ask, reply));
        }
        held.push(HeldAnswer { ask, reply, mark });
        self.answers += 1;
        None
    }

    /// Gives the transport as much as it takes now. If that is not all, the task is woken when it
    /// takes more.
    pub(crate) fn write(&mut self, stream: &mut SendStream, context: &mut Context<'_>) -> Result<(), WriteError> {
        while let Some(rest) = self.writer.bytes().get(self.sent..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut *stream).poll_write(context, rest) {
                Poll::Ready(taken) => self.sent += taken?,
                Poll::Pending => return Ok(()),
            }
        }
        self.writer.clear();
        self.allows.clear();
        (self.sent, self.answers) = (0, 0);
        Ok(())
    }

    fn copy(&mut self, frame: &OwnFrame<'_>) {
        let header = &frame.header;
        if let Some(kind) = header.frame_kind() {
            // It was a frame before, so it is one now.
            let _ = self.writer.append_bytes(kind, header.flags, header.corr, frame.payload);
        }
    }
}

/// A frame that this side wrote.
struct OwnFrame<'a> {
    header: Header,
    payload: &'a [u8],
    end: usize,
}

impl<'a> OwnFrame<'a> {
    fn at(bytes: &'a [u8], begin: usize) -> Option<Self> {
        let rest = bytes.get(begin..)?;
        let header = Header::parse(rest.first_chunk::<HEADER_BYTES>()?).ok()?;
        let length = usize::try_from(header.len).ok()?;
        let payload = rest.get(HEADER_BYTES..HEADER_BYTES + length)?;
        Some(Self { header, payload, end: begin + (HEADER_BYTES + length).next_multiple_of(HEADER_BYTES) })
    }
}
