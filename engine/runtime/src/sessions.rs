//! Sessions: a slot of words for decisions, and records found by id for everything else.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use portcullis_cells::{Handle, Slots};
use portcullis_model::limits::{CHAIN_MAX, SESSIONS_MAX};
use portcullis_model::{EntityIndex, SessionId, Timestamp};

/// Words of a session slot.
const SLOT_WORDS: usize = 11;
const WORD_STATE: usize = 3;
const WORD_PLACE: usize = 10;
const STATE_SHIFT: u32 = 8;
const TOKENED_SHIFT: u32 = 16;
const CLIENT_SHIFT: u32 = 32;

/// How a session stands, apart from whom it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionState {
    Live,
    /// Closed by its client.
    Closed,
    /// Revoked by name.
    Revoked,
    /// The last grant that it rested on was revoked.
    Ungranted,
}

/// What a decision reads of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionSlot {
    pub(crate) born_at: u64,
    pub(crate) expires: Timestamp,
    pub(crate) subject: EntityIndex,
    pub(crate) state: SessionState,
    /// Number of the client registration that opened it.
    pub(crate) client: u32,
    pub(crate) id: SessionId,
    agents: [u32; CHAIN_MAX],
    depth: u8,
    tokened: bool,
    /// Where it stands in its subject's list.
    place: u64,
}

impl SessionSlot {
    pub(crate) fn new(
        id: SessionId,
        born_at: u64,
        expires: Timestamp,
        subject: EntityIndex,
        chain: &[EntityIndex],
        client: u32,
    ) -> Self {
        let mut agents = [0; CHAIN_MAX];
        for (slot, agent) in agents.iter_mut().zip(chain) {
            *slot = agent.number();
        }
        let depth = u8::try_from(chain.len().min(CHAIN_MAX)).unwrap_or(0);
        Self {
            born_at,
            expires,
            subject,
            state: SessionState::Live,
            client,
            id,
            agents,
            depth,
            tokened: false,
            place: 0,
        }
    }

    /// The chain, outermost agent first.
    pub(crate) fn agents(&self) -> impl DoubleEndedIterator<Item = EntityIndex> + '_ {
        self.agents.iter().take(usize::from(self.depth)).map(|number| EntityIndex::new(*number))
    }

    /// Whether a token of it was issued.
    pub(crate) fn tokened(&self) -> bool {
        self.tokened
    }

    fn to_words(self) -> [u64; SLOT_WORDS] {
        let [low, high] = self.id.to_words();
        let [a, b, c, d, e, f, g, h] = self.agents;
        let pair = |low: u32, high: u32| u64::from(low) | (u64::from(high) << 32);
        let state = u64::from(self.depth)
            | (encode(self.state) << STATE_SHIFT)
            | (u64::from(self.tokened) << TOKENED_SHIFT)
            | (u64::from(self.client) << CLIENT_SHIFT);
        [
            self.born_at,
            self.expires.as_millis(),
            u64::from(self.subject.number()),
            state,
            low,
            high,
            pair(a, b),
            pair(c, d),
            pair(e, f),
            pair(g, h),
            self.place,
        ]
    }

    fn from_words(words: [u64; SLOT_WORDS]) -> Self {
        let [born_at, expires, subject, state, low, high, ab, cd, ef, gh, place] = words;
        let ((a, b), (c, d), (e, f), (g, h)) = (halves(ab), halves(cd), halves(ef), halves(gh));
        let [depth, code, tokened, ..] = state.to_le_bytes();
        Self {
            born_at,
            expires: Timestamp::from_millis(expires),
            subject: EntityIndex::new(halves(subject).0),
            state: decode(code),
            client: halves(state).1,
            id: SessionId::from_words([low, high]),
            agents: [a, b, c, d, e, f, g, h],
            depth,
            tokened: tokened != 0,
            place,
        }
    }
}

fn halves(word: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = word.to_le_bytes();
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
}

fn encode(state: SessionState) -> u64 {
    match state {
        SessionState::Live => 0,
        SessionState::Closed => 1,
        SessionState::Revoked => 2,
        SessionState::Ungranted => 3,
    }
}

/// Fails closed: a code that nobody writes reads as revoked.
fn decode(code: u8) -> SessionState {
    match code {
        0 => SessionState::Live,
        1 => SessionState::Closed,
        3 => SessionState::Ungranted,
        _ => SessionState::Revoked,
    }
}

