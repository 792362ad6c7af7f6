//! How a log is opened.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use portcullis_model::Timestamp;

use crate::disk::{Disk, FileSystem};
use crate::error::AuditError;
use crate::limits::{RING_BYTES_MAX, RING_BYTES_MIN, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
use crate::names::Names;

/// Tells the time of entries that the log writes of itself.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How a log is opened. Begin with [`AuditOptions::new`].
#[derive(Clone)]
pub struct AuditOptions {
    /// Writes and syncs. Default: the file system.
    pub disk: Arc<dyn Disk>,
    /// Turns numbers into names.
    pub names: Arc<dyn Names>,
    /// Ring of each producer in bytes, rounded up to a power of two: [`RING_BYTES_MIN`] to
    /// [`RING_BYTES_MAX`]. A smaller one refuses sooner when the disk is slow, a larger one loses more
    /// in a crash. Default 4 MiB, some 12,000 records: 30 ms at 400,000 a second.
    pub ring_bytes: usize,
    /// First segment in bytes: [`SEGMENT_BYTES_MIN`] to [`AuditOptions::segment_bytes_max`]. Default 256 KiB.
    pub segment_bytes_first: u64,
    /// Largest segment in bytes, at most [`SEGMENT_BYTES_MAX`]. Default 64 MiB.
    pub segment_bytes_max: u64,
    /// How many bytes of the newest segments opening verifies; the newest two are always. Older ones
    /// are verified where they are read. Default 128 MiB.
    pub verify_bytes: u64,
    /// How long buffered records wait for company before they are written, 0 to 100 ms. More loses
    /// more in a crash, less syncs more often on a quiet node. Default 2 ms.
    pub buffered_wait: Duration,
    /// How often refusals are recorded. Default 1 s.
    pub summary_every: Duration,
    /// Time of the log's own entries. Default: the system's clock.
    pub clock: Clock,
}

impl AuditOptions {
    /// The defaults.
    pub fn new(names: Arc<dyn Names>) -> Self {
        Self {
            disk: Arc::new(FileSystem),
            names,
            ring_bytes: 4 * 1_024 * 1_024,
            segment_bytes_first: 256 * 1_024,
            segment_bytes_max: SEGMENT_BYTES_MAX,
            verify_bytes: 128 * 1_024 * 1_024,
            buffered_wait: Duration::from_millis(2),
            summary_every: Duration::from_secs(1),
            clock: Arc::new(system_time),
        }
    }

    pub(crate) fn check(&self) -> Result<(), AuditError> {
        let wrong = |option, range| Err(AuditError::Option { option, range });
        if !(RING_BYTES_MIN..=RING_BYTES_MAX).contains(&self.ring_bytes) {
            return wrong("ring_bytes", "16 KiB to 64 MiB");
        }
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes_max) {
            return wrong("segment_bytes_max", "128 KiB to 64 MiB");
        }
        if !(SEGMENT_BYTES_MIN..=self.segment_bytes_max).contains(&self.segment_bytes_first) {
            return wrong("segment_bytes_first", "128 KiB to `segment_bytes_max`");
        }
        if self.buffered_wait > BUFFERED_WAIT_MAX {
            return wrong("buffered_wait", "0 to 100 ms");
        }
        Ok(())
    }
}

impl fmt::Debug for AuditOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditOptions").field("ring_bytes", &self.ring_bytes).finish_non_exhaustive()
    }
}

fn system_time() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

const BUFFERED_WAIT_MAX: Duration = Duration::from_millis(100);
