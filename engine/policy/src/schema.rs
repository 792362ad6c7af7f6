//! The schema: actions, entity types and what each may hold.

mod load;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::EntityTypeName;
use portcullis_model::{EntityType, EntityUid, ErrorCode, Refusal};

pub(crate) use self::load::load;
use crate::nearest::nearest;
use crate::shape::{Enumerations, Fields, Shape};

/// Dense number of an action within one snapshot; another snapshot numbers anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionNumber(u32);

impl ActionNumber {
    /// An action from its number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The number as an array index.
    #[expect(clippy::as_conversions, reason = "u32 fits usize on every supported target; the one cast lives here")]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Which principals and resources an action is for. An action group may be for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppliesTo<'a> {
    /// Types of principals, ascending.
    pub principals: &'a [EntityType],
    /// Types of resources, ascending.
    pub resources: &'a [EntityType],
}

/// What the schema says of one action.
pub(crate) struct Action {
    /// Every group that it is in, directly or not.
    pub(crate) ancestors: BTreeSet<EntityUid>,
    pub(crate) principals: Vec<EntityType>,
    pub(crate) resources: Vec<EntityType>,
    pub(crate) context: Arc<Fields>,
    /// The action as an entity, with every group that it is in.
    pub(crate) entity: cedar_policy::Entity,
}

/// What the schema says of one entity type.
pub(crate) struct TypeFacts {
    pub(crate) cedar: EntityTypeName,
    pub(crate) kind: TypeKind,
}

pub(crate) enum TypeKind {
    Standard {
        attributes: Arc<Fields>,
        tags: Option<Shape>,
        /// Types of everything that an entity of this type may be in, directly or not.
        ancestors: BTreeSet<EntityType>,
    },
    Enumerated(BTreeSet<Arc<str>>),
}

/// A schema, ready to type what comes in.
pub(crate) struct Schema {
    pub(crate) cedar: cedar_policy::Schema,
    /// Ascending; the position is the action's number.
    action_uids: Vec<EntityUid>,
    actions: Vec<Action>,
    numbers: HashMap<EntityUid, ActionNumber>,
    type_names: Vec<EntityType>,
    types: BTreeMap<EntityType, TypeFacts>,
}

impl Schema {
    fn new(
        cedar: cedar_policy::Schema,
        actions: BTreeMap<EntityUid, Action>,
        types: BTreeMap<EntityType, TypeFacts>,
    ) -> Self {
        let (action_uids, actions): (Vec<_>, Vec<_>) = actions.into_iter().unzip();
        let numbers = (0..).map(ActionNumber).zip(&action_uids).map(|(number, uid)| (uid.clone(), number)).collect();
        let type_names = types.keys().cloned().collect();
        Self { cedar, action_uids, actions, numbers, type_names, types }
    }

    pub(crate) fn action_uids(&self) -> &[EntityUid] {
        &self.action_uids
    }

    pub(crate) fn action_number(&self, uid: &EntityUid) -> Option<ActionNumber> {
        self.numbers.get(uid).copied()
    }

    pub(crate) fn action(&self, number: ActionNumber) -> Option<&Action> {
        self.actions.get(number.index())
    }

    pub(crate) fn action_uid(&self, number: ActionNumber) -> Option<&EntityUid> {
        self.action_uids.get(number.index())
    }

    pub(crate) fn action_of(&self, uid: &EntityUid) -> Option<&Action> {
        self.action(self.action_number(uid)?)
    }

    pub(crate) fn type_names(&self) -> &[EntityType] {
        &self.type_names
    }

    pub(crate) fn facts(&self, entity_type: &EntityType) -> Option<&TypeFacts> {
        self.types.get(entity_type)
    }

    pub(crate) fn cedar_type(&self, entity_type: &EntityType) -> Option<&EntityTypeName> {
        self.types.get(entity_type).map(|facts| &facts.cedar)
    }

    /// The action probably meant: near in its id, or in its whole name.
    pub(crate) fn nearest_action(&self, text: &str) -> Option<&EntityUid> {
        nearest(text, self.action_uids.iter().map(|uid| (uid.id(), uid))).or_else(|| {
            let id = text.split_once("::\"").and_then(|(_, id)| id.strip_suffix('"'))?;
            nearest(id, self.action_uids.iter().map(|uid| (uid.id(), uid)))
        })
    }

    pub(crate) fn unknown_action(&self, uid: &EntityUid) -> Refusal {
        let message = match self.nearest_action(uid.id()) {
            Some(near) => format!("the schema has no action `{uid}`: did you mean `{near}`?"),
            None => format!("the schema has no action `{uid}`"),
        };
        Refusal::of_field(ErrorCode::UnknownAction, "action", message)
    }

    pub(crate) fn unknown_type(&self, entity_type: &EntityType, field: &str) -> Refusal {
        let near = nearest(entity_type.as_str(), self.type_names.iter().map(|name| (name.as_str(), name)));
        let message = match near {
            Some(near) => format!("the schema has no entity type `{entity_type}`: did you mean `{near}`?"),
            None => format!("the schema has no entity type `{entity_type}`"),
        };
        Refusal::of_field(ErrorCode::UnknownType, field, message)
    }
}

impl Enumerations for Schema {
    fn excludes(&self, uid: &EntityUid) -> bool {
        match self.types.get(uid.entity_type()) {
            Some(TypeFacts { kind: TypeKind::Enumerated(choices), .. }) => !choices.contains(uid.id()),
            _ => false,
        }
    }
}
