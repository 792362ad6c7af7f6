//! One binary: whole engines, real nodes and the real client, asked from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod access_matrix;
mod code_map;
mod crash_check;
mod dev;
mod hostile_frames;
mod mutations;
mod overload;
mod policy_cases;
mod proofs;
mod records;
mod reference_fold;
mod serve;
mod sessions;
