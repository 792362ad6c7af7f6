//! Figures of one arm, as JSON and as a line.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::load::Recorder;

/// The percentiles of a histogram of nanoseconds.
pub(crate) fn latency(histogram: &Histogram<u64>) -> Value {
    json!({
        "p50_ns": histogram.value_at_quantile(0.5),
        "p90_ns": histogram.value_at_quantile(0.9),
        "p99_ns": histogram.value_at_quantile(0.99),
        "p999_ns": histogram.value_at_quantile(0.999),
        "max_ns": histogram.max(),
    })
}

/// Everything of one arm. `cpu` is the processor time that the other side took for it.
pub(crate) fn arm(recorder: &Recorder, rate_per_s: f64, cpu: Option<Duration>) -> Value {
    let mut value = latency(&recorder.response);
    let frames = recorder.count().max(1);
    let more = json!({
        "rate_per_s": rate_per_s,
        "count": recorder.count(),
        "cpu_ns_per_frame": cpu.map(|cpu| cpu.as_nanos() as f64 / frames as f64),
        "allows": recorder.allows,
        "denies": recorder.denies,
        "errors": recorder.errors(),
        "refused": recorder.refused,
        "skipped": recorder.skipped,
        "lost": recorder.lost,
        "service": latency(&recorder.service),
        "sender_lag": latency(&recorder.lag),
    });
    if let (Some(value), Value::Object(more)) = (value.as_object_mut(), more) {
        value.extend(more);
    }
    value
}

/// One arm as a line of a table.
pub(crate) fn line(name: &str, recorder: &Recorder, rate_per_s: f64, cpu: Option<Duration>) -> String {
    let quantile = |quantile| micros(recorder.response.value_at_quantile(quantile));
    let cpu = cpu.map_or_else(String::new, |cpu| {
        format!("  node CPU {:.2} us a frame", cpu.as_secs_f64() * 1e6 / recorder.count().max(1) as f64)
    });
    format!(
        "{name:<22} {rate_per_s:>10.0}/s  p50 {:>9}  p99 {:>9}  p99.9 {:>9}  max {:>9}  errors {}{cpu}",
        quantile(0.5),
        quantile(0.99),
        quantile(0.999),
        micros(recorder.response.max()),
        recorder.errors(),
    )
}

/// Nanoseconds in the unit in which they are short.
pub(crate) fn micros(nanoseconds: u64) -> String {
    let value = nanoseconds as f64;
    match nanoseconds {
        0..10_000 => format!("{value:.0} ns"),
        10_000..10_000_000 => format!("{:.1} us", value / 1e3),
        _ => format!("{:.1} ms", value / 1e6),
    }
}
