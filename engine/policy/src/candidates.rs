//! Finds the policies whose scope matches, without looking at the others.
//!
//! Policies are filed under the actions and groups that they name, then under the principal that they
//! name; a request looks under its action and that action's groups, and under its principal and what
//! that is in. Every policy is filed once a name, so the index is no larger than the text.

use std::collections::HashMap;

use portcullis_model::{EntityIndex, EntityType, EntityUid, EntityView};

use crate::decide::Effect;
use crate::scope::{ActionScope, Asked, Scope};
use crate::snapshot::{Policy, PolicyNumber};

/// The index over a whole set.
#[derive(Default)]
pub(crate) struct CandidateIndex {
    /// Policies for every action.
    any: ByEffect,
    /// Policies that name exactly this action.
    equal: HashMap<EntityUid, ByEffect>,
    /// Policies that name this action or group and all that is in it.
    within: HashMap<EntityUid, ByEffect>,
}

#[derive(Default)]
struct ByEffect {
    permits: ByPrincipal,
    forbids: ByPrincipal,
}

#[derive(Default)]
struct ByPrincipal {
    any: Vec<PolicyNumber>,
    is: HashMap<EntityType, Vec<PolicyNumber>>,
    equal: HashMap<EntityIndex, Vec<PolicyNumber>>,
    within: HashMap<EntityIndex, Vec<PolicyNumber>>,
}

/// Whom and what to find policies for.
#[derive(Clone, Copy)]
pub(crate) struct Search<'a> {
    pub(crate) action: &'a EntityUid,
    /// Every group that the action is in.
    pub(crate) groups: &'a [&'a EntityUid],
    pub(crate) principal: Asked<'a>,
    pub(crate) resource: Asked<'a>,
    pub(crate) view: &'a dyn EntityView,
}

impl CandidateIndex {
    pub(crate) fn insert(&mut self, number: PolicyNumber, policy: &Policy) {
        let file = |by_effect: &mut ByEffect| by_effect.of_mut(policy.effect).insert(number, &policy.principal);
        match &policy.action {
            ActionScope::Any => file(&mut self.any),
            ActionScope::Equal(uid) => file(self.equal.entry(uid.clone()).or_default()),
            ActionScope::In(uids) => {
                uids.iter().for_each(|uid| file(self.within.entry(uid.clone()).or_default()));
            }
            ActionScope::Never => {}
        }
    }

    /// The policies of an effect whose whole scope matches, ascending.
    pub(crate) fn find(&self, effect: Effect, search: &Search<'_>, policies: &[Policy]) -> Vec<PolicyNumber> {
        let mut found = Vec::new();
        let mut look = |by_effect: Option<&ByEffect>| {
            if let Some(by_effect) = by_effect {
                by_effect.of(effect).find(search, &mut found);
            }
        };
        look(Some(&self.any));
        look(self.equal.get(search.action));
        look(self.within.get(search.action));
        search.groups.iter().for_each(|group| look(self.within.get(*group)));
        let view = search.view;
        found.retain(|number| {
            policies.get(number.index()).is_some_and(|policy| {
                policy.principal.matches(search.principal, view) && policy.resource.matches(search.resource, view)
            })
        });
        // A policy that names several groups of the action is found under each.
        found.sort_unstable();
        found.dedup();
        found
    }
}

impl ByEffect {
    fn of(&self, effect: Effect) -> &ByPrincipal {
        match effect {
            Effect::Permit => &self.permits,
            Effect::Forbid => &self.forbids,
        }
    }

    fn of_mut(&mut self, effect: Effect) -> &mut ByPrincipal {
        match effect {
            Effect::Permit => &mut self.permits,
            Effect::Forbid => &mut self.forbids,
        }
    }
}

impl ByPrincipal {
    fn insert(&mut self, number: PolicyNumber, scope: &Scope) {
        match scope {
            Scope::Any => self.any.push(number),
            Scope::Is(entity_type) => self.is.entry(entity_type.clone()).or_default().push(number),
            Scope::Equal(named) => self.equal.entry(named.index).or_default().push(number),
            Scope::In(named) | Scope::IsIn(_, named) => self.within.entry(named.index).or_default().push(number),
            Scope::Never => {}
        }
    }

    fn find(&self, search: &Search<'_>, found: &mut Vec<PolicyNumber>) {
        let mut look = |list: Option<&Vec<PolicyNumber>>| found.extend(list.into_iter().flatten());
        look(Some(&self.any));
        look(self.is.get(search.principal.uid.entity_type()));
        let Some(principal) = search.principal.index else { return };
        look(self.equal.get(&principal));
        if !self.within.is_empty() {
            look(self.within.get(&principal));
            search.view.ancestors(principal, &mut |ancestor| look(self.within.get(&ancestor)));
        }
    }
}