/// Every session of this node.
///
/// Decisions only read slots, by handle. The maps beside are for opening, closing, listing and
/// telling: they are sharded or behind a lock, and never on the decision way.
pub(crate) struct Sessions {
    slots: Slots<SLOT_WORDS>,
    by_id: DashMap<SessionId, Handle>,
    /// Per subject its sessions, so that all of a user's are found without a scan.
    by_subject: DashMap<EntityIndex, Vec<Handle>>,
    /// Revoked sessions and until when a token of theirs may be shown.
    tombstones: Mutex<HashMap<SessionId, Timestamp>>,
    opened: AtomicU64,
    limit: u64,
}

impl Sessions {
    pub(crate) fn new(limit: usize) -> Self {
        let limit = limit.min(SESSIONS_MAX);
        Self {
            slots: Slots::with_capacity_max(u32::try_from(limit).unwrap_or(u32::MAX)),
            by_id: DashMap::new(),
            by_subject: DashMap::new(),
            tombstones: Mutex::new(HashMap::new()),
            opened: AtomicU64::new(0),
            limit: u64::try_from(limit).unwrap_or(u64::MAX),
        }
    }

    /// A new session; `None` when the node holds as many as it may.
    pub(crate) fn insert(&self, slot: SessionSlot) -> Option<Handle> {
        if self.slots.occupied() >= self.limit {
            return None;
        }
        let mut list = self.by_subject.entry(slot.subject).or_default();
        let place = u64::try_from(list.len()).ok()?;
        let handle = self.slots.claim(SessionSlot { place, ..slot }.to_words())?;
        list.push(handle);
        drop(list);
        if let Some(replaced) = self.by_id.insert(slot.id, handle) {
            // Two resumptions of one session at once: one of them stays, and it is the one that is found.
            self.remove(replaced);
        }
        self.opened.fetch_add(1, Ordering::Relaxed);
        Some(handle)
    }

    #[inline]
    pub(crate) fn read(&self, handle: Handle) -> Option<SessionSlot> {
        self.slots.read(handle).map(SessionSlot::from_words)
    }

    pub(crate) fn find(&self, id: SessionId) -> Option<Handle> {
        self.by_id.get(&id).map(|handle| *handle)
    }

    /// Ends a session but keeps its slot, so that asking for it is still a decision.
    pub(crate) fn end(&self, handle: Handle, state: SessionState) -> bool {
        self.change(handle, |slot| SessionSlot { state, ..slot })
    }

    /// Remembers that a token of the session was issued.
    pub(crate) fn mark_tokened(&self, handle: Handle) -> bool {
        self.change(handle, |slot| SessionSlot { tokened: true, ..slot })
    }

    /// Changes the state word. Under the lock of the subject's list, so that no change is lost.
    fn change(&self, handle: Handle, change: impl FnOnce(SessionSlot) -> SessionSlot) -> bool {
        let Some(slot) = self.read(handle) else { return false };
        let _list = self.by_subject.get_mut(&slot.subject);
        let Some(slot) = self.read(handle) else { return false };
        let words = change(slot).to_words();
        words.get(WORD_STATE).is_some_and(|word| self.slots.store_word(handle, WORD_STATE, *word))
    }

    /// Takes a session out of every table; its handle is stale from then on.
    pub(crate) fn remove(&self, handle: Handle) -> Option<SessionSlot> {
        let subject = self.read(handle)?.subject;
        let mut list = self.by_subject.get_mut(&subject)?;
        // INVARIANT: a slot's place and its subject's list change under the list's lock only.
        let slot = self.read(handle)?;
        let place = usize::try_from(slot.place).ok().filter(|place| list.get(*place) == Some(&handle))?;
        list.swap_remove(place);
        if let Some(moved) = list.get(place) {
            self.slots.store_word(*moved, WORD_PLACE, slot.place);
        }
        self.slots.release(handle);
        drop(list);
        self.by_subject.remove_if(&subject, |_, list| list.is_empty());
        // A resumed session has another handle under the same id, which stays.
        self.by_id.remove_if(&slot.id, |_, current| *current == handle);
        Some(slot)
    }

    /// How many sessions a subject has.
    pub(crate) fn count_of(&self, subject: EntityIndex) -> u64 {
        self.by_subject.get(&subject).map_or(0, |list| u64::try_from(list.len()).unwrap_or(u64::MAX))
    }

    /// The sessions of a subject, copied.
    pub(crate) fn of_subject(&self, subject: EntityIndex) -> Vec<Handle> {
        self.by_subject.get(&subject).map(|list| list.clone()).unwrap_or_default()
    }

    /// How many sessions `wanted` accepts; a scan over all of them.
    pub(crate) fn count(&self, wanted: impl Fn(&SessionSlot) -> bool) -> u64 {
        let mut count = 0;
        self.each(|_, slot| count += u64::from(wanted(slot)));
        count
    }

