//! Compares a restarted node with what was acknowledged before it was killed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use portcullis_client::admin::{AdminReply, AdminRequest, AuditFilter, AuditQuery, EntityQuery, GrantQuery};
use portcullis_client::{Client, ClientOptions};
use portcullis_identity::{SessionClaims, SessionTokens};
use portcullis_model::{DecisionId, EntityUid, ErrorCode, GrantId, Revision, Standing, Timestamp};
use portcullis_wire::frames::{CloseV1, OpenV1, Proof, ProofV1};

use super::ledger::{Fate, HeldSession, Ledger};
use crate::names::uid;
use crate::peer::{Peer, Reply};

/// Everything that is not as acknowledged, in words; empty if all is well.
///
/// # Errors
/// In words, what could not be asked.
pub async fn differences(data: &Path, ledger: &Ledger) -> Result<Vec<String>, String> {
    let operator = Client::from_file(data.join("operator.toml")).await.map_err(|cause| cause.to_string())?;
    let mut found = ledger.twice.clone();
    let effective = revision(&operator).await?;
    if ledger.revision.is_some_and(|told| !effective.covers(told)) {
        found.push(format!("the node is at {effective}, and {:?} was told", ledger.revision));
    }
    grants(&operator, ledger, &mut found).await?;
    entities(&operator, ledger, &mut found).await?;
    users(&operator, ledger, &mut found).await?;
    records(&operator, ledger, &mut found).await?;
    operator.close().await;
    sessions(data, ledger, effective, &mut found).await?;
    Ok(found)
}

async fn ask(operator: &Client, request: &AdminRequest) -> Result<AdminReply, String> {
    operator.admin(request).await.map_err(|cause| format!("{}: {cause}", request.operation()))
}

async fn revision(operator: &Client) -> Result<Revision, String> {
    match ask(operator, &AdminRequest::Status {}).await? {
        AdminReply::Status(status) => Ok(status.revision),
        other => Err(format!("{other:?}")),
    }
}

