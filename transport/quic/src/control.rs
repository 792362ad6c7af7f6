//! Calls on the control runtime, administrative ones among them, and their way back to the lane.

use std::sync::Arc;

use portcullis_audit::{Entry, EntryKind};
use portcullis_model::{ErrorCode, Refusal};
use portcullis_wire::admin::{AdminReply, AdminRequest, chunks};
use portcullis_wire::frames::{ClosedV1, DecisionV1, OpenedV1};
use portcullis_wire::{Flags, FrameKind, Role};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::ask::Ask;
use crate::connection::Link;
use crate::worker::Worker;

/// What other tasks bring to a lane.
pub(crate) enum Inbound {
    /// A question whose revision has come, or was waited for long enough.
    Again(Ask),
    /// The answer of a control call.
    Answered { corr: u32, answered: Answered, permits: Permits },
}

/// The answer of a control call.
pub(crate) enum Answered {
    Opened(Box<OpenedV1>),
    Denied(Box<DecisionV1>),
    Closed(ClosedV1),
    Refused(Refusal),
    /// An administrative reply as JSON.
    Admin(Vec<u8>),
}

/// Held from a call's beginning until its answer is in the lane's outbox.
pub(crate) struct Permits {
    _link: OwnedSemaphorePermit,
    _node: OwnedSemaphorePermit,
}

impl Permits {
    pub(crate) fn new(link: OwnedSemaphorePermit, node: OwnedSemaphorePermit) -> Self {
        Self { _link: link, _node: node }
    }
}

/// An administrative reply that is being written.
pub(crate) struct Parcel {
    pub(crate) corr: u32,
    pub(crate) json: Vec<u8>,
    /// Chunks that are written.
    pub(crate) sent: usize,
    #[expect(dead_code, reason = "held until the parcel is written")]
    pub(crate) permits: Permits,
}

impl Parcel {
    /// The next chunk and its flags.
    pub(crate) fn next(&self) -> (Flags, &[u8]) {
        chunks(FrameKind::AdminReply, &self.json).nth(self.sent).unwrap_or((Flags::NONE, &[]))
    }
}

/// A call under way. If its task fails, the client is told so.
pub(crate) struct Call {
    corr: u32,
    sender: mpsc::UnboundedSender<Inbound>,
    permits: Option<Permits>,
}

impl Call {
    pub(crate) fn new(corr: u32, sender: mpsc::UnboundedSender<Inbound>, permits: Permits) -> Self {
        Self { corr, sender, permits: Some(permits) }
    }

    pub(crate) fn answer(mut self, answered: Answered) {
        self.send(answered);
    }

    fn send(&mut self, answered: Answered) {
        if let Some(permits) = self.permits.take() {
            // A lane that is gone needs no answer.
            let _ = self.sender.send(Inbound::Answered { corr: self.corr, answered, permits });
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.send(Answered::Refused(Refusal::new(ErrorCode::Internal, "the call has failed")));
    }
}

/// Carries out an administrative call.
pub(crate) async fn admin(worker: Arc<Worker>, link: Arc<Link>, json: Vec<u8>) -> Answered {
    let request = match AdminRequest::from_json(&json) {
        Ok(request) => request,
        Err(error) => return Answered::Refused(error.to_refusal()),
    };
    drop(json);
    if !link.role.covers(request.needed_role()) {
        return Answered::Refused(role_refused(&worker, &link, request.operation(), request.needed_role()));
    }
    let reply = worker.doors.admin.call(Arc::clone(&link.registration), request).await;
    // A refusal travels whole: what is wrong with a policy set may be long.
    match reply.unwrap_or_else(AdminReply::Refused).to_json() {
        Ok(json) if json.len() <= portcullis_wire::limits::ADMIN_BYTES_MAX => Answered::Admin(json),
        Ok(_) => Answered::Refused(Refusal::new(ErrorCode::TooLarge, "the reply is too long: ask for less")),
        Err(error) => Answered::Refused(error.to_refusal()),
    }
}

/// Refuses, and records, what the client's role does not cover.
pub(crate) fn role_refused(worker: &Worker, link: &Link, operation: &str, needed: Role) -> Refusal {
    let words = format!("`{operation}` needs a client of role `{needed}`, and this one is `{}`", link.role);
    record(worker, link, ErrorCode::NotPermitted, &words);
    Refusal::new(ErrorCode::NotPermitted, words)
}

/// Records a refusal.
pub(crate) fn record(worker: &Worker, link: &Link, code: ErrorCode, why: &str) {
    let entry = Entry {
        code: Some(code),
        client: Some(link.registration.name.clone()),
        detail: Some(serde_json::json!({ "why": why })),
        ..Entry::new(EntryKind::Refused, worker.engine.now())
    };
    // It is refused either way; a full queue counts what it did not take.
    let _ = worker.engine.record(&entry);
}
