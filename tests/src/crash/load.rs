//! Clients that change, decide and end sessions until the node is gone.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_client::admin::{AdminReply, AdminRequest, GrantOrder, RevokeTarget};
use portcullis_client::{Client, ClientOptions, DecideError, OpenRequest, Session};
use portcullis_model::{EntityRecord, EntityUid, GrantId, Request, ResourceScope, Verdict};
use portcullis_wire::frames::{CloseV1, OpenV1, Proof, ProofV1, RefreshV1};
use rand::Rng;
use tokio::task::JoinSet;

use super::ledger::{Fate, HeldSession, Ledger};
use crate::names::{action, named, uid};
use crate::peer::{Peer, Reply};

/// The story of the session that nothing ends.
pub(super) const LIVE: &str = "live";
const CLOSED: &str = "closed";
const REVOKED: &str = "revoked";
const SUBTREE: &str = "subtree revoked";
const USER: &str = "its user revoked";
/// How many questions are asked at the same time.
const ASKERS: u64 = 4;
/// Longest pause before a session's end is asked for, so that some ends are under way at the kill.
const PAUSE_MS_MAX: u64 = 300;

type Shared = Arc<Mutex<Ledger>>;

/// What a run needs, acknowledged before its load begins.
pub struct Prepared {
    run: u64,
    operator: Client,
    asking: Session,
    peer: Peer,
    user: EntityUid,
    doomed: EntityUid,
    grant: GrantId,
}

/// A load under way.
pub struct Load {
    tasks: JoinSet<()>,
}

/// Connects, stores the run's users and grant, and opens the sessions that will end in different ways.
pub async fn prepare(data: &Path, run: u64, ledger: &Shared) -> Result<Prepared, String> {
    let connect = async |file: &str| Client::from_file(data.join(file)).await.map_err(|cause| cause.to_string());
    let (operator, app) = (connect("operator.toml").await?, connect("client.toml").await?);
    let (user, doomed) = (named("User", &format!("run-{run}")), named("User", &format!("doomed-{run}")));
    let grant = random_grant();
    let entities = [&user, &doomed].map(|user| EntityRecord::named(user.clone())).into();
    call(&operator, &AdminRequest::EntityPut { entities }, |revision| ledger.lock().unwrap().saw(revision)).await?;
    let order = AdminRequest::Grant(order(grant, &user, "Agent::triage-bot"));
    call(&operator, &order, |revision| ledger.lock().unwrap().acknowledge(revision)).await?;
    ledger.lock().unwrap().grants.insert(grant, Fate::Untouched);
    let asking = app.open(&OpenRequest::asserted(uid("User::ada"), [])).await.map_err(|cause| cause.to_string())?;
    let options = ClientOptions::from_file(data.join("client.toml")).map_err(|cause| cause.to_string())?;
    let mut peer = Peer::connect(&options).await;
    for (story, subject, agents) in [
        (LIVE, &user, &[][..]),
        (CLOSED, &user, &[]),
        (REVOKED, &user, &[]),
        (SUBTREE, &user, &["Agent::triage-bot"]),
        (USER, &doomed, &[]),
    ] {
        let held = hold(&mut peer, story, subject, agents).await?;
        ledger.lock().unwrap().sessions.push(held);
    }
    Ok(Prepared { run, operator, asking, peer, user, doomed, grant })
}

async fn hold(
    peer: &mut Peer,
    story: &'static str,
    subject: &EntityUid,
    agents: &[&str],
) -> Result<HeldSession, String> {
    let proof = |uid: EntityUid| ProofV1::from(&Proof::Asserted(uid));
    let agents = agents.iter().map(|agent| proof(uid(agent))).collect();
    let open = OpenV1 { subject: proof(subject.clone()), agents, life_ms: 0 };
    let Reply::Opened(opened) = peer.ask(&open).await else { return Err(format!("{story}: not opened")) };
    let refresh = RefreshV1 { session: opened.handle, proofs: Vec::new() };
    let Reply::Opened(refreshed) = peer.ask(&refresh).await else { return Err(format!("{story}: no token")) };
    if refreshed.token.is_empty() {
        return Err(format!("{story}: the token is empty"));
    }
    let (id, handle, token) = (opened.session_id(), opened.handle, refreshed.token);
    Ok(HeldSession { story, id, handle, token, fate: Fate::Untouched })
}

impl Load {
    /// Begins the load.
    pub fn begin(prepared: Prepared, ledger: &Shared) -> Self {
        let Prepared { run, operator, asking, peer, user, doomed, grant } = prepared;
        let mut tasks = JoinSet::new();
        let asking = Arc::new(asking);
        for _ in 0..ASKERS {
            tasks.spawn(ask(Arc::clone(&asking), Arc::clone(ledger)));
        }
        tasks.spawn(grant_and_revoke(operator.clone(), user, Arc::clone(ledger)));
        tasks.spawn(put_entities(operator.clone(), run, Arc::clone(ledger)));
        tasks.spawn(close(peer, Arc::clone(ledger)));
        let revoked = ledger.lock().unwrap().sessions.iter().find(|held| held.story == REVOKED).map(|held| held.id);
        for (story, target) in [
            (REVOKED, revoked.map(|id| RevokeTarget::Session { id })),
            (SUBTREE, Some(RevokeTarget::Subtree { id: grant })),
            (USER, Some(RevokeTarget::User { uid: doomed })),
        ] {
            if let Some(target) = target {
                tasks.spawn(end(operator.clone(), story, target, Arc::clone(ledger)));
            }
        }
        Self { tasks }
    }

