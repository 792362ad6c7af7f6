//! What a node tells without being asked.

use portcullis_model::{EntityUid, GrantId, Revision, SessionId};
use rkyv::{Archive, Deserialize, Serialize};

use crate::error::WireError;
use crate::kind::FrameKind;
use crate::payload::Payload;

/// What a connection wants to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SubscribeScope {
    /// What ends sessions of this connection. What holds before any subscribe frame.
    #[default]
    OwnSessions,
    /// Everything that ends; for auditors and operators.
    All,
}

/// Chooses what the push stream tells, complete from the number on that its answer tells: what a client
/// also does after a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct SubscribeV1 {
    /// 1 own sessions, 2 all.
    pub scope: u8,
}

impl SubscribeV1 {
    /// A subscription.
    pub const fn new(scope: SubscribeScope) -> Self {
        let scope = match scope {
            SubscribeScope::OwnSessions => 1,
            SubscribeScope::All => 2,
        };
        Self { scope }
    }

    /// The scope.
    ///
    /// # Errors
    /// [`WireError::Field`] for an unknown number.
    pub const fn scope(&self) -> Result<SubscribeScope, WireError> {
        match self.scope {
            1 => Ok(SubscribeScope::OwnSessions),
            2 => Ok(SubscribeScope::All),
            _ => Err(WireError::field("scope", "is not a known scope number")),
        }
    }
}

impl Payload for SubscribeV1 {
    const KIND: FrameKind = FrameKind::Subscribe;

    fn validate(&self) -> Result<(), WireError> {
        self.scope().map(drop)
    }
}

/// From where on the push stream is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct SubscribedV1 {
    /// Number of the newest [`EndedV1`] of this connection so far; every later one will be sent.
    pub push_seq: u64,
    /// The revision in effect: epoch.
    pub epoch: u32,
    /// The revision in effect: sequence number. What ended before it, the client learns by asking.
    pub seq: u64,
}

impl Payload for SubscribedV1 {
    const KIND: FrameKind = FrameKind::Subscribed;
}

/// Whose sessions have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndedScope {
    /// One session.
    Session(SessionId),
    /// Every session of a user.
    User(EntityUid),
    /// Every session with an agent in its chain.
    Agent(EntityUid),
    /// What rests on a grant; the session itself may go on.
    Grant(GrantId),
    /// Every session.
    All,
}

/// Something has ended. One frame a connection and revocation, however many sessions it ends.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct EndedV1 {
    /// Number of this frame, from 1, per connection.
    pub push_seq: u64,
    /// Number of the one before it; another than the last one seen means that some are missing.
    pub prev_seq: u64,
    /// Revision of the end: epoch.
    pub epoch: u32,
    /// Revision of the end: sequence number.
    pub seq: u64,
    /// How many sessions of this connection it ended.
    pub sessions: u32,
    /// 1 session, 2 user, 3 agent, 4 grant, 5 all.
    pub scope: u8,
    /// The id or name; empty for all.
    pub id: String,
}

impl EndedV1 {
    /// A frame that numbers `push_seq`, after the one before it.
    pub fn new(push_seq: u64, revision: Revision, scope: &EndedScope, sessions: u32) -> Self {
        let (scope, id) = match scope {
            EndedScope::Session(id) => (1, id.to_string()),
            EndedScope::User(uid) => (2, uid.to_string()),
            EndedScope::Agent(uid) => (3, uid.to_string()),
            EndedScope::Grant(id) => (4, id.to_string()),
            EndedScope::All => (5, String::new()),
        };
        let prev_seq = push_seq.saturating_sub(1);
        Self { push_seq, prev_seq, epoch: revision.epoch, seq: revision.seq, sessions, scope, id }
    }

    /// The scope.
    ///
    /// # Errors
    /// [`WireError::Field`] for an unknown number or an id that does not fit it.
    pub fn scope(&self) -> Result<EndedScope, WireError> {
        let bad = |()| WireError::field("id", "does not name what its scope says");
        match self.scope {
            1 => self.id.parse().map(EndedScope::Session).map_err(|_| bad(())),
            2 => self.id.parse().map(EndedScope::User).map_err(|_| bad(())),
            3 => self.id.parse().map(EndedScope::Agent).map_err(|_| bad(())),
            4 => self.id.parse().map(EndedScope::Grant).map_err(|_| bad(())),
            5 if self.id.is_empty() => Ok(EndedScope::All),
            5 => Err(bad(())),
            _ => Err(WireError::field("scope", "is not a known scope number")),
        }
    }

    /// The revision.
    pub const fn revision(&self) -> Revision {
        Revision::new(self.epoch, self.seq)
    }
}

impl Payload for EndedV1 {
    const KIND: FrameKind = FrameKind::Ended;

    fn validate(&self) -> Result<(), WireError> {
        if self.prev_seq >= self.push_seq {
            return Err(WireError::field("prev_seq", "is not less than `push_seq`"));
        }
        self.scope().map(drop)
    }
}

/// The node lives. Sent every [`crate::limits::HEARTBEAT_MS`], from the opening of the push stream on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct HeartbeatV1 {
    /// Number of the newest [`EndedV1`] of this connection; 0 before the first.
    pub push_seq: u64,
    /// The newest stamp of a hello or applied frame of this connection. The client's lease runs from
    /// the moment that it sent that stamp, so delay only shortens it.
    pub echo: u64,
    /// Milliseconds that the lease lasts from there; 0 if the node may not decide.
    pub lease_ms: u32,
    /// The revision in effect: epoch.
    pub epoch: u32,
    /// The revision in effect: sequence number.
    pub seq: u64,
}

impl HeartbeatV1 {
    /// The revision in effect.
    pub const fn revision(&self) -> Revision {
        Revision::new(self.epoch, self.seq)
    }
}

impl Payload for HeartbeatV1 {
    const KIND: FrameKind = FrameKind::Heartbeat;
}

/// The node is stopping. It answers what is in flight and refuses new sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct GoAwayV1 {
    /// After how many milliseconds to connect again.
    pub retry_after_ms: u32,
}

impl Payload for GoAwayV1 {
    const KIND: FrameKind = FrameKind::GoAway;
}

/// What a client has seen of the push stream; it answers every heartbeat and every end with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct AppliedV1 {
    /// Number of the newest [`EndedV1`] that is applied, with all before it.
    pub push_seq: u64,
    /// The client's own clock, as in the hello; never less than before.
    pub stamp: u64,
}

impl Payload for AppliedV1 {
    const KIND: FrameKind = FrameKind::Applied;

    fn validate(&self) -> Result<(), WireError> {
        if self.stamp == 0 {
            return Err(WireError::field("stamp", "is zero"));
        }
        Ok(())
    }
}
