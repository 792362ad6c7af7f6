//! Finds entries, newest first, page by page.

use std::path::Path;

use portcullis_model::{EntityUid, Reason, SessionId, Timestamp, Verdict};
use serde::{Deserialize, Serialize};

use crate::entry::{AuditEntry, Entry, EntryKind};
use crate::error::AuditError;
use crate::limits::PAGE_MAX;
use crate::reader::AuditReader;

/// Which entries are wanted: those for which everything that is set holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// Of this subject.
    pub subject: Option<EntityUid>,
    /// With this agent anywhere in the chain.
    pub agent: Option<EntityUid>,
    /// Of this session.
    pub session: Option<SessionId>,
    /// About this action.
    pub action: Option<EntityUid>,
    /// About this resource.
    pub resource: Option<EntityUid>,
    /// With this verdict.
    pub verdict: Option<Verdict>,
    /// For this reason.
    pub reason: Option<Reason>,
    /// At this time or later.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// Of this kind.
    pub kind: Option<EntryKind>,
}

impl Filter {
    /// Whether `entry` is wanted.
    pub fn matches(&self, entry: &Entry) -> bool {
        fn is<T: PartialEq>(wanted: &Option<T>, found: &Option<T>) -> bool {
            wanted.is_none() || wanted == found
        }
        is(&self.verdict, &entry.verdict)
            && is(&self.reason, &entry.reason)
            && self.kind.is_none_or(|kind| kind == entry.kind)
            && self.since.is_none_or(|since| entry.time >= since)
            && self.until.is_none_or(|until| entry.time < until)
            && is(&self.session, &entry.session)
            && is(&self.subject, &entry.subject)
            && is(&self.action, &entry.action)
            && is(&self.resource, &entry.resource)
            && self.agent.as_ref().is_none_or(|agent| entry.chain.contains(agent))
    }
}

/// Which part of what is found is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Most entries to return, 1 to [`PAGE_MAX`].
    pub limit: usize,
    /// Only entries before this number; `None` begins with the last.
    pub before: Option<u64>,
    /// Most entries to look at, so that a page has a bounded cost; at least 1.
    pub scan_max: u64,
}

impl Default for Page {
    fn default() -> Self {
        Self { limit: 100, before: None, scan_max: u64::MAX }
    }
}

/// One page of a search.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SearchPage {
    /// What was found, newest first.
    pub entries: Vec<AuditEntry>,
    /// `before` of the next page; `None` when the beginning of the log was reached.
    pub next: Option<u64>,
    /// Entries looked at.
    pub scanned: u64,
}

impl AuditReader {
    /// A page of the entries that `filter` wants, newest first. Holds one segment in memory; cost:
    /// about a microsecond for each entry looked at.
    ///
    /// # Errors
    /// [`AuditError::Option`] for a page outside its range; otherwise as [`AuditReader::newest_first`].
    pub fn search(&self, filter: &Filter, page: Page) -> Result<SearchPage, AuditError> {
        if page.limit == 0 || page.limit > PAGE_MAX {
            return Err(AuditError::Option { option: "limit", range: "1 to 1000" });
        }
        if page.scan_max == 0 {
            return Err(AuditError::Option { option: "scan_max", range: "1 and more" });
        }
        let mut found = SearchPage::default();
        for entry in self.newest_first(page.before.unwrap_or(u64::MAX))? {
            let entry = entry?;
            let number = entry.number;
            found.scanned += 1;
            if filter.matches(&entry.entry) {
                found.entries.push(entry);
            }
            if found.entries.len() == page.limit || found.scanned == page.scan_max {
                found.next = (number > 1).then_some(number);
                break;
            }
        }
        Ok(found)
    }
}

/// One page of a search in a folder: [`AuditReader::open`] and [`AuditReader::search`] in one.
///
/// # Errors
/// As both.
pub fn search(folder: &Path, filter: &Filter, page: Page) -> Result<SearchPage, AuditError> {
    AuditReader::open(folder)?.search(filter, page)
}
