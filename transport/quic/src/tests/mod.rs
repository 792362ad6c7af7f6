#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

//! A server over a real engine, with peers that speak the wire protocol byte by byte.

mod admin;
mod clients;
mod deciding;
mod ending;
mod greeting;
mod hostile;
mod node;
mod peer;
mod revoking;

use std::time::Duration;

use portcullis_model::EntityUid;

/// Longest that a test waits for something that should come at once.
const SOON: Duration = Duration::from_secs(20);

fn uid(text: &str) -> EntityUid {
    text.parse().unwrap()
}

/// Lets others run until `done`; fails when it takes too long.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let waiting = async {
        while !done() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, waiting).await.unwrap_or_else(|_| panic!("{what} took too long"));
}
