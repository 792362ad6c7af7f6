//! What the node tells unasked.

use std::time::Duration;

use portcullis_model::Revision;
use portcullis_wire::frames::EndedScope;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Events that wait for one slow subscriber; when there are more it gets [`Event::Gap`] for the oldest.
pub(crate) const EVENTS_MAX: usize = 1_024;

/// Something that the node told, or that happened to the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Sessions have ended; calls in flight for them should be cancelled.
    Ended {
        /// Whose.
        scope: EndedScope,
        /// At which revision.
        revision: Revision,
        /// How many of this connection's.
        sessions: u32,
    },
    /// Events were missed: treat every session as possibly ended until it has been asked.
    Gap,
    /// The node is stopping.
    GoAway {
        /// When to come back.
        retry_after: Duration,
    },
    /// The connection is lost.
    Disconnected,
    /// There is a new connection.
    Reconnected {
        /// The revision that the node had in effect.
        revision: Revision,
    },
}

/// A subscription to [`Event`]s, from when it was made.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
}

impl Events {
    pub(crate) const fn new(receiver: broadcast::Receiver<Event>) -> Self {
        Self { receiver }
    }

    /// The next event; `None` once the client is gone.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Event> {
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(_)) => Some(Event::Gap),
            Err(RecvError::Closed) => None,
        }
    }
}
