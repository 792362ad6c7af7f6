//! Waiting for conditions, never for time.

use std::time::{Duration, Instant};

/// Longest that anything here is waited for; what takes longer has failed.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Looks until `look` finds something; `None` after [`DEADLINE`].
pub fn until<T>(look: impl FnMut() -> Option<T>) -> Option<T> {
    until_within(DEADLINE, look)
}

/// Looks until `look` finds something; `None` after `longest`.
pub fn until_within<T>(longest: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + longest;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// As [`until`], asking asynchronously.
pub async fn until_async<T, F: Future<Output = Option<T>>>(mut look: impl FnMut() -> F) -> Option<T> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look().await {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
