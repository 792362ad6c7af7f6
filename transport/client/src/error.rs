//! Why there is no answer.

use std::path::PathBuf;
use std::time::Duration;

use portcullis_model::{Decision, ErrorCode, Refusal};
use portcullis_wire::WireError;

/// Why no decision was reached, or a call not carried out. Never a verdict: the caller refuses the
/// action. Nothing says that the call had no effect where the answer was lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecideError {
    /// The node, or for a malformed request this crate, refused to carry it out. The code says who
    /// must act.
    #[error("{refusal}")]
    Refused {
        /// The code, and what exactly.
        refusal: Refusal,
        /// After which time the node suggests to ask again.
        retry_after: Option<Duration>,
    },
    /// Too many requests wait for an answer on this connection already.
    #[error("too many requests wait for an answer")]
    Overloaded,
    /// No answer came within the deadline.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// There is no connection; one is being made.
    #[error("the node cannot be reached")]
    Unreachable,
    /// The connection was lost before the answer came.
    #[error("the connection was lost before the answer came")]
    ConnectionLost,
    /// The node has not shown for so long that it lives, or that it may decide, that nothing it says
    /// may be relied on.
    #[error("the node has not renewed its lease")]
    LeaseExpired,
    /// The node has pushed something that did not arrive; its state is being asked for.
    #[error("revocations are missing from the push stream")]
    OutOfSync,
    /// The session belonged to a connection that is lost, and could not be resumed: open another.
    #[error("the session was lost with its connection")]
    SessionLost,
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
    /// The node's answer breaks the protocol.
    #[error("the node broke the protocol")]
    Protocol(#[source] WireError),
}

impl DecideError {
    /// Whether the same call may succeed later without anybody changing it.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused { refusal, .. } => refusal.code.is_retryable(),
            Self::Overloaded
            | Self::Timeout(_)
            | Self::Unreachable
            | Self::ConnectionLost
            | Self::LeaseExpired
            | Self::OutOfSync => true,
            Self::SessionLost | Self::Closed | Self::Protocol(_) => false,
        }
    }

    /// After which time the node suggests to ask again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The node's code, where it is the node that refused.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal.code),
            _ => None,
        }
    }

    pub(crate) const fn refused(refusal: Refusal) -> Self {
        Self::Refused { refusal, retry_after: None }
    }

    pub(crate) const fn unexpected(field: &'static str, problem: &'static str) -> Self {
        Self::Protocol(WireError::Field { field, problem })
    }
}

/// A frame that cannot be written is the caller's fault, not the node's.
pub(crate) fn not_written(error: &WireError) -> DecideError {
    DecideError::refused(error.to_refusal())
}

/// Why a session is not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The node decided: subject or agent is dead. The decision is in the audit record.
    #[error("the session is denied: {}", .0.reason.words())]
    Denied(Box<Decision>),
    /// No answer.
    #[error(transparent)]
    Failed(#[from] DecideError),
}

impl OpenError {
    /// Whether the same call may succeed later without anybody changing it.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Failed(error) if error.is_retryable())
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The options cannot be read.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// Certificates, key or cryptography cannot be used.
    #[error("the TLS configuration cannot be used")]
    Tls(#[source] rustls::Error),
    /// The name is no server name, or TLS has no initial cipher suite.
    #[error("`{0}` cannot be connected to: {1}")]
    Target(String, String),
    /// The address does not resolve, or no socket can be opened.
    #[error("`{address}` cannot be reached")]
    Socket {
        /// The address.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The handshake failed, for example because a certificate was not accepted.
    #[error("the handshake failed")]
    Handshake(#[source] quinn::ConnectionError),
    /// The node refuses this client.
    #[error("the node refused the connection: {0}")]
    Refused(Refusal),
    /// The node breaks the protocol.
    #[error("the node broke the protocol")]
    Protocol(#[source] WireError),
    /// No welcome came in time.
    #[error("no welcome within {0:?}")]
    Timeout(Duration),
}

impl ConnectError {
    /// Whether the same may succeed later without anybody changing it.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Socket { .. } | Self::Timeout(_) => true,
            Self::Handshake(error) => {
                !matches!(error, quinn::ConnectionError::TransportError(_) | quinn::ConnectionError::VersionMismatch)
            }
            Self::Refused(refusal) => refusal.code.is_retryable(),
            Self::Options(_) | Self::Tls(_) | Self::Target(..) | Self::Protocol(_) => false,
        }
    }
}

/// What is wrong with `client.toml` or the files it names. Never shows their content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// A file cannot be read.
    #[error("`{}` cannot be read", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML, or has a key that is unknown, missing or of another type.
    #[error("`{}`: {message}", .file.display())]
    Toml {
        /// The file.
        file: PathBuf,
        /// What, with its line.
        message: String,
    },
    /// A key has a value that it cannot have, or does not go with the others.
    #[error("`{}`: `{key}` {problem}", .file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// The key.
        key: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// A file does not hold what it should, in PEM.
    #[error("`{}` holds no {what} in PEM", .file.display())]
    Pem {
        /// The file.
        file: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
}
