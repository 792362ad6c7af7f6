//! Starting and stopping an engine.

use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use portcullis_audit::{Audit, AuditError, AuditOptions};
use portcullis_cells::{Boundary, DenyTable};
use portcullis_directory::{FoldReport, Folder, SnapshotError, Versions, World};
use portcullis_identity::SessionTokens;
use portcullis_log::{EmbeddedLog, LogError, LogOptions, Opened, OrderedLog};
use portcullis_model::{ErrorCode, Refusal, Revision};
use portcullis_policy::{CompileOptions, set_hash};
use ractor::ActorRef;

use crate::applier::{Applier, CompiledSets, compile_conditions, fold_one, record};
use crate::clients::Clients;
use crate::clock::Clock;
use crate::counters::Counters;
use crate::decide::AuditMode;
use crate::ended::EndedFeed;
use crate::engine::{Engine, Inner};
use crate::force::{Classes, InForce};
use crate::policy_actor::PolicyHandle;
use crate::session_actors::SessionActors;
use crate::sessions::Sessions;
use crate::shared::{AuditNames, Halt, SetTags, Shared};
use crate::supervisor::{Supervisor, SupervisorMessage};

/// Events after the newest snapshot that make a stopping node write another one.
const SNAPSHOT_EVENTS_MIN: u64 = 10_000;

/// What an engine is started with.
pub struct EngineOptions {
    /// Its folder; everything it keeps is below it.
    pub folder: PathBuf,
    /// Whether and how decisions are recorded.
    pub audit_mode: AuditMode,
    /// Action classes.
    pub classes: Classes,
    /// How policy sets are compiled. `Validation::Off` is for conformance runs only.
    pub compile: CompileOptions,
    /// Issues and verifies session tokens; without it sessions end with their connection.
    pub tokens: Option<Arc<SessionTokens>>,
    /// Most sessions at a time.
    pub sessions_max: usize,
    /// Where the time comes from.
    pub clock: Clock,
    /// The change log, its disk among them.
    pub log: LogOptions,
    /// The disk of the audit log.
    pub audit_disk: Arc<dyn portcullis_audit::Disk>,
    /// Told what a long start is doing.
    pub progress: Arc<dyn Fn(Progress) + Send + Sync>,
}

/// What a starting engine is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Reading the snapshot: lines so far.
    Snapshot(usize),
    /// Folding the log behind it: events so far.
    Replay(u64),
    /// Compiling the policy set in force.
    Policy,
    /// Done, at a revision.
    Ready(Revision),
}

