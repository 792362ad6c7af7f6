//! Opening sessions, resuming them, refreshing and ending them: on the control runtime.

use std::sync::Arc;
use std::time::Duration;

use portcullis_cells::Handle;
use portcullis_identity::{Demand, Proof, ProofError, Proven, ProvenPrincipal, Prover};
use portcullis_model::limits::SESSION_LIFE_MAX;
use portcullis_model::{Decision, DecisionId, ErrorCode, Origin, Reason, Refusal, SessionTerms, Verdict};
use portcullis_runtime::{Issued, IssuedToken, OpenError, OpenedSession};
use portcullis_wire::Role;
use portcullis_wire::frames::{ClosedV1, DecisionV1, OpenV1, OpenedV1, ProofV1, RefreshV1, Want};

use crate::connection::Link;
use crate::control::{Answered, record, role_refused};
use crate::lock::held;
use crate::options::TokenIssue;
use crate::sessions::Reserved;
use crate::worker::Worker;

/// Proves and opens a session.
pub(crate) async fn open(worker: Arc<Worker>, link: Arc<Link>, frame: OpenV1) -> Answered {
    match try_open(&worker, &link, &frame).await {
        Ok(opened) => Answered::Opened(Box::new(opened)),
        Err(OpenError::Denied(reason)) => Answered::Denied(Box::new(denied(&worker, reason))),
        Err(OpenError::Refused(refusal)) => Answered::Refused(refusal),
    }
}

async fn try_open(worker: &Worker, link: &Link, frame: &OpenV1) -> Result<OpenedV1, OpenError> {
    if !link.role.covers(Role::Platform) {
        return Err(role_refused(worker, link, "open", Role::Platform).into());
    }
    if !worker.is_running() {
        return Err(Refusal::new(ErrorCode::ShuttingDown, "the node is stopping").into());
    }
    if let portcullis_wire::frames::Proof::Session(token) = proof(&frame.subject)? {
        return resume(worker, link, &token);
    }
    let subject = proof_of(&frame.subject)?;
    let agents = frame.agents.iter().map(proof_of).collect::<Result<Vec<_>, _>>()?;
    let proven = prove(worker, link, &subject, &agents).await?;
    let life = match frame.life_ms {
        0 => SESSION_LIFE_MAX,
        wanted => Duration::from_millis(wanted).min(SESSION_LIFE_MAX),
    };
    let terms = proven.terms(worker.engine.now().plus(life));
    let reserved = reserve(link, &terms)?;
    let agents = proven.agents().iter().map(ProvenPrincipal::issued).collect();
    let issued = Issued { subject: proven.subject().issued(), agents };
    let opened = match worker.engine.open_proven(&terms, &issued, &link.registration.name) {
        Ok(opened) => opened,
        Err(error) => {
            held(&link.table).sessions.release(&reserved);
            return Err(error);
        }
    };
    attach(worker, link, reserved, &opened, &terms, worker.tokens)
}

/// Opens the session of a token again, on this connection.
fn resume(worker: &Worker, link: &Link, token: &str) -> Result<OpenedV1, OpenError> {
    let resumed = worker.engine.resume_session(token, &link.registration.name).inspect_err(|error| {
        if let OpenError::Refused(refusal) = error {
            record(worker, link, refusal.code, &refusal.message);
        }
    })?;
    let close = || worker.engine.close_session(resumed.handle);
    let gone = || Refusal::of_field(ErrorCode::UnknownHandle, "session", "the session is over");
    let view = worker.engine.session(resumed.handle).ok_or_else(gone)?;
    let terms = SessionTerms { subject: view.subject, agents: view.agents, expires: view.expires };
    let reserved = reserve(link, &terms).inspect_err(|_| {
        close();
    })?;
    let opened = attach(worker, link, reserved, &resumed, &terms, TokenIssue::AtOpen)?;
    // What ended before the connection had the session was not told to it.
    match worker.engine.session(resumed.handle).and_then(|view| view.ended) {
        None => Ok(opened),
        Some(reason) => {
            held(&link.table).sessions.remove(opened.handle);
            close();
            Err(OpenError::Denied(reason))
        }
    }
}

/// A place among the connection's sessions, so that from now on it is told what ends.
fn reserve(link: &Link, terms: &SessionTerms) -> Result<Reserved, Refusal> {
    let full = || Refusal::new(ErrorCode::Overloaded, "the connection has as many sessions as it may");
    held(&link.table).sessions.reserve(&terms.subject, &terms.agents).ok_or_else(full)
}

/// Gives an open session to the connection; one that is over meanwhile gets none.
fn attach(
    worker: &Worker,
    link: &Link,
    reserved: Reserved,
    opened: &OpenedSession,
    terms: &SessionTerms,
    tokens: TokenIssue,
) -> Result<OpenedV1, OpenError> {
    let attached = held(&link.table).sessions.attach(reserved, opened.handle, opened.id);
    let Some(handle) = attached else {
        worker.engine.close_session(opened.handle);
        return Err(Refusal::new(ErrorCode::ShuttingDown, "the connection is over").into());
    };
    let token = match tokens {
        TokenIssue::AtOpen => issue(worker, opened.handle).inspect_err(|_| {
            held(&link.table).sessions.remove(handle);
            worker.engine.close_session(opened.handle);
        })?,
        TokenIssue::AtRefresh => None,
    };
    let (token, token_expires) = token.map_or((String::new(), opened.expires), |token| (token.token, token.expires));
    Ok(OpenedV1 {
        handle,
        session: opened.id.to_bytes(),
        token,
        token_expires_ms: token_expires.as_millis(),
        expires_ms: opened.expires.as_millis(),
        born_epoch: opened.born_at.epoch,
        born_seq: opened.born_at.seq,
        subject: terms.subject.to_string(),
        agents: terms.agents.iter().map(ToString::to_string).collect(),
    })
}

