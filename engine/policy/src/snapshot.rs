//! A compiled policy set.

use portcullis_model::{EntityRecord, EntityType, EntityUid, PolicyRef, Refusal, SetHash};

use crate::candidates::CandidateIndex;
use crate::compile::CompileOptions;
use crate::decide::Effect;
use crate::diagnostic::Diagnostic;
use crate::evaluate::Clauses;
use crate::schema::{ActionNumber, AppliesTo, Schema};
use crate::scope::{ActionScope, Scope};
use crate::{Validation, entity_check};

/// Dense number of a policy within one snapshot; another snapshot numbers anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyNumber(u32);

impl PolicyNumber {
    /// A policy from its number.
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

/// One compiled policy.
pub(crate) struct Policy {
    pub(crate) effect: Effect,
    pub(crate) principal: Scope,
    pub(crate) action: ActionScope,
    pub(crate) resource: Scope,
    /// What must hold besides the scope; `None` if nothing.
    pub(crate) clauses: Option<Clauses>,
}

/// A policy set and its schema, compiled: immutable, shared by every decision made under it.
pub struct Snapshot {
    pub(crate) hash: SetHash,
    pub(crate) options: CompileOptions,
    pub(crate) schema: Schema,
    pub(crate) policies: Vec<Policy>,
    pub(crate) references: Vec<PolicyRef>,
    pub(crate) index: CandidateIndex,
    pub(crate) warnings: Vec<Diagnostic>,
}

impl Snapshot {
    /// The hash of the text it was compiled from.
    pub fn hash(&self) -> SetHash {
        self.hash
    }

    /// How many policies there are.
    pub fn policy_count(&self) -> usize {
        self.policies.len()
    }

    /// What the set probably does not mean to say, by file and place.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Every policy by number: in file order over files by name.
    pub fn policies(&self) -> impl ExactSizeIterator<Item = (PolicyNumber, &PolicyRef)> {
        self.references.iter().enumerate().map(|(position, policy)| {
            // No set has more policies than a number can count: POLICIES_MAX is checked before.
            (PolicyNumber(u32::try_from(position).unwrap_or(u32::MAX)), policy)
        })
    }

    /// The policy of a number; `None` for a number of another snapshot.
    pub fn policy(&self, number: PolicyNumber) -> Option<&PolicyRef> {
        self.references.get(number.index())
    }

    /// Every action and action group, ascending; the position is its number.
    pub fn actions(&self) -> &[EntityUid] {
        self.schema.action_uids()
    }

    /// The number of an action or group; `None` if the schema declares none of that name.
    pub fn action(&self, uid: &EntityUid) -> Option<ActionNumber> {
        self.schema.action_number(uid)
    }

    /// The name of an action; `None` for a number of another snapshot.
    pub fn action_uid(&self, action: ActionNumber) -> Option<&EntityUid> {
        self.schema.action_uid(action)
    }

    /// Whether an action is `group`, or in it directly or not.
    pub fn action_is_in(&self, action: ActionNumber, group: &EntityUid) -> bool {
        let is_itself = self.schema.action_uid(action).is_some_and(|uid| uid == group);
        is_itself || self.schema.action(action).is_some_and(|facts| facts.ancestors.contains(group))
    }

    /// What an action is for; for nothing if the number is of another snapshot.
    pub fn applies_to(&self, action: ActionNumber) -> AppliesTo<'_> {
        match self.schema.action(action) {
            Some(facts) => AppliesTo { principals: &facts.principals, resources: &facts.resources },
            None => AppliesTo { principals: &[], resources: &[] },
        }
    }

    /// The action probably meant by a text, which is an action's id or whole name.
    pub fn nearest_action(&self, text: &str) -> Option<&EntityUid> {
        self.schema.nearest_action(text)
    }

    /// Every entity type that the schema declares, ascending.
    pub fn entity_types(&self) -> &[EntityType] {
        self.schema.type_names()
    }

    /// Types an entity against the schema: attributes, tags and parents. Allows all without validation.
    ///
    /// # Errors
    /// `unknown_type` for an undeclared type, `schema_mismatch` with the field for anything that the
    /// schema does not allow, `too_large` for more attributes, tags or parents than an entity may have.
    pub fn check_entity(&self, record: &EntityRecord) -> Result<(), Refusal> {
        match self.options.validation {
            Validation::Strict => entity_check::check_entity(&self.schema, record),
            Validation::Off => Ok(()),
        }
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("hash", &self.hash).field("policies", &self.policies.len()).finish()
    }
}
