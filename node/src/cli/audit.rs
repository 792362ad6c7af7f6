//! `audit`: tail and search, of a running node or of a stopped node's files.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use portcullis_audit::{AuditEntry, AuditError, AuditReader, EntryKind, Filter};
use portcullis_client::admin::{AdminReply, AdminRequest, AuditFilter, AuditPage, AuditQuery, AuditTail};
use portcullis_model::ErrorCode;
use serde_json::{Value as Json, json};

use crate::cli::arguments::{AuditCommand, Global, RecordFilter};
use crate::cli::audit_text::record_line;
use crate::cli::connection::{Connection, start_line, unexpected, with_causes};
use crate::cli::{SCHEMA_VERSION, names, note, print, print_text};
use crate::exit::Exit;
use crate::node::NodeRecord;
use crate::output::{Failure, Format};
use crate::service::is_look;

/// Follows or searches.
pub(crate) fn run(global: &Global, command: &AuditCommand) -> Result<Exit, Failure> {
    let source = Record::open(global)?;
    match command {
        AuditCommand::Search { filter, limit, before } => {
            let page = source.search(filter, *limit, *before)?;
            show(global.output, &page)?;
            match (global.output, page.next) {
                (Format::Text, Some(next)) => note(&format!("there is more: add `--before {next}`")),
                (Format::Text, None) if page.entries.is_empty() => note("no record matches"),
                _ => {}
            }
        }
        AuditCommand::Tail { filter, follow: false, lines } => show(global.output, &source.tail(filter, *lines)?)?,
        AuditCommand::Tail { filter, follow: true, lines } => follow(global, &source, filter, *lines)?,
    }
    Ok(Exit::Ok)
}

/// Where records are read.
enum Record {
    /// From the node, which first writes what was pushed before it was asked.
    Node(Connection),
    /// From the files of a stopped node.
    Files(AuditReader),
}

impl Record {
    fn open(global: &Global) -> Result<Self, Failure> {
        let data_dir = global.data_dir();
        let folder = audit_folder(&data_dir);
        if global.client.is_some() || NodeRecord::find(&data_dir).is_some() || !folder.is_dir() {
            return Connection::open(global).map(Self::Node);
        }
        note(&format!("no node runs on `{}`: reading its files", data_dir.display()));
        AuditReader::open(&folder).map(Self::Files).map_err(|error| unreadable(&error))
    }

    fn search(&self, filter: &RecordFilter, limit: u32, before: Option<u64>) -> Result<AuditPage, Failure> {
        match self {
            Self::Node(connection) => {
                let query = AuditQuery { filter: wire_filter(filter), limit, before };
                page_of(connection.call(&AdminRequest::AuditSearch(query))?)
            }
            Self::Files(reader) => search_files(reader, filter, limit, before).map_err(|error| unreadable(&error)),
        }
    }

    /// The newest records, oldest first.
    fn tail(&self, filter: &RecordFilter, lines: u32) -> Result<AuditPage, Failure> {
        match self {
            Self::Node(connection) => look(connection, filter, lines, None),
            Self::Files(_) => {
                let mut page = self.search(filter, lines, None)?;
                page.entries.reverse();
                Ok(page)
            }
        }
    }
}

/// Where a node keeps its record.
fn audit_folder(data_dir: &Path) -> PathBuf {
    data_dir.join("engine").join("audit")
}

fn look(connection: &Connection, filter: &RecordFilter, limit: u32, after: Option<u64>) -> Result<AuditPage, Failure> {
    page_of(connection.call(&AdminRequest::AuditTail(AuditTail { filter: wire_filter(filter), limit, after }))?)
}

fn page_of(reply: AdminReply) -> Result<AuditPage, Failure> {
    match reply {
        AdminReply::Audit(page) => Ok(page),
        _ => Err(unexpected()),
    }
}

/// Asks again and again, until the reader goes away or the node does.
fn follow(global: &Global, record: &Record, filter: &RecordFilter, lines: u32) -> Result<(), Failure> {
    let Record::Node(connection) = record else {
        let fix = format!("start it: `{}`", start_line(global));
        return Err(Failure::unreachable("a stopped node's record does not grow", fix));
    };
    // A stream is never a list that is not closed.
    let format = if global.output == Format::Json { Format::Ndjson } else { global.output };
    // Looks of earlier followers may be among the newest, and are left out.
    let mut page = look(connection, filter, lines.saturating_add(LOOKS_SPARE), None)?;
    let mut shown_max = usize::try_from(lines).unwrap_or(usize::MAX);
    loop {
        let after = page.next.unwrap_or(0);
        let is_full = page.entries.len() >= PAGE_FULL;
        if filter.kind != Some(EntryKind::Admin) {
            page.entries.retain(|entry| !is_look(entry));
        }
        page.entries.drain(..page.entries.len().saturating_sub(shown_max));
        shown_max = usize::MAX;
        show(format, &page)?;
        if is_stdout_gone() {
            return Ok(());
        }
        // A look that showed something is recorded: without a pause, following would be in its own way.
        if !is_full {
            thread::sleep(POLL);
        }
        page = look(connection, filter, 0, Some(after))?;
    }
}

