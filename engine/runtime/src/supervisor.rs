//! The engine supervisor: restarts its children, within limits, and gives up aloud.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use portcullis_policy::CompileOptions;
use ractor::{Actor, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};

use crate::applier::CompiledSets;
use crate::audit_actor::AuditActor;
use crate::policy_actor::{PolicyActor, PolicyMessage};
use crate::session_actors::SessionActors;
use crate::shared::{Halt, Shared};

/// Restarts within [`RESTART_WINDOW`] after which the supervisor gives up.
const RESTARTS_MAX: usize = 5;
const RESTART_WINDOW: Duration = Duration::from_secs(10);

/// The supervisor is asked nothing: it only hears of its children.
pub(crate) enum SupervisorMessage {}

/// Owns the policy actor, the audit actor, the supervisor of session actors and the sync actors.
pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    compiled: Arc<CompiledSets>,
    options: CompileOptions,
    actors: Arc<SessionActors>,
    policy: Arc<PolicyCell>,
}

/// Where the policy actor is found: it moves when it is restarted.
pub(crate) type PolicyCell = arc_swap::ArcSwapOption<ActorRef<PolicyMessage>>;

pub(crate) struct Started {
    pub(crate) actor: ActorRef<SupervisorMessage>,
    pub(crate) policy: Arc<PolicyCell>,
}

pub(crate) struct Children {
    policy: Option<ActorRef<PolicyMessage>>,
    audit: Option<ractor::ActorCell>,
    sessions: Option<ractor::ActorCell>,
    failures: VecDeque<Instant>,
}

impl Supervisor {
    pub(crate) async fn start(
        shared: &Arc<Shared>,
        compiled: &Arc<CompiledSets>,
        options: &CompileOptions,
        actors: &Arc<SessionActors>,
    ) -> Result<Started, SpawnErr> {
        let policy = Arc::new(PolicyCell::empty());
        let supervisor = Self {
            shared: Arc::clone(shared),
            compiled: Arc::clone(compiled),
            options: *options,
            actors: Arc::clone(actors),
            policy: Arc::clone(&policy),
        };
        let (actor, _) = Actor::spawn(None, supervisor, ()).await?;
        Ok(Started { actor, policy })
    }

    async fn start_policy(&self, myself: &ActorRef<SupervisorMessage>) -> Result<ActorRef<PolicyMessage>, SpawnErr> {
        let actor = PolicyActor {
            shared: Arc::clone(&self.shared),
            compiled: Arc::clone(&self.compiled),
            options: self.options,
        };
        let (reference, _) = Actor::spawn_linked(None, actor, (), myself.get_cell()).await?;
        self.policy.store(Some(Arc::new(reference.clone())));
        Ok(reference)
    }

    async fn start_audit(&self, myself: &ActorRef<SupervisorMessage>) -> Result<ractor::ActorCell, SpawnErr> {
        let actor = AuditActor { shared: Arc::clone(&self.shared) };
        let (reference, _) = Actor::spawn_linked(None, actor, (), myself.get_cell()).await?;
        Ok(reference.get_cell())
    }

    async fn start_sessions(&self, myself: &ActorRef<SupervisorMessage>) -> Result<ractor::ActorCell, SpawnErr> {
        let reference = self.actors.start().await?;
        reference.get_cell().link(myself.get_cell());
        Ok(reference.get_cell())
    }

    async fn restart(
        &self,
        myself: &ActorRef<SupervisorMessage>,
        failed: &ractor::ActorCell,
        children: &mut Children,
    ) -> Result<(), SpawnErr> {
        let is = |child: Option<&ractor::ActorCell>| child.is_some_and(|child| child.get_id() == failed.get_id());
        if is(children.policy.as_ref().map(ActorRef::get_cell).as_ref()) {
            children.policy = Some(self.start_policy(myself).await?);
        } else if is(children.audit.as_ref()) {
            children.audit = Some(self.start_audit(myself).await?);
        } else if is(children.sessions.as_ref()) {
            children.sessions = Some(self.start_sessions(myself).await?);
        }
        Ok(())
    }
}

impl Actor for Supervisor {
    type Msg = SupervisorMessage;
    type State = Children;
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Self::Msg>, (): ()) -> Result<Children, ActorProcessingErr> {
        Ok(Children {
            policy: Some(self.start_policy(&myself).await?),
            audit: Some(self.start_audit(&myself).await?),
            sessions: Some(self.start_sessions(&myself).await?),
            failures: VecDeque::new(),
        })
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        children: &mut Children,
    ) -> Result<(), ActorProcessingErr> {
        let SupervisionEvent::ActorFailed(failed, cause) = event else { return Ok(()) };
        tracing::error!(%cause, "an actor failed");
        self.shared.counters.restarts.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        children.failures.push_back(now);
        children.failures.retain(|failure| now.duration_since(*failure) < RESTART_WINDOW);
        if children.failures.len() > RESTARTS_MAX {
            tracing::error!("actors fail again and again: the supervisor gives up");
            self.shared.halt(Halt::Actors);
            return Ok(());
        }
        if let Err(cause) = self.restart(&myself, &failed, children).await {
            tracing::error!(%cause, "an actor could not be restarted");
            self.shared.halt(Halt::Actors);
        }
        Ok(())
    }
}
