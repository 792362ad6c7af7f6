//! What the integration tests and the runners share: engines and nodes to ask, and how to wait for them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a harness that cannot set up its subject fails by panicking"
)]

pub mod arguments;
pub mod conformance;
pub mod corpus;
pub mod crash;
pub mod engines;
pub mod fuzzing;
pub mod names;
pub mod nodes;
pub mod peer;
pub mod process;
pub mod report;
pub mod wait;
