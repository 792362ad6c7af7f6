//! Session tokens: what lets a session outlive its connection, and what ends with it.

use portcullis_cells::Handle;
use portcullis_identity::SessionClaims;
use portcullis_model::limits::TOKEN_LIFE_MAX;
use portcullis_model::{ErrorCode, Origin, Reason, Refusal, Revision, RevokeScope, SessionTerms, Timestamp};

use crate::alive::first_dead;
use crate::engine::{Engine, OpenError, OpenedSession};
use crate::sessions::{SessionSlot, SessionState};

/// A token and until when it is good.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuedToken {
    /// The token: a secret.
    pub token: String,
    /// When it ends.
    pub expires: Timestamp,
}

impl Engine {
    /// Issues a token for a live session. From then on the session's end is an event in the log.
    ///
    /// # Errors
    /// [`ErrorCode::NotPermitted`] with the reason if the session is dead, [`ErrorCode::UnknownHandle`]
    /// if there is none, [`ErrorCode::Conflict`] if the engine has no key.
    pub fn session_token(&self, handle: Handle) -> Result<IssuedToken, Refusal> {
        let shared = self.shared();
        let keyless = || Refusal::new(ErrorCode::Conflict, "this node issues no session tokens");
        let tokens = shared.tokens.as_ref().ok_or_else(keyless)?;
        let unknown = || Refusal::of_field(ErrorCode::UnknownHandle, "session", "no such session is open here");
        let now = shared.clock.now();
        let slot = shared.sessions.read(handle).ok_or_else(unknown)?;
        let (dead, opener) = shared.read(|view| (first_dead(view, &slot, now), view.revision()))?;
        if let Some(reason) = dead {
            return Err(Refusal::new(ErrorCode::NotPermitted, reason.code()));
        }
        let session = self.session(handle).ok_or_else(unknown)?;
        let claims = SessionClaims {
            session: session.id,
            subject: session.subject,
            agents: session.agents,
            ancestors: Vec::new(),
            born_at: Revision::new(opener.epoch, slot.born_at),
            opener,
            session_expires: slot.expires,
            client: session.client,
        };
        if !shared.sessions.mark_tokened(handle) {
            return Err(unknown());
        }
        let token = tokens.mint(&claims, now).map_err(|cause| Refusal::new(ErrorCode::Internal, cause.to_string()))?;
        Ok(IssuedToken { token, expires: now.plus(TOKEN_LIFE_MAX).min(slot.expires) })
    }

    /// Opens the session of a token again, under its old id and birth.
    ///
    /// # Errors
    /// [`OpenError::Denied`] if the session, its subject or an agent ended since it was born;
    /// [`OpenError::Refused`] for a token that is none of this engine's or belongs to another client.
    pub fn resume_session(&self, token: &str, client: &str) -> Result<OpenedSession, OpenError> {
        let shared = self.shared();
        shared.may_decide()?;
        let now = shared.clock.now();
        let refused = || Refusal::new(ErrorCode::Unauthenticated, "the session token was not accepted");
        let tokens = shared.tokens.as_ref().ok_or_else(refused)?;
        let verified = tokens.verify(token, now).map_err(|_| refused())?;
        let claims = verified.claims();
        let seen = shared.world.effective();
        // A node that has seen less than the opener cannot know what ended since.
        if claims.client != client || !seen.covers(claims.opener) || !claims.opener.covers(claims.born_at) {
            return Err(refused().into());
        }
        let terms = SessionTerms {
            subject: claims.subject.clone(),
            agents: claims.agents.clone(),
            expires: claims.session_expires,
        };
        let slot = self.slot_at(&terms, client, claims.session, claims.born_at.seq)?;
        if let Some(reason) = self.why_ended(&slot, now)? {
            self.record_open(&terms, client, &slot, Some(reason))?;
            return Err(OpenError::Denied(reason));
        }
        let opened = self.take_over(slot)?;
        if let Err(refusal) = self.record_open(&terms, client, &slot, None) {
            shared.sessions.remove(opened.handle);
            return Err(refusal.into());
        }
        Ok(opened)
    }

    /// Why a session of a token is over; `None` if it may go on.
    fn why_ended(&self, slot: &SessionSlot, now: Timestamp) -> Result<Option<Reason>, Refusal> {
        let sessions = &self.shared().sessions;
        if sessions.is_buried(slot.id) {
            return Ok(Some(Reason::SessionRevoked));
        }
        match sessions.find(slot.id).and_then(|handle| sessions.read(handle)).map(|old| old.state) {
            Some(SessionState::Revoked) => Ok(Some(Reason::SessionRevoked)),
            Some(SessionState::Closed) => Ok(Some(Reason::SessionEnded)),
            Some(SessionState::Ungranted) => Ok(Some(Reason::GrantRevoked)),
            Some(SessionState::Live) | None => self.why_dead(slot, now),
        }
    }

    /// Puts a resumed session in the place of the one its lost connection left behind.
    fn take_over(&self, slot: SessionSlot) -> Result<OpenedSession, Refusal> {
        let sessions = &self.shared().sessions;
        let full = || Refusal::new(ErrorCode::Overloaded, "the node holds as many sessions as it may");
        let handle = sessions.insert(slot).ok_or_else(full)?;
        sessions.mark_tokened(handle);
        // A revocation that came between the look and the insert is found by the next decision's world;
        // one by name is looked for again.
        if sessions.is_buried(slot.id) {
            sessions.end(handle, SessionState::Revoked);
        }
        let born_at = Revision::new(self.effective().epoch, slot.born_at);
        Ok(OpenedSession { handle, id: slot.id, born_at, expires: slot.expires })
    }

    /// Closes a session for good. Where a token of it exists, its end is in the log when this returns,
    /// so that no node takes the token again.
    ///
    /// # Errors
    /// What makes the log unable to take the event; the session is closed on this node all the same.
    pub async fn end_session(&self, handle: Handle, by: Origin) -> Result<bool, Refusal> {
        // What was removed tells whether a token exists: one issued meanwhile is known by then.
        let Some(slot) = self.take_session(handle) else { return Ok(false) };
        if slot.tokened() {
            let until = self.shared().clock.now().plus(TOKEN_LIFE_MAX);
            self.shared().sessions.bury(slot.id, until);
            self.revoke(RevokeScope::Session { id: slot.id, until }, by).await?;
        }
        Ok(true)
    }

    /// Whether closing a session takes an event.
    pub fn has_token(&self, handle: Handle) -> bool {
        self.shared().sessions.read(handle).is_some_and(|slot| slot.tokened())
    }
}
