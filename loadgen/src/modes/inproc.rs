//! Decisions in this process: single calls, the empty timer pair's median subtracted.

use std::hint::black_box;
use std::time::{Duration, Instant};

use portcullis_benches::{Organisation, Shape, results_folder, start};
use portcullis_model::Verdict;
use portcullis_runtime::{Detail, Engine};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};

use super::progress::{bar, step};
use crate::arguments::{Audit, Settings};
use crate::error::LoadError;
use crate::load::Recorder;
use crate::report::{Report, arm, line};

/// Sizes that are measured where none is given.
const POLICIES: [usize; 4] = [10, 100, 1_000, 10_000];
/// Questions that are put round robin.
const QUESTIONS: usize = 1_000;
/// Decisions of one batch, after which a revocation need not wait any more.
const BATCH: usize = 64;
/// Pairs of which the timer's median is taken.
const TIMER_PAIRS: usize = 100_000;

/// Measures, for each number of policies its share of the duration.
pub(crate) fn run(settings: &Settings) -> Result<Report, LoadError> {
    if settings.addr.is_some() || settings.rate.is_some() || settings.window.is_some() {
        return Err(LoadError::Settings("`inproc` asks in its own process, one call after the other"));
    }
    let audit = settings.audit.unwrap_or(Audit::Off);
    let sizes = settings.policies.map_or_else(|| POLICIES.to_vec(), |policies| vec![policies.max(4)]);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(LoadError::Thread)?;
    let timer_ns = timer_pair_ns();
    let mut report = Report::new("inproc", settings);
    report.say(format!("single calls, audit {}, timer pair of {timer_ns} ns subtracted", audit.as_str()));
    report.set("audit", audit.as_str());
    report.set("timer_pair_ns", timer_ns);
    let mut rows: Vec<Value> = Vec::new();
    let bar = bar(sizes.len());
    let share = settings.duration.div_f64(sizes.len() as f64);
    for policies in sizes {
        step(&bar, &format!("{policies} policies"));
        let shape = Shape { policies, ..settings.shape(1_000) };
        let organisation = Organisation::new(shape);
        let parent = results_folder().map_err(LoadError::file("target/portcullis"))?;
        let folder = tempfile::TempDir::new_in(&parent).map_err(LoadError::file(parent))?;
        let engine = runtime.block_on(start(folder.path(), audit.mode(), &organisation))?;
        let measured = decide(&engine, &organisation, settings, share, timer_ns);
        runtime.block_on(engine.stop());
        let (recorder, rate) = measured?;
        report.say(line(&format!("{policies} policies"), &recorder, rate, None));
        report.check_errors(&format!("{policies} policies"), &recorder);
        let mut row = arm(&recorder, rate, None);
        row["policies"] = json!(policies);
        rows.push(row);
        report.plot(format!("{policies} policies"), recorder);
        bar.inc(1);
    }
    bar.finish_and_clear();
    report.set("rows", rows);
    Ok(report)
}

fn decide(
    engine: &Engine,
    organisation: &Organisation,
    settings: &Settings,
    span: Duration,
    timer_ns: u64,
) -> Result<(Recorder, f64), LoadError> {
    let count = settings.sessions.unwrap_or(1_000).max(1);
    let mut sessions = Vec::with_capacity(count);
    for number in 0..count {
        let opened = engine.open_session(&organisation.session(number), "loadgen");
        sessions.push(opened.map_err(|cause| LoadError::Lost(cause.to_string()))?.handle);
    }
    // In an order in which neither caches nor prefetchers know the next one.
    sessions.shuffle(&mut StdRng::seed_from_u64(settings.seed));
    let requests: Vec<_> = (0..QUESTIONS).map(|number| organisation.request(number)).collect();
    let mut decider = engine.decider()?;
    let mut recorder = Recorder::new();
    let mut call = |recorder: Option<&mut Recorder>, number: usize, since: Duration| {
        if number.is_multiple_of(BATCH) {
            decider.begin();
        }
        let (session, request) = (sessions[number % sessions.len()], &requests[number % QUESTIONS]);
        let began = Instant::now();
        let answer = black_box(decider.decide(session, request, Detail::Brief));
        let elapsed = began.elapsed();
        let Some(recorder) = recorder else { return };
        let nanoseconds = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX).saturating_sub(timer_ns);
        recorder.record(nanoseconds, nanoseconds, since);
        match answer.map(|answer| answer.decision.verdict) {
            Ok(Verdict::Allow) => recorder.allows += 1,
            Ok(_) => recorder.denies += 1,
            Err(_) => recorder.refused += 1,
        }
    };
    let warm = Instant::now();
    let mut number = 0;
    while warm.elapsed() < settings.warm_up.min(span) {
        call(None, number, Duration::ZERO);
        number += 1;
    }
    let began = Instant::now();
    loop {
        let since = began.elapsed();
        if since >= span {
            break;
        }
        call(Some(&mut recorder), number, since);
        number += 1;
    }
    let elapsed = began.elapsed();
    decider.idle();
    let rate = recorder.count() as f64 / elapsed.as_secs_f64();
    Ok((recorder, rate))
}

/// Median time between two looks at the clock.
fn timer_pair_ns() -> u64 {
    let mut pairs: Vec<_> = (0..TIMER_PAIRS)
        .map(|_| {
            let began = Instant::now();
            black_box(began).elapsed().as_nanos()
        })
        .collect();
    pairs.sort_unstable();
    u64::try_from(pairs[pairs.len() / 2]).unwrap_or(0)
}
