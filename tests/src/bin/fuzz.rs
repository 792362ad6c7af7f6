//! Feeds changed encodings to the frame decoder, the log reader and the audit reader.
//!
//! `fuzz [--seconds N] [--seed S]`: each target gets a third of the time, half of it from a fixed
//! seed and half from a fresh one, or all of it from the seed given. The last line counts targets.
#![allow(clippy::panic, reason = "a runner that cannot set itself up fails by panicking")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use portcullis_tests::arguments::Arguments;
use portcullis_tests::corpus::Corpus;
use portcullis_tests::fuzzing::{Until, run, targets};
use portcullis_tests::report::Tally;

/// The seed of every run, so that two runs begin alike.
const FIXED_SEED: u64 = 0x706f_7274;
const SECONDS_DEFAULT: u64 = 60;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse(&["seconds", "seed"], "fuzz [--seconds N] [--seed S]");
    let seconds = arguments.number("seconds").unwrap_or(SECONDS_DEFAULT).max(1);
    let seeds = match arguments.number("seed") {
        Some(seed) => vec![seed],
        None => vec![FIXED_SEED, rand::random()],
    };
    println!("seeds {seeds:?}, {seconds} seconds");
    let corpus = Corpus::new().await;
    let targets = targets(&corpus);
    // A panic is reported with its input; the default message would come once for each.
    std::panic::set_hook(Box::new(|panic| println!("{panic}")));
    let slice = Duration::from_secs(seconds) / u32::try_from(targets.len() * seeds.len()).unwrap_or(1);
    let mut tally = Tally::default();
    for target in &targets {
        let mut outcome = Ok(0);
        for seed in &seeds {
            let tried = run(target, *seed, Until::Time(Instant::now() + slice));
            outcome = outcome.and_then(|before| tried.map(|tried| before + tried));
        }
        println!("{}: {outcome:?} inputs", target.name);
        tally.count(target.name, outcome.map(drop));
    }
    tally.close()
}
