//! The one feed of ended scopes that every connection's worker tails.

use std::collections::VecDeque;
use std::sync::Mutex;

use portcullis_model::{EntityUid, GrantId, Revision, SessionId};
use tokio::sync::watch;

/// Scopes remembered for workers that are behind. One that fell further behind is told so, and its
/// clients drop what they believe.
const FEED_MAX: usize = 65_536;

/// What ended, as clients are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndedScope {
    /// One session.
    Session(SessionId),
    /// Every session of a user.
    User(EntityUid),
    /// Every session with an agent in its chain.
    Agent(EntityUid),
    /// What rests on a grant.
    Grant(GrantId),
    /// Every session.
    All,
}

/// One frame's worth: what ended and at which revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedNotice {
    /// When.
    pub revision: Revision,
    /// What.
    pub scope: EndedScope,
    /// How many live sessions of this node it ended, where that is known without a scan.
    pub sessions: u64,
}

/// Notices since a place in the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notices {
    /// The notices, oldest first.
    pub notices: Vec<EndedNotice>,
    /// Where to go on.
    pub next: u64,
    /// Whether some were lost because the reader was too far behind.
    pub gap: bool,
}

/// A shared ring of ended scopes. Writers append, readers keep their own place.
pub(crate) struct EndedFeed {
    ring: Mutex<Ring>,
    head: watch::Sender<u64>,
}

#[derive(Default)]
struct Ring {
    notices: VecDeque<EndedNotice>,
    /// Number of the first notice in the ring.
    first: u64,
}

impl EndedFeed {
    pub(crate) fn new() -> Self {
        Self { ring: Mutex::default(), head: watch::Sender::new(0) }
    }

    pub(crate) fn push(&self, notices: impl IntoIterator<Item = EndedNotice>) {
        let Ok(mut ring) = self.ring.lock() else { return };
        for notice in notices {
            if ring.notices.len() == FEED_MAX {
                ring.notices.pop_front();
                ring.first += 1;
            }
            ring.notices.push_back(notice);
        }
        let head = ring.first + u64::try_from(ring.notices.len()).unwrap_or(0);
        drop(ring);
        self.head.send_replace(head);
    }

    /// Tells when the feed has grown.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    /// Everything since `place`.
    pub(crate) fn since(&self, place: u64) -> Notices {
        let Ok(ring) = self.ring.lock() else { return Notices { notices: Vec::new(), next: place, gap: true } };
        let next = ring.first + u64::try_from(ring.notices.len()).unwrap_or(0);
        let skip = usize::try_from(place.saturating_sub(ring.first)).unwrap_or(usize::MAX);
        Notices { notices: ring.notices.iter().skip(skip).cloned().collect(), next, gap: place < ring.first }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(seq: u64) -> EndedNotice {
        EndedNotice { revision: Revision::new(1, seq), scope: EndedScope::All, sessions: 0 }
    }

    #[test]
    fn readers_get_what_is_new_and_are_told_what_they_missed() {
        let feed = EndedFeed::new();
        feed.push([notice(1), notice(2)]);
        let first = feed.since(0);
        assert_eq!((first.notices.len(), first.next, first.gap), (2, 2, false));
        assert!(feed.since(2).notices.is_empty());
        feed.push((3..).take(FEED_MAX).map(notice));
        let late = feed.since(1);
        assert!(late.gap);
        assert_eq!(late.notices.len(), FEED_MAX);
    }
}
