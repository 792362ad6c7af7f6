//! The model: a list of what has happened, looked through from its beginning for every answer.

use portcullis_model::{Reason, SessionId, Standing, Verdict};

/// Something that can happen to one user and its agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happening {
    RevokeUser,
    RestoreUser,
    RevokeAgent,
    RestoreAgent,
    RevokeGrant,
    RevokeSubtree,
    RevokeSession,
    RevokeEverything,
    Hold,
    Release,
    Suspend,
    Deactivate,
    Reactivate,
    SuspendAgent,
    Grant,
    JoinBanned,
    LeaveStaff,
    ClosePolicy,
}

impl Happening {
    pub(super) const ALL: &[Self] = &[
        Self::RevokeUser,
        Self::RestoreUser,
        Self::RevokeAgent,
        Self::RestoreAgent,
        Self::RevokeGrant,
        Self::RevokeSubtree,
        Self::RevokeSession,
        Self::RevokeEverything,
        Self::Hold,
        Self::Release,
        Self::Suspend,
        Self::Deactivate,
        Self::Reactivate,
        Self::SuspendAgent,
        Self::Grant,
        Self::JoinBanned,
        Self::LeaveStaff,
        Self::ClosePolicy,
    ];
}

/// Through whom a session speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chain {
    /// An agent and the agent that it passed its grant on to.
    Delegated,
    /// An agent that has a grant only where [`Happening::Grant`] came.
    Lone,
    /// Nobody: the user alone.
    Direct,
}

impl Chain {
    pub(super) const ALL: [Self; 3] = [Self::Delegated, Self::Lone, Self::Direct];
}

/// A session as the model knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opened {
    pub(super) chain: Chain,
    /// How much had happened when it was opened.
    pub(super) born: usize,
    pub(super) id: SessionId,
    /// Whether it is the one that [`Happening::RevokeSession`] names.
    pub(super) is_first: bool,
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome(pub(super) Reason);

impl Outcome {
    pub(super) fn verdict(self) -> Verdict {
        if self.0 == Reason::Permitted { Verdict::Allow } else { Verdict::Deny }
    }
}

/// What has happened, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct History(Vec<Happening>);

/// How a user or agent stands, and what last ended its sessions.
struct Alive {
    standing: Standing,
    killed: Option<(usize, Standing)>,
}

impl History {
    pub(super) fn new(happenings: Vec<Happening>) -> Self {
        Self(happenings)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn push(&mut self, happening: Happening) {
        self.0.push(happening);
    }

    pub(super) fn has(&self, happening: Happening) -> bool {
        self.0.contains(&happening)
    }

    /// What a session is answered now.
    pub(super) fn answer(&self, session: &Opened) -> Outcome {
        let permission = || self.permission().unwrap_or(Reason::Permitted);
        Outcome(self.dead(session).or_else(|| self.undelegated(session.chain)).unwrap_or_else(permission))
    }

    /// What opening a session now, and asking in it, is answered.
    pub(super) fn opening(&self, chain: Chain) -> Outcome {
        let id = SessionId::from_bytes([0; 16]);
        self.answer(&Opened { chain, born: self.len(), id, is_first: false })
    }

    fn dead(&self, session: &Opened) -> Option<Reason> {
        if session.is_first && self.has(Happening::RevokeSession) {
            return Some(Reason::SessionRevoked);
        }
        if self.0.iter().skip(session.born).any(|happening| *happening == Happening::RevokeEverything) {
            return Some(Reason::EverythingRevoked);
        }
        let against = |alive: &Alive| match (alive.standing, alive.killed) {
            (Standing::Active, Some((at, by))) if at >= session.born => Some(by),
            (Standing::Active, _) => None,
            (standing, _) => Some(standing),
        };
        let user = against(&self.user()).map(|standing| match standing {
            Standing::Held => Reason::UserHeld,
            Standing::Suspended => Reason::UserSuspended,
            Standing::Revoked => Reason::UserRevoked,
            Standing::Deactivated | Standing::Active => Reason::UserDeactivated,
        });
        let agent = against(&self.inner_agent()).filter(|_| session.chain == Chain::Delegated);
        user.or(agent.map(|standing| match standing {
            Standing::Suspended => Reason::AgentSuspended,
            _ => Reason::AgentRevoked,
        }))
    }

    fn user(&self) -> Alive {
        let (mut held, mut claim, mut revoked, mut killed) = (false, Standing::Active, false, None);
        for (at, happening) in self.0.iter().enumerate() {
            match happening {
                Happening::Hold => held = true,
                Happening::Release => held = false,
                Happening::Suspend => {
                    claim = claim.max(Standing::Suspended);
                    killed = Some((at, Standing::Suspended));
                }
                Happening::Deactivate => {
                    claim = Standing::Deactivated;
                    killed = Some((at, Standing::Deactivated));
                }
                Happening::Reactivate => claim = Standing::Active,
                Happening::RevokeUser => {
                    revoked = true;
                    killed = Some((at, Standing::Revoked));
                }
                Happening::RestoreUser => revoked = false,
                _ => {}
            }
        }
        let held = if held { Standing::Held } else { Standing::Active };
        let revoked = if revoked { Standing::Revoked } else { Standing::Active };
        Alive { standing: claim.max(held).max(revoked), killed }
    }

    fn inner_agent(&self) -> Alive {
        let (mut suspended, mut revoked, mut killed) = (Standing::Active, Standing::Active, None);
        for (at, happening) in self.0.iter().enumerate() {
            match happening {
                Happening::SuspendAgent => {
                    suspended = Standing::Suspended;
                    killed = Some((at, Standing::Suspended));
                }
                Happening::RevokeAgent => {
                    revoked = Standing::Revoked;
                    killed = Some((at, Standing::Revoked));
                }
                Happening::RestoreAgent => revoked = Standing::Active,
                _ => {}
            }
        }
        Alive { standing: suspended.max(revoked), killed }
    }

    fn undelegated(&self, chain: Chain) -> Option<Reason> {
        let ends = |happening: &Happening| {
            matches!(happening, Happening::RevokeGrant | Happening::RevokeSubtree | Happening::Deactivate)
        };
        match chain {
            Chain::Direct => None,
            Chain::Delegated => self.0.iter().any(ends).then_some(Reason::GrantRevoked),
            Chain::Lone => {
                let issued = self.0.iter().rposition(|happening| *happening == Happening::Grant);
                let Some(issued) = issued else { return Some(Reason::NotDelegated) };
                self.0[issued..].contains(&Happening::Deactivate).then_some(Reason::GrantRevoked)
            }
        }
    }

    fn permission(&self) -> Option<Reason> {
        if self.has(Happening::JoinBanned) || self.has(Happening::ClosePolicy) {
            return Some(Reason::Forbidden);
        }
        self.has(Happening::LeaveStaff).then_some(Reason::NoPermit)
    }
}
