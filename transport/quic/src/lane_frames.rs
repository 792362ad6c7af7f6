//! What each kind of frame does.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use portcullis_model::limits::FRESH_WAIT_MAX;
use portcullis_model::{ErrorCode, Refusal};
use portcullis_runtime::Decider;
use portcullis_wire::frames::{
    AppliedV1, BatchV1, CloseV1, ClosedV1, DecideTextV1, DecideV1, OpenV1, RefreshV1, RegisterV1, SubscribeScope,
    SubscribeV1,
};
use portcullis_wire::{Frame, FrameKind, Role, WireError};

use crate::ask::{Ask, Asking};
use crate::connection::Table;
use crate::control::{self, Answered, Inbound};
use crate::counters::count;
use crate::lane_core::Core;
use crate::opening;
use crate::sessions::Removed;

/// Questions of one lane that wait for their revision. When there are more, they are not waited for.
const WAITS_MAX: usize = 256;
/// Chunks of administrative calls that a client other than an operator may have under way: its calls
/// are short, and only an operator's may be as long as a policy set.
const CHUNKS_MAX: usize = 16;

impl Core {
    /// Does what a frame asks, or refuses it. A frame that is malformed within its borders is answered
    /// with an error, and the next one is read.
    #[inline]
    pub(crate) fn frame(&mut self, frame: &Frame<'_>, table: &mut Table, decider: &mut Decider) {
        let corr = frame.header.corr;
        let done = match frame.kind() {
            Ok(FrameKind::Decide) => self.decide_one(frame, table, decider),
            Ok(FrameKind::Batch) => self.decide_batch(frame, table, decider),
            Ok(FrameKind::DecideText) => self.decide_text(frame, table, decider),
            Ok(FrameKind::Applied) => self.applied(frame),
            Ok(FrameKind::Close) => self.close(frame, table),
            Ok(FrameKind::Open) => self.open(frame),
            Ok(FrameKind::Register) => self.register(frame, table),
            Ok(FrameKind::Refresh) => self.refresh(frame),
            Ok(FrameKind::Subscribe) => self.subscribe(frame),
            Ok(FrameKind::Admin) => self.admin(frame, table),
            Ok(other) => Err(malformed(&WireError::UnexpectedKind(other))),
            // A newer client may tell what nobody need answer.
            Err(_) if corr == 0 => Ok(()),
            Err(error) => Err(malformed(&error)),
        };
        if let Err(refusal) = done {
            self.not_done(corr, &refusal);
        }
    }

    #[cold]
    fn not_done(&mut self, corr: u32, refusal: &Refusal) {
        let counters = &self.worker.counters;
        match refusal.code {
            ErrorCode::Overloaded => count(&counters.overloaded, 1),
            ErrorCode::MalformedFrame | ErrorCode::UnknownFrame => count(&counters.frames_malformed, 1),
            _ => {}
        }
        // An error without a number is about the connection, which then ends.
        if corr == 0 { self.fail(refusal) } else { self.refuse(corr, refusal) }
    }

    #[inline]
    fn decide_one(&mut self, frame: &Frame<'_>, table: &Table, decider: &mut Decider) -> Result<(), Refusal> {
        let archived = frame.access::<DecideV1>().map_err(|error| malformed(&error))?;
        let ask = asking(table, &self.link.registration).one(frame.header.corr, archived)?;
        self.ask(ask, decider);
        Ok(())
    }

    fn decide_text(&mut self, frame: &Frame<'_>, table: &Table, decider: &mut Decider) -> Result<(), Refusal> {
        let archived = frame.access::<DecideTextV1>().map_err(|error| malformed(&error))?;
        let ask = asking(table, &self.link.registration).text(frame.header.corr, archived)?;
        self.ask(ask, decider);
        Ok(())
    }

    fn decide_batch(&mut self, frame: &Frame<'_>, table: &Table, decider: &mut Decider) -> Result<(), Refusal> {
        let archived = frame.access::<BatchV1>().map_err(|error| malformed(&error))?;
        let ask = asking(table, &self.link.registration).many(frame.header.corr, archived)?;
        self.ask(ask, decider);
        Ok(())
    }

    /// Decides, or waits for the revision first: in a task that holds nothing of the worker.
    #[inline]
    fn ask(&mut self, ask: Ask, decider: &mut Decider) {
        match ask.at_least() {
            Some(wanted) if self.waits < WAITS_MAX && !self.worker.engine.effective().covers(wanted) => {
                self.waits += 1;
                let (engine, sender) = (self.worker.engine.clone(), self.sender.clone());
                tokio::spawn(async move {
                    // Decided again either way: the decision says whether it is fresh now.
                    let _ = engine.wait_for(wanted, FRESH_WAIT_MAX).await;
                    let _ = sender.send(Inbound::Again(ask));
                });
            }
            _ => self.decide(ask, decider),
        }
    }

