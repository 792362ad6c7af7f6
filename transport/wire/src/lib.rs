//! The Portcullis wire protocol: frames, versions and limits, for both sides of a connection.
//!
//! A connection carries 1 to 4 client-opened bidirectional *lanes* and one server-opened *push* stream.
//! Each is a sequence of frames: a 16-byte little-endian [`Header`] and a payload padded to 16 bytes.
//! The first frame of the first lane is [`frames::HelloV1`]; the answer is [`frames::WelcomeV1`] or
//! [`frames::ErrorV1`]. Every frame that has an answer carries a correlation number which its answer
//! repeats; answers come in any order.
//!
//! The crate owns bytes and their meaning. It has no IO, clock, randomness or async, trusts no input,
//! and never panics on any: a [`FrameReader`] holds at most [`limits::REPLY_FRAME_BYTES_MAX`] and one
//! chunk, whatever the peer sends.
#![warn(missing_docs)]
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::as_conversions))]

pub mod admin;
mod error;
pub mod frames;
mod header;
mod inspect;
mod kind;
pub mod limits;
mod payload;
mod reader;
mod role;
mod writer;

pub use error::WireError;
pub use header::{ALPN, Flags, HEADER_BYTES, Header, MAGIC, WIRE_MAJOR};
pub use inspect::{fuzz_decode, inspect};
pub use kind::{FrameKind, Sender};
pub use payload::Payload;
pub use reader::{Frame, FrameReader};
pub use role::Role;
pub use writer::FrameWriter;

#[cfg(test)]
mod tests;
