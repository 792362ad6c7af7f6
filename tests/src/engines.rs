//! Engines in process, with real logs in a temporary folder.

use std::path::Path;
use std::sync::Arc;

use portcullis_audit::FileSystem;
use portcullis_idp::{Mapping, diff, parse};
use portcullis_log::LogOptions;
use portcullis_model::{Change, Origin, SessionTerms, Timestamp};
use portcullis_policy::{CompileOptions, OnError, Validation};
use portcullis_runtime::{AuditMode, Classes, Clock, Engine, EngineOptions};
use tempfile::TempDir;

use crate::names::{file_source, uid};

/// How a live engine compiles its policies.
pub const LIVE: CompileOptions = CompileOptions { validation: Validation::Strict, on_error: OnError::Deny };

/// The options of an engine in `folder`.
pub fn options(folder: &Path, compile: CompileOptions) -> EngineOptions {
    EngineOptions {
        folder: folder.to_owned(),
        audit_mode: AuditMode::ByClass,
        classes: Classes::default(),
        compile,
        tokens: None,
        sessions_max: 100_000,
        clock: Clock::System,
        log: LogOptions::default(),
        audit_disk: Arc::new(FileSystem),
        progress: Arc::new(|_| {}),
    }
}

/// Starts an engine as a live node would.
pub async fn start(folder: &Path) -> Engine {
    Engine::start(options(folder, LIVE)).await.unwrap_or_else(|cause| panic!("{cause}"))
}

/// An engine that holds the sample organisation.
pub async fn sample() -> (TempDir, Engine) {
    let folder = TempDir::new().unwrap();
    let engine = start(folder.path()).await;
    engine.publish_policy(portcullis_sample::policy_set(), Origin::Node).await.unwrap();
    engine.apply(sample_changes(), Origin::Node).await.unwrap();
    (folder, engine)
}

/// What makes an empty engine hold the sample's directory, resources and grants.
pub fn sample_changes() -> Vec<Change> {
    let directory = parse(portcullis_sample::directory_json().as_bytes(), &Mapping::default()).unwrap();
    let mut changes = diff(None, &directory, &file_source()).changes;
    changes.extend(portcullis_sample::resources().unwrap().into_iter().map(Change::PutEntity));
    changes.extend(portcullis_sample::grants().unwrap().into_iter().map(Change::Grant));
    changes
}

/// Terms of a session that ends only by a change.
pub fn terms(subject: &str, agents: &[&str]) -> SessionTerms {
    SessionTerms {
        subject: uid(subject),
        agents: agents.iter().map(|agent| uid(agent)).collect(),
        expires: Timestamp::MAX,
    }
}
