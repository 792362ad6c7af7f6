//! Kills a node with SIGKILL at random moments under load, and looks for what it had acknowledged.
//!
//! `crash [--runs N]`, 20 by default. All runs use one data folder, so that what was acknowledged in
//! the first is still looked for after the last. The node is this program itself, started again.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a runner that cannot set itself up fails by panicking")]

use std::process::{ExitCode, Termination};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use portcullis_model::Timestamp;
use portcullis_tests::arguments::Arguments;
use portcullis_tests::crash::{Ledger, Load, differences, prepare};
use portcullis_tests::process::{NodeProcess, Program};
use portcullis_tests::report::Tally;
use rand::Rng;

const RUNS_DEFAULT: u64 = 20;
/// The moments of the kills, from the beginning of the load.
const KILL_MS: std::ops::Range<u64> = 20..500;
/// Set for the child that is to be the node.
const AS_NODE: &str = "CRASH_AS_NODE";
const START: [&str; 5] = ["dev", "--quic", "127.0.0.1:0", "--admin", "127.0.0.1:0"];

fn main() -> ExitCode {
    if std::env::var_os(AS_NODE).is_some() {
        return portcullis::cli::main().report();
    }
    let arguments = Arguments::parse(&["runs"], "crash [--runs N]");
    let runs = arguments.number("runs").unwrap_or(RUNS_DEFAULT);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(kill_again_and_again(runs))
}

async fn kill_again_and_again(runs: u64) -> ExitCode {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::new(&std::env::current_exe().unwrap(), folder.path()).with(AS_NODE, "1");
    let data = folder.path().join(".portcullis");
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let mut tally = Tally::default();
    let mut node = start(&program);
    for run in 1..=runs {
        let outcome = one(&program, &data, run, &ledger, node).await;
        let (outcome, next) = outcome;
        tally.count(&format!("kill {run}"), outcome);
        node = next;
    }
    node.kill();
    tally.close()
}

/// Loads a node, kills it, starts the next one and compares.
async fn one(
    program: &Program,
    data: &std::path::Path,
    run: u64,
    ledger: &Arc<Mutex<Ledger>>,
    node: NodeProcess,
) -> (Result<(), String>, NodeProcess) {
    let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    ledger.lock().unwrap().begin(Timestamp::from_millis(0).plus(began));
    let prepared = match prepare(data, run, ledger).await {
        Ok(prepared) => prepared,
        Err(cause) => return (Err(format!("the load could not begin: {cause}")), node),
    };
    let load = Load::begin(prepared, ledger);
    let moment = Duration::from_millis(rand::rng().random_range(KILL_MS));
    tokio::time::sleep(moment).await;
    node.kill();
    load.end().await;
    let node = start(program);
    let held = std::mem::take(&mut *ledger.lock().unwrap());
    let found = differences(data, &held).await;
    println!(
        "kill {run} after {moment:?}: {} grants, {} entities, {} decisions, revision {:?}",
        held.grants.len(),
        held.entities.len(),
        held.decisions.len(),
        held.revision.map(|revision| revision.seq),
    );
    *ledger.lock().unwrap() = held;
    let outcome = found.and_then(|found| if found.is_empty() { Ok(()) } else { Err(found.join("; ")) });
    (outcome, node)
}

fn start(program: &Program) -> NodeProcess {
    program.start(&START, &program.folder.join(".portcullis")).unwrap_or_else(|ended| panic!("{ended:?}"))
}
