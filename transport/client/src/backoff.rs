//! How long to wait before connecting again.

use std::time::Duration;

/// The first wait lasts at most this long.
const FIRST: Duration = Duration::from_millis(100);
/// No wait lasts longer: a node that is back is found soon.
const LONGEST: Duration = Duration::from_secs(5);

/// The wait before attempt `attempt`, counted from 0: a random time in the upper half of a span that
/// doubles up to [`LONGEST`], so that clients of one lost node do not come back together. `random` is
/// uniform in 0 to 1. The node's own wish is a lower bound, to which the span is added.
pub(crate) fn delay(attempt: u32, random: f64, wish: Option<Duration>) -> Duration {
    let span = FIRST.saturating_mul(1_u32 << attempt.min(16)).min(LONGEST);
    let wait = span.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
    wait + wish.unwrap_or_default().min(LONGEST)
}
