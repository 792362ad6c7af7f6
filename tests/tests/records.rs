//! Looking into the audit record of a running node.

use portcullis_audit::{AuditEntry, EntryKind, Filter, Page};
use portcullis_runtime::Engine;

/// Every record that fits, newest first, once what was pushed before is there.
pub(crate) async fn search(engine: &Engine, filter: &Filter) -> Vec<AuditEntry> {
    engine.flush_audit().await.unwrap();
    engine.audit().reader().search(filter, Page { limit: 1_000, ..Page::default() }).unwrap().entries
}

/// The reasons of refusals that were recorded, newest first.
pub(crate) async fn refusals(engine: &Engine) -> Vec<String> {
    let filter = Filter { kind: Some(EntryKind::Refused), ..Filter::default() };
    let why = |entry: AuditEntry| entry.entry.detail?.get("why")?.as_str().map(str::to_owned);
    search(engine, &filter).await.into_iter().filter_map(why).collect()
}
