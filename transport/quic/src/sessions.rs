//! The sessions of one connection: what its handles name, and whom an end concerns.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use portcullis_cells::Handle;
use portcullis_model::{EntityUid, SessionId};
use portcullis_runtime::EndedScope;

/// The sessions that a connection has opened and not closed.
///
/// Handles are places in this table with a generation, so one of another connection, or of a session
/// that was closed, finds nothing.
#[derive(Debug)]
pub(crate) struct Sessions {
    slots: Vec<Slot>,
    free: Vec<u32>,
    ids: HashSet<SessionId>,
    /// How many sessions, opened or being opened, name each principal.
    principals: HashMap<EntityUid, u32>,
    /// Sessions opened or being opened.
    count: usize,
    limit: usize,
    is_over: bool,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    handle: Handle,
    id: SessionId,
    principals: Arc<[EntityUid]>,
}

/// A place for a session that is being opened: an end that comes meanwhile concerns the connection.
#[derive(Debug)]
#[must_use = "give it to `attach` or `release`"]
pub(crate) struct Reserved {
    principals: Arc<[EntityUid]>,
}

/// What a handle named when it was taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removed {
    /// A session that was open.
    Open(Handle),
    /// A session that was closed before.
    Closed,
    /// Nothing that this connection ever had.
    Unknown,
}

