//! The client: one connection at a time, made again when it is lost.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis_model::Revision;
use portcullis_wire::Role;
use portcullis_wire::limits::ADMIN_CALLS_MAX;
use tokio::sync::{Semaphore, broadcast, watch};
use tokio::time::{sleep, timeout};

use crate::backoff;
use crate::connect::{Served, connect};
use crate::error::{ConnectError, DecideError, OpenError};
use crate::events::{EVENTS_MAX, Event, Events};
use crate::link::Link;
use crate::open::OpenRequest;
use crate::options::ClientOptions;
use crate::session::Session;

/// Longest wait for answers after the node has said that it is stopping.
const DRAIN_WAIT_MAX: Duration = Duration::from_secs(5);

/// A connection to a node, shared by its clones.
///
/// It spawns its tasks onto the tokio runtime in which it was made, and has none of its own. When the
/// connection is lost it is made again, with growing and random pauses; meanwhile every call fails with
/// [`DecideError::Unreachable`]. It ends when the last clone and the last of its sessions are dropped.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

/// What clones and sessions hold; dropping the last one stops the supervisor.
pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    closing: watch::Sender<bool>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("address", &self.shared.options.address).finish_non_exhaustive()
    }
}

/// What the supervisor holds too.
pub(crate) struct Shared {
    pub(crate) options: ClientOptions,
    link: watch::Sender<Option<Arc<Link>>>,
    events: broadcast::Sender<Event>,
    is_finished: watch::Sender<bool>,
    /// Administrative calls in flight, so that the node need not refuse them.
    pub(crate) admin_calls: Semaphore,
}

impl Shared {
    /// The connection.
    pub(crate) fn link(&self) -> Result<Arc<Link>, DecideError> {
        match &*self.link.borrow() {
            Some(link) => Ok(Arc::clone(link)),
            None if *self.is_finished.borrow() => Err(DecideError::Closed),
            None => Err(DecideError::Unreachable),
        }
    }
}

impl Client {
    /// Connects as a `client.toml` says; see [`ClientOptions::from_file`].
    ///
    /// # Errors
    /// [`ConnectError`] if the file is faulty or the first connection fails.
    pub async fn from_file(path: impl AsRef<Path>) -> Result<Self, ConnectError> {
        Self::connect(ClientOptions::from_file(path)?).await
    }

    /// Connects. Must be called within a tokio runtime with IO and time.
    ///
    /// # Errors
    /// [`ConnectError`] if the first connection fails; later ones are tried until they succeed.
    pub async fn connect(options: ClientOptions) -> Result<Self, ConnectError> {
        let events = broadcast::Sender::new(EVENTS_MAX);
        let served = connect(&options, &events).await?;
        let shared = Arc::new(Shared {
            options,
            link: watch::Sender::new(Some(Arc::clone(&served.link))),
            events,
            is_finished: watch::Sender::new(false),
            admin_calls: Semaphore::new(ADMIN_CALLS_MAX),
        });
        let closing = watch::Sender::new(false);
        tokio::spawn(supervise(Arc::clone(&shared), served, closing.subscribe()));
        Ok(Self { inner: Arc::new(Inner { shared, closing }) })
    }

    /// Opens a session: proves its subject and each agent of its chain.
    ///
    /// # Errors
    /// [`OpenError::Denied`] if subject or agent are dead; [`OpenError::Failed`] if a proof is not
    /// accepted or the node cannot say.
    ///
    /// # Cancel safety
    /// If the future is dropped, a session that the node opens nevertheless is closed again.
    pub async fn open(&self, request: &OpenRequest) -> Result<Session, OpenError> {
        let deadline = self.inner.shared.options.deadline;
        let opening = Session::open(Arc::clone(&self.inner), request);
        timeout(deadline, opening).await.unwrap_or(Err(DecideError::Timeout(deadline).into()))
    }

    /// What the node tells unasked, from now on; a subscriber that does not keep up gets
    /// [`Event::Gap`].
    pub fn subscribe(&self) -> Events {
        Events::new(self.inner.shared.events.subscribe())
    }

    /// The role that the node gave this client, while there is a connection.
    pub fn role(&self) -> Option<Role> {
        self.inner.shared.link().ok().map(|link| link.role)
    }

    /// The revision that the node had in effect when the connection was made.
    pub fn connected_at(&self) -> Option<Revision> {
        self.inner.shared.link().ok().map(|link| Revision::new(link.welcome.epoch, link.welcome.seq))
    }

    /// Sends what is queued, closes the connection and waits until that is done. Sessions stay open on
    /// the node until they are closed or expire; clones of this client are closed too.
    pub async fn close(self) {
        self.inner.closing.send_replace(true);
        let mut finished = self.inner.shared.is_finished.subscribe();
        // The supervisor's own end also ends the wait.
        let _ = finished.wait_for(|finished| *finished).await;
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.inner.shared
    }
}

/// Why a connection is not served any more.
enum End {
    /// It is lost; the node may have said when to come back.
    Lost(Option<Duration>),
    /// Nobody needs it any more.
    Closing,
}

async fn supervise(shared: Arc<Shared>, first: Served, mut closing: watch::Receiver<bool>) {
    let mut next = Some(first);
    while let Some(served) = next.take() {
        let end = watch_over(&served.link, &mut closing).await;
        shared.link.send_replace(None);
        match end {
            End::Closing => served.finish().await,
            End::Lost(wish) => {
                if wish.is_some() {
                    served.finish().await
                } else {
                    served.end().await
                }
                let _ = shared.events.send(Event::Disconnected);
                next = tokio::select! {
                    served = reconnect(&shared, wish) => Some(served),
                    () = until_closing(&mut closing) => None,
                };
            }
        }
        if let Some(served) = &next {
            let revision = Revision::new(served.link.welcome.epoch, served.link.welcome.seq);
            shared.link.send_replace(Some(Arc::clone(&served.link)));
            let _ = shared.events.send(Event::Reconnected { revision });
        }
    }
    shared.is_finished.send_replace(true);
}

async fn watch_over(link: &Link, closing: &mut watch::Receiver<bool>) -> End {
    let mut go_away = link.go_away.subscribe();
    let told_to_go = async {
        let wish = go_away.wait_for(Option::is_some).await.ok().and_then(|wish| *wish);
        // The node answers what is in flight; the last to receive closes.
        let _ = timeout(DRAIN_WAIT_MAX, link.slots.until_idle()).await;
        wish.unwrap_or_default()
    };
    tokio::select! {
        _ = link.connection.closed() => End::Lost(None),
        wish = told_to_go => End::Lost(Some(wish)),
        () = until_closing(closing) => End::Closing,
    }
}

async fn until_closing(closing: &mut watch::Receiver<bool>) {
    // An error means that the last clone and session were dropped.
    let _ = closing.wait_for(|closing| *closing).await;
}

/// Tries until it succeeds.
async fn reconnect(shared: &Shared, mut wish: Option<Duration>) -> Served {
    let mut attempt = 0;
    loop {
        sleep(backoff::delay(attempt, rand::random(), wish.take())).await;
        match connect(&shared.options, &shared.events).await {
            Ok(served) => return served,
            Err(error) => tracing::warn!(%error, attempt, "the node cannot be reached"),
        }
        attempt = attempt.saturating_add(1);
    }
}
