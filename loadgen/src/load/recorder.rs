//! Latencies as they are gathered: all together, and in intervals of time.

#![allow(clippy::expect_used, reason = "histograms of constant bounds cannot fail")]

use std::time::Duration;

use hdrhistogram::Histogram;

/// Length of the intervals of a series.
pub(crate) const INTERVAL: Duration = Duration::from_millis(250);
/// Longest latency that is told apart from longer ones: a minute, in nanoseconds.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// The latencies and errors of one lane, thread or run, in nanoseconds.
///
/// Requests count from the moment at which they were due, so no correction is needed or made.
#[derive(Clone)]
pub(crate) struct Recorder {
    /// From when a request was due to its answer.
    pub(crate) response: Histogram<u64>,
    /// From when it was sent to its answer.
    pub(crate) service: Histogram<u64>,
    /// From when it was due to when it was sent.
    pub(crate) lag: Histogram<u64>,
    /// Responses by when they came, one for each [`INTERVAL`].
    pub(crate) series: Vec<Histogram<u64>>,
    pub(crate) allows: u64,
    pub(crate) denies: u64,
    /// Requests that were refused.
    pub(crate) refused: u64,
    /// Requests that were due when as many were in flight as may be, and were not sent.
    pub(crate) skipped: u64,
    /// Requests that were not answered in time.
    pub(crate) lost: u64,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self {
            response: histogram(3),
            service: histogram(3),
            lag: histogram(3),
            series: Vec::new(),
            allows: 0,
            denies: 0,
            refused: 0,
            skipped: 0,
            lost: 0,
        }
    }

    /// One answer. `since` is how long the measurement has run.
    #[inline]
    pub(crate) fn record(&mut self, response_ns: u64, service_ns: u64, since: Duration) {
        self.response.saturating_record(response_ns.max(1));
        self.service.saturating_record(service_ns.max(1));
        let place = usize::try_from(since.as_nanos() / INTERVAL.as_nanos()).unwrap_or(usize::MAX);
        if place >= self.series.len() {
            self.series.resize_with(place + 1, || histogram(2));
        }
        if let Some(interval) = self.series.get_mut(place) {
            interval.saturating_record(response_ns.max(1));
        }
    }

    /// Adds what another has gathered in the same time.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.add_totals(other);
        if self.series.len() < other.series.len() {
            self.series.resize_with(other.series.len(), || histogram(2));
        }
        for (ours, theirs) in self.series.iter_mut().zip(&other.series) {
            add(ours, theirs);
        }
    }

    /// Adds what another has gathered afterwards.
    pub(crate) fn append(&mut self, other: &Self) {
        self.add_totals(other);
        self.series.extend(other.series.iter().cloned());
    }

    /// Requests that got no answer of their own: refused, skipped or lost.
    pub(crate) fn errors(&self) -> u64 {
        self.refused + self.skipped + self.lost
    }

    /// Answers.
    pub(crate) fn count(&self) -> u64 {
        self.response.len()
    }

    fn add_totals(&mut self, other: &Self) {
        add(&mut self.response, &other.response);
        add(&mut self.service, &other.service);
        add(&mut self.lag, &other.lag);
        self.allows += other.allows;
        self.denies += other.denies;
        self.refused += other.refused;
        self.skipped += other.skipped;
        self.lost += other.lost;
    }
}

fn histogram(digits: u8) -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, digits).expect("the bounds are constants within what it takes")
}

fn add(to: &mut Histogram<u64>, from: &Histogram<u64>) {
    to.add(from).expect("both have the same bounds");
}
