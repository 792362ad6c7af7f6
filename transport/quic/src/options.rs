//! How a server is started.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::QuicError;

/// How a server listens.
#[derive(Clone)]
pub struct QuicOptions {
    /// Where the first worker listens; each further one takes the next port. Port 0 is any free one.
    pub address: SocketAddr,
    /// Worker threads, 1 to 16. Default 1: one core decides what many clients ask.
    pub workers: usize,
    /// The node's certificate and key.
    pub tls: TlsIdentity,
    /// Who may have issued client certificates; `None` accepts none. Bearer tokens are accepted
    /// either way.
    pub client_ca: Option<Vec<CertificateDer<'static>>>,
    /// What is bounded.
    pub limits: QuicLimits,
    /// When session tokens are issued.
    pub tokens: TokenIssue,
    /// Whether several packets are handed to the system at once. Default yes; some drivers lose them.
    pub segmentation_offload: bool,
    /// Where everything runs that takes longer than a decision; must be multi-threaded.
    pub control: tokio::runtime::Handle,
}

impl QuicOptions {
    /// Options with every default, for a certificate and the control runtime.
    pub fn new(address: SocketAddr, tls: TlsIdentity, control: tokio::runtime::Handle) -> Self {
        Self {
            address,
            workers: 1,
            tls,
            client_ca: None,
            limits: QuicLimits::default(),
            tokens: TokenIssue::default(),
            segmentation_offload: true,
            control,
        }
    }

    pub(crate) fn check(&self) -> Result<(), QuicError> {
        let wrong = |option, range| Err(QuicError::Option { option, range });
        if !(1..=WORKERS_MAX).contains(&self.workers) {
            return wrong("workers", "1 to 16");
        }
        if self.limits.connections_max == 0 || self.limits.connections_max > CONNECTIONS_MAX {
            return wrong("connections_max", "1 to 2048");
        }
        if self.limits.handshakes_max == 0 || self.limits.connections_per_address_max == 0 {
            return wrong("handshakes_max", "at least 1");
        }
        Ok(())
    }
}

/// When clients get what resumes a session on another connection. A session that has a token ends by
/// an event in the log; one that has none ends with its connection, and costs no signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenIssue {
    /// With every session.
    AtOpen,
    /// When the client refreshes the session.
    #[default]
    AtRefresh,
}

/// What a server bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuicLimits {
    /// Most connections of all workers, at most 2,048.
    pub connections_max: usize,
    /// Most connections of one address (IPv6: of one /64 network), handshakes included.
    pub connections_per_address_max: usize,
    /// Most handshakes at a time; further ones wait, and from a quarter of it on unknown addresses
    /// must show that they are where they say.
    pub handshakes_max: usize,
    /// Longest handshake, and then longest wait for the hello.
    pub handshake_timeout: Duration,
    /// Handshakes that one address may begin at once; a quarter of it comes back every second.
    pub handshakes_per_address_burst: u32,
    /// Most memory that all connections may take in the transport.
    pub transport_bytes_max: u64,
}

impl Default for QuicLimits {
    fn default() -> Self {
        Self {
            connections_max: CONNECTIONS_MAX,
            connections_per_address_max: CONNECTIONS_MAX / 2,
            handshakes_max: 64,
            handshake_timeout: Duration::from_secs(5),
            handshakes_per_address_burst: 1_024,
            transport_bytes_max: 4 << 30,
        }
    }
}

/// The certificate that a node shows, and its key.
pub struct TlsIdentity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl TlsIdentity {
    /// An identity from its parts, the node's own certificate first.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Self {
        Self { chain, key }
    }

    /// An identity from PEM texts.
    ///
    /// # Errors
    /// [`QuicError::Pem`].
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, QuicError> {
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| QuicError::Pem("private key"))?;
        Ok(Self { chain: certificates(chain)?, key })
    }

    /// An identity from PEM files.
    ///
    /// # Errors
    /// [`QuicError::File`] naming the file, [`QuicError::Pem`] for one without certificates.
    pub fn from_pem_files(chain: &Path, key: &Path) -> Result<Self, QuicError> {
        let of = |path: &Path| {
            let path = path.to_owned();
            move |source| QuicError::File { path, source }
        };
        let certificates = CertificateDer::pem_file_iter(chain).map_err(of(chain))?;
        let list = certificates.collect::<Result<Vec<_>, _>>().map_err(of(chain))?;
        if list.is_empty() {
            return Err(QuicError::Pem("certificate file"));
        }
        Ok(Self { chain: list, key: PrivateKeyDer::from_pem_file(key).map_err(of(key))? })
    }
}

impl Clone for TlsIdentity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

/// Keys are secrets and not shown.
impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for QuicOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuicOptions")
            .field("address", &self.address)
            .field("workers", &self.workers)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Every certificate of a PEM text.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, QuicError> {
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    list.ok().filter(|list| !list.is_empty()).ok_or(QuicError::Pem("certificate"))
}

/// BOUND: each takes a decider, of which an engine has 64, and is of use only with a core to itself.
pub(crate) const WORKERS_MAX: usize = 16;
/// BOUND: with the windows of [`crate::tls`] it keeps the transport below 4 GiB.
pub(crate) const CONNECTIONS_MAX: usize = 2_048;
