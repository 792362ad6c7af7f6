//! What a running node does besides answering: keys, policies, snapshots.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use portcullis_identity::{Demand, TokenVerifier};
use portcullis_model::Origin;
use portcullis_runtime::{Engine, PublishError};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use crate::node::policy_folder::{FolderStamp, read_policies};

/// The tasks of a node; all of them end when it stops.
pub(crate) struct Background {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Background {
    pub(crate) fn new() -> Self {
        Self { tasks: JoinSet::new(), stop: watch::Sender::new(false) }
    }

    /// Reads the issuers' keys again when they are due.
    pub(crate) fn refresh_keys(&mut self, engine: &Engine, verifier: &Arc<TokenVerifier>) {
        let (engine, verifier) = (engine.clone(), Arc::clone(verifier));
        self.every(KEYS_LOOK_EVERY, move || refresh_keys(engine.clone(), Arc::clone(&verifier), Demand::IfDue));
    }

    /// Writes a snapshot when the log has grown.
    pub(crate) fn snapshot(&mut self, engine: &Engine) {
        let engine = engine.clone();
        self.every(SNAPSHOT_LOOK_EVERY, move || {
            let engine = engine.clone();
            async move {
                // Blocks while it writes; a panic would be told by the panic hook.
                let _ = tokio::task::spawn_blocking(move || engine.snapshot_if(SNAPSHOT_EVENTS)).await;
            }
        });
    }

    /// Publishes the policies of a folder whenever it changes; `seen` is what is in force.
    pub(crate) fn watch_policies(&mut self, engine: &Engine, folder: PathBuf, seen: FolderStamp) {
        let mut stopping = self.stop.subscribe();
        let engine = engine.clone();
        self.tasks.spawn(async move {
            let watching = watch_policies(engine, folder, seen);
            tokio::select! {
                () = watching => {}
                () = stop_is_asked(&mut stopping) => {}
            }
        });
    }

    fn every<F>(&mut self, span: Duration, mut work: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let mut stopping = self.stop.subscribe();
        self.tasks.spawn(async move {
            let mut ticks = interval(span);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stop_is_asked(&mut stopping) => break,
                    _ = ticks.tick() => work().await,
                }
            }
        });
    }

    /// Ends every task, those that do not end in time by force.
    pub(crate) async fn stop(&mut self) {
        self.stop.send_replace(true);
        let ended = timeout(STOP_WAIT_MAX, async { while self.tasks.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            tracing::warn!("background work was cut");
            self.tasks.shutdown().await;
        }
    }
}

/// Completes when the node stops, or is gone.
async fn stop_is_asked(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Reads the issuers' keys; failures are logged, and the keys in force stay.
pub(crate) async fn refresh_keys(engine: Engine, verifier: Arc<TokenVerifier>, demand: Demand) {
    let now = engine.now();
    let refreshed = tokio::task::spawn_blocking(move || verifier.refresh_blocking(now, demand)).await;
    for failure in refreshed.unwrap_or_default() {
        let cause = std::error::Error::source(&failure).map(ToString::to_string);
        tracing::warn!(issuer = failure.issuer, cause, "signing keys were not refreshed: the last good ones stay");
    }
}

async fn watch_policies(engine: Engine, folder: PathBuf, mut published: FolderStamp) {
    let mut before = published.clone();
    let mut ticks = interval(POLICIES_LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = FolderStamp::of(&folder);
        // Twice the same: whoever writes has finished.
        let is_settled = now == before;
        before.clone_from(&now);
        if !is_settled || now == published {
            continue;
        }
        published = now;
        publish_again(&engine, &folder).await;
    }
}

async fn publish_again(engine: &Engine, folder: &std::path::Path) {
    let set = match read_policies(folder) {
        Ok(set) => set,
        Err(cause) => return tracing::error!(%cause, "policies not read: the last good set stays in force"),
    };
    if engine.active_policy().is_some_and(|(hash, _)| hash == portcullis_policy::set_hash(&set)) {
        return;
    }
    match engine.publish_policy(set, Origin::Node).await {
        Ok(published) => {
            let (policies, revision) = (published.policies, published.revision);
            tracing::info!(policies, %revision, "policies published");
            for warning in published.warnings {
                tracing::warn!("{warning}");
            }
        }
        // The policy actor has said which mistakes, and where.
        Err(PublishError::Invalid(_)) => {}
        Err(PublishError::Refused(cause)) => {
            tracing::error!(%cause, "policies not published: the last good set stays in force");
        }
    }
}

/// How often the keys are looked at; they are fetched only when due.
const KEYS_LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often the length of the log is looked at.
const SNAPSHOT_LOOK_EVERY: Duration = Duration::from_secs(5);
/// Events after which a snapshot is written. BOUND: they are replayed in at most five seconds.
const SNAPSHOT_EVENTS: u64 = 1_000_000;
/// How often a watched folder is looked at. BOUND: a few files are looked at in microseconds.
const POLICIES_LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long background work may take to end: a snapshot that is being written, for example.
const STOP_WAIT_MAX: Duration = Duration::from_secs(5);
