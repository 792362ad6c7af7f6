//! The project's own commands: everything that CI runs, one command each.
//!
//! No dependencies, so that `cargo xtask` starts within seconds on a fresh clone. Every command streams
//! what it runs and ends with one line, `N passed, N failed`, over all tests and runners.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "a developer's tool, never shipped")]

mod ci;
mod step;
mod tally;

use std::process::ExitCode;

use crate::ci::Options;
use crate::step::Workspace;
use crate::tally::Tally;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let workspace = Workspace::find();
    let run: fn(&Workspace, &Options, &mut Tally) = match arguments.first() {
        Some(&"test") => ci::test,
        Some(&"ci") => ci::everything,
        Some(&"fuzz") => ci::fuzz,
        Some(&"loom") => ci::loom,
        Some(&"deny") => ci::deny,
        Some(&("help" | "-h" | "--help")) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => return usage("a command is needed"),
    };
    match Options::parse(arguments.get(1..).unwrap_or_default()) {
        Ok(options) => {
            let mut tally = Tally::default();
            run(&workspace, &options, &mut tally);
            tally.close()
        }
        Err(message) => usage(&message),
    }
}

fn usage(message: &str) -> ExitCode {
    eprint!("xtask: {message}\n\n{USAGE}");
    ExitCode::from(2)
}

const USAGE: &str = "\
cargo xtask test              every test of the workspace
cargo xtask ci [--with-deny]  what CI runs: format, clippy, rustdoc, deny, loom, tests, harnesses
cargo xtask fuzz [--seconds N]  mutated input for every decoder, N seconds each (60)
cargo xtask loom              every schedule of the atomics in engine/cells
cargo xtask deny              licences, bans and sources of all dependencies

`ci` and `deny` install cargo-deny into the target directory where CI=true or with --with-deny.
";
