//! Why a node does not start.

use std::error::Error;
use std::path::PathBuf;

use portcullis_http::BindError;
use portcullis_identity::ConfigMistake;
use portcullis_idp::SourceError;
use portcullis_model::Refusal;
use portcullis_policy::PolicyErrors;
use portcullis_quic::QuicError;
use portcullis_runtime::StartError;

use crate::exit::Exit;
use crate::node::data_dir::DataDirError;
use crate::node::policy_folder::PolicyFolderError;
use crate::output::Failure;
use crate::pki::PkiError;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The data folder.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The admin address.
    #[error(transparent)]
    Admin(#[from] BindError),
    /// The engine: its logs, its snapshot, the policy set in force.
    #[error("the engine does not start")]
    Engine(#[from] StartError),
    /// The folder of policies.
    #[error(transparent)]
    PolicyFolder(#[from] PolicyFolderError),
    /// The policies, where none are in force.
    #[error("no policy set is in force, and that of `{}` is not valid:\n{errors}", .folder.display())]
    Policy {
        /// The folder.
        folder: PathBuf,
        /// Every mistake.
        errors: PolicyErrors,
    },
    /// An identity source.
    #[error("the identity source `{name}` cannot be used")]
    Source {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: SourceError,
    },
    /// The engine took back what was given to it.
    #[error("{what} cannot be put in force: {refusal}")]
    Refused {
        /// What was given.
        what: String,
        /// Its reason.
        refusal: Refusal,
    },
    /// Issuers or clients.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Registrations(Vec<ConfigMistake>),
    /// The QUIC server.
    #[error(transparent)]
    Quic(#[from] QuicError),
    /// Certificates and keys.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A file of the data folder.
    #[error("could not use `{}`", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The configuration has what such a node does not take.
    #[error("{message}")]
    Unfit {
        /// What, and where.
        message: String,
        /// What to do about it.
        fix: &'static str,
    },
    /// The key of session tokens.
    #[error("`{}` is not a key for session tokens", .0.display())]
    SessionKey(PathBuf),
    /// A part's start did not come to an end: a defect of this program.
    #[error("the start of {0} was interrupted")]
    Interrupted(&'static str),
    /// The sample's own data.
    #[error("the sample organisation cannot be read")]
    Sample(#[from] portcullis_sample::SampleError),
}

impl NodeError {
    pub(crate) fn refused(what: impl Into<String>) -> impl FnOnce(Refusal) -> Self {
        let what = what.into();
        |refusal| Self::Refused { what, refusal }
    }

    /// The error with every cause, in one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        let (exit, code, fix) = match &error {
            NodeError::DataDir(DataDirError::InUse(_)) => {
                (Exit::Failure, "data_dir_in_use", "stop the other node, or choose another folder with `--data-dir`")
            }
            NodeError::DataDir(_) => (Exit::Usage, "data_dir", "choose another folder with `--data-dir`"),
            NodeError::Admin(_) => (Exit::Failure, "admin_address", "choose a free address with `--admin`"),
            NodeError::Quic(QuicError::Listen { .. }) => {
                (Exit::Failure, "quic_address", "choose a free address with `--quic`")
            }
            NodeError::Quic(QuicError::Option { .. }) => (Exit::Usage, "config", "correct the configuration"),
            NodeError::Quic(QuicError::Engine(_) | QuicError::Spawn(_)) => {
                (Exit::Failure, "quic", "look at the limits on threads and files: `ulimit -a`")
            }
            NodeError::Pki(PkiError::File { .. }) => {
                (Exit::Usage, "file", "look at the file and its folder, and who may write there")
            }
            NodeError::Quic(_) | NodeError::Pki(_) => (Exit::Usage, "tls", "look at the certificates and keys"),
            NodeError::Engine(_) => (
                Exit::Failure,
                "engine",
                "nothing was repaired: restore the file that the message names, or its folder",
            ),
            NodeError::Policy { .. } => {
                (Exit::PolicyInvalid, "policy_invalid", "correct the policies, then start again")
            }
            NodeError::PolicyFolder(_) => (Exit::Usage, "policy_folder", "look at the folder of policies"),
            NodeError::Source { .. } => (Exit::Usage, "source", "correct the file that the source reads"),
            NodeError::Refused { refusal, .. } => (Exit::from(refusal.code), refusal.code.code(), refusal.code.fix()),
            NodeError::Registrations(_) => (Exit::Usage, "config", "correct the configuration"),
            NodeError::Unfit { fix, .. } => (Exit::Usage, "config", *fix),
            NodeError::File { .. } => (Exit::Failure, "file", "look at the file and its folder"),
            NodeError::SessionKey(_) => {
                (Exit::Failure, "session_key", "move the file away: sessions of before cannot be resumed then")
            }
            NodeError::Interrupted(_) => (Exit::Failure, "internal", "report it with the node's log"),
            NodeError::Sample(_) => (Exit::Failure, "sample", "report it: the program's own data is damaged"),
        };
        Self::new(exit, code, error.chain(), fix)
    }
}
