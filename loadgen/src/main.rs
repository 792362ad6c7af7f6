//! The load generator: what decisions, revocations and sessions cost, measured from outside.
//!
//! `cargo run --release -p portcullis-loadgen -- quic --duration 10`. It executes itself again as the
//! node, and as a bare echo to compare with, unless it is told where a node is. Requests are sent on a
//! schedule and measured from the moment at which they were due; a refusal is an error, and a run with
//! errors ends with 1.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a report is printed, progress and mistakes beside it")]

mod arguments;
mod child;
mod error;
mod load;
mod modes;
mod process;
mod report;
mod target;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Mode};
use crate::error::LoadError;
use crate::report::Report;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    portcullis_identity::install_crypto();
    let report = match &arguments.mode {
        Mode::Node(child) => return child::run_node(child),
        Mode::Echo(child) => return child::run_echo(child),
        Mode::Inproc(settings) => modes::inproc::run(settings),
        Mode::Quic(settings) => modes::quic::run(settings),
        Mode::Revoke(settings) => modes::revoke::run(settings),
        Mode::Sessions(settings) => modes::sessions::run(settings),
    };
    match report.and_then(finish) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {}", error.chain());
            ExitCode::FAILURE
        }
    }
}

/// Prints and writes a report; tells whether the run was without errors.
fn finish(report: Report) -> Result<bool, LoadError> {
    print!("{}", report.text());
    for path in report.write()? {
        eprintln!("written to {}", path.display());
    }
    if let Some(failure) = report.failure() {
        eprintln!("error: {failure}");
    }
    Ok(report.failure().is_none())
}
