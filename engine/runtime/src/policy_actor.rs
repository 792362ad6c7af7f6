//! The policy actor: publishes one set after the other.
//!
//! Owns the order of publications. Compiling happens beside it on a blocking thread; the last good
//! set stays in force whatever fails here.

use std::sync::Arc;

use portcullis_model::{Change, ErrorCode, Origin, PolicySetText, Refusal, Revision, SetHash};
use portcullis_policy::{CompileOptions, Diagnostic, PolicyErrors, Snapshot, compile};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::applier::CompiledSets;
use crate::engine::Engine;
use crate::revoke::Appending;
use crate::shared::Shared;
use crate::supervisor::PolicyCell;

/// Publications that may wait for the one that runs; each may hold 32 MiB of text.
const PENDING_MAX: usize = 4;
/// Longest that a publication takes: 100,000 policies compile in under a minute.
const PUBLISH_WAIT_MS_MAX: u64 = 180_000;

/// A policy set that was put in force.
#[derive(Clone, Debug)]
pub struct Published {
    /// Its hash.
    pub hash: SetHash,
    /// From when on decisions use it.
    pub revision: Revision,
    /// How many policies it has.
    pub policies: usize,
    /// What its author should look at.
    pub warnings: Vec<Diagnostic>,
}

/// Why a policy set was not put in force. The last good one stays.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// It does not parse, validate or compile: every mistake with file, line and column.
    #[error("{0}")]
    Invalid(PolicyErrors),
    /// The node cannot publish now.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

pub(crate) enum PolicyMessage {
    Publish {
        engine: Engine,
        text: Box<PolicySetText>,
        by: Origin,
        _permit: OwnedSemaphorePermit,
        reply: RpcReplyPort<Result<Published, PublishError>>,
    },
}

/// How the rest of the engine speaks to the policy actor.
#[derive(Clone)]
pub(crate) struct PolicyHandle {
    actor: Arc<PolicyCell>,
    pending: Arc<Semaphore>,
}

impl PolicyHandle {
    pub(crate) fn new(actor: Arc<PolicyCell>) -> Self {
        Self { actor, pending: Arc::new(Semaphore::new(PENDING_MAX)) }
    }

    async fn publish(&self, engine: Engine, text: PolicySetText, by: Origin) -> Result<Published, PublishError> {
        let permit = Arc::clone(&self.pending)
            .try_acquire_owned()
            .map_err(|_| Refusal::new(ErrorCode::Overloaded, "too many policy sets are being published"))?;
        let message = |reply| PolicyMessage::Publish { engine, text: Box::new(text), by, _permit: permit, reply };
        // Unanswered is not undone: the set may still come into force.
        let gone = || Refusal::new(ErrorCode::Internal, "the policy actor is not there");
        let actor = self.actor.load_full().ok_or_else(gone)?;
        let answer = ractor::call_t!(actor, message, PUBLISH_WAIT_MS_MAX);
        answer.unwrap_or_else(|_| Err(Refusal::new(ErrorCode::Internal, "the policy actor did not answer").into()))
    }
}

impl Engine {
    /// Compiles a policy set and puts it in force everywhere, or changes nothing.
    ///
    /// # Errors
    /// [`PublishError::Invalid`] with every mistake; [`PublishError::Refused`] if the node cannot.
    pub async fn publish_policy(&self, text: PolicySetText, by: Origin) -> Result<Published, PublishError> {
        let bounds = Change::StagePolicy(text);
        self.shared().world.check(&bounds, &portcullis_directory::Earlier::default())?;
        let Change::StagePolicy(text) = bounds else {
            return Err(Refusal::new(ErrorCode::Internal, "no policy set").into());
        };
        self.inner.policy.publish(self.clone(), text, by).await
    }

    /// The text of the policy set in force.
    pub fn active_policy(&self) -> Option<(SetHash, Arc<PolicySetText>)> {
        self.with_folder(portcullis_directory::Folder::active_policy).flatten()
    }
}

pub(crate) struct PolicyActor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) compiled: Arc<CompiledSets>,
    pub(crate) options: CompileOptions,
}

impl Actor for PolicyActor {
    type Msg = PolicyMessage;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Self::Msg>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, _: ActorRef<Self::Msg>, message: Self::Msg, (): &mut ()) -> Result<(), ActorProcessingErr> {
        let PolicyMessage::Publish { engine, text, by, reply, .. } = message;
        let published = self.publish(&engine, *text, by).await;
        if let Err(PublishError::Invalid(errors)) = &published {
            tracing::warn!(%errors, "policy set refused: the last good one stays in force");
        }
        // Nobody may be waiting any more.
        let _ = reply.send(published);
        Ok(())
    }
}

impl PolicyActor {
    async fn publish(&self, engine: &Engine, text: PolicySetText, by: Origin) -> Result<Published, PublishError> {
        let snapshot = self.compile(text.clone()).await?;
        let (hash, policies, warnings) = (snapshot.hash(), snapshot.policy_count(), snapshot.warnings().to_vec());
        self.compiled.add(snapshot);
        let stage = engine.event(by.clone(), Change::StagePolicy(text));
        engine.append(stage).await.map_err(Appending::into_refusal)?;
        let activate = engine.event(by, Change::ActivatePolicy(hash));
        let revision = engine.append(activate).await.map_err(Appending::into_refusal)?;
        engine.wait_effective(revision).await?;
        Ok(Published { hash, revision, policies, warnings })
    }

    async fn compile(&self, text: PolicySetText) -> Result<Arc<Snapshot>, PublishError> {
        let (names, options) = (Arc::clone(self.shared.world.names()), self.options);
        let compiled = tokio::task::spawn_blocking(move || compile(&text, &*names, options)).await;
        match compiled {
            Ok(Ok(snapshot)) => Ok(Arc::new(snapshot)),
            Ok(Err(errors)) => Err(PublishError::Invalid(errors)),
            Err(_) => Err(Refusal::new(ErrorCode::Internal, "the compiler failed").into()),
        }
    }
}
