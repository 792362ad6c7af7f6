//! A whole engine that holds a generated organisation.

use std::path::Path;
use std::sync::Arc;

use portcullis_audit::FileSystem;
use portcullis_log::LogOptions;
use portcullis_model::limits::SESSIONS_MAX;
use portcullis_model::{Origin, Refusal};
use portcullis_policy::{CompileOptions, OnError, Validation};
use portcullis_runtime::{AuditMode, Classes, Clock, Engine, EngineOptions, PublishError, StartError};

use crate::organisation::Organisation;

/// Changes applied at a time: enough to fill a batch, few enough for the log's queue.
const CHANGES_AT_A_TIME: usize = 2_048;

/// Why an engine does not come up with its organisation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FixtureError {
    /// It does not start.
    #[error("the engine does not start")]
    Start(#[from] StartError),
    /// The generated policies are not accepted.
    #[error("the generated policies are not accepted")]
    Publish(#[from] PublishError),
    /// The generated directory is not accepted.
    #[error("the generated directory is not accepted")]
    Refused(#[from] Refusal),
}

/// Options of an engine in `folder` as a node has them, without session tokens.
pub fn engine_options(folder: &Path, audit_mode: AuditMode) -> EngineOptions {
    EngineOptions {
        folder: folder.to_owned(),
        audit_mode,
        classes: Classes::default(),
        compile: CompileOptions { validation: Validation::Strict, on_error: OnError::Deny },
        tokens: None,
        sessions_max: SESSIONS_MAX,
        clock: Clock::System,
        log: LogOptions::default(),
        audit_disk: Arc::new(FileSystem),
        progress: Arc::new(|_| {}),
    }
}

/// Starts an engine in `folder` and loads the organisation. Needs a multi-threaded tokio runtime.
///
/// # Errors
/// [`FixtureError`].
pub async fn start(folder: &Path, audit_mode: AuditMode, organisation: &Organisation) -> Result<Engine, FixtureError> {
    let engine = Engine::start(engine_options(folder, audit_mode)).await?;
    load(&engine, organisation).await?;
    Ok(engine)
}

/// Publishes an organisation's policies and applies its directory.
///
/// # Errors
/// [`FixtureError::Publish`] or [`FixtureError::Refused`].
pub async fn load(engine: &Engine, organisation: &Organisation) -> Result<(), FixtureError> {
    engine.publish_policy(organisation.policy_set(), Origin::Node).await?;
    let mut changes = organisation.changes().peekable();
    while changes.peek().is_some() {
        let some = changes.by_ref().take(CHANGES_AT_A_TIME).collect();
        engine.apply(some, Origin::Node).await?;
    }
    Ok(())
}
