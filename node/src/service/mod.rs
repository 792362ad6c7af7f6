//! The administrative calls: what each does on the engine, and the record of who made it.
//!
//! Owns a few deciders for questions and nothing else. The caller's role was checked at the connection
//! and is checked again here. Calls that read are recorded before they are carried out; changes are
//! recorded from the log, once, and here only where they were refused.

mod audit;
mod caller;
mod changes;
mod directory;
mod lists;
mod question;
mod words;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use portcullis_audit::{Entry, EntryKind, HealthState};
use portcullis_directory::GrantState;
use portcullis_identity::Registration;
use portcullis_model::{ErrorCode, Refusal};
use portcullis_quic::{AdminFuture, AdminService};
use portcullis_runtime::Engine;
use portcullis_wire::Role;
use portcullis_wire::admin::{AdminReply, AdminRequest, Status};
use serde_json::json;

pub(crate) use crate::service::audit::is_look;
use crate::service::caller::{may_call, role_of};
use crate::service::question::{Asker, Depth};
use crate::shell::Program;

/// How many connections are open now.
pub(crate) type ConnectionCount = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Carries out administrative calls on one engine. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    parts: Arc<Parts>,
}

struct Parts {
    engine: Engine,
    asker: Arc<Asker>,
    node_id: String,
    started: Instant,
    connections: ConnectionCount,
}

impl Service {
    /// A service on an engine. `program` is how the commands begin that it proposes.
    pub(crate) fn new(engine: Engine, node_id: String, program: Program, connections: ConnectionCount) -> Self {
        let asker = Arc::new(Asker::new(engine.clone(), program));
        Self { parts: Arc::new(Parts { engine, asker, node_id, started: Instant::now(), connections }) }
    }

    /// Lets go of the deciders, so that the audit log can be closed.
    pub(crate) fn close(&self) {
        self.parts.asker.close();
    }

