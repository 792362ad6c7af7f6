//! Grant paths: from the subject, through the chain, to the innermost agent.

use portcullis_directory::{GrantBody, GrantIndex, GrantState, WorldView};
use portcullis_model::limits::CHAIN_MAX;
use portcullis_model::{EntityView, Reason, Timestamp};

use crate::sessions::SessionSlot;

/// The grants of one path, from the root to the leaf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Path {
    grants: [Option<GrantIndex>; CHAIN_MAX],
}

impl Path {
    pub(crate) fn grants(&self) -> impl DoubleEndedIterator<Item = GrantIndex> + '_ {
        self.grants.iter().flatten().copied()
    }

    pub(crate) fn leaf(&self) -> Option<GrantIndex> {
        self.grants().next_back()
    }

    pub(crate) fn contains(&self, grant: GrantIndex) -> bool {
        self.grants().any(|other| other == grant)
    }
}

/// Why a grant on a path does not cover a request. Ordered from far to near, so that the nearest
/// miss is what a denial names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Miss {
    Scope,
    Ended,
    Time,
    Condition,
}

impl Miss {
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::Scope => Reason::NotDelegated,
            Self::Ended => Reason::GrantRevoked,
            Self::Time => Reason::GrantExpired,
            Self::Condition => Reason::GrantCondition,
        }
    }
}

/// What a search over all paths found.
pub(crate) enum Coverage {
    /// A path of which every grant covers the request.
    Covered(Path),
    /// None, and what the nearest one lacked.
    Missed(Miss),
}

/// Searches a path for a session with agents. `covers` says of one grant whether it reaches the
/// request; liveness and time are checked here.
///
/// A path has exactly one grant for each agent of the chain, in its order, from a root that the
/// subject or one of its groups holds. Cost: the grants of the subject and its groups for the
/// innermost agent, each walked to its root, at most [`CHAIN_MAX`] steps.
pub(crate) fn search(
    view: &WorldView<'_>,
    session: &SessionSlot,
    now: Timestamp,
    covers: &mut dyn FnMut(GrantIndex, &GrantBody) -> Result<(), Miss>,
) -> Coverage {
    let Some(innermost) = session.agents().next_back() else { return Coverage::Missed(Miss::Scope) };
    let mut nearest = Miss::Scope;
    let mut found = None;
    let mut visit = |leaf: GrantIndex| match walk(view, session, leaf, now, covers) {
        Ok(path) => {
            found = Some(path);
            true
        }
        Err(miss) => {
            nearest = nearest.max(miss);
            false
        }
    };
    let mut done = view.grants_for(session.subject, innermost, &mut visit);
    if !done {
        view.ancestors(session.subject, &mut |group| {
            done = done || view.grants_for(group, innermost, &mut visit);
        });
    }
    found.map_or(Coverage::Missed(nearest), Coverage::Covered)
}

fn walk(
    view: &WorldView<'_>,
    session: &SessionSlot,
    leaf: GrantIndex,
    now: Timestamp,
    covers: &mut dyn FnMut(GrantIndex, &GrantBody) -> Result<(), Miss>,
) -> Result<Path, Miss> {
    let mut path = Path::default();
    let depth = session.agents().count();
    let mut at = Some(leaf);
    for (agent, place) in session.agents().rev().zip((0..depth).rev()) {
        let grant = at.ok_or(Miss::Scope)?;
        let body = view.world().grant(grant).ok_or(Miss::Scope)?;
        if body.agent != agent {
            return Err(Miss::Scope);
        }
        // Scope first: a denial names what happened to a grant only if the grant reached the request.
        covers(grant, body)?;
        check(view, grant, body, now)?;
        if let Some(slot) = path.grants.get_mut(place) {
            *slot = Some(grant);
        }
        at = body.parent;
    }
    // What is left above would be an agent that does not take part.
    if at.is_some() { Err(Miss::Scope) } else { Ok(path) }
}

fn check(view: &WorldView<'_>, grant: GrantIndex, body: &GrantBody, now: Timestamp) -> Result<(), Miss> {
    match view.grant_state(grant) {
        GrantState::Live => {}
        GrantState::Revoked | GrantState::Tombstone => return Err(Miss::Ended),
        GrantState::Absent => return Err(Miss::Scope),
    }
    if body.covers_time(now) { Ok(()) } else { Err(Miss::Time) }
}
