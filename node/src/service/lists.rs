//! Calls that list and show what the node holds.

use portcullis_directory::GrantState;
use portcullis_model::{EntityUid, ErrorCode, GrantRecord, Refusal, Revision, SessionId};
use portcullis_runtime::Engine;
use portcullis_wire::admin::{
    AdminReply, EntityPage, EntityQuery, EntityView, GrantPage, GrantQuery, GrantView, PolicyView, SessionPage,
    SessionQuery, SessionView,
};

use crate::service::{directory, number, page_size};

pub(crate) fn grants(engine: &Engine, query: &GrantQuery) -> AdminReply {
    let limit = page_size(query.limit);
    let fits = |record: &GrantRecord| {
        query.subject.as_ref().is_none_or(|subject| record.subject == *subject)
            && query.agent.as_ref().is_none_or(|agent| record.agent == *agent)
    };
    let mut is_reached = query.after.is_none();
    let mut page = GrantPage { grants: Vec::new(), next: None };
    'pages: for grants in directory::each_page(engine) {
        for (grant, state) in grants {
            let is_before = !is_reached;
            is_reached = is_reached || query.after == Some(grant.id);
            if is_before || !fits(&grant) {
                continue;
            }
            if page.grants.len() == limit {
                page.next = page.grants.last().map(|last| last.grant.id);
                break 'pages;
            }
            page.grants.push(GrantView { grant, revoked: state != GrantState::Live });
        }
    }
    AdminReply::Grants(page)
}

pub(crate) fn sessions(engine: &Engine, query: &SessionQuery) -> AdminReply {
    let limit = page_size(query.limit);
    let mut found = engine.sessions(query.subject.as_ref(), query.agent.as_ref(), SESSIONS_LISTED_MAX);
    found.sort_unstable_by_key(|session| session.id);
    let mut rest = found.into_iter().filter(|session| query.after.is_none_or(|after| session.id > after));
    let epoch = engine.effective().epoch;
    let sessions: Vec<_> = rest.by_ref().take(limit).map(|session| view(session, epoch)).collect();
    let next = rest.next().and(sessions.last().map(|last| last.id));
    AdminReply::Sessions(SessionPage { sessions, next, live: engine.status().sessions })
}

pub(crate) fn session(engine: &Engine, id: SessionId) -> Result<AdminReply, Refusal> {
    let missing = || Refusal::of_field(ErrorCode::NotFound, "session", format!("no session `{id}` is open here"));
    let found = engine.session_by_id(id).ok_or_else(missing)?;
    Ok(AdminReply::Session(view(found, engine.effective().epoch)))
}

fn view(session: portcullis_runtime::SessionView, epoch: u32) -> SessionView {
    SessionView {
        id: session.id,
        subject: session.subject,
        agents: session.agents,
        born_at: Revision::new(epoch, session.born_at),
        expires: session.expires,
        ended: session.ended,
    }
}

pub(crate) fn entities(engine: &Engine, query: &EntityQuery) -> Result<AdminReply, Refusal> {
    let limit = page_size(query.limit);
    let of_type = query.entity_type.as_ref().map(|entity_type| entity_type.as_str());
    let begin = match &query.after {
        None => 0,
        Some(after) => place_after(engine, after)?,
    };
    let page = engine.entities(of_type, begin, limit);
    let entities: Vec<EntityView> =
        page.entities.into_iter().map(|(entity, standing)| EntityView { entity, standing }).collect();
    let next = page.next.and(entities.last().map(|last| last.entity.uid.clone()));
    Ok(AdminReply::Entities(EntityPage { entities, next }))
}

/// The number of the name after `uid`, in the order of their first appearance.
fn place_after(engine: &Engine, uid: &EntityUid) -> Result<u32, Refusal> {
    let mut begin = Some(0);
    while let Some(at) = begin {
        // One at a time, a page would say which it holds and not where it stands.
        let page = engine.entities(None, at, 1);
        if page.entities.iter().any(|(record, _)| record.uid == *uid) {
            return Ok(page.next.unwrap_or(u32::MAX));
        }
        begin = page.next;
    }
    Err(directory::unknown(engine, "entity", uid))
}

/// How many entities are stored.
pub(crate) fn count_entities(engine: &Engine) -> u64 {
    let (mut count, mut begin) = (0, Some(0));
    while let Some(at) = begin {
        let page = engine.entities(None, at, ENTITIES_PER_PAGE);
        count += number(page.entities.len());
        begin = page.next;
    }
    count
}

pub(crate) fn entity(engine: &Engine, uid: &EntityUid) -> Result<AdminReply, Refusal> {
    let (entity, standing) = engine.entity(uid).ok_or_else(|| directory::unknown(engine, "entity", uid))?;
    Ok(AdminReply::Entity(EntityView { entity, standing }))
}

pub(crate) fn policy(engine: &Engine) -> Result<AdminReply, Refusal> {
    let none = || Refusal::new(ErrorCode::NoPolicy, "no policy set is in force");
    let (hash, set) = engine.active_policy().ok_or_else(none)?;
    let policies = engine.status().policy.map_or(0, |(_, count)| number(count));
    Ok(AdminReply::Policy(PolicyView { hash, policies, set: set.as_ref().clone() }))
}

/// Most sessions that are copied to be put in order. BOUND: 1,000,000 take some 300 MB for a moment.
const SESSIONS_LISTED_MAX: usize = 1_000_000;
/// Entities copied at a time, so that folding is not held up for longer than a millisecond.
const ENTITIES_PER_PAGE: usize = 1_024;
