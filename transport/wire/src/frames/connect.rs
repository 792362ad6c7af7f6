//! The first frames of a connection.

use rkyv::{Archive, Deserialize, Serialize};

use crate::error::WireError;
use crate::kind::FrameKind;
use crate::limits;
use crate::payload::Payload;
use crate::role::Role;

/// Who connects, and what it speaks. First frame of the first lane.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct HelloV1 {
    /// The client's name, for logs and audit; proves nothing.
    pub client: String,
    /// The client's version, for logs.
    pub version: String,
    /// Bearer token that proves the client's registration; empty where its certificate does.
    pub token: String,
    /// Lowest schema number that the client speaks, of every frame kind.
    pub schema_min: u16,
    /// Highest.
    pub schema_max: u16,
    /// Bits of optional abilities; none is defined yet.
    pub features: u64,
    /// The client's own clock in any unit, not 0; the first heartbeats echo it.
    pub stamp: u64,
}

impl Payload for HelloV1 {
    const KIND: FrameKind = FrameKind::Hello;

    fn validate(&self) -> Result<(), WireError> {
        if self.client.len() > limits::LABEL_BYTES_MAX {
            return Err(WireError::field("client", "is too long"));
        }
        if self.version.len() > limits::LABEL_BYTES_MAX {
            return Err(WireError::field("version", "is too long"));
        }
        if self.token.len() > limits::PROOF_BYTES_MAX {
            return Err(WireError::field("token", "is too long"));
        }
        if self.schema_min == 0 || self.schema_min > self.schema_max {
            return Err(WireError::field("schema_min", "is not between 1 and `schema_max`"));
        }
        if self.stamp == 0 {
            return Err(WireError::field("stamp", "is zero"));
        }
        Ok(())
    }
}

/// The bounds that the node keeps for this connection. At most those of [`crate::limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct LimitsV1 {
    /// Most bytes of a frame from the client.
    pub request_frame_bytes: u32,
    /// Most requests waiting for an answer.
    pub in_flight: u32,
    /// Most registered names.
    pub names: u32,
    /// Most bytes of registered names.
    pub name_bytes: u32,
    /// Most open sessions.
    pub sessions: u32,
    /// Most questions in one batch.
    pub batch: u32,
    /// Most bytes of one administrative call.
    pub admin_bytes: u32,
}

impl Default for LimitsV1 {
    fn default() -> Self {
        let number = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
        Self {
            request_frame_bytes: number(limits::REQUEST_FRAME_BYTES_MAX),
            in_flight: number(limits::IN_FLIGHT_MAX),
            names: number(limits::NAMES_PER_CONNECTION_MAX),
            name_bytes: number(limits::NAME_BYTES_PER_CONNECTION_MAX),
            sessions: number(limits::SESSIONS_PER_CONNECTION_MAX),
            batch: number(portcullis_model::limits::BATCH_MAX),
            admin_bytes: number(limits::ADMIN_BYTES_MAX),
        }
    }
}

impl LimitsV1 {
    fn is_within(&self, most: &Self) -> bool {
        self.request_frame_bytes <= most.request_frame_bytes
            && self.in_flight <= most.in_flight
            && self.names <= most.names
            && self.name_bytes <= most.name_bytes
            && self.sessions <= most.sessions
            && self.batch <= most.batch
            && self.admin_bytes <= most.admin_bytes
    }
}

/// The node accepts the connection. The push stream opens after it, and further lanes may.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct WelcomeV1 {
    /// The node's id.
    pub node: String,
    /// The node's version.
    pub version: String,
    /// The revision in effect: epoch.
    pub epoch: u32,
    /// The revision in effect: sequence number.
    pub seq: u64,
    /// Number of the [`Role`] that the client's registration gives.
    pub role: u8,
    /// How many lanes the client may open, this one included; 1 to [`limits::LANES_MAX`].
    pub lanes: u8,
    /// The schema number that both speak.
    pub schema: u16,
    /// Bits of optional abilities that both have.
    pub features: u64,
    /// Milliseconds between heartbeats.
    pub heartbeat_ms: u32,
    /// Milliseconds that a lease lasts from the stamp it echoes; more than `heartbeat_ms`.
    pub lease_ms: u32,
    /// What the node bounds.
    pub limits: LimitsV1,
}

impl WelcomeV1 {
    /// The role.
    ///
    /// # Errors
    /// [`WireError::Field`] for a number that this version does not know.
    pub fn role(&self) -> Result<Role, WireError> {
        Role::from_number(self.role).ok_or(WireError::field("role", "is not a known role number"))
    }
}

impl Payload for WelcomeV1 {
    const KIND: FrameKind = FrameKind::Welcome;

    fn validate(&self) -> Result<(), WireError> {
        self.role()?;
        if self.node.len() > limits::LABEL_BYTES_MAX || self.version.len() > limits::LABEL_BYTES_MAX {
            return Err(WireError::field("node", "or `version` is too long"));
        }
        if self.lanes == 0 || usize::from(self.lanes) > limits::LANES_MAX {
            return Err(WireError::field("lanes", "is not between 1 and 4"));
        }
        if self.schema == 0 {
            return Err(WireError::field("schema", "is zero"));
        }
        if self.heartbeat_ms == 0 || self.heartbeat_ms >= self.lease_ms {
            return Err(WireError::field("heartbeat_ms", "is zero or not less than `lease_ms`"));
        }
        if !self.limits.is_within(&LimitsV1::default()) {
            return Err(WireError::field("limits", "exceeds a limit of the protocol"));
        }
        Ok(())
    }
}