/// Whether nobody reads any more: then following is over.
fn is_stdout_gone() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stdout = std::io::stdout();
    let mut looked = [PollFd::new(&stdout, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut looked, Some(&at_once)), Ok(1..))
        && looked[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

fn show(format: Format, page: &AuditPage) -> Result<(), Failure> {
    match format {
        Format::Text => print_text(&page.entries.iter().map(record_line).collect::<String>()),
        Format::Json => {
            let document = json!({ "schema_version": SCHEMA_VERSION, "entries": page.entries, "next": page.next });
            print(Format::Json, &document, |_| String::new())
        }
        Format::Ndjson => page.entries.iter().try_for_each(|entry| print(Format::Ndjson, entry, |_| String::new())),
    }
}

fn wire_filter(filter: &RecordFilter) -> AuditFilter {
    AuditFilter {
        decision: None,
        session: filter.session,
        subject: filter.subject.clone(),
        agent: filter.agent.clone(),
        action: filter.action.clone(),
        resource: filter.resource.clone(),
        verdict: filter.verdict,
        reason: filter.reason.clone(),
        kind: filter.kind.map(|kind| names::word(&kind)),
        since: filter.since,
        until: filter.until,
    }
}

fn search_files(
    reader: &AuditReader,
    wanted: &RecordFilter,
    limit: u32,
    before: Option<u64>,
) -> Result<AuditPage, AuditError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let matches = file_filter(wanted);
    let mut page = AuditPage { entries: Vec::new(), next: None };
    for entry in reader.newest_first(before.unwrap_or(u64::MAX))? {
        let entry = entry?;
        if matches(&entry) {
            // A record is plain data: it always has a JSON form.
            page.entries.extend(serde_json::to_value(&entry).ok());
        }
        if page.entries.len() >= limit {
            page.next = (entry.number > 1).then_some(entry.number);
            break;
        }
    }
    Ok(page)
}

/// The same filter as the node's.
fn file_filter(wanted: &RecordFilter) -> impl Fn(&AuditEntry) -> bool + use<> {
    let text = wanted.reason.clone();
    let reason = text.as_deref().and_then(|text| serde_json::from_value(Json::String(text.to_owned())).ok());
    let code = text.as_deref().and_then(|text| ErrorCode::ALL.iter().copied().find(|code| code.code() == text));
    let filter = Filter {
        subject: wanted.subject.clone(),
        agent: wanted.agent.clone(),
        session: wanted.session,
        action: wanted.action.clone(),
        resource: wanted.resource.clone(),
        verdict: wanted.verdict,
        reason,
        since: wanted.since,
        until: wanted.until,
        kind: wanted.kind,
    };
    move |entry| filter.matches(&entry.entry) && code.is_none_or(|code| entry.entry.code == Some(code))
}

fn unreadable(error: &AuditError) -> Failure {
    let fix = "restore the file that the message names from a copy; `--data-dir` names the folder";
    Failure::new(Exit::Failure, "audit", format!("the record cannot be read: {}", with_causes(error)), fix)
}

/// How often a followed record is looked at.
const POLL: Duration = Duration::from_millis(500);
/// Further records that are asked for at first, in place of those that are left out.
const LOOKS_SPARE: u32 = 50;
/// Records of a page after which there is more at once.
const PAGE_FULL: usize = 1_000;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use portcullis_audit::Entry;
    use portcullis_model::{Reason, Timestamp, Verdict};

    use super::*;

    fn entry(number: u64, change: impl FnOnce(&mut Entry)) -> AuditEntry {
        let mut entry = Entry::new(EntryKind::Decision, Timestamp::from_millis(number));
        change(&mut entry);
        AuditEntry { schema_version: 1, number, worker: 0, worker_number: 0, entry }
    }

    #[test]
    fn the_filter_of_files_looks_for_reasons_and_for_errors() {
        let denied = entry(1, |entry| entry.reason = Some(Reason::AgentRevoked));
        let failed = entry(2, |entry| entry.code = Some(ErrorCode::Overloaded));
        let by =
            |reason: &str| file_filter(&RecordFilter { reason: Some(reason.to_owned()), ..RecordFilter::default() });
        assert!(by("agent_revoked")(&denied) && !by("agent_revoked")(&failed));
        assert!(by("overloaded")(&failed) && !by("overloaded")(&denied));
        assert!(file_filter(&RecordFilter::default())(&denied));
        let allows = RecordFilter { verdict: Some(Verdict::Allow), ..RecordFilter::default() };
        assert!(!file_filter(&allows)(&denied));
    }

    #[test]
    fn following_does_not_show_its_own_looks() {
        assert!(is_look(&json!({"kind": "admin", "detail": {"call": "audit_tail"}})));
        assert!(!is_look(&json!({"kind": "admin", "detail": {"call": "audit_search"}})));
        assert!(!is_look(&json!({"kind": "decision"})));
    }

    #[test]
    fn a_data_folder_without_node_or_record_is_unreachable() {
        let folder = tempfile::tempdir().unwrap();
        let global = Global { data_dir: Some(folder.path().to_owned()), ..Global::default() };
        assert_eq!(Record::open(&global).err().unwrap().exit, Exit::Unreachable);
        std::fs::create_dir_all(audit_folder(folder.path())).unwrap();
        let record = Record::open(&global).unwrap();
        assert!(matches!(record, Record::Files(_)));
        assert_eq!(record.search(&RecordFilter::default(), 10, None).unwrap().entries, Vec::<Json>::new());
        let followed = follow(&global, &record, &RecordFilter::default(), 10);
        assert_eq!(followed.unwrap_err().exit, Exit::Unreachable);
    }
}
