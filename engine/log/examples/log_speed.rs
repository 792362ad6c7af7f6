//! How fast the log appends, opens and replays on this machine's disk.
//!
//! `cargo run --release -p portcullis-log --example log_speed [FOLDER] [ENTRIES]`: a folder to make the log in
//! (default: the temporary one) and how many entries of 64 bytes (default 1,000,000).

use std::error::Error;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::Instant;

use portcullis_log::{AppendError, EmbeddedLog, Entry, EventId, LogOptions, OrderedLog};

const PAYLOAD_BYTES: usize = 64;
const SINGLE_APPENDS: usize = 2_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let parent = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let entries: u64 = arguments.next().map_or(Ok(1_000_000), |count| count.parse())?;
    let folder = tempfile::TempDir::new_in(parent)?;

    let opened = timed_open(&folder)?;
    drop(opened.committed);
    let started = Instant::now();
    append_all(&opened.log, entries)?;
    report("append, queue kept full", entries, started);
    single_appends(&opened.log, entries)?;
    opened.log.close()?;

    let opened = timed_open(&folder)?;
    let started = Instant::now();
    let mut count = 0;
    for entry in opened.replay {
        count += u64::from(entry?.payload.len() == PAYLOAD_BYTES);
    }
    report("replay", count, started);
    Ok(())
}

fn timed_open(folder: &tempfile::TempDir) -> Result<portcullis_log::Opened, Box<dyn Error>> {
    let started = Instant::now();
    let opened = EmbeddedLog::open(folder.path(), LogOptions::default())?;
    println!("open with {} entries: {:?}", opened.replay.remaining(), started.elapsed());
    Ok(opened)
}

fn entry(number: u64) -> Entry {
    Entry { id: EventId::from_words([number, 1]), payload: vec![7; PAYLOAD_BYTES] }
}

fn append_all(log: &EmbeddedLog, entries: u64) -> Result<(), Box<dyn Error>> {
    let (tell, told) = channel();
    for number in 0..entries {
        loop {
            let tell = tell.clone();
            match log.append(entry(number), Box::new(move |result| tell.send(result).unwrap_or_default())) {
                Ok(()) => break,
                Err(AppendError::Overloaded) => told.recv()??,
                Err(error) => return Err(error.into()),
            };
        }
    }
    drop(tell);
    for result in told {
        result?;
    }
    Ok(())
}

/// One append at a time: what a single caller waits.
fn single_appends(log: &EmbeddedLog, from: u64) -> Result<(), Box<dyn Error>> {
    let mut waits = Vec::with_capacity(SINGLE_APPENDS);
    for number in (from..).take(SINGLE_APPENDS) {
        let (tell, told) = channel();
        let started = Instant::now();
        log.append(entry(number), Box::new(move |result| tell.send(result).unwrap_or_default()))?;
        told.recv()??;
        waits.push(started.elapsed());
    }
    waits.sort_unstable();
    let at = |share: usize| waits.get(SINGLE_APPENDS * share / 1_000).copied().unwrap_or_default();
    println!(
        "append, one at a time: p50 {:?}, p99 {:?}, p99.9 {:?}, max {:?}",
        at(500),
        at(990),
        at(999),
        waits.last()
    );
    Ok(())
}

fn report(what: &str, count: u64, started: Instant) {
    let elapsed = started.elapsed();
    println!("{what}: {count} entries in {elapsed:?}, {:.0}/s", count as f64 / elapsed.as_secs_f64());
}
