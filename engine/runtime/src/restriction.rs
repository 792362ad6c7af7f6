//! Early restrictions: what a revocation denies before the log has it.

use portcullis_cells::DenyEntry;
use portcullis_directory::{GrantIndex, World};
use portcullis_model::{EntityIndex, EntityUid, EventId, Reason, RevokeScope};

use crate::delegation::Path;
use crate::sessions::SessionSlot;

const KIND_SESSION: u64 = 1;
const KIND_SUBJECT: u64 = 2;
const KIND_AGENT: u64 = 3;
const KIND_GRANT: u64 = 4;
const KIND_EVERYTHING: u64 = 5;

/// The deny entry of a revocation; `None` if it names nothing that is known here.
pub(crate) fn entry(world: &World, event: EventId, scope: &RevokeScope) -> Option<DenyEntry> {
    let find = |uid: &EntityUid| world.names().find(uid).map(|index| [u64::from(index.number()), 0]);
    let grant = |id| world.find_grant(id).map(|grant| [u64::from(grant.number()), 0]);
    let (kind, target) = match scope {
        RevokeScope::Session { id, .. } => (KIND_SESSION, id.to_words()),
        RevokeScope::User(uid) => (KIND_SUBJECT, find(uid)?),
        RevokeScope::Agent(uid) => (KIND_AGENT, find(uid)?),
        // A path below a grant contains the grant, so one entry covers the subtree as well.
        RevokeScope::Grant(id) | RevokeScope::Subtree(id) => (KIND_GRANT, grant(*id)?),
        RevokeScope::Everything => (KIND_EVERYTHING, [0, 0]),
    };
    Some(DenyEntry { key: event.to_words(), kind, target })
}

/// Whether an entry restricts what a scope names: everything, or an entity as user or as agent.
pub(crate) fn names(world: &World, entry: &DenyEntry, scope: &RevokeScope) -> bool {
    if *scope == RevokeScope::Everything {
        return entry.kind == KIND_EVERYTHING;
    }
    let (RevokeScope::User(uid) | RevokeScope::Agent(uid)) = scope else { return false };
    let named = world.names().find(uid).map(|index| u64::from(index.number()));
    matches!(entry.kind, KIND_SUBJECT | KIND_AGENT) && named == Some(entry.target[0])
}

/// Why an entry denies a session that decided over `path`; `None` if it is about others. An entry of
/// a kind that nobody sets denies. A user or agent is restricted wherever the session names it: as
/// subject, as the subject's sponsor, or in the chain.
pub(crate) fn denies(
    entry: &DenyEntry,
    session: &SessionSlot,
    sponsor: Option<EntityIndex>,
    path: Option<&Path>,
) -> Option<Reason> {
    let [low, _] = entry.target;
    let is = |entity: EntityIndex| u64::from(entity.number()) == low;
    match entry.kind {
        KIND_SESSION => (session.id.to_words() == entry.target).then_some(Reason::SessionRevoked),
        KIND_SUBJECT | KIND_AGENT if is(session.subject) => Some(Reason::UserRevoked),
        KIND_SUBJECT | KIND_AGENT if sponsor.is_some_and(is) => Some(Reason::SponsorInactive),
        KIND_SUBJECT | KIND_AGENT => session.agents().any(is).then_some(Reason::AgentRevoked),
        KIND_GRANT => {
            let grant = u32::try_from(low).map(GrantIndex::new);
            let on_path = path.is_some_and(|path| grant.is_ok_and(|grant| path.contains(grant)));
            on_path.then_some(Reason::GrantRevoked)
        }
        _ => Some(Reason::EverythingRevoked),
    }
}
