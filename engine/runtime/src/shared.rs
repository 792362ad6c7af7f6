//! What every part of an engine reads.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use portcullis_audit::Audit;
use portcullis_cells::{Boundary, Chunked, DenyTable};
use portcullis_directory::{Folder, GrantIndex, World, WorldView};
use portcullis_identity::SessionTokens;
use portcullis_log::OrderedLog;
use portcullis_model::limits::GRANTS_MAX;
use portcullis_model::{EntityIndex, EntityUid, ErrorCode, PolicyRef, Refusal};
use portcullis_policy::{Condition, PolicyNumber};

use crate::clients::Clients;
use crate::clock::Clock;
use crate::counters::Counters;
use crate::ended::EndedFeed;
use crate::force::{Classes, InForce, InForceSlot};
use crate::sessions::Sessions;

/// The tables and handles of one engine.
pub(crate) struct Shared {
    pub(crate) world: Arc<World>,
    pub(crate) force: InForceSlot,
    pub(crate) conditions: Chunked<OnceLock<Arc<Condition>>>,
    pub(crate) sessions: Sessions,
    pub(crate) deny: DenyTable,
    pub(crate) boundary: Boundary,
    pub(crate) clients: Clients,
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
    pub(crate) classes: Classes,
    /// Issues and verifies session tokens.
    pub(crate) tokens: Option<Arc<SessionTokens>>,
    /// The change log until the engine stops.
    pub(crate) log: Mutex<Option<Arc<dyn OrderedLog>>>,
    pub(crate) audit: Arc<Audit>,
    /// The one folder: its owner is the applier, queries borrow it between batches.
    pub(crate) folder: Mutex<Folder>,
    pub(crate) effective: tokio::sync::watch::Sender<u64>,
    pub(crate) ended: EndedFeed,
    /// Bumped when a batch with restrictions becomes effective.
    pub(crate) restricted: AtomicU64,
    pub(crate) halted: AtomicU8,
    pub(crate) set_tags: Arc<SetTags>,
}

impl Shared {
    /// Whether this node may decide at all.
    #[inline]
    pub(crate) fn may_decide(&self) -> Result<(), Refusal> {
        match self.halted.load(Ordering::Acquire) {
            RUNNING => Ok(()),
            code => Err(halted(code)),
        }
    }

    /// Stops decisions and changes for good. The first cause stays.
    pub(crate) fn halt(&self, cause: Halt) {
        let code = match cause {
            Halt::Log => LOG_FAILED,
            Halt::Audit => AUDIT_FAILED,
            Halt::ShuttingDown => STOPPING,
            Halt::Applier => APPLIER_FAILED,
            Halt::Actors => ACTORS_FAILED,
        };
        if self.halted.compare_exchange(RUNNING, code, Ordering::AcqRel, Ordering::Acquire).is_ok()
            && cause != Halt::ShuttingDown
        {
            tracing::error!(?cause, "decisions have stopped: restart the node after mending the cause");
        }
    }

    /// Asks one view of the world, again on a newer one if it came too late for some answer.
    ///
    /// # Errors
    /// [`ErrorCode::Overloaded`] when the world changed too fast: nothing may be concluded then.
    pub(crate) fn read<T>(&self, ask: impl Fn(&WorldView<'_>) -> T) -> Result<T, Refusal> {
        for _ in 0..READS_MAX {
            let view = self.world.view();
            let answer = ask(&view);
            if !view.is_late() {
                return Ok(answer);
            }
            std::thread::yield_now();
        }
        Err(Refusal::new(ErrorCode::Overloaded, "the world changed faster than it could be read"))
    }

    /// The policy set that was in force at the view's revision.
    pub(crate) fn in_force(&self, view: &WorldView<'_>) -> Result<Arc<InForce>, Refusal> {
        let none = || Refusal::new(ErrorCode::NoPolicy, "no policy set is in force");
        let guard = self.force.load();
        let versions = guard.as_ref().ok_or_else(none)?;
        match versions.at(view.revision().seq) {
            Ok(found) => found.cloned().ok_or_else(none),
            Err(_) => Err(Refusal::new(ErrorCode::Overloaded, "policy sets changed faster than they could be read")),
        }
    }

    /// The compiled condition of a grant; `None` if it did not compile, and so never holds.
    pub(crate) fn condition(&self, grant: GrantIndex) -> Option<Arc<Condition>> {
        self.conditions.get(grant.index())?.get().cloned()
    }

    /// The change log; `None` once the engine has stopped.
    pub(crate) fn log(&self) -> Option<Arc<dyn OrderedLog>> {
        self.log.lock().ok()?.clone()
    }

    pub(crate) fn conditions_table() -> Chunked<OnceLock<Arc<Condition>>> {
        Chunked::with_capacity_max(GRANTS_MAX)
    }

    /// Changes whenever a restriction may have come into effect, early or folded.
    pub(crate) fn restrictions(&self) -> u64 {
        self.deny.changes().wrapping_add(self.restricted.load(Ordering::SeqCst))
    }
}

/// How often a question off the decision way starts again on a newer world before it gives up.
const READS_MAX: u32 = 64;

/// Why a node decides nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    Log,
    Audit,
    Applier,
    Actors,
    ShuttingDown,
}

const RUNNING: u8 = 0;
const LOG_FAILED: u8 = 1;
const AUDIT_FAILED: u8 = 2;
const STOPPING: u8 = 3;
const APPLIER_FAILED: u8 = 4;
const ACTORS_FAILED: u8 = 5;

fn halted(code: u8) -> Refusal {
    match code {
        LOG_FAILED => Refusal::new(ErrorCode::LogUnavailable, "the change log cannot be written"),
        AUDIT_FAILED => Refusal::new(ErrorCode::AuditUnavailable, "the audit log cannot be written"),
        STOPPING => Refusal::new(ErrorCode::ShuttingDown, "the node is stopping"),
        ACTORS_FAILED => Refusal::new(ErrorCode::Internal, "parts of the node fail again and again"),
        _ => Refusal::new(ErrorCode::Internal, "the node cannot apply changes any more"),
    }
}

/// Policy sets by the short tag that audit records carry.
#[derive(Default)]
pub(crate) struct SetTags {
    sets: Mutex<Vec<Arc<InForce>>>,
}

/// Sets whose records may still be unwritten; older ones have long been written.
const SETS_REMEMBERED: usize = 16;

impl SetTags {
    /// Remembers a set so that the audit writer can resolve its numbers.
    pub(crate) fn remember(&self, set: Arc<InForce>) {
        if let Ok(mut sets) = self.sets.lock() {
            if sets.len() == SETS_REMEMBERED {
                sets.remove(0);
            }
            sets.push(set);
        }
    }

    fn policy(&self, tag: u32, policy: u32) -> Option<PolicyRef> {
        let sets = self.sets.lock().ok()?;
        let set = sets.iter().find(|set| set.tag == tag)?;
        set.snapshot.policy(PolicyNumber::new(policy)).cloned()
    }
}

/// What the audit writer asks to turn numbers into names.
pub(crate) struct AuditNames {
    pub(crate) world: Arc<World>,
    pub(crate) sets: Arc<SetTags>,
}

impl portcullis_audit::Names for AuditNames {
    fn entity(&self, entity: EntityIndex) -> Option<EntityUid> {
        self.world.names().uid(entity).cloned()
    }

    fn policy(&self, set: u32, policy: u32) -> Option<PolicyRef> {
        self.sets.policy(set, policy)
    }
}
