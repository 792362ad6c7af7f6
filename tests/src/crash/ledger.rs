//! What a node has acknowledged, as its clients know it.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_model::{DecisionId, EntityUid, GrantId, Revision, SessionId, Timestamp};

/// How far something that ends has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Nobody has asked for its end.
    #[default]
    Untouched,
    /// Its end was asked for; whether it came is not known.
    Asked,
    /// Its end was acknowledged.
    Ended,
}

/// A session whose token was kept.
#[derive(Clone, Debug)]
pub struct HeldSession {
    /// What ends it, in words.
    pub story: &'static str,
    /// Its id.
    pub id: SessionId,
    /// Its handle on the connection that is lost.
    pub handle: u64,
    /// Its token.
    pub token: String,
    /// How far its end has come.
    pub fate: Fate,
}

/// Everything that was acknowledged, over all runs.
#[derive(Debug, Default)]
pub struct Ledger {
    /// The newest revision that was acknowledged.
    pub revision: Option<Revision>,
    /// Revisions of changes, each acknowledged once.
    pub changes: BTreeSet<u64>,
    /// What is wrong with the acknowledgements themselves.
    pub twice: Vec<String>,
    /// Grants that were acknowledged, and how far their revocation has come.
    pub grants: BTreeMap<GrantId, Fate>,
    /// Entities that were acknowledged.
    pub entities: BTreeSet<EntityUid>,
    /// Users whose revocation was asked for.
    pub users: BTreeMap<EntityUid, Fate>,
    /// Durable allows of this run.
    pub decisions: BTreeSet<DecisionId>,
    /// Sessions of this run.
    pub sessions: Vec<HeldSession>,
    /// When this run began, by the clock of this machine.
    pub since: Timestamp,
}

impl Ledger {
    /// Begins another run: what is only looked for in its own run is forgotten.
    pub fn begin(&mut self, since: Timestamp) {
        self.since = since;
        self.decisions.clear();
        self.sessions.clear();
    }

    /// Notes a change's revision.
    pub fn acknowledge(&mut self, revision: Revision) {
        if !self.changes.insert(revision.seq) {
            self.twice.push(format!("revision {revision} was acknowledged twice"));
        }
        self.saw(revision);
    }

    /// Notes a revision that was told.
    pub fn saw(&mut self, revision: Revision) {
        if self.revision.is_none_or(|before| revision.seq > before.seq) {
            self.revision = Some(revision);
        }
    }

    /// Notes how far the end of a session has come.
    pub fn session(&mut self, story: &str, fate: Fate) {
        for session in self.sessions.iter_mut().filter(|session| session.story == story) {
            session.fate = session.fate.max(fate);
        }
    }
}
