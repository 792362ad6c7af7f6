#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod admin;
mod golden;
mod hostile;
mod round_trip;
mod samples;
