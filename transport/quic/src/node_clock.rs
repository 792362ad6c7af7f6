//! The node's monotonic clock, as answers and acknowledgements carry it.

use std::sync::OnceLock;
use std::time::Instant;

static START: OnceLock<Instant> = OnceLock::new();

/// Nanoseconds since this process first asked, from 1. Every answer carries it, and so must every
/// acknowledgement of a revocation: then whoever gets both can tell which came first.
pub fn node_ns() -> u64 {
    let since = START.get_or_init(Instant::now).elapsed();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX).saturating_add(1)
}