    fn applied(&mut self, frame: &Frame<'_>) -> Result<(), Refusal> {
        let applied = frame.read::<AppliedV1>().map_err(|error| malformed(&error))?;
        // ORDERING: the stamp guards nothing; an older echo only shortens the lease.
        self.link.stamp.fetch_max(applied.stamp, Ordering::Relaxed);
        Ok(())
    }

    fn close(&mut self, frame: &Frame<'_>, table: &mut Table) -> Result<(), Refusal> {
        let close = frame.read::<CloseV1>().map_err(|error| malformed(&error))?;
        match table.sessions.remove(close.session) {
            Removed::Open(handle) if self.worker.engine.has_token(handle) => {
                let work = opening::end(Arc::clone(&self.worker), Arc::clone(&self.link), handle);
                return self.call(frame.header.corr, work);
            }
            Removed::Open(handle) => drop(self.worker.engine.close_session(handle)),
            Removed::Closed => {}
            Removed::Unknown => {
                let words = "no session of this connection has this handle";
                return Err(Refusal::of_field(ErrorCode::UnknownHandle, "session", words));
            }
        }
        let effective = self.worker.engine.effective();
        let closed = ClosedV1 { epoch: effective.epoch, seq: effective.seq };
        self.outbox.frame(frame.header.corr, &closed).map_err(|error| error.to_refusal())
    }

    fn register(&mut self, frame: &Frame<'_>, table: &mut Table) -> Result<(), Refusal> {
        let register = frame.read::<RegisterV1>().map_err(|error| malformed(&error))?;
        let registered = table.names.register(&register)?;
        self.outbox.frame(frame.header.corr, &registered).map_err(|error| error.to_refusal())
    }

    fn subscribe(&mut self, frame: &Frame<'_>) -> Result<(), Refusal> {
        let scope = frame.read::<SubscribeV1>().and_then(|subscribe| subscribe.scope());
        let scope = scope.map_err(|error| malformed(&error))?;
        if scope == SubscribeScope::All && !self.link.role.covers(Role::Auditor) {
            return Err(control::role_refused(&self.worker, &self.link, "subscribe_all", Role::Auditor));
        }
        let subscribed = self.link.push.subscribe(scope, self.worker.engine.effective());
        self.outbox.frame(frame.header.corr, &subscribed).map_err(|error| error.to_refusal())
    }

    fn open(&mut self, frame: &Frame<'_>) -> Result<(), Refusal> {
        let open = frame.read::<OpenV1>().map_err(|error| malformed(&error))?;
        let work = opening::open(Arc::clone(&self.worker), Arc::clone(&self.link), open);
        self.call(frame.header.corr, work)
    }

    fn refresh(&mut self, frame: &Frame<'_>) -> Result<(), Refusal> {
        let refresh = frame.read::<RefreshV1>().map_err(|error| malformed(&error))?;
        let work = opening::refresh(Arc::clone(&self.worker), Arc::clone(&self.link), refresh);
        self.call(frame.header.corr, work)
    }

    fn admin(&mut self, frame: &Frame<'_>, table: &mut Table) -> Result<(), Refusal> {
        let is_small = !self.link.role.covers(Role::Operator);
        if self.link.role == Role::Platform {
            return Err(control::role_refused(&self.worker, &self.link, "admin", Role::Pep));
        }
        if is_small && table.chunks >= CHUNKS_MAX {
            table.calls.forget(frame.header.corr);
            return Err(Refusal::new(ErrorCode::TooLarge, "this client's administrative calls are shorter"));
        }
        table.chunks += 1;
        let Some(json) = table.calls.push(frame).map_err(|error| malformed(&error))? else { return Ok(()) };
        table.chunks = 0;
        let work = control::admin(Arc::clone(&self.worker), Arc::clone(&self.link), json);
        self.call(frame.header.corr, work)
    }

    /// Runs a call on the control runtime.
    fn call(&mut self, corr: u32, work: impl Future<Output = Answered> + Send + 'static) -> Result<(), Refusal> {
        let overloaded = |_| Refusal::new(ErrorCode::Overloaded, "too many calls are under way");
        let link = Arc::clone(&self.link.permits).try_acquire_owned().map_err(overloaded)?;
        let node = Arc::clone(&self.worker.permits).try_acquire_owned().map_err(overloaded)?;
        self.calls += 1;
        let call = control::Call::new(corr, self.sender.clone(), control::Permits::new(link, node));
        self.worker.control.spawn(async move { call.answer(work.await) });
        Ok(())
    }
}

fn asking<'a>(table: &'a Table, registration: &'a portcullis_identity::Registration) -> Asking<'a> {
    Asking { names: &table.names, sessions: &table.sessions, registration }
}

#[cold]
fn malformed(error: &WireError) -> Refusal {
    error.to_refusal()
}
