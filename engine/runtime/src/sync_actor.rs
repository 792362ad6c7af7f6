//! Sync actors: one for each identity source, turning what it says into changes.
//!
//! Owns the source and what it has said so far. A reading that fails changes nothing.

use std::path::PathBuf;

use portcullis_idp::{FullState, Pokes, Source, SourceError, Status, diff};
use portcullis_model::{EntityUid, ErrorCode, Origin, Refusal, SourceName};
use ractor::{Actor, ActorProcessingErr, ActorRef};

use crate::engine::Engine;
use crate::start::write_file;

/// Changes of one reading that are appended together before their effect is waited for.
const CHANGES_PER_APPEND: usize = 1_024;

pub(crate) enum SyncMessage {
    /// The source may have changed.
    Poke,
}

pub(crate) struct SyncActor {
    engine: Engine,
    name: SourceName,
    /// Where the names that this source has brought are kept, so that a restart knows who is missing.
    names_file: PathBuf,
}

pub(crate) struct SyncState {
    source: Option<Box<dyn Source>>,
    baseline: Option<FullState>,
}

impl Actor for SyncActor {
    type Msg = SyncMessage;
    type State = SyncState;
    type Arguments = (Box<dyn Source>, Pokes, Option<FullState>);

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        (source, mut pokes, baseline): Self::Arguments,
    ) -> Result<SyncState, ActorProcessingErr> {
        // The channel holds one poke: more of them while a reading runs are one more reading. The
        // task ends with the actor, whose mailbox then refuses.
        tokio::spawn(async move {
            while pokes.recv().await.is_some() {
                if myself.cast(SyncMessage::Poke).is_err() {
                    break;
                }
            }
        });
        Ok(SyncState { source: Some(source), baseline })
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut SyncState,
    ) -> Result<(), ActorProcessingErr> {
        let SyncMessage::Poke = message;
        let Some(source) = state.source.take() else { return Ok(()) };
        let (source, read) = read(source).await.ok_or("reading the source failed")?;
        state.source = Some(source);
        let applied = match read {
            Ok(next) => self.apply(state.baseline.as_ref(), &next).await,
            Err(cause) => Err(refused(&cause)),
        };
        match applied {
            Ok(baseline) => state.baseline = Some(baseline),
            Err(cause) => {
                tracing::error!(source = %self.name, %cause, "identity source not applied: what it said before stays");
            }
        }
        Ok(())
    }
}

impl SyncActor {
    /// Applies what changed, and returns what to compare the next reading with.
    async fn apply(&self, baseline: Option<&FullState>, next: &FullState) -> Result<FullState, Refusal> {
        let found = diff(baseline, next, &self.name);
        for held in &found.held {
            tracing::warn!(source = %self.name, "{held}");
        }
        for changes in found.changes.chunks(CHANGES_PER_APPEND) {
            self.engine.apply(changes.to_vec(), Origin::Source(self.name.clone())).await?;
        }
        self.remember(&found.baseline);
        tracing::info!(source = %self.name, changes = found.changes.len(), "identity source applied");
        Ok(found.baseline)
    }

    fn remember(&self, baseline: &FullState) {
        let names: Vec<_> = baseline.entities().keys().collect();
        let written = serde_json::to_vec(&names).map_err(std::io::Error::other);
        if let Err(cause) = written.and_then(|bytes| write_file(&self.names_file, &bytes)) {
            tracing::error!(source = %self.name, %cause, "the names of an identity source could not be kept");
        }
    }

    /// What the directory holds of this source.
    fn stored(&self, next: &FullState) -> FullState {
        let kept = std::fs::read(&self.names_file).ok();
        let kept: Vec<EntityUid> = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let mut names: Vec<_> = next.entities().keys().cloned().chain(kept).collect();
        names.sort_unstable();
        names.dedup();
        let stored: Vec<_> = names.iter().filter_map(|name| self.engine.entity(name)).collect();
        let status: Vec<_> =
            stored.iter().map(|(record, standing)| (record.uid.clone(), Status::of(*standing))).collect();
        FullState::new(stored.into_iter().map(|(record, _)| record), status)
    }
}

/// Reads on a blocking thread; `None` if the reading panicked.
async fn read(mut source: Box<dyn Source>) -> Option<(Box<dyn Source>, Result<FullState, SourceError>)> {
    let task = tokio::task::spawn_blocking(move || {
        let read = source.read();
        (source, read)
    });
    task.await.ok()
}

fn refused(cause: &SourceError) -> Refusal {
    Refusal::new(ErrorCode::BadRequest, cause.to_string())
}

impl Engine {
    /// Starts the sync actor of a source. What the source says has been applied when this returns.
    ///
    /// # Errors
    /// A refusal if the source cannot be read or what it says cannot be applied.
    pub async fn start_source(&self, source: Box<dyn Source>) -> Result<(), Refusal> {
        let name = source.name().clone();
        let names_file = self.inner.running.folder.join(format!("source-{name}.json"));
        let actor = SyncActor { engine: self.clone(), name, names_file };
        let pokes = source.watch().map_err(|cause| refused(&cause))?;
        let failed = || Refusal::new(ErrorCode::Internal, "reading the source failed");
        let (source, next) = read(source).await.ok_or_else(failed)?;
        let next = next.map_err(|cause| refused(&cause))?;
        let baseline = actor.apply(Some(&actor.stored(&next)), &next).await?;
        self.inner.running.supervise_sync(actor, (source, pokes, Some(baseline))).await
    }
}
