//! A builder of Prometheus' text format whose labels are escaped and whose series are bounded.

use std::collections::BTreeSet;
use std::fmt::Write;

/// Metrics in Prometheus' text format, version 0.0.4, one family after another.
///
/// Labels are for values of a small fixed set. At most [`SERIES_MAX`] series a family are written and
/// none twice; what is left out is counted in `portcullis_metrics_series_dropped_total`.
///
/// ```
/// use portcullis_http::Metrics;
///
/// let mut metrics = Metrics::new();
/// metrics.gauge("portcullis_sessions_active", "Open sessions.").count(&[], 3);
/// assert!(metrics.finish().contains("\nportcullis_sessions_active 3\n"));
/// ```
#[derive(Debug, Default)]
pub struct Metrics {
    text: String,
    dropped: u64,
}

/// One family: its samples share a name, a type and a help text.
#[derive(Debug)]
pub struct Family<'a> {
    metrics: &'a mut Metrics,
    name: &'static str,
    written: BTreeSet<String>,
}

impl Metrics {
    /// No families yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A family that only grows. Its name ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    /// A family that goes up and down. Its name ends in its unit, where it has one.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// A family of distributions. Its name ends in its unit.
    pub fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "histogram", help)
    }

    /// The whole text.
    pub fn finish(mut self) -> String {
        let dropped = self.dropped;
        if dropped > 0 {
            self.counter("portcullis_metrics_series_dropped_total", "Series left out of this answer.")
                .count(&[], dropped);
        }
        self.text
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        debug_assert!(is_name(name), "`{name}` is not a metric name");
        let help = help.replace('\\', r"\\").replace('\n', r"\n");
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { metrics: self, name, written: BTreeSet::new() }
    }
}

impl Family<'_> {
    /// Adds a sample that counts something.
    pub fn count(&mut self, labels: &[(&'static str, &str)], value: u64) -> &mut Self {
        if let Some(labels) = self.admit(labels) {
            self.line("", &labels, &[], &value.to_string());
        }
        self
    }

    /// Adds a sample that measures something.
    pub fn measure(&mut self, labels: &[(&'static str, &str)], value: f64) -> &mut Self {
        if let Some(labels) = self.admit(labels) {
            self.line("", &labels, &[], &number(value));
        }
        self
    }

    /// Adds a distribution: for each upper bound, rising, how many values were at most that (bounds
    /// include what is below them); then all values' sum and number.
    pub fn distribution(
        &mut self,
        labels: &[(&'static str, &str)],
        buckets: &[(f64, u64)],
        sum: f64,
        count: u64,
    ) -> &mut Self {
        if let Some(labels) = self.admit(labels) {
            for (bound, at_most) in buckets {
                self.line("_bucket", &labels, &[("le", &number(*bound))], &at_most.to_string());
            }
            self.line("_bucket", &labels, &[("le", "+Inf")], &count.to_string());
            self.line("_sum", &labels, &[], &number(sum));
            self.line("_count", &labels, &[], &count.to_string());
        }
        self
    }

    /// The labels as text; `None` where the series is one too many or written already.
    fn admit(&mut self, labels: &[(&'static str, &str)]) -> Option<String> {
        let text = labels.iter().map(|(name, value)| label(name, value)).collect::<Vec<_>>().join(",");
        let fits = labels.len() <= LABELS_MAX && self.written.len() < SERIES_MAX;
        if fits && self.written.insert(text.clone()) {
            return Some(text);
        }
        self.metrics.dropped = self.metrics.dropped.saturating_add(1);
        None
    }

    fn line(&mut self, suffix: &str, labels: &str, more: &[(&str, &str)], value: &str) {
        let more = more.iter().map(|(name, value)| label(name, value));
        let all = Some(labels.to_owned()).into_iter().filter(|labels| !labels.is_empty()).chain(more);
        let all = all.collect::<Vec<_>>().join(",");
        let all = if all.is_empty() { all } else { format!("{{{all}}}") };
        let _ = writeln!(self.metrics.text, "{}{suffix}{all} {value}", self.name);
    }
}

/// `name="value"`, escaped and cut to [`LABEL_CHARS_MAX`].
fn label(name: &str, value: &str) -> String {
    debug_assert!(is_name(name), "`{name}` is not a label name");
    let mut escaped = String::with_capacity(name.len() + value.len() + 3);
    escaped.push_str(name);
    escaped.push_str("=\"");
    for character in value.chars().take(LABEL_CHARS_MAX) {
        match character {
            '\\' => escaped.push_str(r"\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str(r"\n"),
            other => escaped.push(other),
        }
    }
    escaped.push('"');
    escaped
}

fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Most series of one family: more than every reason and error code together.
pub const SERIES_MAX: usize = 512;
/// Most labels of one series.
const LABELS_MAX: usize = 8;
/// Longest label value in characters; the rest is cut.
const LABEL_CHARS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_written_as_the_format_says() {
        let mut metrics = Metrics::new();
        metrics
            .counter("portcullis_decisions_total", "Decisions.\nBy verdict \\ reason.")
            .count(&[("effect", "allow"), ("reason", "permitted")], 7)
            .count(&[("effect", "de\"ny\\"), ("reason", "a\nb")], u64::MAX);
        metrics.gauge("portcullis_age_seconds", "Age.").measure(&[], 0.5).measure(&[("of", "x")], f64::INFINITY);
        metrics.histogram("portcullis_wait_seconds", "Wait.").distribution(
            &[("lane", "1")],
            &[(0.001, 2), (1.0, 5)],
            1.25,
            6,
        );
        let expected = r#"# HELP portcullis_decisions_total Decisions.\nBy verdict \\ reason.
# TYPE portcullis_decisions_total counter
portcullis_decisions_total{effect="allow",reason="permitted"} 7
portcullis_decisions_total{effect="de\"ny\\",reason="a\nb"} 18446744073709551615
# HELP portcullis_age_seconds Age.
# TYPE portcullis_age_seconds gauge
portcullis_age_seconds 0.5
portcullis_age_seconds{of="x"} +Inf
# HELP portcullis_wait_seconds Wait.
# TYPE portcullis_wait_seconds histogram
portcullis_wait_seconds_bucket{lane="1",le="0.001"} 2
portcullis_wait_seconds_bucket{lane="1",le="1"} 5
portcullis_wait_seconds_bucket{lane="1",le="+Inf"} 6
portcullis_wait_seconds_sum{lane="1"} 1.25
portcullis_wait_seconds_count{lane="1"} 6
"#;
        assert_eq!(metrics.finish(), expected);
    }

    #[test]
    fn series_are_bounded_and_written_once() {
        let mut metrics = Metrics::new();
        let mut family = metrics.gauge("portcullis_x", "X.");
        for index in 0..SERIES_MAX + 10 {
            family.count(&[("index", &index.to_string())], 1);
        }
        family.count(&[("index", "0")], 2);
        let text = metrics.finish();
        assert_eq!(text.matches("portcullis_x{").count(), SERIES_MAX);
        assert!(text.contains("\nportcullis_metrics_series_dropped_total 11\n"));
        assert!(label("a", &"x".repeat(1_000)).len() < 200);
    }
}
