//! Seeded mutation of real encodings: no decoder may panic, or take long.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::corpus::Corpus;

/// Most changes to one seed: more make noise that is refused at its first byte.
const CHANGES_MAX: usize = 8;
/// Longest input, so that inserting does not make runs slower and slower.
const INPUT_BYTES_MAX: usize = 256 * 1024;
/// Longest that a decoder may take for one input, on a busy machine and without optimisation.
const SLOW: Duration = Duration::from_secs(2);

/// A decoder that takes anything.
pub struct Target<'a> {
    /// Its name.
    pub name: &'static str,
    /// What is changed.
    pub seeds: &'a [Vec<u8>],
    /// The decoder; what it returns shows that seeds are understood.
    pub decode: fn(&[u8]) -> usize,
}

/// The frame decoder, the log reader and the audit reader.
pub fn targets(corpus: &Corpus) -> [Target<'_>; 3] {
    [
        Target { name: "frame_decoder", seeds: &corpus.wire, decode: portcullis_wire::fuzz_decode },
        Target {
            name: "log_reader",
            seeds: &corpus.log,
            decode: |bytes| portcullis_log::scan_segment(bytes).unwrap_or_default(),
        },
        Target {
            name: "audit_reader",
            seeds: &corpus.audit,
            decode: |bytes| portcullis_audit::scan_segment(bytes).entries,
        },
    ]
}

/// When a run ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After so many inputs.
    Inputs(u64),
    /// At a time.
    Time(Instant),
}

/// Runs one target from one seed of the random numbers; says how many inputs were tried.
///
/// # Errors
/// The input, in hexadecimal digits, for which the decoder panicked or took long.
pub fn run(target: &Target<'_>, seed: u64, until: Until) -> Result<u64, String> {
    let understood = target.seeds.iter().map(|bytes| (target.decode)(bytes)).sum::<usize>();
    if understood == 0 {
        return Err("the seeds themselves are not understood".to_owned());
    }
    let mut random = StdRng::seed_from_u64(seed);
    let mut tried = 0;
    let is_over = |tried: u64| match until {
        Until::Inputs(count) => tried >= count,
        Until::Time(end) => Instant::now() >= end,
    };
    while !is_over(tried) {
        let input = mutate(&mut random, target.seeds);
        let started = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| (target.decode)(&input)));
        let elapsed = started.elapsed();
        tried += 1;
        if outcome.is_err() {
            return Err(format!("panicked with seed {seed}, input {tried}: {}", hex(&input)));
        }
        if elapsed > SLOW {
            return Err(format!("took {elapsed:?} with seed {seed}, input {tried}: {}", hex(&input)));
        }
    }
    Ok(tried)
}

fn mutate(random: &mut StdRng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[random.random_range(0..seeds.len())].clone();
    for _ in 0..random.random_range(1..=CHANGES_MAX) {
        change(random, &mut bytes, seeds);
        bytes.truncate(INPUT_BYTES_MAX);
    }
    bytes
}

/// Numbers at which lengths and counts break.
const EDGES: &[u64] =
    &[0, 1, 7, 8, 15, 16, 0x7f, 0x80, 0xff, 0x100, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 40, u64::MAX];

fn change(random: &mut StdRng, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    if bytes.is_empty() {
        bytes.push(random.random());
        return;
    }
    let at = random.random_range(0..bytes.len());
    let length = random.random_range(1..=(bytes.len() - at).min(64));
    match random.random_range(0..10) {
        0 => bytes[at] ^= 1 << random.random_range(0..8),
        1 => bytes[at] = random.random(),
        2 => bytes.truncate(at),
        3 => bytes[at..at + length].fill(0),
        4 => drop(bytes.drain(at..at + length)),
        5 => {
            let copied = bytes[at..at + length].to_vec();
            let to = random.random_range(0..=bytes.len());
            bytes.splice(to..to, copied);
        }
        6 => overwrite_number(random, bytes, at),
        7 => move_block(random, bytes),
        8 => bytes.resize(bytes.len() + length, 0),
        _ => {
            let other = &seeds[random.random_range(0..seeds.len())];
            let from = random.random_range(0..other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
    }
}

/// Puts an edge over the two, four or eight bytes at an aligned place.
fn overwrite_number(random: &mut StdRng, bytes: &mut [u8], at: usize) {
    let width = [2, 4, 8][random.random_range(0..3)];
    let edge = EDGES[random.random_range(0..EDGES.len())].wrapping_add(random.random_range(0..3)).wrapping_sub(1);
    let at = at / width * width;
    for (byte, new) in bytes[at..].iter_mut().take(width).zip(edge.to_le_bytes()) {
        *byte = new;
    }
}

/// Copies one aligned block over another: what a stale or misdirected write leaves.
fn move_block(random: &mut StdRng, bytes: &mut [u8]) {
    let size = [8, 64, 512][random.random_range(0..3)];
    let blocks = bytes.len() / size;
    if blocks > 1 {
        let from = random.random_range(0..blocks) * size;
        bytes.copy_within(from..from + size, random.random_range(0..blocks) * size);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
