//! The modes.

pub(crate) mod inproc;
mod progress;
pub(crate) mod quic;
pub(crate) mod revoke;
pub(crate) mod sessions;
