//! The scope of a policy: which principals, actions and resources its head names. Matching a scope
//! cannot fail, so leaving out a policy whose scope does not match is exact.

use cedar_policy::pst;
use portcullis_model::{EntityIndex, EntityType, EntityUid, EntityView, Intern};

use crate::convert::uid_of_tree;

/// One side of a scope: the principal's or the resource's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Any,
    Is(EntityType),
    Equal(Named),
    In(Named),
    IsIn(EntityType, Named),
    /// Names an entity that cannot exist.
    Never,
}

/// An entity that a scope names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) uid: EntityUid,
    pub(crate) index: EntityIndex,
}

/// The actions that a scope names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ActionScope {
    Any,
    /// Exactly these.
    Equal(EntityUid),
    /// These and all that is in them.
    In(Vec<EntityUid>),
    /// Names only actions that cannot exist.
    Never,
}

/// Why a scope cannot be compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScopeError {
    #[error("the policy has template slots: templates are not supported")]
    Slot,
    #[error("the engine holds as many names as it can")]
    Full,
}

/// What is asked about, as far as it is known.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) uid: &'a EntityUid,
    pub(crate) index: Option<EntityIndex>,
}

impl Scope {
    pub(crate) fn of_principal(constraint: &pst::PrincipalConstraint, intern: &dyn Intern) -> Result<Self, ScopeError> {
        use pst::PrincipalConstraint as P;
        match constraint {
            P::Any => Ok(Self::Any),
            P::Eq(entity) => named(entity, intern).map(|named| named.map_or(Self::Never, Self::Equal)),
            P::In(entity) => named(entity, intern).map(|named| named.map_or(Self::Never, Self::In)),
            P::Is(name) => Ok(entity_type(name).map_or(Self::Never, Self::Is)),
            P::IsIn(name, entity) => is_in(name, entity, intern),
        }
    }

    pub(crate) fn of_resource(constraint: &pst::ResourceConstraint, intern: &dyn Intern) -> Result<Self, ScopeError> {
        use pst::ResourceConstraint as R;
        match constraint {
            R::Any => Ok(Self::Any),
            R::Eq(entity) => named(entity, intern).map(|named| named.map_or(Self::Never, Self::Equal)),
            R::In(entity) => named(entity, intern).map(|named| named.map_or(Self::Never, Self::In)),
            R::Is(name) => Ok(entity_type(name).map_or(Self::Never, Self::Is)),
            R::IsIn(name, entity) => is_in(name, entity, intern),
        }
    }

    /// Whether the scope names this entity.
    pub(crate) fn matches(&self, asked: Asked<'_>, view: &dyn EntityView) -> bool {
        let is_in =
            |named: &Named| named.uid == *asked.uid || asked.index.is_some_and(|index| view.is_in(index, named.index));
        match self {
            Self::Any => true,
            Self::Is(entity_type) => asked.uid.entity_type() == entity_type,
            Self::Equal(named) => named.uid == *asked.uid,
            Self::In(named) => is_in(named),
            Self::IsIn(entity_type, named) => asked.uid.entity_type() == entity_type && is_in(named),
            Self::Never => false,
        }
    }
}

impl ActionScope {
    pub(crate) fn of(constraint: &pst::ActionConstraint) -> Self {
        match constraint {
            pst::ActionConstraint::Any => Self::Any,
            pst::ActionConstraint::Eq(uid) => uid_of_tree(uid).map_or(Self::Never, Self::Equal),
            pst::ActionConstraint::In(uids) => Self::In(uids.iter().filter_map(|uid| uid_of_tree(uid).ok()).collect()),
        }
    }
}

fn is_in(name: &pst::EntityType, entity: &pst::EntityOrSlot, intern: &dyn Intern) -> Result<Scope, ScopeError> {
    let Some(named) = named(entity, intern)? else { return Ok(Scope::Never) };
    Ok(entity_type(name).map_or(Scope::Never, |entity_type| Scope::IsIn(entity_type, named)))
}

fn entity_type(name: &pst::EntityType) -> Option<EntityType> {
    name.to_string().parse().ok()
}

/// The entity named; `None` if no entity can have that name.
fn named(entity: &pst::EntityOrSlot, intern: &dyn Intern) -> Result<Option<Named>, ScopeError> {
    match entity {
        pst::EntityOrSlot::Entity(uid) => match uid_of_tree(uid) {
            Ok(uid) => {
                let index = intern.intern(&uid).ok_or(ScopeError::Full)?;
                Ok(Some(Named { uid, index }))
            }
            Err(_) => Ok(None),
        },
        pst::EntityOrSlot::Slot(_) => Err(ScopeError::Slot),
    }
}
