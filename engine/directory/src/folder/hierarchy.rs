//! Parents, children and the transitive closure over them.

use std::sync::Arc;

use portcullis_model::EntityIndex;

use super::{FoldError, Folder};
use crate::entity_cell::ANCESTORS_INLINE;

impl Folder {
    /// Refuses parents of which `entity` is an ancestor, or itself.
    pub(super) fn refuse_cycle(&self, entity: EntityIndex, parents: &[EntityIndex]) -> Result<(), FoldError> {
        let below = |parent: &EntityIndex| {
            *parent == entity
                || self.state(*parent).is_some_and(|state| state.ancestors().binary_search(&entity).is_ok())
        };
        if parents.iter().any(below) { Err(self.cycle(entity)) } else { Ok(()) }
    }

    /// Refuses members that are the group or one of its ancestors.
    pub(super) fn refuse_cycles(&self, group: EntityIndex, members: &[EntityIndex]) -> Result<(), FoldError> {
        let above = self.state(group).map(|state| state.ancestors()).unwrap_or_default();
        match members.iter().find(|member| **member == group || above.binary_search(member).is_ok()) {
            Some(member) => Err(self.cycle(*member)),
            None => Ok(()),
        }
    }

    /// Gives `entity` these direct parents and no others. `parents` is sorted and unique.
    pub(super) fn reparent(&mut self, entity: EntityIndex, parents: Vec<EntityIndex>) {
        let before = self.state_mut(entity).map(|state| std::mem::replace(&mut state.parents, parents.clone()));
        let before = before.unwrap_or_default();
        for parent in before.iter().filter(|parent| parents.binary_search(parent).is_err()) {
            if let Some(state) = self.state_mut(*parent) {
                state.children.retain(|child| *child != entity);
            }
        }
        for parent in parents.iter().filter(|parent| before.binary_search(parent).is_err()) {
            if let Some(state) = self.state_mut(*parent) {
                state.children.push(entity);
            }
        }
    }

    /// Makes `added` children of `group` and `removed` no longer so, in one pass over its children.
    pub(super) fn change_children(&mut self, group: EntityIndex, added: &[EntityIndex], removed: &[EntityIndex]) {
        if !removed.is_empty() {
            self.round += 1;
            let round = self.round;
            for child in removed {
                self.meet(*child);
            }
            let mut children =
                self.state_mut(group).map(|state| std::mem::take(&mut state.children)).unwrap_or_default();
            children.retain(|child| self.state(*child).is_none_or(|state| state.met != round));
            if let Some(state) = self.state_mut(group) {
                state.children = children;
            }
            for child in removed {
                if let Some(state) = self.state_mut(*child) {
                    state.parents.retain(|parent| *parent != group);
                }
            }
        }
        for child in added {
            let Some(state) = self.state_mut(*child) else { continue };
            if let Err(place) = state.parents.binary_search(&group) {
                state.parents.insert(place, group);
                if let Some(state) = self.state_mut(group) {
                    state.children.push(*child);
                }
            }
        }
    }

    /// Recomputes the ancestors of `changed` and of everything below, and writes their cells.
    pub(super) fn close_over(&mut self, changed: &[EntityIndex]) {
        let order = self.affected(changed);
        // Members of one change mostly have the same parents as the one before: their closure is shared.
        let mut last: Option<(Vec<EntityIndex>, Arc<[EntityIndex]>)> = None;
        for entity in order {
            let Some(state) = self.state(entity) else { continue };
            let closure = match &last {
                Some((parents, closure)) if *parents == state.parents => Arc::clone(closure),
                _ => {
                    let closure = self.closure_of(&state.parents);
                    last = Some((state.parents.clone(), Arc::clone(&closure)));
                    closure
                }
            };
            self.set_closure(entity, closure);
        }
    }

    fn set_closure(&mut self, entity: EntityIndex, closure: Arc<[EntityIndex]>) {
        let Some(state) = self.state_mut(entity) else { return };
        let overflows = closure.len() > ANCESTORS_INLINE;
        let overflowed = state.ancestors().len() > ANCESTORS_INLINE;
        state.ancestors = Some(closure);
        if overflows || overflowed {
            self.write_body(entity);
        }
        self.write_cell(entity);
    }

    fn closure_of(&self, parents: &[EntityIndex]) -> Arc<[EntityIndex]> {
        let mut all: Vec<_> = parents.to_vec();
        for parent in parents {
            all.extend(self.state(*parent).into_iter().flat_map(|state| state.ancestors()));
        }
        all.sort_unstable();
        all.dedup();
        all.into()
    }

    /// `changed` and all their descendants, each after everything above it that is affected too.
    fn affected(&mut self, changed: &[EntityIndex]) -> Vec<EntityIndex> {
        self.round += 1;
        let mut order = Vec::with_capacity(changed.len());
        for root in changed {
            if !self.meet(*root) {
                continue;
            }
            let mut stack = vec![(*root, 0_usize)];
            // Depth first: a node goes into `order` after its descendants, so the reverse is what we want.
            while let Some((entity, next)) = stack.pop() {
                match self.state(entity).and_then(|state| state.children.get(next).copied()) {
                    Some(child) => {
                        stack.push((entity, next + 1));
                        if self.meet(child) {
                            stack.push((child, 0));
                        }
                    }
                    None => order.push(entity),
                }
            }
        }
        order.reverse();
        order
    }

    /// Whether this round had not met the entity yet.
    fn meet(&mut self, entity: EntityIndex) -> bool {
        let round = self.round;
        self.state_mut(entity).is_some_and(|state| std::mem::replace(&mut state.met, round) != round)
    }

    fn cycle(&self, entity: EntityIndex) -> FoldError {
        self.world.names().uid(entity).map_or(FoldError::Full("name"), |uid| FoldError::Cycle(uid.clone()))
    }
}
