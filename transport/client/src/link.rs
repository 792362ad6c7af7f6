//! One connection: its lanes, what is in flight on it, and what it tells unasked.

use std::sync::Arc;
use std::time::Duration;

use portcullis_model::EntityUid;
use portcullis_wire::admin::AdminAssembler;
use portcullis_wire::frames::{
    AppliedV1, CloseV1, EndedV1, GoAwayV1, HeartbeatV1, RegisterV1, SubscribeScope, SubscribeV1, WelcomeV1,
};
use portcullis_wire::limits::NAMES_PER_FRAME_MAX;
use portcullis_wire::{Frame, FrameKind, FrameReader, Payload, Role, WireError};
use quinn::{RecvStream, VarInt};
use tokio::sync::{broadcast, watch};

use crate::error::DecideError;
use crate::events::Event;
use crate::lane::Lane;
use crate::names::{Names, Number};
use crate::reply::Reply;
use crate::slots::{Abandon, Pending, Slots, Waiter};
use crate::trust::{Sequence, Trust};

/// Bytes taken from a stream at once.
const READ_BYTES_MAX: usize = 64 * 1024;
/// Text of names in one register frame, which leaves room for a longest name and its overhead.
const REGISTER_BYTES_MAX: usize = 8 * 1024;
/// Bytes that each name takes in a frame besides its text.
const NAME_OVERHEAD_BYTES: usize = 16;
/// Told to the node when it breaks the protocol.
const PROTOCOL_CLOSE: VarInt = VarInt::from_u32(2);
/// Told to the node when the client is done.
pub(crate) const DONE_CLOSE: VarInt = VarInt::from_u32(0);

/// One connection that the node has welcomed. Frames in it are never tried again on another.
pub(crate) struct Link {
    pub(crate) connection: quinn::Connection,
    /// The first lane.
    pub(crate) control: Arc<Lane>,
    /// The lanes after the first.
    pub(crate) others: Vec<Arc<Lane>>,
    pub(crate) slots: Arc<Slots>,
    pub(crate) names: Names,
    pub(crate) trust: Trust,
    pub(crate) welcome: WelcomeV1,
    pub(crate) role: Role,
    pub(crate) scope: SubscribeScope,
    pub(crate) events: broadcast::Sender<Event>,
    /// When to come back, once the node has said that it is stopping.
    pub(crate) go_away: watch::Sender<Option<Duration>>,
}

