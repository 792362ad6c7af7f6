//! Refusals because of a full queue that are not in the log yet.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::lane::Lane;

/// Counts refusals by worker, so that each is recorded once.
pub(crate) struct Refusals {
    since: Instant,
    /// What was recorded already, by worker.
    recorded: BTreeMap<u32, u64>,
    /// What workers that have left did not see recorded.
    left: BTreeMap<u32, u64>,
}

impl Refusals {
    pub(crate) fn new() -> Self {
        Self { since: Instant::now(), recorded: BTreeMap::new(), left: BTreeMap::new() }
    }

    /// How long ago the last were taken.
    pub(crate) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Keeps the count of a worker that leaves.
    pub(crate) fn keep(&mut self, lane: &Lane) {
        let refused = lane.refused() - self.recorded.remove(&lane.worker).unwrap_or(0);
        if refused > 0 {
            self.left.insert(lane.worker, refused);
        }
    }

    /// The refusals since the last call as an entry's detail; `None` if there were none.
    pub(crate) fn take<'a>(&mut self, lanes: impl Iterator<Item = &'a Lane>) -> Option<Value> {
        let within_ms = u64::try_from(self.age().as_millis()).unwrap_or(u64::MAX);
        self.since = Instant::now();
        let mut counts = std::mem::take(&mut self.left);
        for lane in lanes {
            let refused = lane.refused();
            let recorded = self.recorded.entry(lane.worker).or_default();
            if refused > *recorded {
                counts.insert(lane.worker, refused - *recorded);
                *recorded = refused;
            }
        }
        let row = |(worker, count): (&u32, &u64)| json!({ "worker": worker, "count": count });
        let rows: Vec<_> = counts.iter().map(row).collect();
        (!rows.is_empty()).then(|| json!({ "refused": rows, "within_ms": within_ms }))
    }
}
