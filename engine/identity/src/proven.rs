//! Who was proven to speak.

use portcullis_model::{EntityUid, SessionTerms, Timestamp};

/// One principal that was proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenPrincipal {
    pub(crate) uid: EntityUid,
    pub(crate) issued: Timestamp,
}

impl ProvenPrincipal {
    /// The principal.
    pub fn uid(&self) -> &EntityUid {
        &self.uid
    }

    /// When its credential was issued or last confirmed: dead if not after the principal's credentials were ended. A
    /// client's assertion is made for this session and later than anything ([`Timestamp::MAX`]); a certificate's is its
    /// beginning.
    pub fn issued(&self) -> Timestamp {
        self.issued
    }
}

/// A subject that was proven, with the agents that its own token names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenSubject {
    pub(crate) principal: ProvenPrincipal,
    pub(crate) actors: Vec<ProvenPrincipal>,
    pub(crate) expires: Timestamp,
    pub(crate) client: Option<String>,
}

impl ProvenSubject {
    /// The subject.
    pub fn principal(&self) -> &ProvenPrincipal {
        &self.principal
    }
}

/// For whom and through whom a session speaks. Only [`crate::Prover`] build one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    pub(crate) subject: ProvenPrincipal,
    pub(crate) agents: Vec<ProvenPrincipal>,
    pub(crate) expires: Timestamp,
    pub(crate) client: Option<String>,
}

impl Proven {
    /// The subject.
    pub fn subject(&self) -> &ProvenPrincipal {
        &self.subject
    }

    /// The chain, outermost first, at most [`portcullis_model::limits::CHAIN_MAX`]; empty for a direct session.
    pub fn agents(&self) -> &[ProvenPrincipal] {
        &self.agents
    }

    /// When the first of the proofs ends; [`Timestamp::MAX`] if none does.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// The client that the subject's token was issued to, as its issuer names it.
    pub fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }

    /// The session's terms, ending with the proofs and at `latest`.
    pub fn terms(&self, latest: Timestamp) -> SessionTerms {
        SessionTerms {
            subject: self.subject.uid.clone(),
            agents: self.agents.iter().map(|agent| agent.uid.clone()).collect(),
            expires: self.expires.min(latest),
        }
    }
}
