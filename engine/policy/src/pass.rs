//! What one pass of a decision is about, and which policies it concerns.

use portcullis_model::{EntityIndex, EntityUid, EntityView, ErrorCode, Refusal};

use crate::candidates::Search;
use crate::evaluate::CedarEvaluator;
use crate::prepare::Prepared;
use crate::scope::Asked;
use crate::{Effect, PolicyNumber, Snapshot, Validation};

/// What one pass is about.
pub(crate) struct PassInput<'a> {
    snapshot: &'a Snapshot,
    prepared: &'a Prepared,
    principal: Asked<'a>,
    resource: Asked<'a>,
    view: &'a dyn EntityView,
}

impl<'a> PassInput<'a> {
    pub(crate) fn new(
        snapshot: &'a Snapshot,
        prepared: &'a Prepared,
        principal: EntityIndex,
        view: &'a dyn EntityView,
    ) -> Result<Self, Refusal> {
        if prepared.snapshot != snapshot.hash {
            return Err(Refusal::new(ErrorCode::Internal, "the question was prepared under another policy set"));
        }
        let uid = view
            .uid(principal)
            .ok_or_else(|| Refusal::of_field(ErrorCode::NotFound, "principal", "no such principal was ever named"))?;
        check_overlay(prepared, view)?;
        Ok(Self {
            snapshot,
            prepared,
            principal: Asked { uid, index: Some(principal) },
            resource: Asked { uid: &prepared.resource, index: prepared.resource_index },
            view,
        })
    }

    pub(crate) fn evaluator(&self) -> CedarEvaluator<'a> {
        CedarEvaluator::new(&self.snapshot.schema, self.prepared, self.principal, self.view)
    }

    /// Whether the schema lets this type of principal do the action to this type of resource.
    pub(crate) fn is_applicable(&self) -> bool {
        match self.snapshot.options.validation {
            Validation::Off => true,
            Validation::Strict => {
                let action = self.prepared.action_number.and_then(|number| self.snapshot.schema.action(number));
                let is_for = |principal: &EntityUid| {
                    action.is_some_and(|action| action.principals.contains(principal.entity_type()))
                };
                self.prepared.is_applicable && is_for(self.principal.uid)
            }
        }
    }

    /// The policies of an effect whose scope matches: those without clauses first, for they are
    /// satisfied as they stand.
    pub(crate) fn candidates(&self, effect: Effect) -> Vec<PolicyNumber> {
        let schema = &self.snapshot.schema;
        let action = self.prepared.action_number.and_then(|number| schema.action(number));
        let mut groups: Vec<&EntityUid> = action.into_iter().flat_map(|action| &action.ancestors).collect();
        // Without validation an undeclared action may be a stored entity.
        let stored = if action.is_none() { self.view.find(&self.prepared.action) } else { None };
        if let Some(index) = stored {
            self.view.ancestors(index, &mut |ancestor| groups.extend(self.view.uid(ancestor)));
        }
        let search = Search {
            action: &self.prepared.action,
            groups: &groups,
            principal: self.principal,
            resource: self.resource,
            view: self.view,
        };
        let policies = &self.snapshot.policies;
        let mut found = self.snapshot.index.find(effect, &search, policies);
        found.sort_by_key(|number| policies.get(number.index()).is_some_and(|policy| policy.clauses.is_some()));
        found
    }
}

/// Refuses attributes that the request brought where a value is stored.
fn check_overlay(prepared: &Prepared, view: &dyn EntityView) -> Result<(), Refusal> {
    if prepared.overlay.is_empty() {
        return Ok(());
    }
    let Some(facts) = prepared.resource_index.and_then(|index| view.facts(index)) else { return Ok(()) };
    match prepared.overlay.keys().find(|name| facts.attributes.contains_key(*name)) {
        Some(name) => {
            let message = format!("`{name}` of the resource is stored: a request cannot replace it");
            Err(Refusal::of_field(ErrorCode::AttributeNotOwned, format!("resource_attributes.{name}"), message))
        }
        None => Ok(()),
    }
}
