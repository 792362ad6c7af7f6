//! What a session costs: memory while it is idle, processor time to open and close.

use std::path::Path;
use std::time::{Duration, Instant};

use portcullis_benches::{Organisation, Shape, cpu_of_thread, start};
use portcullis_runtime::AuditMode;
use stats_alloc::Region;

use crate::ALLOCATOR;
use crate::row::{Bound, Row};

/// Sessions open at the same time.
const SESSIONS: usize = 200_000;
/// Most heap bytes of one idle session: slot, map entry, handle, its place in the user's list.
const SESSION_BYTES_MAX: f64 = 512.0;
/// Most processor time to open one, verification of tokens excluded.
const OPEN_US_MAX: f64 = 30.0;

pub(crate) async fn measure(folder: &Path) -> Vec<Row> {
    let organisation = Organisation::new(Shape::default());
    let engine = start(folder, AuditMode::Off, &organisation).await.expect("the engine starts");
    let terms: Vec<_> = (0..organisation.shape().users).map(|number| organisation.session(number)).collect();
    let mut handles = Vec::with_capacity(SESSIONS);

    let region = Region::new(ALLOCATOR);
    let (began, cpu) = (Instant::now(), cpu_of_thread());
    for number in 0..SESSIONS {
        let opened = engine.open_session(&terms[number % terms.len()], "numbers").expect("every session opens");
        handles.push(opened.handle);
    }
    let (opening, open_cpu) = (began.elapsed(), cpu_of_thread().saturating_sub(cpu));
    let change = region.change();
    // The vector of handles was allocated before: it stands for what a transport keeps of each.
    let held = change.bytes_allocated as f64 - change.bytes_deallocated as f64 + size_of_val(&handles[..]) as f64;

    let (began, cpu) = (Instant::now(), cpu_of_thread());
    for handle in handles {
        assert!(engine.close_session(handle), "an open session closes");
    }
    let (closing, close_cpu) = (began.elapsed(), cpu_of_thread().saturating_sub(cpu));
    engine.stop().await;

    let count = SESSIONS as f64;
    let micros = |span: Duration| span.as_secs_f64() * 1e6 / count;
    let how = |what: &str| format!("{what}, {SESSIONS} sessions of {} users, one thread", terms.len());
    vec![
        row("idle_session_bytes", held / count, "B", Bound::AtMost(SESSION_BYTES_MAX), how("heap held")),
        row("open_cpu_us", micros(open_cpu), "us", Bound::AtMost(OPEN_US_MAX), how("processor time of one open")),
        row("close_cpu_us", micros(close_cpu), "us", Bound::None, how("processor time of one close")),
        row("opens_per_s", count / opening.as_secs_f64(), "/s", Bound::AtLeast(1_000.0), how("in process")),
        row("closes_per_s", count / closing.as_secs_f64(), "/s", Bound::AtLeast(1_000.0), how("in process")),
    ]
}

fn row(name: &'static str, value: f64, unit: &'static str, bound: Bound, how: String) -> Row {
    Row { name, how, value, unit, bound }
}