impl Sessions {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            ids: HashSet::new(),
            principals: HashMap::new(),
            count: 0,
            limit,
            is_over: false,
        }
    }

    /// A place for one more session; `None` if there are as many as there may be.
    pub(crate) fn reserve(&mut self, subject: &EntityUid, agents: &[EntityUid]) -> Option<Reserved> {
        if self.count >= self.limit || self.is_over {
            return None;
        }
        self.count += 1;
        let mut principals: Vec<EntityUid> = Vec::with_capacity(1 + agents.len());
        for uid in std::iter::once(subject).chain(agents) {
            if !principals.contains(uid) {
                principals.push(self.named(uid));
            }
        }
        Some(Reserved { principals: principals.into() })
    }

    /// Counts a principal and returns its name as stored, so that sessions share the text.
    fn named(&mut self, uid: &EntityUid) -> EntityUid {
        let stored = self.principals.get_key_value(uid).map_or(uid, |(stored, _)| stored).clone();
        *self.principals.entry(stored.clone()).or_insert(0) += 1;
        stored
    }

    /// Gives the place back.
    pub(crate) fn release(&mut self, reserved: &Reserved) {
        self.count = self.count.saturating_sub(1);
        for uid in reserved.principals.iter() {
            if let Some(count) = self.principals.get_mut(uid) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.principals.remove(uid);
                }
            }
        }
    }

    /// The handle of a session that was opened; `None` if the connection is over, and the session must
    /// be closed.
    pub(crate) fn attach(&mut self, reserved: Reserved, handle: Handle, id: SessionId) -> Option<u64> {
        if self.is_over {
            self.release(&reserved);
            return None;
        }
        let open = Some(Open { handle, id, principals: reserved.principals });
        self.ids.insert(id);
        let free = self.free.pop().and_then(|index| {
            let slot = self.slots.get_mut(usize::try_from(index).ok()?)?;
            Some((index, slot))
        });
        let (index, generation) = match free {
            Some((index, slot)) => {
                slot.generation += 1;
                slot.open = open;
                (index, slot.generation)
            }
            None => {
                let index = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
                self.slots.push(Slot { generation: 1, open });
                (index, 1)
            }
        };
        Some(Handle { index, generation }.to_word())
    }

    /// The engine's handle of a session.
    #[inline]
    pub(crate) fn find(&self, word: u64) -> Option<Handle> {
        let asked = Handle::from_word(word);
        let slot = self.slots.get(usize::try_from(asked.index).ok()?)?;
        slot.open.as_ref().filter(|_| slot.generation == asked.generation).map(|open| open.handle)
    }

    /// Takes a session out.
    pub(crate) fn remove(&mut self, word: u64) -> Removed {
        let asked = Handle::from_word(word);
        let slot = usize::try_from(asked.index).ok().and_then(|index| self.slots.get_mut(index));
        let Some(slot) = slot.filter(|slot| (1..=slot.generation).contains(&asked.generation)) else {
            return Removed::Unknown;
        };
        if slot.generation != asked.generation {
            return Removed::Closed;
        }
        let Some(open) = slot.open.take() else { return Removed::Closed };
        // A slot that is out of generations is not used again.
        if slot.generation < u32::MAX {
            self.free.push(asked.index);
        }
        self.ids.remove(&open.id);
        self.release(&Reserved { principals: open.principals });
        Removed::Open(open.handle)
    }

    /// Takes all out, the last opened first, and lets none in any more.
    pub(crate) fn end(&mut self) -> Vec<Handle> {
        self.is_over = true;
        self.ids = HashSet::new();
        self.principals = HashMap::new();
        std::mem::take(&mut self.slots).into_iter().rev().filter_map(|slot| slot.open.map(|open| open.handle)).collect()
    }

    /// How many sessions an end concerns; `None` if it is about others. A grant's end concerns every
    /// connection that has sessions, because which sessions rest on a grant is not known here.
    pub(crate) fn concerned(&self, scope: &EndedScope) -> Option<u32> {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        match scope {
            EndedScope::Session(id) => self.ids.contains(id).then_some(1),
            EndedScope::User(uid) | EndedScope::Agent(uid) => self.principals.get(uid).copied(),
            EndedScope::Grant(_) => (self.count > 0).then_some(0),
            EndedScope::All => (self.count > 0).then_some(number(self.count)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    fn uid(text: &str) -> EntityUid {
        text.parse().unwrap()
    }

    fn open(sessions: &mut Sessions, number: u32) -> u64 {
        let reserved = sessions.reserve(&uid("User::ada"), &[uid("Agent::bot")]).unwrap();
        let id = SessionId::from_words([u64::from(number), 0]);
        sessions.attach(reserved, Handle { index: 1_000 + number, generation: 7 }, id).unwrap()
    }

    #[test]
    fn a_handle_names_its_session_until_it_is_closed() {
        let mut sessions = Sessions::new(10);
        let (one, two) = (open(&mut sessions, 1), open(&mut sessions, 2));
        assert_eq!(sessions.find(one).map(|handle| handle.index), Some(1_001));
        assert_eq!(sessions.remove(one), Removed::Open(Handle { index: 1_001, generation: 7 }));
        assert_eq!((sessions.find(one), sessions.remove(one)), (None, Removed::Closed));
        let three = open(&mut sessions, 3);
        assert_ne!(three, one);
        assert_eq!((sessions.find(one), sessions.remove(one)), (None, Removed::Closed));
        assert_eq!(sessions.find(three).map(|handle| handle.index), Some(1_003));
        assert_eq!(sessions.find(two).map(|handle| handle.index), Some(1_002));
    }

    #[test]
    fn handles_that_were_never_given_are_unknown() {
        let mut sessions = Sessions::new(10);
        let one = open(&mut sessions, 1);
        for word in [0, 1, u64::MAX, one + 1, one + (1 << 32), u64::from(u32::MAX)] {
            assert_eq!((sessions.find(word), sessions.remove(word)), (None, Removed::Unknown), "{word:#x}");
        }
    }

    #[test]
    fn ends_concern_sessions_open_and_being_opened() {
        let mut sessions = Sessions::new(10);
        let one = open(&mut sessions, 1);
        let reserved = sessions.reserve(&uid("User::ada"), &[]).unwrap();
        let concerned = |sessions: &Sessions, scope| sessions.concerned(&scope);
        assert_eq!(concerned(&sessions, EndedScope::User(uid("User::ada"))), Some(2));
        assert_eq!(concerned(&sessions, EndedScope::Agent(uid("Agent::bot"))), Some(1));
        assert_eq!(concerned(&sessions, EndedScope::User(uid("User::ben"))), None);
        assert_eq!(concerned(&sessions, EndedScope::Session(SessionId::from_words([1, 0]))), Some(1));
        assert_eq!(concerned(&sessions, EndedScope::Session(SessionId::from_words([2, 0]))), None);
        assert_eq!(concerned(&sessions, EndedScope::All), Some(2));
        sessions.release(&reserved);
        sessions.remove(one);
        assert_eq!(concerned(&sessions, EndedScope::User(uid("User::ada"))), None);
        assert_eq!(concerned(&sessions, EndedScope::All), None);
        assert!(sessions.principals.is_empty() && sessions.ids.is_empty());
    }

    #[test]
    fn the_limit_is_kept_and_an_ended_table_takes_none() {
        let mut sessions = Sessions::new(2);
        open(&mut sessions, 1);
        let reserved = sessions.reserve(&uid("User::ada"), &[]).unwrap();
        assert!(sessions.reserve(&uid("User::ada"), &[]).is_none());
        assert_eq!(sessions.end().len(), 1);
        assert!(sessions.attach(reserved, Handle { index: 1, generation: 1 }, SessionId::from_words([9, 9])).is_none());
        assert!(sessions.reserve(&uid("User::ada"), &[]).is_none());
    }
}
