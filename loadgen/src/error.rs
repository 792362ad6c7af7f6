//! Why a measurement cannot be made.

use std::path::PathBuf;

use portcullis_benches::FixtureError;
use portcullis_client::{ConnectError, DecideError, OptionsError};
use portcullis_model::Refusal;
use portcullis_wire::WireError;

/// Why a measurement cannot be made. Errors of single requests are counted instead.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// A file or folder cannot be used.
    #[error("could not use `{}`", .path.display())]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A child process does not do what it should.
    #[error("the {what} process {problem}")]
    Child { what: &'static str, problem: String },
    /// The engine in this process does not come up.
    #[error(transparent)]
    Fixture(#[from] FixtureError),
    /// The engine in this process refuses.
    #[error("the engine refuses")]
    Refused(#[from] Refusal),
    /// The node refuses what must succeed before anything is measured.
    #[error("the node refuses to {what}: {refusal}")]
    NodeRefuses { what: &'static str, refusal: Refusal },
    /// `client.toml` cannot be used.
    #[error("the client file cannot be used")]
    Options(#[from] OptionsError),
    /// The administrative connection does not come up.
    #[error("the operator's connection does not come up")]
    Connect(#[from] ConnectError),
    /// An administrative call fails.
    #[error("the operator's call fails")]
    Call(#[from] DecideError),
    /// The node cannot be reached.
    #[error("could not connect to `{address}`: {problem}")]
    Unreachable { address: String, problem: String },
    /// The connection was lost.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// The node breaks the protocol.
    #[error("the node breaks the protocol")]
    Protocol(#[from] WireError),
    /// A runtime or thread cannot be started.
    #[error("a thread cannot be started")]
    Thread(#[source] std::io::Error),
    /// A thread that sends has ended early.
    #[error("a sending thread has ended")]
    ThreadGone,
    /// The sample cannot be read.
    #[error("the sample cannot be read")]
    Sample(#[from] portcullis_sample::SampleError),
    /// Settings that exclude each other.
    #[error("{0}")]
    Settings(&'static str),
}

impl LoadError {
    /// The message and its causes.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }

    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        |source| Self::File { path, source }
    }
}
