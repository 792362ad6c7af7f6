//! Opening, refreshing and closing sessions.

use portcullis_model::limits::CHAIN_MAX;
use portcullis_model::{EntityUid, Revision, SessionId, Timestamp};
use rkyv::{Archive, Deserialize, Serialize};

use crate::error::WireError;
use crate::kind::FrameKind;
use crate::limits::PROOF_BYTES_MAX;
use crate::payload::Payload;

/// How one principal of a session is proven.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proof {
    /// A token of a trusted issuer for this audience.
    Token(String),
    /// A name, on a connection that is registered to assert it.
    Asserted(EntityUid),
    /// The client certificate of this connection.
    Certificate,
    /// A session token of this engine: resumes its session. As the subject's proof only, without agents.
    Session(String),
}

/// Tokens are secrets and not shown.
impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Token(_) => f.write_str("Token(…)"),
            Self::Asserted(uid) => write!(f, "Asserted({uid})"),
            Self::Certificate => f.write_str("Certificate"),
            Self::Session(_) => f.write_str("Session(…)"),
        }
    }
}

/// A [`Proof`] as it travels.
#[derive(Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct ProofV1 {
    /// 1 token, 2 asserted, 3 certificate, 4 session token.
    pub kind: u8,
    /// The token or name; empty for a certificate.
    pub text: String,
}

impl std::fmt::Debug for ProofV1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProofV1").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl ProofV1 {
    /// The proof.
    ///
    /// # Errors
    /// [`WireError::Field`] for an unknown kind, a text that does not fit it, or a name that is none.
    pub fn to_proof(&self) -> Result<Proof, WireError> {
        if self.text.len() > PROOF_BYTES_MAX {
            return Err(WireError::field("proof", "is too long"));
        }
        match (self.kind, self.text.as_str()) {
            (1 | 4, "") => Err(WireError::field("proof", "is an empty token")),
            (1, token) => Ok(Proof::Token(token.to_owned())),
            (2, name) => {
                name.parse().map(Proof::Asserted).map_err(|_| WireError::field("proof", "asserts what is not a name"))
            }
            (3, "") => Ok(Proof::Certificate),
            (3, _) => Err(WireError::field("proof", "is a certificate and has a text")),
            (4, token) => Ok(Proof::Session(token.to_owned())),
            _ => Err(WireError::field("proof", "is not of a known kind")),
        }
    }
}

impl From<&Proof> for ProofV1 {
    fn from(proof: &Proof) -> Self {
        let (kind, text) = match proof {
            Proof::Token(token) => (1, token.clone()),
            Proof::Asserted(uid) => (2, uid.to_string()),
            Proof::Certificate => (3, String::new()),
            Proof::Session(token) => (4, token.clone()),
        };
        Self { kind, text }
    }
}

/// Opens a session: its subject and each agent of its chain, proven apart. Answered by
/// [`OpenedV1`], or where subject or agent are dead by a decision that denies.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct OpenV1 {
    /// Proof of the subject.
    pub subject: ProofV1,
    /// Proofs of the agents, outermost first, at most [`CHAIN_MAX`].
    pub agents: Vec<ProofV1>,
    /// How long the session shall last at most, in milliseconds; 0 for as long as the node allows.
    pub life_ms: u64,
}

impl Payload for OpenV1 {
    const KIND: FrameKind = FrameKind::Open;

    fn validate(&self) -> Result<(), WireError> {
        let resumes = matches!(self.subject.to_proof()?, Proof::Session(_));
        if self.agents.len() > CHAIN_MAX || (resumes && !self.agents.is_empty()) {
            return Err(WireError::field("agents", "has too many proofs"));
        }
        agents_prove_themselves(&self.agents)
    }
}

fn agents_prove_themselves(agents: &[ProofV1]) -> Result<(), WireError> {
    for agent in agents {
        if matches!(agent.to_proof()?, Proof::Session(_)) {
            return Err(WireError::field("agents", "has a session token as a proof"));
        }
    }
    Ok(())
}

