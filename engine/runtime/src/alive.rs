//! Whether everybody that a session names is alive.

use portcullis_directory::{EntityCell, WorldView};
use portcullis_model::{EntityIndex, Reason, Standing, Timestamp};

use crate::sessions::{SessionSlot, SessionState};

/// The first reason why a session may do nothing at all; `None` if it is alive.
///
/// The order is the session itself, then its subject, the subject's sponsor, and the chain from the
/// outermost agent inwards; last, whether the grant it rested on was taken away for good.
pub(crate) fn first_dead(view: &WorldView<'_>, session: &SessionSlot, now: Timestamp) -> Option<Reason> {
    match session.state {
        SessionState::Live | SessionState::Ungranted => {}
        SessionState::Closed => return Some(Reason::SessionEnded),
        SessionState::Revoked => return Some(Reason::SessionRevoked),
    }
    if session.expires <= now {
        return Some(Reason::SessionExpired);
    }
    if session.born_at < view.everything_valid_after() {
        return Some(Reason::EverythingRevoked);
    }
    user(view, session)
        .or_else(|| sponsor(view, session))
        .or_else(|| session.agents().find_map(|agent| self::agent(view, agent, session.born_at)))
        .or_else(|| (session.state == SessionState::Ungranted).then_some(Reason::GrantRevoked))
}

fn user(view: &WorldView<'_>, session: &SessionSlot) -> Option<Reason> {
    let cell = view.entity(session.subject);
    reason(&cell, session.born_at).map(|standing| standing.map_or(Reason::UnknownUser, of_user))
}

/// Why a user may do nothing, by what stands or stood against it.
pub(crate) fn of_user(standing: Standing) -> Reason {
    match standing {
        Standing::Active | Standing::Deactivated => Reason::UserDeactivated,
        Standing::Held => Reason::UserHeld,
        Standing::Suspended => Reason::UserSuspended,
        Standing::Revoked => Reason::UserRevoked,
    }
}

/// Why an agent may do nothing, by what stands or stood against it.
pub(crate) fn of_agent(standing: Standing) -> Reason {
    match standing {
        Standing::Active | Standing::Deactivated => Reason::AgentDeactivated,
        Standing::Held => Reason::AgentHeld,
        Standing::Suspended => Reason::AgentSuspended,
        Standing::Revoked => Reason::AgentRevoked,
    }
}

fn agent(view: &WorldView<'_>, agent: EntityIndex, born_at: u64) -> Option<Reason> {
    reason(&view.entity(agent), born_at).map(|standing| standing.map_or(Reason::UnknownAgent, of_agent))
}

fn sponsor(view: &WorldView<'_>, session: &SessionSlot) -> Option<Reason> {
    let sponsor = view.sponsor(session.subject)?;
    reason(&view.entity(sponsor), session.born_at).map(|_| Reason::SponsorInactive)
}

/// `None` if the entity is alive for a session born at `born_at`; else what stands against it, where
/// the inner `None` says that nothing is stored under the name.
fn reason(cell: &EntityCell, born_at: u64) -> Option<Option<Standing>> {
    if !cell.exists {
        return Some(None);
    }
    if cell.standing != Standing::Active {
        return Some(Some(cell.standing));
    }
    (born_at < cell.valid_after).then_some(Some(cell.killed_by))
}
