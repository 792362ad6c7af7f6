//! Who acts for the subject, as a token says it: `act`, nested for a chain (RFC 8693, section 4.1).

use portcullis_model::limits::CHAIN_MAX;
use portcullis_model::{EntityType, EntityUid};

use crate::claims::{Claims, malformed};
use crate::token_error::TokenError;

/// The actors of a token, outermost first: the one closest to the subject leads, the one that acts now is last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActorClaim {
    chain: Vec<EntityUid>,
}

impl ActorClaim {
    /// The chain, outermost first, at most [`CHAIN_MAX`].
    pub fn chain(&self) -> &[EntityUid] {
        &self.chain
    }

    /// A chain of one.
    pub(crate) fn one(agent: EntityUid) -> Self {
        Self { chain: vec![agent] }
    }

    /// The chain of nested `act` claims. The token nests the other way round: its outermost `act` acts now, those
    /// within it acted before.
    pub(crate) fn nested(claims: Claims<'_>, issuer: &str, agent_type: &EntityType) -> Result<Self, TokenError> {
        let mut chain = Vec::new();
        let mut next = claims.object("act")?;
        while let Some(actor) = next {
            if chain.len() == CHAIN_MAX {
                return Err(TokenError::ChainTooLong);
            }
            chain.push(Self::link(actor, issuer, agent_type)?);
            next = actor.object("act")?;
        }
        chain.reverse();
        Ok(Self { chain })
    }

    /// One actor: its `sub`, which is this issuer's to give.
    fn link(actor: Claims<'_>, issuer: &str, agent_type: &EntityType) -> Result<EntityUid, TokenError> {
        if actor.text("iss")?.is_some_and(|other| other != issuer) {
            return Err(TokenError::ActorUntrusted);
        }
        let id = actor.text("sub")?.ok_or_else(|| TokenError::ClaimMissing("act.sub".into()))?;
        EntityUid::new(agent_type.clone(), id).map_err(|_| malformed("act.sub"))
    }
}
