//! The audit actor: looks after the audit writer and says aloud when it has failed.
//!
//! The writer itself is a thread of the audit room; this actor owns what follows from its health.

use std::sync::Arc;
use std::time::Duration;

use portcullis_audit::HealthState;
use ractor::{Actor, ActorProcessingErr, ActorRef};

use crate::engine::ENDED_GRACE;
use crate::shared::{Halt, Shared};

/// How often the writer's health is looked at. A decision finds a failed writer by itself at its
/// next record; this is for nodes that nobody asks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Looks between two sweeps over sessions that have been over for a while.
const SWEEP_EVERY: u32 = 20;

pub(crate) enum AuditMessage {
    Look,
}

pub(crate) struct AuditActor {
    pub(crate) shared: Arc<Shared>,
}

impl Actor for AuditActor {
    type Msg = AuditMessage;
    type State = u32;
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Self::Msg>, (): ()) -> Result<u32, ActorProcessingErr> {
        myself.send_interval(LOOK_EVERY, || AuditMessage::Look);
        Ok(0)
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        message: Self::Msg,
        looks: &mut u32,
    ) -> Result<(), ActorProcessingErr> {
        let AuditMessage::Look = message;
        if matches!(self.shared.audit.health().state, HealthState::Poisoned { .. }) {
            self.shared.halt(Halt::Audit);
        }
        *looks = looks.wrapping_add(1);
        if looks.is_multiple_of(SWEEP_EVERY) {
            let shared = Arc::clone(&self.shared);
            // A sweep over a million sessions takes longer than a task may hold its thread.
            tokio::task::spawn_blocking(move || sweep(&shared)).await?;
        }
        Ok(())
    }
}

fn sweep(shared: &Shared) {
    let now = shared.clock.now();
    shared.sessions.reap(now, ENDED_GRACE);
    if let Ok(mut folder) = shared.folder.lock() {
        folder.expire_tombstones(now);
    }
}
