//! A token that was checked.

use portcullis_model::{EntityUid, Timestamp};

use crate::actor_claim::ActorClaim;
use crate::claims::{Claims, malformed};
use crate::digest::Fingerprint;
use crate::issuer::{AgentTrust, IssuerConfig};
use crate::token_error::TokenError;

/// What the `sub` of a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpeaksFor {
    /// A subject: a person or a service.
    Subject,
    /// An agent itself: the token was issued to it for itself and proves no subject.
    Agent,
}

/// A token whose signature, issuer, audience and lifetime have been checked.
///
/// Only [`crate::TokenVerifier::verify`] builds one, so holding it proves that the checks ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    subject: EntityUid,
    speaks_for: SpeaksFor,
    actors: ActorClaim,
    client: Option<String>,
    issued_at: Option<Timestamp>,
    auth_time: Option<Timestamp>,
    expires: Timestamp,
    issuer: String,
    token_id: Option<String>,
    holder: Option<Fingerprint>,
}

impl VerifiedToken {
    /// Checks the claims of a token whose signature is `issuer`'s.
    pub(crate) fn check(claims: Claims<'_>, issuer: &IssuerConfig, now: Timestamp) -> Result<Self, TokenError> {
        if NOT_ACCESS.iter().any(|name| claims.contains(name)) {
            return Err(TokenError::Type);
        }
        claims.check_audience(&issuer.audience)?;
        let expires = claims.check_expiry(issuer.leeway(), now)?;
        claims.check_not_early(&["nbf", "iat", "auth_time"], issuer.leeway(), now)?;
        claims.required_text("sub")?;
        let id = claims.required_text(&issuer.subject_claim)?;
        let (speaks_for, actors) = speakers(claims, issuer, id)?;
        let subject_type = match speaks_for {
            SpeaksFor::Subject => &issuer.subject_type,
            SpeaksFor::Agent => &issuer.agent_type,
        };
        Ok(Self {
            subject: EntityUid::new(subject_type.clone(), id).map_err(|_| malformed(&issuer.subject_claim))?,
            speaks_for,
            actors,
            client: client(claims, issuer)?.map(str::to_owned),
            issued_at: claims.time("iat")?,
            auth_time: claims.time("auth_time")?,
            expires,
            issuer: issuer.name.clone(),
            token_id: claims.text("jti")?.map(str::to_owned),
            holder: holder(claims)?,
        })
    }

    /// Whom the token speaks for.
    pub fn subject(&self) -> &EntityUid {
        &self.subject
    }

    /// What that is.
    pub fn speaks_for(&self) -> SpeaksFor {
        self.speaks_for
    }

    /// The agents that act for the subject.
    pub fn actors(&self) -> &ActorClaim {
        &self.actors
    }

    /// The client that it was issued to, as the issuer names it.
    pub fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }

    /// When it was issued.
    pub fn issued_at(&self) -> Option<Timestamp> {
        self.issued_at
    }

    /// When the subject last signed in.
    pub fn auth_time(&self) -> Option<Timestamp> {
        self.auth_time
    }

    /// The later of issue and sign-in, which a suspension is compared with; the beginning of time if the token tells
    /// neither, so that every suspension there ever was ends it.
    pub fn issued(&self) -> Timestamp {
        self.issued_at.max(self.auth_time).unwrap_or_default()
    }

    /// When it ends, without leeway.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// The configured name of its issuer.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Its `jti`.
    pub fn token_id(&self) -> Option<&str> {
        self.token_id.as_deref()
    }

    /// The client certificate that it is bound to, if it is (RFC 8705): no other connection may use it.
    pub fn holder(&self) -> Option<Fingerprint> {
        self.holder
    }
}

/// What the token's `sub` is and which agents act for it, as far as the issuer is trusted to say.
fn speakers(claims: Claims<'_>, issuer: &IssuerConfig, id: &str) -> Result<(SpeaksFor, ActorClaim), TokenError> {
    if claims.contains("act") && issuer.agents != AgentTrust::Act {
        return Err(TokenError::ActorUntrusted);
    }
    let is_agents = issuer.subject_type == issuer.agent_type;
    let own = if is_agents { SpeaksFor::Agent } else { SpeaksFor::Subject };
    match &issuer.agents {
        AgentTrust::None => Ok((SpeaksFor::Subject, ActorClaim::default())),
        AgentTrust::Act => Ok((own, ActorClaim::nested(claims, &issuer.issuer, &issuer.agent_type)?)),
        AgentTrust::ClientClaim(name) => match claims.text(name)? {
            None => Ok((own, ActorClaim::default())),
            // A client that is its own subject got the token for itself.
            Some(client) if client == id || Some(client) == claims.text("sub")? => {
                Ok((SpeaksFor::Agent, ActorClaim::default()))
            }
            Some(client) => {
                let agent = EntityUid::new(issuer.agent_type.clone(), client).map_err(|_| malformed(name))?;
                Ok((own, ActorClaim::one(agent)))
            }
        },
    }
}

fn client<'a>(claims: Claims<'a>, issuer: &IssuerConfig) -> Result<Option<&'a str>, TokenError> {
    match &issuer.agents {
        AgentTrust::ClientClaim(name) => claims.text(name),
        AgentTrust::None | AgentTrust::Act => Ok(claims.text("client_id")?.or(claims.text("azp")?)),
    }
}

/// The certificate of a confirmation claim (RFC 7800). A binding that cannot be checked is not overlooked.
fn holder(claims: Claims<'_>) -> Result<Option<Fingerprint>, TokenError> {
    let Some(confirmation) = claims.object("cnf")? else { return Ok(None) };
    if confirmation.contains("jkt") {
        return Err(TokenError::Binding("jkt"));
    }
    if confirmation.names().any(|name| name != "x5t#S256") {
        return Err(TokenError::Binding("cnf"));
    }
    let text = confirmation.required_text("x5t#S256")?;
    Fingerprint::from_base64url(text).map(Some).ok_or_else(|| malformed("cnf"))
}

/// Claims of security events and logout tokens (RFC 8417), and of identity tokens.
const NOT_ACCESS: [&str; 4] = ["events", "at_hash", "c_hash", "s_hash"];
