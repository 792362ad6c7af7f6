//! Calls that read the audit record.

use portcullis_audit::{AuditEntry, AuditError, AuditReader, Filter};
use portcullis_model::{DecisionId, ErrorCode, Reason, Refusal};
use portcullis_runtime::Engine;
use portcullis_wire::admin::{AuditFilter, AuditPage, AuditQuery, AuditTail};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::service::page_size;

/// Newest first.
pub(crate) async fn search(engine: &Engine, query: AuditQuery) -> Result<AuditPage, Refusal> {
    let wanted = Wanted::new(&query.filter)?;
    read(engine, move |reader| {
        let mut page = Found::new(page_size(query.limit));
        for entry in reader.newest_first(query.before.unwrap_or(u64::MAX))? {
            if page.take(entry?, &wanted) == Taken::Full {
                break;
            }
        }
        let next = page.last.filter(|number| page.is_cut && *number > 1);
        Ok(AuditPage { entries: page.entries, next })
    })
    .await
}

/// Oldest first, after a number; without one, the newest ones.
pub(crate) async fn tail(engine: &Engine, tail: AuditTail) -> Result<AuditPage, Refusal> {
    let wanted = Wanted::new(&tail.filter)?;
    read(engine, move |reader| {
        let mut page = Found::new(page_size(tail.limit));
        let Some(after) = tail.after else {
            let mut newest = None;
            for entry in reader.newest_first(u64::MAX)? {
                let entry = entry?;
                newest = newest.max(Some(entry.number));
                if page.take(entry, &wanted) == Taken::Full {
                    break;
                }
            }
            page.entries.reverse();
            return Ok(AuditPage { entries: page.entries, next: Some(newest.unwrap_or(0)) });
        };
        for entry in reader.oldest_first(after)? {
            if page.take(entry?, &wanted) == Taken::Full {
                break;
            }
        }
        Ok(AuditPage { entries: page.entries, next: Some(page.last.unwrap_or(after)) })
    })
    .await
}

/// Whether a record is that of a look such as following makes.
pub(crate) fn is_look(entry: &serde_json::Value) -> bool {
    entry.pointer("/detail/call").and_then(serde_json::Value::as_str) == Some("audit_tail")
}

/// Waits for what was pushed before, then reads on a thread that may wait for the disk.
async fn read(
    engine: &Engine,
    work: impl FnOnce(&AuditReader) -> Result<AuditPage, AuditError> + Send + 'static,
) -> Result<AuditPage, Refusal> {
    // A log that is not written any more can still be read.
    if let Err(cause) = engine.flush_audit().await {
        tracing::warn!(%cause, "the audit record may end early");
    }
    let reader = engine.audit().reader();
    let task = tokio::task::spawn_blocking(move || work(&reader)).await;
    let unreadable =
        |cause: String| Refusal::new(ErrorCode::Internal, format!("the audit record cannot be read: {cause}"));
    let page = task.map_err(|cause| unreadable(cause.to_string()))?;
    page.map_err(|cause| unreadable(cause.to_string()))
}

/// What is looked for.
struct Wanted {
    filter: Filter,
    decision: Option<DecisionId>,
    code: Option<ErrorCode>,
}

impl Wanted {
    fn new(filter: &AuditFilter) -> Result<Self, Refusal> {
        let (mut reason, mut code) = (None, None);
        if let Some(text) = &filter.reason {
            reason = word::<Reason>(text);
            code = word::<ErrorCode>(text);
            if reason.is_none() && code.is_none() {
                return Err(unknown("reason", text, Reason::ALL.iter().map(|reason| reason.code())));
            }
        }
        let kind = match &filter.kind {
            None => None,
            Some(text) => Some(word(text).ok_or_else(|| unknown("kind", text, KINDS.iter().copied()))?),
        };
        let (decision, filter) = (
            filter.decision,
            Filter {
                subject: filter.subject.clone(),
                agent: filter.agent.clone(),
                session: filter.session,
                action: filter.action.clone(),
                resource: filter.resource.clone(),
                verdict: filter.verdict,
                reason,
                since: filter.since,
                until: filter.until,
                kind,
            },
        );
        Ok(Self { filter, decision, code })
    }

    fn fits(&self, entry: &AuditEntry) -> bool {
        self.filter.matches(&entry.entry)
            && self.decision.is_none_or(|decision| entry.entry.decision_id == Some(decision))
            && self.code.is_none_or(|code| entry.entry.code == Some(code))
    }
}

/// What a JSON word stands for.
fn word<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_value(json!(text)).ok()
}

fn unknown<'a>(field: &'static str, text: &str, known: impl Iterator<Item = &'a str>) -> Refusal {
    let near = crate::output::nearest(text, known).map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
    Refusal::of_field(ErrorCode::NotFound, field, format!("no {field} `{}`{near}", crate::output::excerpt(text)))
}

/// What was found so far.
struct Found {
    entries: Vec<serde_json::Value>,
    limit: usize,
    scanned: u64,
    /// Number of the last entry that was looked at.
    last: Option<u64>,
    /// Whether the looking stopped before the end.
    is_cut: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    More,
    Full,
}

impl Found {
    fn new(limit: usize) -> Self {
        Self { entries: Vec::new(), limit, scanned: 0, last: None, is_cut: false }
    }

    fn take(&mut self, entry: AuditEntry, wanted: &Wanted) -> Taken {
        self.scanned += 1;
        self.last = Some(entry.number);
        if wanted.fits(&entry) {
            // An entry is plain data: it always has a JSON form.
            self.entries.extend(serde_json::to_value(&entry).ok());
        }
        self.is_cut = self.entries.len() >= self.limit || self.scanned >= SCANNED_MAX;
        if self.is_cut { Taken::Full } else { Taken::More }
    }
}

/// Words of [`portcullis_audit::EntryKind`], for a hint.
const KINDS: [&str; 11] =
    ["decision", "error", "open", "end", "change", "admin", "refused", "gap", "refusal_summary", "start", "stop"];
/// Most entries that one page looks at. BOUND: at a microsecond each, two seconds.
const SCANNED_MAX: u64 = 2_000_000;
