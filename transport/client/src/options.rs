//! How to reach a node and how to wait for it.

use std::sync::Arc;
use std::time::Duration;

use portcullis_wire::frames::SubscribeScope;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// What proves the client's registration to the node.
#[non_exhaustive]
pub enum Credential {
    /// A client certificate and its key.
    Certificate {
        /// The chain, the client's own certificate first.
        chain: Vec<CertificateDer<'static>>,
        /// The key.
        key: PrivateKeyDer<'static>,
    },
    /// A bearer token.
    Token(String),
}

impl Clone for Credential {
    fn clone(&self) -> Self {
        match self {
            Self::Certificate { chain, key } => Self::Certificate { chain: chain.clone(), key: key.clone_key() },
            Self::Token(token) => Self::Token(token.clone()),
        }
    }
}

/// Credentials are secrets and not shown.
impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Certificate { .. } => "Certificate(…)",
            Self::Token(_) => "Token(…)",
        })
    }
}

/// How to reach a node and how to wait for it. Every field may be changed before connecting.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientOptions {
    /// Host and UDP port, for example `127.0.0.1:7443`.
    pub address: String,
    /// The name that the node's certificate must bear.
    pub server_name: String,
    /// The certificates that may have issued the node's; no others are trusted.
    pub roots: Vec<CertificateDer<'static>>,
    /// What proves this client.
    pub credential: Credential,
    /// The cryptography of TLS. Used for this client only; never installed for the process.
    pub provider: Arc<CryptoProvider>,
    /// The client's name in the node's logs; proves nothing.
    pub name: String,
    /// Lanes to use, 1 to 4, at most what the node allows. Default 2: one lost packet stalls one.
    pub lanes: usize,
    /// Longest wait for a decision, or for a session to open. Default 1 s.
    pub deadline: Duration,
    /// Longest wait for an administrative reply. Default 60 s: publishing policies takes time.
    pub admin_deadline: Duration,
    /// Longest wait for a connection, welcome included. Default 5 s.
    pub connect_timeout: Duration,
    /// What the node shall tell unasked.
    pub subscribe: SubscribeScope,
}

impl ClientOptions {
    /// Options with every default, and aws-lc-rs for TLS.
    pub fn new(
        address: impl Into<String>,
        server_name: impl Into<String>,
        roots: Vec<CertificateDer<'static>>,
        credential: Credential,
    ) -> Self {
        Self {
            address: address.into(),
            server_name: server_name.into(),
            roots,
            credential,
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
            name: env!("CARGO_PKG_NAME").into(),
            lanes: 2,
            deadline: Duration::from_secs(1),
            admin_deadline: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(5),
            subscribe: SubscribeScope::OwnSessions,
        }
    }
}
