//! The server side of the protocol over QUIC: endpoints, lanes and push streams.
//!
//! Owns one thread for each worker, with a single-threaded runtime, an endpoint on a port of its own
//! and a [`Decider`](portcullis_runtime::Decider). Questions are decided on that thread, between
//! reading them and writing their answers, and nothing there waits; whatever takes longer goes to the
//! control runtime by permit. It knows who a connection belongs to and hands that on; it never decides
//! what anybody may do, and it carries out no administrative call itself.
//!
//! Invariants:
//! - An allow is given to the transport only in a batch of its worker in which no restriction has come
//!   since it was decided; else it is decided again. So none leaves after a revocation's
//!   acknowledgement.
//! - A session's handle is good on the connection that opened it and on no other.
//! - Whatever a peer sends, a connection holds a bounded amount of memory and the thread goes on.
#![warn(missing_docs)]
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::as_conversions))]

mod admission;
mod ask;
mod close;
mod connection;
mod control;
mod counters;
mod doors;
pub mod echo;
mod error;
mod greeting;
mod held;
mod lane;
mod lane_core;
mod lane_frames;
mod lane_source;
mod lock;
mod names;
mod node_clock;
mod opening;
mod options;
mod outbox;
mod push;
mod server;
mod sessions;
mod socket;
mod threads;
mod tls;
mod waiting;
mod worker;

pub use close::CloseCode;
pub use counters::QuicStats;
pub use doors::{AdminFuture, AdminService, Doors};
pub use error::QuicError;
pub use node_clock::node_ns;
pub use options::{QuicLimits, QuicOptions, TlsIdentity, TokenIssue};
pub use server::QuicServer;

#[cfg(test)]
mod tests;