    /// Ends the load; the node is gone.
    pub async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Asks and notes every allow: its record was durable before it left.
async fn ask(session: Arc<Session>, ledger: Shared) {
    let request = Request::new(action("slack/list_channels"), uid("Server::slack"));
    while let Ok(decision) = session.decide(&request).await {
        if decision.verdict == Verdict::Allow {
            let mut ledger = ledger.lock().unwrap();
            ledger.decisions.insert(decision.id);
            ledger.saw(decision.revision);
        }
    }
}

/// Issues grants, and revokes every third of them.
async fn grant_and_revoke(operator: Client, user: EntityUid, ledger: Shared) {
    for number in 0_u64.. {
        let id = random_grant();
        let order = AdminRequest::Grant(order(id, &user, "Agent::digest-bot"));
        if call(&operator, &order, |revision| ledger.lock().unwrap().acknowledge(revision)).await.is_err() {
            return;
        }
        ledger.lock().unwrap().grants.insert(id, Fate::Untouched);
        if number.is_multiple_of(3) {
            ledger.lock().unwrap().grants.insert(id, Fate::Asked);
            let revoke = AdminRequest::Revoke { target: RevokeTarget::Grant { id } };
            if call(&operator, &revoke, |revision| ledger.lock().unwrap().acknowledge(revision)).await.is_err() {
                return;
            }
            ledger.lock().unwrap().grants.insert(id, Fate::Ended);
        }
    }
}

async fn put_entities(operator: Client, run: u64, ledger: Shared) {
    for number in 0_u64.. {
        let uid = named("Server", &format!("crash-{run}-{number}"));
        let put = AdminRequest::EntityPut { entities: vec![EntityRecord::named(uid.clone())] };
        if call(&operator, &put, |revision| ledger.lock().unwrap().acknowledge(revision)).await.is_err() {
            return;
        }
        ledger.lock().unwrap().entities.insert(uid);
    }
}

async fn close(mut peer: Peer, ledger: Shared) {
    let handle = ledger.lock().unwrap().sessions.iter().find(|held| held.story == CLOSED).map(|held| held.handle);
    let Some(session) = handle else { return };
    pause().await;
    ledger.lock().unwrap().session(CLOSED, Fate::Asked);
    if let Reply::Other(portcullis_wire::FrameKind::Closed) = peer.ask(&CloseV1 { session }).await {
        ledger.lock().unwrap().session(CLOSED, Fate::Ended);
    }
    // The connection stays until the node is gone: its end would end the other sessions.
    while !matches!(peer.read_on().await, Reply::Closed(_)) {}
}

async fn end(operator: Client, story: &'static str, target: RevokeTarget, ledger: Shared) {
    pause().await;
    let note = |ledger: &mut Ledger, fate| {
        ledger.session(story, fate);
        match &target {
            RevokeTarget::User { uid } => drop(ledger.users.insert(uid.clone(), fate)),
            RevokeTarget::Subtree { id } => drop(ledger.grants.insert(*id, fate)),
            _ => {}
        }
    };
    note(&mut ledger.lock().unwrap(), Fate::Asked);
    let revoke = AdminRequest::Revoke { target: target.clone() };
    if call(&operator, &revoke, |revision| ledger.lock().unwrap().acknowledge(revision)).await.is_ok() {
        note(&mut ledger.lock().unwrap(), Fate::Ended);
    }
}

/// Makes a change and notes the revision that acknowledges it.
async fn call(
    operator: &Client,
    request: &AdminRequest,
    note: impl FnOnce(portcullis_model::Revision),
) -> Result<(), String> {
    let reply = operator.admin(request).await.map_err(|cause: DecideError| cause.to_string())?;
    match reply {
        AdminReply::Done { revision } | AdminReply::Granted { revision, .. } => note(revision),
        AdminReply::Revoked(revoked) => note(revoked.revision),
        other => return Err(format!("an unexpected reply: {other:?}")),
    }
    Ok(())
}

fn order(id: GrantId, subject: &EntityUid, agent: &str) -> GrantOrder {
    GrantOrder {
        id: Some(id),
        grantor: None,
        subject: subject.clone(),
        agent: uid(agent),
        depth_left: 1,
        actions: vec![action("slack")],
        resource: ResourceScope::Any,
        condition: None,
        not_before: None,
        expires: None,
    }
}

fn random_grant() -> GrantId {
    GrantId::from_bytes(rand::random())
}

async fn pause() {
    let pause = Duration::from_millis(rand::rng().random_range(0..PAUSE_MS_MAX));
    tokio::time::sleep(pause).await;
}
