//! Where a starting node stands, and what the admin listener tells of it.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Instant;

use portcullis_http::{Condition, Probes};
use portcullis_quic::QuicServer;
use portcullis_runtime::{Engine, Progress};

use crate::metrics;

/// Where a node stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Starting(String),
    Ready,
    Stopping,
}

/// What the admin listener asks: filled in as the parts of the node come up.
pub(crate) struct Readiness {
    stage: RwLock<Stage>,
    engine: OnceLock<Engine>,
    quic: OnceLock<Arc<QuicServer>>,
    started: Instant,
}

impl Readiness {
    pub(crate) fn new() -> Arc<Self> {
        let stage = RwLock::new(Stage::Starting("opening the data folder".to_owned()));
        Arc::new(Self { stage, engine: OnceLock::new(), quic: OnceLock::new(), started: Instant::now() })
    }

    /// Says what a starting node is doing.
    pub(crate) fn progress(&self, words: impl Into<String>) {
        let words = words.into();
        tracing::info!(progress = words, "starting");
        self.set(Stage::Starting(words));
    }

    pub(crate) fn engine_progress(&self, progress: Progress) {
        match progress {
            Progress::Snapshot(lines) => self.progress(format!("reading the snapshot: {lines} lines")),
            Progress::Replay(events) => self.progress(format!("folding the log: {events} events")),
            Progress::Policy => self.progress("compiling the policy set in force"),
            Progress::Ready(revision) => self.progress(format!("the engine is at revision {revision}")),
        }
    }

    pub(crate) fn engine(&self, engine: Engine) {
        // Set once, by the one start.
        let _ = self.engine.set(engine);
    }

    pub(crate) fn quic(&self, quic: Arc<QuicServer>) {
        let _ = self.quic.set(quic);
    }

    pub(crate) fn ready(&self) {
        self.set(Stage::Ready);
        tracing::info!(elapsed = ?self.started.elapsed(), "ready");
    }

    pub(crate) fn stopping(&self) {
        self.set(Stage::Stopping);
    }

    fn set(&self, stage: Stage) {
        *self.stage.write().unwrap_or_else(PoisonError::into_inner) = stage;
    }
}

impl Probes for Readiness {
    fn conditions(&self) -> Vec<Condition> {
        let stage = self.stage.read().unwrap_or_else(PoisonError::into_inner).clone();
        let node = match stage {
            Stage::Starting(words) => return vec![Condition::fails("node", words)],
            Stage::Stopping => return vec![Condition::fails("node", "stopping")],
            Stage::Ready => Condition::holds("node", "started"),
        };
        let Some(engine) = self.engine.get() else { return vec![Condition::fails("engine", "not there")] };
        let status = engine.status();
        let deciding = match status.halted {
            Some(refusal) => Condition::fails("engine", refusal.message),
            None => Condition::holds("engine", format!("at revision {}", status.effective)),
        };
        let policy = match status.policy {
            Some((hash, count)) => Condition::holds("policy", format!("{count} policies in force, set {hash}")),
            None => Condition::holds("policy", "none in force: push a set"),
        };
        vec![node, deciding, policy]
    }

    fn metrics(&self) -> String {
        let quic = self.quic.get().map(|quic| quic.stats());
        match self.engine.get() {
            Some(engine) => metrics::text(engine, quic.as_ref(), self.started.elapsed()),
            None => metrics::text_before_start(self.started.elapsed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_not_ready_while_it_starts_and_while_it_stops() {
        let readiness = Readiness::new();
        let said = |readiness: &Readiness| {
            readiness.conditions().into_iter().map(|condition| condition.state).collect::<Vec<_>>()
        };
        readiness.engine_progress(Progress::Replay(65_536));
        assert_eq!(said(&readiness), [Err("folding the log: 65536 events".to_owned())]);
        readiness.stopping();
        assert_eq!(said(&readiness), [Err("stopping".to_owned())]);
        // Without an engine nothing is ever ready.
        readiness.ready();
        assert!(said(&readiness).iter().any(Result::is_err));
        assert!(readiness.metrics().contains("portcullis_build_info"));
    }
}
