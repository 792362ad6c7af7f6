//! Administrative calls: what the command line asks of a node, as JSON in chunks.
//!
//! A call is the concatenated payloads of [`crate::FrameKind::Admin`] frames with one correlation
//! number, every one but the last flagged [`crate::Flags::MORE`]; its reply likewise in
//! [`crate::FrameKind::AdminReply`] frames.

mod chunks;
mod question;
mod records;
mod reply;
mod request;
mod state;

pub use chunks::{AdminAssembler, chunks};
pub use question::{
    DecisionReport, DelegationStep, PassOutcome, PolicyFault, PrincipalPass, Question, REPORT_SCHEMA_VERSION,
};
pub use records::{AuditFilter, AuditPage, AuditQuery, AuditTail};
pub use reply::{AdminReply, Enforcement, PolicyPushed, Revoked};
pub use request::{AdminRequest, DelegateOrder, GrantOrder, PrincipalKind, RevokeTarget};
pub use state::{
    EntityPage, EntityQuery, EntityView, GrantPage, GrantQuery, GrantView, PolicyView, SessionPage, SessionQuery,
    SessionView, Status,
};
