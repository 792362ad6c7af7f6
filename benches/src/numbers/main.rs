//! The numbers that need no network, in one run: `cargo run --release -p portcullis-benches --bin numbers`.
//!
//! Prints each with the bound it has to keep, and writes `target/portcullis/numbers.json`. Ends with 1 if
//! one is missed. Everything runs against real files below `target/portcullis`.
#![allow(clippy::expect_used, clippy::panic, reason = "a measurement fails by panicking")]

mod events;
mod replay;
mod row;
mod sessions;

use std::alloc::System;
use std::process::ExitCode;

use portcullis_benches::{Machine, commit, results_folder, write_results};
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use crate::row::Row;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> ExitCode {
    let folder = tempfile::TempDir::new_in(results_folder().expect("the results' folder can be made"));
    let folder = folder.expect("a folder can be made");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("the runtime starts");
    let part = |name: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).expect("a folder can be made");
        path
    };
    let mut rows = runtime.block_on(sessions::measure(&part("sessions")));
    rows.extend(runtime.block_on(events::measure(&part("events"))));
    rows.extend(runtime.block_on(replay::measure(&part("replay"))));
    rows.iter().for_each(Row::print);
    let (machine, commit) = (Machine::this(), commit());
    let results = json!({
        "schema_version": 1,
        "mode": "numbers",
        "machine": machine.to_json(),
        "commit": {"id": commit.id, "dirty": commit.is_dirty},
        "audit": "off for decisions; changes are recorded, as always",
        "rows": rows.iter().map(Row::to_json).collect::<Vec<_>>(),
    });
    match write_results("numbers", &results) {
        Ok(path) => println!("written to {}", path.display()),
        Err(cause) => eprintln!("could not write the results: {cause}"),
    }
    if rows.iter().all(Row::is_kept) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
