//! Proof of a session's subject and of every agent of its chain, each apart.

use portcullis_model::limits::CHAIN_MAX;
use portcullis_model::{EntityUid, Timestamp};

use crate::certificate::CertificateIdentity;
use crate::proof::{Proof, ProofError, Side};
use crate::proven::{Proven, ProvenPrincipal, ProvenSubject};
use crate::registration::Registration;
use crate::token::{SpeaksFor, VerifiedToken};
use crate::verifier::TokenVerifier;

/// What proof is weighed with: the connection it came on, the issuers, and the time.
#[derive(Clone, Copy, Debug)]
pub struct Prover<'a> {
    /// The client of the connection.
    pub registration: &'a Registration,
    /// The certificate of the connection; `None` if a bearer token opened it.
    pub certificate: Option<&'a CertificateIdentity>,
    /// The issuers.
    pub verifier: &'a TokenVerifier,
    /// Now.
    pub now: Timestamp,
}

impl Prover<'_> {
    /// Proves the subject and every agent of a session, outermost first.
    ///
    /// # Errors
    /// [`ProofError`] for the first proof that fails.
    pub fn prove(&self, subject: &Proof, agents: &[Proof]) -> Result<Proven, ProofError> {
        self.prove_agents(self.prove_subject(subject)?, agents)
    }

    /// Proves a session's subject. Agents that its token names come with it and cannot be left out.
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn prove_subject(&self, proof: &Proof) -> Result<ProvenSubject, ProofError> {
        let side = Side::Subject;
        let connection_ends = self.connection_ends()?;
        match proof {
            Proof::Token(token) => {
                let token = self.token(token, side)?;
                if token.speaks_for() != SpeaksFor::Subject {
                    return Err(ProofError::Side { side });
                }
                let principal = ProvenPrincipal { uid: token.subject().clone(), issued: token.issued() };
                let expires = token.expires().min(connection_ends);
                let client = token.client().map(str::to_owned);
                Ok(ProvenSubject { principal, actors: actors_of(&token), expires, client })
            }
            Proof::Asserted(uid) if self.registration.may_assert_subject(uid) => {
                let principal = ProvenPrincipal { uid: uid.clone(), issued: Timestamp::MAX };
                Ok(ProvenSubject { principal, actors: Vec::new(), expires: connection_ends, client: None })
            }
            Proof::Asserted(uid) => Err(self.not_asserted(side, uid)),
            Proof::Certificate => {
                let principal = self.own(self.registration.subject.as_ref(), side)?;
                Ok(ProvenSubject { principal, actors: Vec::new(), expires: connection_ends, client: None })
            }
        }
    }

    /// Proves the agents of a session, outermost first, after those that the subject's token names.
    ///
    /// # Errors
    /// [`ProofError`] for the first proof that fails, for a chain that is too long, and for one without agents where
    /// the client is not registered `direct`.
    pub fn prove_agents(&self, subject: ProvenSubject, proofs: &[Proof]) -> Result<Proven, ProofError> {
        // Before any signature is checked.
        if subject.actors.len().saturating_add(proofs.len()) > CHAIN_MAX {
            return Err(ProofError::ChainTooLong);
        }
        let ProvenSubject { principal, actors: mut agents, mut expires, client } = subject;
        expires = expires.min(self.connection_ends()?);
        for proof in proofs {
            let (proven, ends) = self.prove_agent(&principal, proof)?;
            agents.extend(proven);
            expires = expires.min(ends);
        }
        if agents.len() > CHAIN_MAX {
            return Err(ProofError::ChainTooLong);
        }
        if agents.is_empty() && !self.registration.direct {
            return Err(ProofError::NotDirect { client: self.client() });
        }
        Ok(Proven { subject: principal, agents, expires, client })
    }

    /// The agents that one proof proves, and when it ends.
    fn prove_agent(
        &self,
        subject: &ProvenPrincipal,
        proof: &Proof,
    ) -> Result<(Vec<ProvenPrincipal>, Timestamp), ProofError> {
        let side = Side::Agent;
        match proof {
            Proof::Token(token) => {
                let token = self.token(token, side)?;
                agents_of(&token, subject).map(|agents| (agents, token.expires())).ok_or(ProofError::Side { side })
            }
            Proof::Asserted(uid) if self.registration.may_assert_agent(uid) => {
                Ok((vec![ProvenPrincipal { uid: uid.clone(), issued: Timestamp::MAX }], Timestamp::MAX))
            }
            Proof::Asserted(uid) => Err(self.not_asserted(side, uid)),
            Proof::Certificate => {
                self.own(self.registration.agent.as_ref(), side).map(|agent| (vec![agent], Timestamp::MAX))
            }
        }
    }

    /// A token that is good and that this connection may use.
    fn token(&self, token: &str, side: Side) -> Result<VerifiedToken, ProofError> {
        let token = self.verifier.verify(token, self.now).map_err(|cause| ProofError::Token { side, cause })?;
        match token.holder() {
            Some(holder) if self.certificate.map(CertificateIdentity::fingerprint) != Some(holder) => {
                Err(ProofError::Holder { side })
            }
            _ => Ok(token),
        }
    }

    /// The principal that the connection's certificate proves.
    fn own(&self, principal: Option<&EntityUid>, side: Side) -> Result<ProvenPrincipal, ProofError> {
        match (self.certificate, principal) {
            (Some(certificate), Some(uid)) if self.registration.is_known_by(certificate) => {
                Ok(ProvenPrincipal { uid: uid.clone(), issued: certificate.not_before() })
            }
            _ => Err(ProofError::NoCertificate { client: self.client(), side }),
        }
    }

    /// When the connection's own credential ends; sessions do not outlive it.
    fn connection_ends(&self) -> Result<Timestamp, ProofError> {
        match self.certificate {
            None => Ok(Timestamp::MAX),
            Some(certificate) if certificate.is_valid_at(self.now) => Ok(certificate.not_after()),
            Some(_) => Err(ProofError::CertificateOver { client: self.client() }),
        }
    }

    fn not_asserted(&self, side: Side, uid: &EntityUid) -> ProofError {
        ProofError::NotAsserted { client: self.client(), side, uid: uid.clone() }
    }

    fn client(&self) -> String {
        self.registration.name.clone()
    }
}

/// The agents that a token proves within a session of `subject`: the one it was issued to for itself, or those that
/// it names as acting for this very subject.
fn agents_of(token: &VerifiedToken, subject: &ProvenPrincipal) -> Option<Vec<ProvenPrincipal>> {
    let actors = actors_of(token);
    match token.speaks_for() {
        SpeaksFor::Agent if actors.is_empty() => {
            Some(vec![ProvenPrincipal { uid: token.subject().clone(), issued: token.issued() }])
        }
        SpeaksFor::Subject if !actors.is_empty() && token.subject() == &subject.uid => Some(actors),
        SpeaksFor::Agent | SpeaksFor::Subject => None,
    }
}

fn actors_of(token: &VerifiedToken) -> Vec<ProvenPrincipal> {
    let issued = token.issued();
    token.actors().chain().iter().map(|uid| ProvenPrincipal { uid: uid.clone(), issued }).collect()
}

#[cfg(test)]
mod tests;
