//! The admin listener: `/livez`, `/readyz` and `/metrics` over HTTP/1.1, and nothing else.
//!
//! It reads state through [`Probes`] and never changes any: commands go over QUIC, under a role. It
//! never reads a request's body, keeps no connection beyond one answer, and answers only to names of
//! its own, so that a web page whose name was rebound to this address learns nothing.
#![warn(clippy::indexing_slicing, clippy::as_conversions)]

mod host;
mod listener;
mod metrics;
mod probes;
mod routes;
#[cfg(test)]
mod tests;

pub use listener::{AdminListener, BindError, CONNECTIONS_MAX};
pub use metrics::{Family, Metrics, SERIES_MAX};
pub use probes::{Condition, Probes};
