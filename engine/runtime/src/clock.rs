//! The node's clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use portcullis_model::Timestamp;

/// Where the time comes from: the system, or a test.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The system's wall clock.
    #[default]
    System,
    /// A time that its owner moves.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that stands at `now` until its owner moves it.
    pub fn manual(now: Timestamp) -> (Self, Arc<AtomicU64>) {
        let millis = Arc::new(AtomicU64::new(now.as_millis()));
        (Self::Manual(Arc::clone(&millis)), millis)
    }

    /// The time now. A system clock before 1970 reads as the end of time, so that everything has expired.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .ok()
                .and_then(|since| u64::try_from(since.as_millis()).ok())
                .map_or(Timestamp::MAX, Timestamp::from_millis),
            Self::Manual(millis) => Timestamp::from_millis(millis.load(Ordering::Acquire)),
        }
    }
}
