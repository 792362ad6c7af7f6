//! Tests of the room as a whole, against cedar-policy's own authorizer where there is one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod conditions;
mod decisions;
mod diagnostics;
mod differential;
mod typing;
mod world;
