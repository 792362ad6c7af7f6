#![doc = include_str!("../README.md")]
#![warn(missing_docs)]
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::as_conversions))]

mod administer;
mod backoff;
mod client;
mod connect;
mod error;
mod events;
mod file;
mod lane;
mod link;
mod names;
mod open;
mod options;
mod reply;
mod require;
mod session;
mod slots;
mod transport;
mod trust;

pub use client::Client;
pub use error::{ConnectError, DecideError, OpenError, OptionsError};
pub use events::{Event, Events};
pub use open::OpenRequest;
pub use options::{ClientOptions, Credential};
pub use portcullis_model::{
    Decision, DecisionId, EntityUid, ErrorCode, Intent, PolicyRef, Reason, Refusal, Request, Revision, SessionId,
    Timestamp, Value, Verdict,
};
pub use portcullis_wire::admin;
pub use portcullis_wire::frames::{EndedScope, Proof, SubscribeScope};
pub use portcullis_wire::{Role, WireError};
pub use require::{Allowed, NotAllowed, Require};
pub use session::Session;

#[cfg(test)]
mod tests;
