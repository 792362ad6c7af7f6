//! Why a server does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use portcullis_model::Refusal;

/// Why a server does not start. All of them are the operator's to mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuicError {
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A certificate or key file cannot be read.
    #[error("`{}` is not a readable certificate or key file", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// A text is not what its PEM blocks should be.
    #[error("the {0} is not PEM, or has no block of its kind")]
    Pem(&'static str),
    /// Certificate and key do not fit TLS 1.3, or each other.
    #[error("the certificate and key cannot be used")]
    Tls(#[source] rustls::Error),
    /// The authority for client certificates cannot be used.
    #[error("the authority for client certificates cannot be used")]
    ClientAuthority(#[source] rustls::server::VerifierBuilderError),
    /// An option is outside its range.
    #[error("`{option}` is not {range}")]
    Option {
        /// The option.
        option: &'static str,
        /// Its range, in words.
        range: &'static str,
    },
    /// The engine gives no decider, or its audit log no wake.
    #[error("the engine takes no more workers")]
    Engine(#[source] Refusal),
    /// A thread or runtime cannot be started.
    #[error("a worker cannot be started")]
    Spawn(#[source] io::Error),
}