impl Link {
    /// Whether nothing can be sent any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.connection.close_reason().is_some()
    }

    /// The lane of a session; all that a session asks takes one way.
    pub(crate) fn lane(&self, session: u64) -> &Lane {
        let count = u64::try_from(self.others.len() + 1).unwrap_or(1);
        let place = usize::try_from(session % count).unwrap_or(0);
        place.checked_sub(1).and_then(|place| self.others.get(place)).unwrap_or(&self.control)
    }

    /// Sends a request. The answer comes through what is returned; dropping that abandons it.
    pub(crate) fn request<P: Payload>(
        &self,
        lane: &Lane,
        payload: &P,
        abandon: Abandon,
    ) -> Result<Pending, DecideError> {
        let pending = self.slots.wait(abandon)?;
        match lane.append(pending.corr(), payload) {
            Ok(()) => Ok(pending),
            Err(error) => {
                pending.unsent();
                Err(error)
            }
        }
    }

    /// The number of a name. Where there is none, the name may be added to `asks`, which
    /// [`Link::register`] must then be given.
    pub(crate) fn number(&self, name: &EntityUid, asks: &mut Vec<EntityUid>) -> Option<u32> {
        match self.names.find(name) {
            Number::Known(number) => Some(number),
            Number::Unknown => None,
            Number::Ask => {
                asks.push(name.clone());
                None
            }
        }
    }

    /// Asks the node to number names, for next time. After the request that mentions them, which must
    /// not lose its place in flight to this.
    pub(crate) fn register(&self, asks: Vec<EntityUid>) {
        let (mut names, mut texts, mut bytes) = (Vec::new(), Vec::new(), 0);
        for name in asks {
            let text = name.to_string();
            if texts.len() >= NAMES_PER_FRAME_MAX || bytes + text.len() > REGISTER_BYTES_MAX {
                self.register_frame(std::mem::take(&mut names), std::mem::take(&mut texts));
                bytes = 0;
            }
            bytes += text.len() + NAME_OVERHEAD_BYTES;
            names.push(name);
            texts.push(text);
        }
        if !names.is_empty() {
            self.register_frame(names, texts);
        }
    }

    fn register_frame(&self, names: Vec<EntityUid>, texts: Vec<String>) {
        let unsent = names.clone();
        if self.send_for(Waiter::Names(names), &RegisterV1 { names: texts }).is_err() {
            unsent.iter().for_each(|name| self.names.unsent(name));
        }
    }

    /// Closes a session that nobody uses; nobody waits for the answer.
    pub(crate) fn close_session(&self, session: u64) {
        // Where it cannot be sent, the session ends with its time.
        let _ = self.send_for(Waiter::Nothing, &CloseV1 { session });
    }

    /// Ends the connection because the node breaks the protocol.
    pub(crate) fn broken(&self, error: &WireError) {
        tracing::warn!(%error, "the node broke the protocol");
        self.connection.close(PROTOCOL_CLOSE, b"protocol error");
    }

    /// Reads one lane until it ends, and then ends the connection: a lane is never lost alone.
    pub(crate) async fn read_lane(self: Arc<Self>, mut stream: RecvStream, mut reader: FrameReader) {
        let mut replies = AdminAssembler::default();
        let mut take = |bytes: &[u8]| feed(&mut reader, bytes, |frame| self.answered(frame, &mut replies));
        let mut taken = take(&[]);
        while taken.is_ok() {
            let Ok(Some(chunk)) = stream.read_chunk(READ_BYTES_MAX, true).await else { break };
            taken = take(&chunk.bytes);
        }
        if let Err(error) = taken {
            return self.broken(&error);
        }
        self.connection.close(DONE_CLOSE, b"a lane has ended");
    }

    /// Reads the push stream until it ends, and then ends the connection.
    pub(crate) async fn read_push(self: Arc<Self>) {
        let Ok(mut stream) = self.connection.accept_uni().await else { return };
        let mut reader = FrameReader::for_client();
        while let Ok(Some(chunk)) = stream.read_chunk(READ_BYTES_MAX, true).await {
            if let Err(error) = feed(&mut reader, &chunk.bytes, |frame| self.pushed(frame)) {
                return self.broken(&error);
            }
        }
        self.connection.close(DONE_CLOSE, b"the push stream has ended");
    }

    fn answered(&self, frame: &Frame<'_>, replies: &mut AdminAssembler) -> Result<(), WireError> {
        let corr = frame.header.corr;
        let Ok(kind) = frame.kind() else { return Ok(()) };
        if corr == 0 && kind == FrameKind::Error {
            let refusal = crate::reply::refusal_of(frame)?;
            tracing::warn!(%refusal, "the node ends the connection");
            self.connection.close(DONE_CLOSE, b"told to");
            return Ok(());
        }
        if !self.slots.is_expected(corr) {
            replies.forget(corr);
            return Ok(());
        }
        let reply = match kind {
            FrameKind::AdminReply => match replies.push(frame)? {
                Some(json) => Reply::Admin(json),
                None => return Ok(()),
            },
            _ => Reply::read(frame),
        };
        self.deliver(corr, reply);
        Ok(())
    }

    fn deliver(&self, corr: u32, reply: Reply) {
        match (self.slots.finish(corr), reply) {
            (Some(Waiter::Answer(waiting)), reply) => {
                if let Err(Reply::Opened(opened)) = waiting.send(reply) {
                    self.close_session(opened.handle);
                }
            }
            (Some(Waiter::Names(names)), Reply::Registered(numbers)) => self.names.registered(names, numbers),
            (Some(Waiter::Names(names)), Reply::Refused(error)) if error.is_retryable() => {
                names.iter().for_each(|name| self.names.unsent(name));
            }
            (Some(Waiter::Names(names)), _) => self.names.refused(names),
            (Some(Waiter::Resync), Reply::Subscribed(from)) => self.trust.resynced(from.push_seq),
            (Some(Waiter::Resync), other) => {
                tracing::warn!(error = %other.into_error(), "the push stream cannot be taken up again");
                self.connection.close(DONE_CLOSE, b"out of sync");
            }
            (Some(Waiter::CloseOpened), Reply::Opened(opened)) => self.close_session(opened.handle),
            (Some(Waiter::CloseOpened | Waiter::Nothing) | None, _) => {}
        }
    }

    fn pushed(&self, frame: &Frame<'_>) -> Result<(), WireError> {
        let sequence = match frame.kind() {
            Ok(FrameKind::Heartbeat) => self.trust.heartbeat(&frame.read::<HeartbeatV1>()?),
            Ok(FrameKind::Ended) => self.ended(&frame.read::<EndedV1>()?)?,
            Ok(FrameKind::GoAway) => {
                let retry_after = Duration::from_millis(frame.read::<GoAwayV1>()?.retry_after_ms.into());
                self.tell(Event::GoAway { retry_after });
                self.go_away.send_replace(Some(retry_after));
                return Ok(());
            }
            Ok(other) => return Err(WireError::UnexpectedKind(other)),
            // A newer node may push what this version does not know.
            Err(_) => return Ok(()),
        };
        if sequence == Sequence::Gap {
            self.resync();
        }
        let applied = AppliedV1 { push_seq: self.trust.applied(), stamp: self.trust.stamp() };
        // Where it cannot be sent, the lease is not renewed, and that is the right effect.
        let _ = self.control.append(0, &applied);
        Ok(())
    }

    fn ended(&self, frame: &EndedV1) -> Result<Sequence, WireError> {
        let sequence = self.trust.ended(frame);
        let scope = frame.scope()?;
        self.tell(Event::Ended { scope, revision: frame.revision(), sessions: frame.sessions });
        Ok(sequence)
    }

    fn resync(&self) {
        self.tell(Event::Gap);
        if self.send_for(Waiter::Resync, &SubscribeV1::new(self.scope)).is_err() {
            self.connection.close(DONE_CLOSE, b"out of sync");
        }
    }

    fn send_for<P: Payload>(&self, waiter: Waiter, payload: &P) -> Result<(), DecideError> {
        let corr = self.slots.take(waiter)?;
        self.control.append(corr, payload).inspect_err(|_| drop(self.slots.finish(corr)))
    }

    fn tell(&self, event: Event) {
        // Without subscribers nobody needs to know.
        let _ = self.events.send(event);
    }
}

/// Gives every whole frame of `bytes` and what came before to `each`.
pub(crate) fn feed(
    reader: &mut FrameReader,
    mut bytes: &[u8],
    mut each: impl FnMut(&Frame<'_>) -> Result<(), WireError>,
) -> Result<(), WireError> {
    loop {
        while let Some(frame) = reader.next_frame()? {
            each(&frame)?;
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let taken = reader.push(bytes);
        bytes = bytes.get(taken..).unwrap_or_default();
    }
}
