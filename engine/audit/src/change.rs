//! The entry of a change of the ordered log: who and what it concerns, and the event without policy text.

use portcullis_model::{Change, EntityUid, Event, Origin, PolicyFile, Revision, RevokeScope};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::entry::{Entry, EntryKind};

impl Entry {
    /// The entry of an event that took effect at `revision`.
    ///
    /// Subject, chain, session, grant and resource name what the change concerns, so that a search for
    /// an agent also finds what was done to it. `detail` is the change as the log holds it, except
    /// that policy files appear by name, length and SHA-256 only.
    pub fn change(event: &Event, revision: Revision) -> Self {
        let mut entry = Self::new(EntryKind::Change, event.at);
        entry.revision = Some(revision);
        entry.event = Some(event.id);
        entry.by = Some(origin(&event.by));
        concern(&mut entry, &event.change);
        entry.detail = Some(detail(&event.change));
        entry
    }
}

fn origin(by: &Origin) -> String {
    match by {
        Origin::Admin(name) => format!("admin {name}"),
        Origin::Source(source) => format!("source {source}"),
        Origin::Principal(uid) => format!("principal {uid}"),
        Origin::Node => "node".to_owned(),
    }
}

fn concern(entry: &mut Entry, change: &Change) {
    match change {
        Change::Revoke(RevokeScope::Session { id, .. }) => entry.session = Some(*id),
        Change::Revoke(RevokeScope::User(uid)) => entry.subject = Some(uid.clone()),
        Change::Revoke(RevokeScope::Agent(uid)) => entry.chain = vec![uid.clone()],
        Change::Revoke(RevokeScope::Grant(id) | RevokeScope::Subtree(id)) => entry.grant = Some(*id),
        Change::Grant(grant) => {
            entry.grant = Some(grant.id);
            entry.subject = Some(grant.subject.clone());
            entry.chain = vec![grant.agent.clone()];
        }
        other => entry.resource = entity(other).cloned(),
    }
}

/// The one entity that the remaining changes are about.
fn entity(change: &Change) -> Option<&EntityUid> {
    match change {
        Change::PutEntity(record) => Some(&record.uid),
        Change::ChangeMembers { group, .. } => Some(group),
        Change::DeleteEntity(uid)
        | Change::Restore(uid)
        | Change::Hold { uid, .. }
        | Change::Release { uid, .. }
        | Change::Suspend { uid, .. }
        | Change::Deactivate { uid, .. }
        | Change::Reactivate { uid, .. } => Some(uid),
        _ => None,
    }
}

fn detail(change: &Change) -> Value {
    if let Change::StagePolicy(set) = change {
        let files: Vec<Value> = set.files.iter().map(file).collect();
        return json!({ "stage_policy": { "schema": file(&set.schema), "files": files } });
    }
    serde_json::to_value(change).unwrap_or_else(|_| json!({ "unreadable": true }))
}

fn file(file: &PolicyFile) -> Value {
    json!({ "name": file.name, "bytes": file.text.len(), "sha256": hexadecimal(&file.text) })
}

fn hexadecimal(text: &str) -> String {
    use std::fmt::Write;
    Sha256::digest(text.as_bytes()).iter().fold(String::with_capacity(64), |mut digits, byte| {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// `detail` as JSON text of at most `limit` bytes; where it is longer, each of its top keys stands
/// for the length and hash of its value.
pub(crate) fn detail_text(detail: &Value, limit: usize) -> String {
    let text = detail.to_string();
    if text.len() <= limit {
        return text;
    }
    let omitted = |value: &Value| {
        let text = value.to_string();
        json!({ "omitted_bytes": text.len(), "sha256": hexadecimal(&text) })
    };
    let short = match detail {
        Value::Object(map) if map.len() <= DETAIL_KEYS_KEPT && map.keys().all(|key| key.len() <= DETAIL_KEY_BYTES) => {
            map.iter().map(|(key, value)| (key.clone(), omitted(value))).collect()
        }
        other => omitted(other),
    };
    short.to_string()
}

/// BOUND: together they keep a shortened detail below 4 KiB.
const DETAIL_KEYS_KEPT: usize = 16;
const DETAIL_KEY_BYTES: usize = 64;
