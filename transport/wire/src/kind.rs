//! The registry of frame kinds.

use std::fmt;

use crate::header::HEADER_BYTES;
use crate::limits::{
    DECIDE_PAYLOAD_BYTES_MAX, REPLY_FRAME_BYTES_MAX, REQUEST_FRAME_BYTES_MAX, SMALL_PAYLOAD_BYTES_MAX,
};

const REQUEST: usize = REQUEST_FRAME_BYTES_MAX - HEADER_BYTES;
const REPLY: usize = REPLY_FRAME_BYTES_MAX - HEADER_BYTES;

/// Who sends a kind of frame, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The client, on a lane.
    Client,
    /// The server, on the lane of the frame that it answers.
    Server,
    /// The server, on the push stream.
    Push,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $sender:ident, $limit:expr;)*) => {
        /// What a frame is. Numbers are never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        #[non_exhaustive]
        pub enum FrameKind {
            $($(#[$doc])* $name = $number,)*
        }

        impl FrameKind {
            /// Every kind, by number.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable number, as headers carry it.
            pub const fn number(self) -> u16 {
                match self { $(Self::$name => $number,)* }
            }

            /// The kind of a number; `None` for one that this version does not know.
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }

            /// Who sends it.
            pub const fn sender(self) -> Sender {
                match self { $(Self::$name => Sender::$sender,)* }
            }

            /// The most payload bytes, padding not counted.
            pub const fn payload_bytes_max(self) -> usize {
                match self { $(Self::$name => $limit,)* }
            }
        }
    };
}

kinds! {
    /// First frame of a connection: who the client is and what it speaks. Answer: welcome.
    Hello = 1, Client, REQUEST;
    /// The node accepts the connection and tells its limits.
    Welcome = 2, Server, REQUEST;
    /// A request was not carried out. Answers any request.
    Error = 3, Server, REQUEST;
    /// Names that later frames mention by number. Answer: registered.
    Register = 4, Client, REQUEST;
    /// The numbers of registered names.
    Registered = 5, Server, SMALL_PAYLOAD_BYTES_MAX;
    /// Opens a session by proof. Answer: opened, or a decision that denies.
    Open = 6, Client, REQUEST;
    /// A session is open or refreshed.
    Opened = 7, Server, REPLY;
    /// Renews a session's token. Answer: opened.
    Refresh = 8, Client, REQUEST;
    /// Closes a session. Answer: closed.
    Close = 9, Client, SMALL_PAYLOAD_BYTES_MAX;
    /// A session is closed.
    Closed = 10, Server, SMALL_PAYLOAD_BYTES_MAX;
    /// One question with registered names. Answer: decision.
    Decide = 16, Client, DECIDE_PAYLOAD_BYTES_MAX;
    /// One question with names as text. Answer: decision.
    DecideText = 17, Client, REQUEST;
    /// The answer to one question.
    Decision = 18, Server, REPLY;
    /// Several questions of one session. Answer: batch decisions.
    Batch = 19, Client, REQUEST;
    /// The answers to a batch, each on its own.
    BatchDecisions = 20, Server, REPLY;
    /// Chooses what the push stream tells. Answer: subscribed.
    Subscribe = 32, Client, SMALL_PAYLOAD_BYTES_MAX;
    /// From where on the push stream is complete.
    Subscribed = 33, Server, SMALL_PAYLOAD_BYTES_MAX;
    /// Sessions have ended.
    Ended = 34, Push, REQUEST;
    /// The node lives; renews the lease.
    Heartbeat = 35, Push, SMALL_PAYLOAD_BYTES_MAX;
    /// The node is stopping: finish and connect elsewhere.
    GoAway = 36, Push, SMALL_PAYLOAD_BYTES_MAX;
    /// What the client has seen of the push stream, and its stamp. No answer.
    Applied = 37, Client, SMALL_PAYLOAD_BYTES_MAX;
    /// A chunk of an administrative call, as JSON. Answer: admin reply.
    Admin = 48, Client, REQUEST;
    /// A chunk of the reply to an administrative call, as JSON.
    AdminReply = 49, Server, REPLY;
}

impl fmt::Display for FrameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