/// Why an engine does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The change log does not open.
    #[error("the change log cannot be opened")]
    Log(#[from] LogError),
    /// The audit log does not open.
    #[error("the audit log cannot be opened")]
    Audit(#[from] AuditError),
    /// The snapshot cannot be read.
    #[error("the snapshot cannot be read")]
    Snapshot(#[from] SnapshotError),
    /// The policy set that was in force does not compile any more.
    #[error("the policy set in force does not compile: {0}")]
    Policy(Refusal),
    /// An actor or thread cannot be started.
    #[error("a part of the engine cannot be started: {0}")]
    Spawn(String),
}

/// What must be stopped in order when an engine ends.
pub(crate) struct Running {
    pub(crate) folder: PathBuf,
    supervisor: ActorRef<SupervisorMessage>,
    log: Mutex<Option<Arc<EmbeddedLog>>>,
    applier: Mutex<Option<JoinHandle<()>>>,
    snapshot_at: AtomicU64,
}

impl Engine {
    /// Starts an engine: recovers both logs, folds what they hold, compiles the set in force, starts
    /// the applier and the actors. Must be called within a multi-threaded tokio runtime.
    ///
    /// # Errors
    /// [`StartError`] naming file and offset where something is damaged. Nothing is repaired silently.
    pub async fn start(options: EngineOptions) -> Result<Self, StartError> {
        let task = tokio::task::spawn_blocking(move || recover(options));
        let recovered = task.await.map_err(|cause| StartError::Spawn(cause.to_string()))??;
        recovered.start().await
    }

    /// Stops: no more decisions and changes, audit flushed, actors stopped, log closed.
    pub async fn stop(&self) {
        self.shared().halt(Halt::ShuttingDown);
        self.inner.running.supervisor.stop(Some("the node stops".to_owned()));
        let engine = self.clone();
        // Joining threads and syncing files blocks.
        let stopped = tokio::task::spawn_blocking(move || engine.stop_blocking()).await;
        if stopped.is_err() {
            tracing::error!("stopping the engine failed");
        }
    }

    fn stop_blocking(&self) {
        let running = &self.inner.running;
        if let Err(cause) = self.shared().audit.flush() {
            tracing::error!(%cause, "the audit log could not be flushed");
        }
        self.snapshot_if(SNAPSHOT_EVENTS_MIN);
        self.close_log();
        let applier = running.applier.lock().ok().and_then(|mut applier| applier.take());
        if applier.is_some_and(|applier| applier.join().is_err()) {
            tracing::error!("the applier ended with a panic");
        }
        if let Err(cause) = self.shared().audit.close() {
            tracing::error!(%cause, "the audit log could not be closed");
        }
    }

    /// Lets go of the log. An append that still holds it for a moment closes it when it is done.
    fn close_log(&self) {
        drop(self.shared().log.lock().ok().and_then(|mut log| log.take()));
        let log = self.inner.running.log.lock().ok().and_then(|mut log| log.take());
        let closed = log.and_then(Arc::into_inner).map(EmbeddedLog::close);
        if let Some(Err(cause)) = closed {
            tracing::error!(%cause, "the change log could not be closed");
        }
    }

    /// Writes a snapshot if at least `events` came since the last; blocks while it is written.
    pub fn snapshot_if(&self, events: u64) {
        let running = &self.inner.running;
        let Ok(folder) = self.shared().folder.lock() else { return };
        let revision = folder.revision();
        if revision.seq < running.snapshot_at.load(Ordering::Acquire).saturating_add(events.max(1)) {
            return;
        }
        let mut write = |out: &mut dyn Write| folder.write_snapshot(out).map_err(std::io::Error::other);
        let Some(log) = self.shared().log() else { return };
        match log.put_snapshot(revision, &mut write) {
            Ok(()) => running.snapshot_at.store(revision.seq, Ordering::Release),
            Err(cause) => tracing::error!(%cause, "the snapshot could not be written: the log stays whole"),
        }
    }
}

impl Running {
    pub(crate) async fn supervise_sync(
        &self,
        actor: crate::sync_actor::SyncActor,
        arguments: <crate::sync_actor::SyncActor as ractor::Actor>::Arguments,
    ) -> Result<(), Refusal> {
        let spawned = ractor::Actor::spawn_linked(None, actor, arguments, self.supervisor.get_cell()).await;
        spawned
            .map(drop)
            .map_err(|cause| Refusal::new(ErrorCode::Internal, format!("a sync actor cannot be started: {cause}")))
    }
}

/// An engine whose state is back, before anything runs.
struct Recovered {
    shared: Arc<Shared>,
    log: Arc<EmbeddedLog>,
    committed: std::sync::mpsc::Receiver<Vec<portcullis_log::Committed>>,
    options: EngineOptions,
    compiled: Arc<CompiledSets>,
    audited: u64,
    snapshot_at: u64,
    next_tag: u32,
}

fn recover(options: EngineOptions) -> Result<Recovered, StartError> {
    let opened = EmbeddedLog::open(&options.folder.join("log"), options.log.clone())?;
    let Opened { log, snapshot, replay, committed, .. } = opened;
    let log = Arc::new(log);
    let world = Arc::new(World::new(log.tail().epoch));
    let mut folder = Folder::new(Arc::clone(&world)).with_set_hash(set_hash);
    let mut report = FoldReport::default();
    let mut snapshot_at = 0;
    if let Some((at, reader)) = snapshot {
        let progress = &options.progress;
        folder.read_snapshot(&mut BufReader::new(reader), &mut report, &mut |lines| {
            progress(Progress::Snapshot(lines))
        })?;
        snapshot_at = at.seq;
    }
    let tags = Arc::new(SetTags::default());
    let names = Arc::new(AuditNames { world: Arc::clone(&world), sets: Arc::clone(&tags) });
    let audit_options = AuditOptions { disk: Arc::clone(&options.audit_disk), ..AuditOptions::new(names) };
    let (audit, recovery) = Audit::open(&options.folder.join("audit"), audit_options)?;
    let mut audited = recovery.last_change.map_or(0, |revision| revision.seq);
    let mut count = 0_u64;
    for entry in replay {
        let entry = entry?;
        let event = fold_one(&mut folder, &entry, &mut report);
        count += 1;
        if count.is_multiple_of(65_536) {
            (options.progress)(Progress::Replay(count));
        }
        if entry.revision.seq > audited {
            audited = entry.revision.seq;
            if let Some(event) = event {
                // A failing audit log shows in its health as soon as something is decided.
                record(&audit, &portcullis_audit::Entry::change(&event, entry.revision));
            }
        }
    }
    folder.finish();
    let sessions = Sessions::new(options.sessions_max);
    for (id, until) in folder.tombstones() {
        sessions.bury(*id, *until);
    }
    for found in &report.quarantined {
        tracing::error!(revision = %found.revision, why = %found.why, "event could not be applied");
    }
    let shared = Arc::new(Shared {
        world,
        force: arc_swap::ArcSwapOption::empty(),
        conditions: Shared::conditions_table(),
        sessions,
        deny: DenyTable::new(),
        boundary: Boundary::new(),
        clients: Clients::new(),
        clock: options.clock.clone(),
        counters: Counters::new(),
        classes: options.classes.clone(),
        tokens: options.tokens.clone(),
        log: Mutex::new(Some(Arc::clone(&log) as Arc<dyn OrderedLog>)),
        audit: Arc::new(audit),
        folder: Mutex::new(folder),
        effective: tokio::sync::watch::Sender::new(0),
        ended: EndedFeed::new(),
        restricted: AtomicU64::new(0),
        halted: AtomicU8::new(0),
        set_tags: tags,
    });
    compile_conditions(&shared, &report);
    let compiled = Arc::new(CompiledSets::default());
    let recovered = Recovered { shared, log, committed, options, compiled, audited, snapshot_at, next_tag: 2 };
    recovered.put_in_force()?;
    Ok(recovered)
}

impl Recovered {
    /// Compiles the set that was in force and makes the recovered state what decisions see.
    fn put_in_force(&self) -> Result<(), StartError> {
        let failed = || StartError::Policy(Refusal::new(ErrorCode::Internal, "the folder is not available"));
        let folder = self.shared.folder.lock().map_err(|_| failed())?;
        let revision = folder.revision();
        if let Some((_, text)) = folder.active_policy() {
            (self.options.progress)(Progress::Policy);
            let compiled = portcullis_policy::compile(&text, &**self.shared.world.names(), self.options.compile);
            let snapshot = compiled
                .map_err(|errors| StartError::Policy(Refusal::new(ErrorCode::PolicyInvalid, errors.to_string())))?;
            let force = Arc::new(InForce::new(Arc::new(snapshot), 1, &self.shared.classes));
            self.shared.set_tags.remember(Arc::clone(&force));
            Versions::push(&self.shared.force, revision.seq, force);
        }
        drop(folder);
        self.shared.world.publish(revision.seq);
        self.shared.effective.send_replace(revision.seq);
        Ok(())
    }

    async fn start(self) -> Result<Engine, StartError> {
        let Self { shared, log, committed, options, compiled, audited, snapshot_at, next_tag } = self;
        let spawn = |cause: ractor::SpawnErr| StartError::Spawn(cause.to_string());
        let actors = SessionActors::new(Arc::clone(&shared), tokio::runtime::Handle::current());
        let supervisor = Supervisor::start(&shared, &compiled, &options.compile, &actors).await.map_err(spawn)?;
        let applier = Applier {
            shared: Arc::clone(&shared),
            compiled,
            options: options.compile,
            actors: Arc::clone(&actors),
            audited,
            next_tag,
            clearing: std::collections::VecDeque::new(),
        };
        let thread = std::thread::Builder::new().name("portcullis-applier".to_owned());
        let thread =
            thread.spawn(move || applier.run(&committed)).map_err(|cause| StartError::Spawn(cause.to_string()))?;
        let revision = shared.world.effective();
        let run = uuid::Uuid::now_v7().as_u64_pair().0;
        let running = Running {
            folder: options.folder,
            supervisor: supervisor.actor,
            log: Mutex::new(Some(log)),
            applier: Mutex::new(Some(thread)),
            snapshot_at: AtomicU64::new(snapshot_at),
        };
        let inner = Inner {
            shared,
            actors,
            policy: PolicyHandle::new(supervisor.policy),
            audit_mode: options.audit_mode,
            run,
            deciders: AtomicU64::new(1),
            running,
        };
        (options.progress)(Progress::Ready(revision));
        Ok(Engine { inner: Arc::new(inner) })
    }
}

/// Replaces a small file whole: written beside it, synced, renamed.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let beside = path.with_extension("tmp");
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    match path.parent() {
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
