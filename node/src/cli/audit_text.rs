//! An audit record on one line.

use portcullis_audit::{AuditEntry, Entry};
use portcullis_model::Verdict;
use serde_json::Value as Json;

use crate::cli::names::word;
use crate::cli::report_text::short;
use crate::cli::style::{bad, dim, doubtful, good};
use crate::output::excerpt;

/// The line for people, with its line break. What this version cannot read is shown as it is.
pub(crate) fn record_line(json: &Json) -> String {
    match serde_json::from_value::<AuditEntry>(json.clone()) {
        Ok(record) => format!("{}\n", line(&record)),
        Err(_) => format!("{json}\n"),
    }
}

fn line(record: &AuditEntry) -> String {
    let entry = &record.entry;
    let mut parts = vec![dim(&entry.time.to_string()), format!("#{}", record.number), outcome(entry)];
    let mut who: Vec<String> = entry.subject.iter().map(short).collect();
    who.extend(entry.chain.iter().map(short));
    parts.push(who.join(" -> "));
    parts.extend(entry.action.iter().map(short));
    parts.extend(entry.resource.iter().map(|resource| resource.shown()));
    let policies: Vec<&str> = entry.policies.iter().map(|policy| &*policy.id).collect();
    if !policies.is_empty() {
        parts.push(format!("by {}", excerpt(&policies.join(", "))));
    }
    parts.extend(entry.detail.iter().map(detail));
    parts.extend(entry.grant.map(|grant| grant.to_string()));
    parts.extend(entry.session.map(|session| dim(&session.to_string())));
    parts.extend(entry.client.iter().map(|client| dim(&format!("client {}", excerpt(client)))));
    // A client's calls are by its registration.
    let by = entry.by.iter().filter(|_| entry.client.is_none());
    parts.extend(by.map(|by| dim(&format!("by {}", excerpt(by)))));
    parts.retain(|part| !part.is_empty());
    parts.join("  ")
}

/// What came of it, or what sort of thing it is.
fn outcome(entry: &Entry) -> String {
    let reason = entry.reason.map_or_else(String::new, |reason| format!(" {reason}"));
    match (entry.verdict, entry.code) {
        (Some(Verdict::Allow), _) => good("✔ ALLOW"),
        (Some(Verdict::Deny), _) => format!("{}{reason}", bad("✘ DENY")),
        (Some(Verdict::Suspend), _) => format!("{}{reason}", doubtful("… SUSPEND")),
        (None, Some(code)) => format!("{} {code}", doubtful(&format!("! {}", word(&entry.kind)))),
        (None, None) => format!("· {}{reason}", word(&entry.kind)),
    }
}

/// The call that was made; else the keys of the details, and their values where they are short.
fn detail(detail: &Json) -> String {
    if let Some(call) = detail.get("call").and_then(Json::as_str) {
        return excerpt(call);
    }
    let text = detail.to_string();
    if text.chars().count() <= DETAIL_CHARS_MAX {
        return text;
    }
    match detail {
        Json::Object(fields) => fields.keys().map(|key| excerpt(key)).collect::<Vec<_>>().join(", "),
        _ => format!("{}…", excerpt(&text)),
    }
}

/// Longest details that stand whole on a line; `-o json` shows all.
const DETAIL_CHARS_MAX: usize = 80;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use serde_json::json;

    use super::*;

    fn plain(json: &Json) -> String {
        anstream::adapter::strip_str(&record_line(json)).to_string()
    }

    #[test]
    fn a_decision_says_who_what_and_why() {
        let json = json!({
            "schema_version": 1, "number": 12, "worker": 1, "worker_number": 3, "kind": "decision",
            "time": 1_795_459_205_007_u64, "verdict": "deny", "reason": "agent_revoked",
            "subject": "User::\"ada\"", "chain": ["Agent::\"triage-bot\""], "action": "Action::\"slack/post_message\"",
            "resource": "Channel::\"general\"", "client": "operator",
        });
        assert_eq!(
            plain(&json),
            "2026-11-23T18:40:05.007Z  #12  ✘ DENY agent_revoked  ada -> triage-bot  slack/post_message  Channel::general  client operator\n"
        );
    }

    #[test]
    fn other_records_say_what_they_are() {
        let refused = json!({
            "schema_version": 1, "number": 1, "worker": 0, "worker_number": 0, "kind": "refused", "time": 0,
            "code": "unauthenticated",
        });
        assert_eq!(plain(&refused), "1970-01-01T00:00:00.000Z  #1  ! refused unauthenticated\n");
        let change = json!({
            "schema_version": 1, "number": 2, "worker": 0, "worker_number": 0, "kind": "change", "time": 0,
            "chain": ["Agent::\"mailer\""], "by": "admin:operator", "detail": {"revoke": {"agent": "Agent::\"mailer\""}},
        });
        let text = plain(&change);
        assert!(text.contains("· change  mailer  {\"revoke\":{\"agent\":"), "{text}");
        let long = json!({
            "schema_version": 1, "number": 2, "worker": 0, "worker_number": 0, "kind": "change", "time": 0,
            "detail": {"put_entity": {"uid": "x".repeat(200)}},
        });
        assert!(plain(&long).ends_with("· change  put_entity\n"), "{}", plain(&long));
    }

    #[test]
    fn what_cannot_be_read_is_shown_as_it_is_without_control_characters() {
        assert_eq!(plain(&json!({"kind": "later"})), "{\"kind\":\"later\"}\n");
        let hostile = json!({
            "schema_version": 1, "number": 1, "worker": 0, "worker_number": 0, "kind": "admin", "time": 0,
            "client": "a\u{1b}[2J\nb",
        });
        let text = record_line(&hostile);
        assert!(!text.contains("\u{1b}[2J") && text.matches('\n').count() == 1, "{text:?}");
    }
}