/// A session is open, resumed or refreshed.
#[derive(Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct OpenedV1 {
    /// The session's handle; good on this connection only.
    pub handle: u64,
    /// The session's id.
    pub session: [u8; 16],
    /// The session token: what resumes the session on another connection.
    pub token: String,
    /// When the token ends, in milliseconds since the Unix epoch; refresh before.
    pub token_expires_ms: u64,
    /// When the session ends, in milliseconds since the Unix epoch.
    pub expires_ms: u64,
    /// The revision that the session was born at: epoch.
    pub born_epoch: u32,
    /// The revision that the session was born at: sequence number.
    pub born_seq: u64,
    /// The subject, in Cedar's form.
    pub subject: String,
    /// The chain of agents, outermost first, in Cedar's form.
    pub agents: Vec<String>,
}

/// Tokens are secrets and not shown.
impl std::fmt::Debug for OpenedV1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("OpenedV1");
        shown.field("handle", &self.handle).field("session", &self.session_id());
        shown.field("subject", &self.subject).field("agents", &self.agents).finish_non_exhaustive()
    }
}

impl OpenedV1 {
    /// The session's id.
    pub fn session_id(&self) -> SessionId {
        SessionId::from_bytes(self.session)
    }

    /// When the session ends.
    pub fn expires(&self) -> Timestamp {
        Timestamp::from_millis(self.expires_ms)
    }

    /// When its token ends.
    pub fn token_expires(&self) -> Timestamp {
        Timestamp::from_millis(self.token_expires_ms)
    }

    /// The revision that the session was born at.
    pub fn born_at(&self) -> Revision {
        Revision::new(self.born_epoch, self.born_seq)
    }

    /// Subject and chain.
    ///
    /// # Errors
    /// [`WireError::Field`] for a text that is not a name.
    pub fn principals(&self) -> Result<(EntityUid, Vec<EntityUid>), WireError> {
        let subject = self.subject.parse().map_err(|_| WireError::field("subject", "is not a name"))?;
        let agents = self.agents.iter().map(|agent| agent.parse()).collect::<Result<_, _>>();
        Ok((subject, agents.map_err(|_| WireError::field("agents", "has what is not a name"))?))
    }
}

impl Payload for OpenedV1 {
    const KIND: FrameKind = FrameKind::Opened;

    fn validate(&self) -> Result<(), WireError> {
        if self.agents.len() > CHAIN_MAX {
            return Err(WireError::field("agents", "has more than 8 agents"));
        }
        if self.token.len() > PROOF_BYTES_MAX {
            return Err(WireError::field("token", "is too long"));
        }
        self.principals().map(drop)
    }
}

/// Renews a session's token, and with proofs the proof of its principals. Answered by [`OpenedV1`].
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct RefreshV1 {
    /// The session's handle.
    pub session: u64,
    /// None, or one proof of the subject and one of each agent, as in [`OpenV1`].
    pub proofs: Vec<ProofV1>,
}

impl Payload for RefreshV1 {
    const KIND: FrameKind = FrameKind::Refresh;

    fn validate(&self) -> Result<(), WireError> {
        if self.proofs.len() > CHAIN_MAX + 1 {
            return Err(WireError::field("proofs", "has more than 9 proofs"));
        }
        agents_prove_themselves(&self.proofs)
    }
}

/// Closes a session, for good. Closing one that is closed is not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct CloseV1 {
    /// The session's handle.
    pub session: u64,
}

impl Payload for CloseV1 {
    const KIND: FrameKind = FrameKind::Close;
}

/// A session is closed: nothing asked in it from now on is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct ClosedV1 {
    /// Revision of its end: epoch.
    pub epoch: u32,
    /// Revision of its end: sequence number.
    pub seq: u64,
}

impl Payload for ClosedV1 {
    const KIND: FrameKind = FrameKind::Closed;
}