/// A token for a session; `None` from an engine that has no key, or for a session that has died, which
/// its next question tells.
fn issue(worker: &Worker, handle: Handle) -> Result<Option<IssuedToken>, Refusal> {
    match worker.engine.session_token(handle) {
        Ok(token) => Ok(Some(token)),
        Err(refusal) if matches!(refusal.code, ErrorCode::Conflict | ErrorCode::NotPermitted) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// Ends a session of which a token exists: its end is in the log when this returns.
pub(crate) async fn end(worker: Arc<Worker>, link: Arc<Link>, handle: Handle) -> Answered {
    let by = Origin::Admin(link.registration.name.clone());
    match worker.engine.end_session(handle, by).await {
        Ok(_) => {
            let effective = worker.engine.effective();
            Answered::Closed(ClosedV1 { epoch: effective.epoch, seq: effective.seq })
        }
        Err(refusal) => Answered::Refused(refusal),
    }
}

/// A dead subject or agent is a decision. It is recorded as a session that was not opened, under no
/// decision's id.
fn denied(worker: &Worker, reason: Reason) -> DecisionV1 {
    let id = DecisionId::from_bytes([0; 16]);
    let decision = Decision::new(id, Verdict::Deny, reason, Vec::new(), worker.engine.effective());
    DecisionV1 { node_ns: crate::node_clock::node_ns(), ..DecisionV1::new(&decision, Want::Verdict) }
}

/// Issues a session's token anew and, with proofs, makes sure that they still hold. The session's end
/// does not move: for a longer stay the client opens another.
pub(crate) async fn refresh(worker: Arc<Worker>, link: Arc<Link>, frame: RefreshV1) -> Answered {
    match try_refresh(&worker, &link, &frame).await {
        Ok(opened) => Answered::Opened(Box::new(opened)),
        Err(refusal) => Answered::Refused(refusal),
    }
}

async fn try_refresh(worker: &Worker, link: &Link, frame: &RefreshV1) -> Result<OpenedV1, Refusal> {
    let unknown = || {
        let words = "no session of this connection has this handle";
        Refusal::of_field(ErrorCode::UnknownHandle, "session", words)
    };
    let handle = held(&link.table).sessions.find(frame.session).ok_or_else(unknown)?;
    let view = worker.engine.session(handle).ok_or_else(unknown)?;
    if let Some((subject, agents)) = frame.proofs.split_first() {
        let subject = proof_of(subject)?;
        let agents = agents.iter().map(proof_of).collect::<Result<Vec<_>, _>>()?;
        let terms = prove(worker, link, &subject, &agents).await?.terms(view.expires);
        if (&terms.subject, &terms.agents) != (&view.subject, &view.agents) {
            record(worker, link, ErrorCode::NotPermitted, "the proofs are of other principals than the session's");
            return Err(Refusal::of_field(ErrorCode::NotPermitted, "proofs", "the proofs are not of this session"));
        }
    }
    let token = issue(worker, handle)?;
    let (token, token_expires) = token.map_or((String::new(), view.expires), |token| (token.token, token.expires));
    Ok(OpenedV1 {
        handle: frame.session,
        session: view.id.to_bytes(),
        token,
        token_expires_ms: token_expires.as_millis(),
        expires_ms: view.expires.as_millis(),
        born_epoch: worker.engine.effective().epoch,
        born_seq: view.born_at,
        subject: view.subject.to_string(),
        agents: view.agents.iter().map(ToString::to_string).collect(),
    })
}

fn proof(proof: &ProofV1) -> Result<portcullis_wire::frames::Proof, Refusal> {
    proof.to_proof().map_err(|error| error.to_refusal())
}

fn proof_of(sent: &ProofV1) -> Result<Proof, Refusal> {
    use portcullis_wire::frames::Proof as Wire;
    match proof(sent)? {
        Wire::Token(token) => Ok(Proof::Token(token)),
        Wire::Asserted(uid) => Ok(Proof::Asserted(uid)),
        Wire::Certificate => Ok(Proof::Certificate),
        _ => Err(Refusal::of_field(ErrorCode::Unauthenticated, "proof", "this proves nothing here")),
    }
}

/// Proves, once more after the issuers' keys were read again where that may help. The caller is told
/// little; the audit is told why.
async fn prove(worker: &Worker, link: &Link, subject: &Proof, agents: &[Proof]) -> Result<Proven, Refusal> {
    let verifier = &worker.doors.verifier;
    let once = || {
        let (registration, certificate) = (&*link.registration, link.certificate.as_ref());
        Prover { registration, certificate, verifier, now: worker.engine.now() }.prove(subject, agents)
    };
    let mut proven = once();
    if proven.as_ref().is_err_and(ProofError::is_retryable) {
        let (verifier, now) = (Arc::clone(verifier), worker.engine.now());
        let refreshed = tokio::task::spawn_blocking(move || verifier.refresh_blocking(now, Demand::IfDue)).await;
        for failure in refreshed.unwrap_or_default() {
            tracing::warn!(%failure, "an issuer's keys were not read");
        }
        proven = once();
    }
    proven.map_err(|error| {
        let refusal = error.refusal();
        record(worker, link, refusal.code, &error.to_string());
        refusal
    })
}
