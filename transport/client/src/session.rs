//! Asking for decisions within a session.

use std::sync::{Arc, Mutex, PoisonError};

use portcullis_model::{Decision, EntityUid, Request, Revision, SessionId, Timestamp, Verdict};
use portcullis_wire::frames::{CloseV1, OpenV1, OpenedV1, Proof, ProofV1, RefreshV1, Want};
use tokio::time::timeout;

use crate::client::{Inner, Shared};
use crate::error::{DecideError, OpenError};
use crate::link::Link;
use crate::open::OpenRequest;
use crate::reply::Reply;
use crate::slots::{Abandon, Pending};

mod ask;

/// One subject's stay, with a chain of agents, on one client.
///
/// Decisions may be asked for concurrently. If the connection is lost, the session is resumed on the
/// next one by its token, as long as that lasts: call [`Session::refresh`] before
/// [`Session::token_expires`]. Dropping a session closes it.
#[derive(Debug)]
pub struct Session {
    inner: Arc<Inner>,
    id: SessionId,
    subject: EntityUid,
    agents: Vec<EntityUid>,
    born_at: Revision,
    bound: Mutex<Arc<Bound>>,
    /// Held by whoever resumes the session.
    resuming: tokio::sync::Mutex<()>,
    is_closed: bool,
}

/// A session's place on one connection.
struct Bound {
    link: Arc<Link>,
    handle: u64,
    token: String,
    token_expires: Timestamp,
    expires: Timestamp,
}

/// Tokens are secrets and not shown.
impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bound").field("handle", &self.handle).field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl Bound {
    fn new(link: Arc<Link>, opened: OpenedV1) -> Self {
        let (token_expires, expires) = (opened.token_expires(), opened.expires());
        Self { link, handle: opened.handle, token: opened.token, token_expires, expires }
    }
}

impl Session {
    pub(crate) async fn open(inner: Arc<Inner>, request: &OpenRequest) -> Result<Self, OpenError> {
        let link = inner.shared.link()?;
        let opened = opened(&link, &request.to_frame()).await?;
        let (subject, agents) = opened.principals().map_err(DecideError::Protocol)?;
        let (id, born_at) = (opened.session_id(), opened.born_at());
        let bound = Mutex::new(Arc::new(Bound::new(link, *opened)));
        Ok(Self { inner, id, subject, agents, born_at, bound, resuming: tokio::sync::Mutex::new(()), is_closed: false })
    }

    /// The session's id, as the audit record has it.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Whose authority it is.
    pub fn subject(&self) -> &EntityUid {
        &self.subject
    }

    /// The chain of agents, outermost first.
    pub fn agents(&self) -> &[EntityUid] {
        &self.agents
    }

    /// The revision at which it was born; what was revoked up to then does not end it.
    pub fn born_at(&self) -> Revision {
        self.born_at
    }

    /// When it ends by itself.
    pub fn expires(&self) -> Timestamp {
        self.place().expires
    }

    /// When the token ends with which it can be resumed on another connection.
    pub fn token_expires(&self) -> Timestamp {
        self.place().token_expires
    }

    /// May this be done? Verdict and reason, without the policies.
    ///
    /// # Errors
    /// [`DecideError`] if no decision was reached within the client's deadline: refuse the action.
    ///
    /// # Cancel safety
    /// If the future is dropped, its place is free at once and a late answer is discarded.
    pub async fn decide(&self, request: &Request) -> Result<Decision, DecideError> {
        self.within_deadline(self.ask(request, Want::Verdict)).await
    }

    /// As [`Session::decide`], with one sufficient set of determining policies.
    ///
    /// # Errors
    /// As [`Session::decide`].
    pub async fn decide_detailed(&self, request: &Request) -> Result<Decision, DecideError> {
        self.within_deadline(self.ask(request, Want::Policies)).await
    }

