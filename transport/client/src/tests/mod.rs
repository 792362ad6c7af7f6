#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod administering;
mod connecting;
mod deciding;
mod options;
mod parts;
mod peer;
mod pushing;
