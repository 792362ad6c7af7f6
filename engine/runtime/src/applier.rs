//! The applier: the one thread that folds the log into worlds.
//!
//! Owns the place in the log and everything a world consists of. It never waits for an actor, a
//! client or a compiler of a set that is already compiled; it never panics on an event. When it ends
//! before the node does, decisions stop.
//!
//! INVARIANT: a batch is folded, its conditions and policy sets are in their tables, its sessions are
//! marked, then `effective` moves, then waiters and actors are told. A deny entry is cleared when its
//! effect is in the world *and* every worker has passed a batch boundary since: a batch may have loaded
//! the world before and read the table after.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use portcullis_audit::{Audit, Entry, EntryKind, PushError};
use portcullis_cells::Mark;
use portcullis_directory::{Ended, FoldError, FoldReport, Folder, Quarantined, Versions, WorldView};
use portcullis_log::Committed;
use portcullis_model::{Change, ErrorCode, Event, Refusal, Revision, SetHash};
use portcullis_policy::{CompileOptions, Snapshot, compile, compile_condition};

use crate::delegation::{Coverage, search};
use crate::ended::{EndedNotice, EndedScope};
use crate::force::InForce;
use crate::session_actors::SessionActors;
use crate::sessions::{SessionSlot, SessionState};
use crate::shared::{Halt, Shared};

/// Most events that become effective together.
const BATCH_EVENTS_MAX: usize = 1_024;
/// Longest that folded events wait for more before they become effective.
const BATCH_TIME_MAX: Duration = Duration::from_millis(1);
/// How often deny entries are looked at that wait for a batch boundary.
const CLEAR_EVERY: Duration = Duration::from_millis(1);
/// Longest that a change waits for room in the audit queue; a disk that stalls longer has failed.
const AUDIT_WAIT_MAX: Duration = Duration::from_secs(10);
const AUDIT_RETRY: Duration = Duration::from_micros(200);
/// Compiled sets that wait for their activation.
const COMPILED_MAX: usize = 8;

/// Sets that were compiled before they were staged, for the applier to put in force.
#[derive(Default)]
pub(crate) struct CompiledSets {
    sets: Mutex<HashMap<SetHash, Arc<Snapshot>>>,
}

impl CompiledSets {
    pub(crate) fn add(&self, snapshot: Arc<Snapshot>) {
        if let Ok(mut sets) = self.sets.lock() {
            if sets.len() >= COMPILED_MAX {
                sets.clear();
            }
            sets.insert(snapshot.hash(), snapshot);
        }
    }

    fn find(&self, hash: SetHash) -> Option<Arc<Snapshot>> {
        self.sets.lock().ok()?.get(&hash).cloned()
    }
}

pub(crate) struct Applier {
    pub(crate) shared: Arc<Shared>,
    pub(crate) compiled: Arc<CompiledSets>,
    pub(crate) options: CompileOptions,
    pub(crate) actors: Arc<SessionActors>,
    /// Changes up to here have their audit entry already.
    pub(crate) audited: u64,
    pub(crate) next_tag: u32,
    /// Deny entries whose effect is in the world, each with the batches that may not have seen it yet.
    pub(crate) clearing: VecDeque<(Mark, [u64; 2])>,
}

/// Ends decisions if the applier's thread ends while the node runs.
struct HaltOnExit(Arc<Shared>);

impl Drop for HaltOnExit {
    fn drop(&mut self) {
        self.0.halt(Halt::Applier);
    }
}

