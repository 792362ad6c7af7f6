#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod append;
mod damage;
mod faults;
mod format;
mod random;
mod snapshots;
mod support;