    /// Carries out one call.
    ///
    /// # Errors
    /// A [`Refusal`], which was recorded.
    pub async fn carry_out(&self, client: &Registration, request: AdminRequest) -> Result<AdminReply, Refusal> {
        let operation = request.operation();
        let result = match may_call(client, &request) {
            Ok(()) => self.dispatch(client, request).await,
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = &result {
            self.record_refused(client, operation, refusal);
        }
        result
    }

    async fn dispatch(&self, client: &Registration, request: AdminRequest) -> Result<AdminReply, Refusal> {
        let is_going_on = matches!(&request, AdminRequest::AuditTail(tail) if tail.after.is_some());
        if request.needed_role() == Role::Auditor && !is_going_on {
            self.record_read(client, request.operation())?;
        }
        let (engine, operation) = (&self.parts.engine, request.operation());
        match request {
            AdminRequest::Check(question) => self.ask(client, question, Depth::Check).await,
            AdminRequest::Explain(question) => self.ask(client, question, Depth::Explain).await,
            AdminRequest::Revoke { target } => changes::revoke(engine, client, target).await,
            AdminRequest::Restore { kind, uid } => changes::restore(engine, client, kind, uid).await,
            AdminRequest::Grant(order) => changes::grant(engine, client, order).await,
            AdminRequest::Delegate(order) => changes::delegate(engine, client, order).await,
            AdminRequest::EntityPut { entities } => changes::put(engine, client, entities).await,
            AdminRequest::Events { changes } => changes::events(engine, client, changes).await,
            AdminRequest::PolicyPush { set } => changes::push_policy(engine, client, set).await,
            AdminRequest::AuditSearch(query) => audit::search(engine, query).await.map(AdminReply::Audit),
            AdminRequest::AuditTail(tail) => {
                let page = audit::tail(engine, tail).await?;
                // Following would feed on itself: where it shows nothing new, it leaves nothing.
                if is_going_on && page.entries.iter().any(|entry| !is_look(entry)) {
                    self.record_read(client, operation)?;
                }
                Ok(AdminReply::Audit(page))
            }
            reading => {
                let service = self.clone();
                // Long tables take their time.
                let task = tokio::task::spawn_blocking(move || service.read(reading));
                task.await.unwrap_or_else(|_| Err(Refusal::new(ErrorCode::Internal, "the tables could not be read")))
            }
        }
    }

    /// Calls that read the engine's tables. May take as long as they are.
    fn read(&self, request: AdminRequest) -> Result<AdminReply, Refusal> {
        let engine = &self.parts.engine;
        match request {
            AdminRequest::GrantList(query) => Ok(lists::grants(engine, &query)),
            AdminRequest::SessionList(query) => Ok(lists::sessions(engine, &query)),
            AdminRequest::SessionShow { id } => lists::session(engine, id),
            AdminRequest::EntityList(query) => lists::entities(engine, &query),
            AdminRequest::EntityShow { uid } => lists::entity(engine, &uid),
            AdminRequest::PolicyShow {} => lists::policy(engine),
            AdminRequest::Status {} => Ok(AdminReply::Status(self.status())),
            other => {
                let message = format!("this node does not know the call `{}`", other.operation());
                Err(Refusal::new(ErrorCode::BadRequest, message))
            }
        }
    }

    async fn ask(
        &self,
        client: &Registration,
        question: portcullis_wire::admin::Question,
        depth: Depth,
    ) -> Result<AdminReply, Refusal> {
        let report = self.parts.asker.ask(client, question, depth).await?;
        Ok(AdminReply::Report(Box::new(report)))
    }

    /// How the node is.
    fn status(&self) -> Status {
        let engine = &self.parts.engine;
        let status = engine.status();
        let health = engine.audit().health();
        let is_live = |(_, state): &(_, GrantState)| *state == GrantState::Live;
        let grants: usize =
            directory::each_page(engine).map(|page| page.iter().filter(|grant| is_live(grant)).count()).sum();
        let log_failed = status.halted.as_ref().is_some_and(|refusal| refusal.code == ErrorCode::LogUnavailable);
        Status {
            node: self.parts.node_id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: status.effective,
            policy: status.policy.map(|(hash, _)| hash),
            policies: status.policy.map_or(0, |(_, count)| number(count)),
            entities: lists::count_entities(engine),
            grants: number(grants),
            sessions: status.sessions,
            connections: (self.parts.connections)(),
            decisions: engine.counters().reasons().map(|(_, count)| count).sum(),
            uptime_seconds: self.parts.started.elapsed().as_secs(),
            audit_healthy: health.state == HealthState::Good,
            audit_durable: health.entries,
            log_healthy: !log_failed,
        }
    }

    /// Records a call that reads. One that cannot be recorded is not carried out.
    fn record_read(&self, client: &Registration, operation: &str) -> Result<(), Refusal> {
        self.parts.engine.record(&self.entry(EntryKind::Admin, client, operation))
    }

    fn record_refused(&self, client: &Registration, operation: &str, refusal: &Refusal) {
        let code = Some(refusal.code);
        let entry = Entry { code, ..self.entry(EntryKind::Refused, client, operation) };
        // The caller is refused either way; what the audit log did not take, it counts.
        if let Err(cause) = self.parts.engine.record(&entry) {
            tracing::warn!(%cause, "a refused call could not be recorded");
        }
    }

    fn entry(&self, kind: EntryKind, client: &Registration, operation: &str) -> Entry {
        Entry {
            client: Some(client.name.clone()),
            by: Some(format!("{} {}", role_of(client), client.name)),
            detail: Some(json!({ "call": operation })),
            ..Entry::new(kind, self.parts.engine.now())
        }
    }
}

impl AdminService for Service {
    fn call(&self, caller: Arc<Registration>, request: AdminRequest) -> AdminFuture {
        let service = self.clone();
        Box::pin(async move { service.carry_out(&caller, request).await })
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// The size of a page: what was asked for, at most [`portcullis_wire::limits::PAGE_MAX`], which 0 stands for.
fn page_size(limit: u32) -> usize {
    let most = portcullis_wire::limits::PAGE_MAX;
    let limit = if limit == 0 { most } else { limit.min(most) };
    usize::try_from(limit).unwrap_or(usize::MAX)
}
