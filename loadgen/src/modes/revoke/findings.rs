//! What rounds have found.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use portcullis_wire::admin::Revoked;
use serde_json::{Value, json};

use super::nanoseconds;
use crate::load::{Probes, Recorder};

/// What all rounds have found.
pub(super) struct Findings {
    pub(super) revokes: usize,
    pub(super) probes_after_ack: u64,
    pub(super) allows_after_ack: u64,
    /// Rounds in which an allow left the node after the node's own acknowledgement.
    pub(super) allows_left_after_ack: u64,
    pub(super) pushes_missed: u64,
    pub(super) acks: Recorder,
    pub(super) pushes: Recorder,
    pub(super) probes: Recorder,
    pub(super) probing: Duration,
    pub(super) background: Recorder,
    pub(super) group_change_max: Duration,
    pub(super) began: Instant,
}

/// What one round has found.
pub(super) struct Headline {
    pub(super) sessions: usize,
    pub(super) connections: usize,
    pub(super) ack: Duration,
    pub(super) node_elapsed: Duration,
    pub(super) push_max: Duration,
    pub(super) opening: Duration,
    pub(super) open_cpu: Option<Duration>,
    pub(super) bytes: Option<u64>,
    pub(super) ended: u64,
}

impl Findings {
    pub(super) fn new() -> Self {
        Self {
            revokes: 0,
            probes_after_ack: 0,
            allows_after_ack: 0,
            allows_left_after_ack: 0,
            pushes_missed: 0,
            acks: Recorder::new(),
            pushes: Recorder::new(),
            probes: Recorder::new(),
            probing: Duration::ZERO,
            background: Recorder::new(),
            group_change_max: Duration::ZERO,
            began: Instant::now(),
        }
    }

    pub(super) fn note(&mut self, probes: &Probes, revoked: &Revoked, ack: Duration) {
        self.revokes += 1;
        self.acks.record(nanoseconds(ack), nanoseconds(ack), self.began.elapsed());
        self.probes_after_ack += probes.after_ack.load(Ordering::Acquire);
        self.allows_after_ack += probes.allows_after_ack.load(Ordering::Acquire);
        let is_late = probes.last_allow_node_ns.load(Ordering::Acquire) > revoked.node_ns;
        self.allows_left_after_ack += u64::from(is_late);
    }

    pub(super) fn background_rate(&self) -> f64 {
        self.background.count() as f64 / self.began.elapsed().as_secs_f64()
    }
}

impl Headline {
    pub(super) fn opens_per_s(&self) -> f64 {
        self.sessions as f64 / self.opening.as_secs_f64()
    }

    /// What a session costs the node, in words.
    pub(super) fn costs(&self) -> String {
        let count = self.sessions as f64;
        let cpu = self.open_cpu.map(|cpu| format!(", {:.1} us of node CPU each", cpu.as_secs_f64() * 1e6 / count));
        let bytes = self.bytes.map(|bytes| format!(", {:.0} B of node memory each", bytes as f64 / count));
        format!("{}{}", cpu.unwrap_or_default(), bytes.unwrap_or_default())
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "sessions": self.sessions, "sessions_ended": self.ended, "ack_ns": nanoseconds(self.ack),
            "node_elapsed_us": self.node_elapsed.as_micros(), "push_max_ns": nanoseconds(self.push_max),
        })
    }
}