    /// Visits every session.
    pub(crate) fn each(&self, mut visit: impl FnMut(Handle, &SessionSlot)) {
        for entry in &self.by_id {
            if let Some(slot) = self.read(*entry.value()) {
                visit(*entry.value(), &slot);
            }
        }
    }

    pub(crate) fn occupied(&self) -> u64 {
        self.slots.occupied()
    }

    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Remembers that a session was revoked, until its last token has ended.
    pub(crate) fn bury(&self, id: SessionId, until: Timestamp) {
        if let Ok(mut tombstones) = self.tombstones.lock() {
            tombstones.insert(id, until);
        }
    }

    /// Whether a session was revoked; a poisoned table answers yes.
    pub(crate) fn is_buried(&self, id: SessionId) -> bool {
        self.tombstones.lock().map_or(true, |tombstones| tombstones.contains_key(&id))
    }

    pub(crate) fn tombstones(&self) -> usize {
        self.tombstones.lock().map_or(usize::MAX, |tombstones| tombstones.len())
    }

    /// Removes sessions past their expiry and grace, and tombstones past theirs.
    pub(crate) fn reap(&self, now: Timestamp, grace: std::time::Duration) -> Vec<SessionSlot> {
        let mut over = Vec::new();
        self.each(|handle, slot| {
            if slot.expires.plus(grace) <= now {
                over.push(handle);
            }
        });
        if let Ok(mut tombstones) = self.tombstones.lock() {
            tombstones.retain(|_, until| *until > now);
        }
        over.into_iter().filter_map(|handle| self.remove(handle)).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

    use super::*;

    fn slot(id: u8, subject: u32) -> SessionSlot {
        let chain = [EntityIndex::new(7), EntityIndex::new(9)];
        SessionSlot::new(
            SessionId::from_bytes([id; 16]),
            5,
            Timestamp::from_millis(9),
            EntityIndex::new(subject),
            &chain,
            3,
        )
    }

    #[test]
    fn words_round_trip_and_an_ended_session_keeps_its_slot() {
        let sessions = Sessions::new(10);
        let handle = sessions.insert(slot(1, 2)).unwrap();
        assert!(sessions.end(handle, SessionState::Revoked));
        let read = sessions.read(handle).unwrap();
        assert_eq!(read.state, SessionState::Revoked);
        assert_eq!(read.agents().map(EntityIndex::number).collect::<Vec<_>>(), [7, 9]);
        assert_eq!((read.born_at, read.client, read.subject.number()), (5, 3, 2));
        assert_eq!(read.id, SessionId::from_bytes([1; 16]));
    }

    #[test]
    fn a_removed_session_is_in_no_table_and_its_handle_is_stale() {
        let sessions = Sessions::new(10);
        let handles: Vec<_> = (0..4).map(|id| sessions.insert(slot(id, 2)).unwrap()).collect();
        sessions.remove(handles[1]).unwrap();
        assert_eq!(sessions.count_of(EntityIndex::new(2)), 3);
        assert!(sessions.read(handles[1]).is_none() && sessions.find(SessionId::from_bytes([1; 16])).is_none());
        assert!(sessions.remove(handles[1]).is_none());
        let again = sessions.insert(slot(9, 2)).unwrap();
        assert_ne!(again, handles[1]);
        assert!(sessions.read(handles[1]).is_none());
    }

    #[test]
    fn of_two_sessions_of_one_id_only_the_one_that_is_found_lives() {
        let sessions = Sessions::new(10);
        let (first, second) = (sessions.insert(slot(1, 2)).unwrap(), sessions.insert(slot(1, 2)).unwrap());
        assert!(sessions.read(first).is_none());
        assert_eq!(sessions.find(SessionId::from_bytes([1; 16])), Some(second));
        assert!(sessions.remove(first).is_none(), "a connection that is lost late takes nothing along");
        assert_eq!(sessions.find(SessionId::from_bytes([1; 16])), Some(second));
        assert_eq!((sessions.count_of(EntityIndex::new(2)), sessions.occupied()), (1, 1));
    }

    #[test]
    fn the_limit_is_kept_and_reaping_makes_room() {
        let sessions = Sessions::new(1);
        sessions.insert(slot(1, 2)).unwrap();
        assert!(sessions.insert(slot(2, 2)).is_none());
        let reaped = sessions.reap(Timestamp::from_millis(10), std::time::Duration::ZERO);
        assert_eq!(reaped.len(), 1);
        assert!(sessions.insert(slot(2, 2)).is_some());
    }
}
