//! Whom the server asks: who a caller is, and what an administrative call does.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use portcullis_identity::{Registration, Registry, TokenVerifier};
use portcullis_model::Refusal;
use portcullis_wire::Role;
use portcullis_wire::admin::{AdminReply, AdminRequest};

/// An administrative call under way.
pub type AdminFuture = Pin<Box<dyn Future<Output = Result<AdminReply, Refusal>> + Send>>;

/// Carries out administrative calls.
pub trait AdminService: Send + Sync {
    /// Carries out one call on the control runtime. The caller's role has been checked against
    /// [`AdminRequest::needed_role`], and a refusal for it recorded.
    fn call(&self, caller: Arc<Registration>, request: AdminRequest) -> AdminFuture;
}

/// What stands between a connection and the engine.
#[derive(Clone)]
pub struct Doors {
    /// The registered clients.
    pub registry: Arc<Registry>,
    /// The issuers of tokens that prove subjects and agents.
    pub verifier: Arc<TokenVerifier>,
    /// Carries out administrative calls.
    pub admin: Arc<dyn AdminService>,
    /// The node's id, at most 128 bytes.
    pub node_id: String,
}

impl fmt::Debug for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doors").field("node_id", &self.node_id).finish_non_exhaustive()
    }
}

/// The role of a registration, as the wire names it.
pub(crate) fn role_of(registration: &Registration) -> Role {
    match registration.role {
        portcullis_identity::Role::Platform => Role::Platform,
        portcullis_identity::Role::Pep => Role::Pep,
        portcullis_identity::Role::Auditor => Role::Auditor,
        portcullis_identity::Role::Operator => Role::Operator,
    }
}