impl Applier {
    /// Folds until the log closes its feed.
    pub(crate) fn run(mut self, committed: &Receiver<Vec<Committed>>) {
        let guard = HaltOnExit(Arc::clone(&self.shared));
        loop {
            let next = if self.clearing.is_empty() {
                committed.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                committed.recv_timeout(CLEAR_EVERY)
            };
            match next {
                Ok(batch) => self.apply(&batch),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.clear_denied();
        }
        // The feed ends with the log: because the engine has let go of it, or because it has failed.
        let stopped = self.shared.log().is_none();
        guard.0.halt(if stopped { Halt::ShuttingDown } else { Halt::Log });
    }

    fn apply(&mut self, committed: &[Committed]) {
        let mut rest = committed;
        while !rest.is_empty() {
            let shared = Arc::clone(&self.shared);
            let Ok(mut folder) = shared.folder.lock() else { return };
            let (report, events) = self.fold_some(&mut folder, rest);
            rest = rest.get(events.len()..).unwrap_or_default();
            self.put_in_force(&folder, &report);
            let seq = folder.revision().seq;
            drop(folder);
            self.mark_sessions(&report);
            self.shared.world.publish(seq);
            self.settle(&events, &report, seq);
        }
    }

    fn fold_some(
        &mut self,
        folder: &mut Folder,
        committed: &[Committed],
    ) -> (FoldReport, Vec<(Revision, Option<Event>)>) {
        let started = Instant::now();
        let mut report = FoldReport::default();
        let mut events = Vec::new();
        for entry in committed.iter().take(BATCH_EVENTS_MAX) {
            events.push((entry.revision, fold_one(folder, entry, &mut report)));
            if started.elapsed() >= BATCH_TIME_MAX {
                break;
            }
        }
        folder.finish();
        compile_conditions(&self.shared, &report);
        (report, events)
    }

    fn put_in_force(&mut self, folder: &Folder, report: &FoldReport) {
        for (revision, hash) in &report.activated {
            let compiled = self.compiled.find(*hash).map_or_else(|| self.compile(folder, *hash), Ok);
            match compiled {
                Ok(snapshot) => {
                    let force = Arc::new(InForce::new(snapshot, self.next_tag, &self.shared.classes));
                    self.next_tag += 1;
                    self.shared.set_tags.remember(Arc::clone(&force));
                    Versions::push(&self.shared.force, revision.seq, force);
                }
                Err(cause) => {
                    tracing::error!(%hash, %revision, %cause, "policy set does not compile: the last good one stays in force")
                }
            }
        }
    }

    /// Compiles a set that was activated without having been compiled here, as after a restart.
    pub(crate) fn compile(&self, folder: &Folder, hash: SetHash) -> Result<Arc<Snapshot>, Refusal> {
        let text = folder
            .staged_policy(hash)
            .ok_or_else(|| Refusal::new(ErrorCode::NotFound, "the policy set is not staged"))?;
        let compiled = compile(&text, &**self.shared.world.names(), self.options);
        compiled.map(Arc::new).map_err(|errors| Refusal::new(ErrorCode::PolicyInvalid, errors.to_string()))
    }

    fn mark_sessions(&self, report: &FoldReport) {
        for (_, ended) in &report.ended {
            if let Ended::Session { id, until } = ended {
                self.shared.sessions.bury(*id, *until);
                if let Some(handle) = self.shared.sessions.find(*id) {
                    self.shared.sessions.end(handle, SessionState::Revoked);
                }
            }
        }
    }

    /// Ends for good the sessions that rested on a revoked grant and have no other path: a grant issued
    /// later revives none of them. Decisions deny them already, by the grant itself.
    fn end_ungranted(&self, report: &FoldReport) {
        let shared = &self.shared;
        let body = |ended: &Ended| match ended {
            Ended::Grant(id) => shared.world.find_grant(*id).and_then(|grant| shared.world.grant(grant)),
            _ => None,
        };
        let bodies: Vec<_> = report.ended.iter().filter_map(|(_, ended)| body(ended)).collect();
        let Some(first) = bodies.first() else { return };
        let agents: HashSet<_> = bodies.iter().map(|body| body.agent).collect();
        let now = shared.clock.now();
        let mut over = Vec::new();
        let mut look = |handle, slot: &SessionSlot| {
            let is_covered =
                |view: &WorldView<'_>| matches!(search(view, slot, now, &mut |_, _| Ok(())), Coverage::Covered(_));
            // Not known is not over: the next decision looks for a path anyway.
            let concerned = slot.state == SessionState::Live && slot.agents().any(|agent| agents.contains(&agent));
            if concerned && !shared.read(is_covered).unwrap_or(true) {
                over.push(handle);
            }
        };
        // One pass over all sessions, or over those of the one user that all the grants are of.
        let own = shared.sessions.of_subject(first.subject);
        if own.is_empty() || bodies.iter().any(|body| body.subject != first.subject) {
            shared.sessions.each(look);
        } else {
            for handle in own {
                if let Some(slot) = shared.sessions.read(handle) {
                    look(handle, &slot);
                }
            }
        }
        for handle in over {
            shared.sessions.end(handle, SessionState::Ungranted);
        }
    }

    /// After `effective` has moved: clears what is now in the world, then tells everybody.
    fn settle(&mut self, events: &[(Revision, Option<Event>)], report: &FoldReport, seq: u64) {
        self.shared.restricted.fetch_add(1, Ordering::SeqCst);
        for event in events.iter().filter_map(|(_, event)| event.as_ref()) {
            if matches!(event.change, Change::Revoke(_)) {
                self.clearing.push_back((self.shared.boundary.mark(), event.id.to_words()));
            }
        }
        self.shared.counters.folded.fetch_add(u64::try_from(events.len()).unwrap_or(0), Ordering::Relaxed);
        self.shared.effective.send_replace(seq);
        let notices: Vec<_> =
            report.ended.iter().filter_map(|(revision, ended)| self.notice(*revision, ended)).collect();
        if !notices.is_empty() {
            self.actors.ended(&report.ended);
            self.shared.ended.push(notices);
        }
        self.end_ungranted(report);
        self.audit(events);
        self.quarantine(&report.quarantined);
    }

    /// Clears deny entries once no batch runs that may have loaded the world before their effect and
    /// not yet read the table.
    fn clear_denied(&mut self) {
        while let Some((mark, key)) = self.clearing.front() {
            if !self.shared.boundary.passed(mark) {
                break;
            }
            self.shared.deny.clear(*key);
            self.clearing.pop_front();
        }
    }

    fn notice(&self, revision: Revision, ended: &Ended) -> Option<EndedNotice> {
        let names = self.shared.world.names();
        let (scope, sessions) = match ended {
            Ended::Session { id, .. } => (EndedScope::Session(*id), 1),
            Ended::Subject(subject) => {
                (EndedScope::User(names.uid(*subject)?.clone()), self.shared.sessions.count_of(*subject))
            }
            Ended::Agent(agent) => (EndedScope::Agent(names.uid(*agent)?.clone()), 0),
            Ended::Grant(id) => (EndedScope::Grant(*id), 0),
            Ended::Everything => (EndedScope::All, self.shared.sessions.occupied()),
        };
        Some(EndedNotice { revision, scope, sessions })
    }

    fn audit(&mut self, events: &[(Revision, Option<Event>)]) {
        for (revision, event) in events {
            if revision.seq <= self.audited {
                continue;
            }
            self.audited = revision.seq;
            let entry = event.as_ref().map_or_else(
                || Entry {
                    revision: Some(*revision),
                    code: Some(ErrorCode::Internal),
                    ..Entry::new(EntryKind::Change, self.shared.clock.now())
                },
                |event| Entry::change(event, *revision),
            );
            if !record(&self.shared.audit, &entry) {
                // Restrictions go on; allows have stopped with the audit log.
                self.shared.halt(Halt::Audit);
            }
        }
    }

    fn quarantine(&self, quarantined: &[Quarantined]) {
        for found in quarantined {
            self.shared.counters.quarantined.fetch_add(1, Ordering::Relaxed);
            tracing::error!(revision = %found.revision, why = %found.why, held = ?found.held, "event cannot be applied");
        }
    }
}

/// Records a change, waiting while the audit queue is full: a change is never left out. False once
/// the audit log has failed.
pub(crate) fn record(audit: &Audit, entry: &Entry) -> bool {
    let deadline = Instant::now() + AUDIT_WAIT_MAX;
    loop {
        match audit.append(entry) {
            Ok(_) => return true,
            Err(PushError::Full) if Instant::now() < deadline => std::thread::sleep(AUDIT_RETRY),
            Err(_) => return false,
        }
    }
}

/// Folds one committed entry; `None` if its bytes are no event of this version.
pub(crate) fn fold_one(folder: &mut Folder, entry: &Committed, report: &mut FoldReport) -> Option<Event> {
    match serde_json::from_slice::<Event>(&entry.payload) {
        Ok(event) => {
            folder.fold(entry.revision, &event, report);
            Some(event)
        }
        Err(_) => {
            folder.skip(entry.revision);
            report.quarantined.push(Quarantined { revision: entry.revision, why: FoldError::Unknown, held: None });
            None
        }
    }
}

/// Compiles the conditions of new grants. One that does not compile stays out of the table, and so never covers.
pub(crate) fn compile_conditions(shared: &Shared, report: &FoldReport) {
    for id in &report.granted {
        let Some(grant) = shared.world.find_grant(*id) else { continue };
        let Some(text) = shared.world.grant(grant).and_then(|body| body.record.condition.as_ref()) else { continue };
        match compile_condition(text) {
            Ok(condition) => {
                if let Some(slot) = shared.conditions.ensure(grant.index(), OnceLock::new) {
                    slot.get_or_init(|| Arc::new(condition));
                }
            }
            Err(cause) => {
                tracing::warn!(grant = %id, %cause, "condition of a grant does not compile: the grant covers nothing")
            }
        }
    }
}
