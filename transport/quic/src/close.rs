//! What a peer is told when its connection is closed.

use quinn::VarInt;

/// The application error code of a closed connection; the reason phrase says more in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCode {
    /// The node is stopping, or the connection is over.
    Done,
    /// The client is not known, or did not say hello in time.
    Refused,
    /// The client broke the protocol: the reason phrase is the error's code and words.
    Protocol,
    /// The client does not read what it is sent.
    Slow,
    /// An answer of which a part had left was overtaken by a revocation.
    Overtaken,
}

impl CloseCode {
    /// The stable number.
    pub const fn number(self) -> u32 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::Protocol => 2,
            Self::Slow => 3,
            Self::Overtaken => 4,
        }
    }

    pub(crate) fn close(self, connection: &quinn::Connection, reason: &str) {
        connection.close(VarInt::from_u32(self.number()), reason.as_bytes());
    }
}