async fn grants(operator: &Client, ledger: &Ledger, found: &mut Vec<String>) -> Result<(), String> {
    let mut stored: BTreeMap<GrantId, bool> = BTreeMap::new();
    let mut after = None;
    loop {
        let query = GrantQuery { after, ..GrantQuery::default() };
        let AdminReply::Grants(page) = ask(operator, &AdminRequest::GrantList(query)).await? else {
            return Err("no grants were listed".to_owned());
        };
        for view in page.grants {
            if stored.insert(view.grant.id, view.revoked).is_some() {
                found.push(format!("grant {} is there twice", view.grant.id));
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    for (id, fate) in &ledger.grants {
        match (stored.get(id), fate) {
            (None, _) => found.push(format!("grant {id} is lost")),
            (Some(false), Fate::Ended) => found.push(format!("the revocation of grant {id} is lost")),
            (Some(true), Fate::Untouched) => found.push(format!("grant {id} is revoked, and nobody asked")),
            _ => {}
        }
    }
    Ok(())
}

async fn entities(operator: &Client, ledger: &Ledger, found: &mut Vec<String>) -> Result<(), String> {
    let mut stored: BTreeSet<EntityUid> = BTreeSet::new();
    let mut after = None;
    loop {
        let entity_type = Some("Server".parse().map_err(|cause: portcullis_model::UidError| cause.to_string())?);
        let query = EntityQuery { entity_type, after, ..EntityQuery::default() };
        let AdminReply::Entities(page) = ask(operator, &AdminRequest::EntityList(query)).await? else {
            return Err("no entities were listed".to_owned());
        };
        for view in page.entities {
            let uid = view.entity.uid.clone();
            if !stored.insert(view.entity.uid) {
                found.push(format!("entity {uid} is there twice"));
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let lost = ledger.entities.difference(&stored);
    found.extend(lost.map(|uid| format!("entity {uid} is lost")));
    Ok(())
}

async fn users(operator: &Client, ledger: &Ledger, found: &mut Vec<String>) -> Result<(), String> {
    for (user, _) in ledger.users.iter().filter(|(_, fate)| **fate == Fate::Ended) {
        match ask(operator, &AdminRequest::EntityShow { uid: user.clone() }).await? {
            AdminReply::Entity(view) if view.standing == Standing::Revoked => {}
            other => found.push(format!("the revocation of {user} is lost: {other:?}")),
        }
    }
    Ok(())
}

/// Looks for each decision of the run, and whether each change was recorded once.
async fn records(operator: &Client, ledger: &Ledger, found: &mut Vec<String>) -> Result<(), String> {
    let entries = search(operator, "decision", ledger.since).await?;
    let mut recorded: BTreeSet<DecisionId> = BTreeSet::new();
    for entry in &entries {
        let id = entry.get("decision_id").and_then(|id| id.as_str()).and_then(|id| id.parse().ok());
        if let Some(id) = id
            && !recorded.insert(id)
        {
            found.push(format!("decision {id} is recorded twice"));
        }
    }
    let lost = ledger.decisions.difference(&recorded);
    found.extend(lost.map(|id| format!("durable decision {id} is not in the record")));

    let mut revisions: Vec<u64> = Vec::new();
    for entry in search(operator, "change", ledger.since).await? {
        let seq = entry.get("revision").and_then(|revision| revision.get("seq")).and_then(serde_json::Value::as_u64);
        revisions.extend(seq);
    }
    revisions.sort_unstable();
    for pair in revisions.windows(2) {
        if pair[1] != pair[0] + 1 {
            found.push(format!("the record of changes goes from {} to {}", pair[0], pair[1]));
        }
    }
    let first = revisions.first().copied().unwrap_or(u64::MAX);
    let of_run = ledger.changes.range(first..);
    found.extend(
        of_run
            .filter(|seq| revisions.binary_search(seq).is_err())
            .map(|seq| format!("change {seq} is not in the record")),
    );
    Ok(())
}

async fn search(operator: &Client, kind: &str, since: Timestamp) -> Result<Vec<serde_json::Value>, String> {
    let mut entries = Vec::new();
    let mut before = None;
    loop {
        let filter = AuditFilter { kind: Some(kind.to_owned()), since: Some(since), ..AuditFilter::default() };
        let query = AuditQuery { filter, limit: 0, before };
        let AdminReply::Audit(page) = ask(operator, &AdminRequest::AuditSearch(query)).await? else {
            return Err("no records were found".to_owned());
        };
        entries.extend(page.entries);
        before = page.next;
        if before.is_none() {
            return Ok(entries);
        }
    }
}

/// Shows every old handle and token to the restarted node.
async fn sessions(data: &Path, ledger: &Ledger, effective: Revision, found: &mut Vec<String>) -> Result<(), String> {
    let options = ClientOptions::from_file(data.join("client.toml")).map_err(|cause| cause.to_string())?;
    let mut peer = Peer::connect(&options).await;
    for held in &ledger.sessions {
        match peer.ask(&CloseV1 { session: held.handle }).await {
            Reply::Error(_, refusal) if refusal.code == ErrorCode::UnknownHandle => {}
            other => found.push(format!("the handle of the session that is {} still names one: {other:?}", held.story)),
        }
    }
    for held in &ledger.sessions {
        let reply = resume(&mut peer, &held.token).await;
        found.extend(judge(held, &reply));
    }
    if let Some(held) = ledger.sessions.first() {
        let reply = resume(&mut peer, &forged(held, effective)?).await;
        if !matches!(&reply, Reply::Error(_, refusal) if refusal.code == ErrorCode::Unauthenticated) {
            found.push(format!("a token that this node never issued: {reply:?}"));
        }
    }
    Ok(())
}

async fn resume(peer: &mut Peer, token: &str) -> Reply {
    let subject = ProofV1::from(&Proof::Session(token.to_owned()));
    peer.ask(&OpenV1 { subject, agents: Vec::new(), life_ms: 0 }).await
}

fn judge(held: &HeldSession, reply: &Reply) -> Option<String> {
    let resumed = matches!(reply, Reply::Opened(opened) if opened.session_id() == held.id);
    let refused = matches!(reply, Reply::Decision(_) | Reply::Error(..));
    let is_right = match held.fate {
        Fate::Untouched => resumed,
        Fate::Asked => resumed || refused,
        Fate::Ended => refused,
    };
    (!is_right).then(|| format!("the session that is {} ({:?}) was answered {reply:?}", held.story, held.fate))
}

/// A token of another node's key for a session that nobody opened.
fn forged(held: &HeldSession, effective: Revision) -> Result<String, String> {
    let key = portcullis::pki::token_key().map_err(|cause| cause.to_string())?;
    let tokens = SessionTokens::from_pkcs8(key.secret_pkcs8_der()).map_err(|cause| cause.to_string())?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp::from_millis(0).plus(now);
    let claims = SessionClaims {
        session: held.id,
        subject: uid("User::ada"),
        agents: Vec::new(),
        ancestors: Vec::new(),
        born_at: effective,
        opener: effective,
        session_expires: now.plus(std::time::Duration::from_secs(600)),
        client: "app".to_owned(),
    };
    tokens.mint(&claims, now).map_err(|cause| cause.to_string())
}