    /// Several questions at once; each is answered on its own, in order.
    ///
    /// # Errors
    /// [`DecideError`] if none was reached; the inner ones if single ones were not.
    pub async fn batch(&self, requests: &[Request]) -> Result<Vec<Result<Decision, DecideError>>, DecideError> {
        self.within_deadline(self.ask_all(requests)).await
    }

    /// Renews the session's token, and with `proofs`, the subject's first and then each agent's, what
    /// the session rests on.
    ///
    /// # Errors
    /// [`OpenError`] as for [`crate::Client::open`].
    pub async fn refresh(&self, proofs: &[Proof]) -> Result<(), OpenError> {
        let deadline = self.shared().options.deadline;
        let refreshing = async {
            let bound = self.bound().await?;
            let frame = RefreshV1 { session: bound.handle, proofs: proofs.iter().map(ProofV1::from).collect() };
            let pending = bound.link.request(bound.link.lane(bound.handle), &frame, Abandon::Free)?;
            let opened = opened_of(pending).await?;
            self.rebind(Bound::new(Arc::clone(&bound.link), *opened));
            Ok(())
        };
        timeout(deadline, refreshing).await.unwrap_or(Err(DecideError::Timeout(deadline).into()))
    }

    /// Ends the session, for good, and waits until the node has done so.
    ///
    /// # Errors
    /// [`DecideError`]; then it ends by its time at the latest.
    pub async fn close(mut self) -> Result<(), DecideError> {
        self.is_closed = true;
        let closing = async {
            let bound = self.bound().await?;
            let frame = CloseV1 { session: bound.handle };
            let pending = bound.link.request(bound.link.lane(bound.handle), &frame, Abandon::Free)?;
            match pending.reply().await? {
                Reply::Closed => Ok(()),
                other => Err(other.into_error()),
            }
        };
        self.within_deadline(closing).await
    }

    async fn within_deadline<T>(&self, work: impl Future<Output = Result<T, DecideError>>) -> Result<T, DecideError> {
        let deadline = self.shared().options.deadline;
        timeout(deadline, work).await.unwrap_or(Err(DecideError::Timeout(deadline)))
    }

    /// The session's place on the connection that there is, resumed there if it is another one.
    async fn bound(&self) -> Result<Arc<Bound>, DecideError> {
        let bound = self.place();
        if !bound.link.is_closed() {
            return Ok(bound);
        }
        let _resuming = self.resuming.lock().await;
        let bound = self.place();
        if !bound.link.is_closed() {
            return Ok(bound);
        }
        let link = self.shared().link()?;
        if link.is_closed() {
            return Err(DecideError::Unreachable);
        }
        let subject = ProofV1::from(&Proof::Session(bound.token.clone()));
        let frame = OpenV1 { subject, agents: Vec::new(), life_ms: 0 };
        match opened(&link, &frame).await {
            Ok(opened) if opened.session_id() == self.id => {
                self.rebind(Bound::new(link, *opened));
                Ok(self.place())
            }
            Ok(_) => Err(DecideError::unexpected("session", "is not the one that was resumed")),
            Err(OpenError::Failed(error)) if error.is_retryable() => Err(error),
            Err(_) => Err(DecideError::SessionLost),
        }
    }

    fn place(&self) -> Arc<Bound> {
        Arc::clone(&self.bound.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn rebind(&self, bound: Bound) {
        *self.bound.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(bound);
    }

    fn shared(&self) -> &Shared {
        &self.inner.shared
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.is_closed {
            let bound = self.place();
            bound.link.close_session(bound.handle);
        }
    }
}

/// Opens or resumes.
async fn opened(link: &Link, frame: &OpenV1) -> Result<Box<OpenedV1>, OpenError> {
    opened_of(link.request(&link.control, frame, Abandon::CloseOpened)?).await
}

async fn opened_of(pending: Pending) -> Result<Box<OpenedV1>, OpenError> {
    match pending.reply().await? {
        Reply::Opened(opened) => Ok(opened),
        Reply::Decision(decision) if decision.verdict != Verdict::Allow => Err(OpenError::Denied(Box::new(decision))),
        other => Err(other.into_error().into()),
    }
}
