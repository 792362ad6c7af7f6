//! The few entities that one evaluation may look into, in cedar-policy's form.

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy::{Entities, Entity};
use portcullis_model::{Attribute, EntityFacts, EntityIndex, EntityUid, EntityView, ErrorCode, Owner, Refusal, Value};

use crate::convert::{cedar_uid, expression};
use crate::limits::SLICE_MAX;
use crate::prepare::Prepared;
use crate::reach::{Path, Root, Step};
use crate::schema::Schema;
use crate::scope::Asked;

/// Entities collected for one principal's pass; policies that reach the same ones share them.
pub(crate) struct Slice<'a> {
    schema: &'a Schema,
    prepared: &'a Prepared,
    principal: Asked<'a>,
    view: &'a dyn EntityView,
    /// Entities looked for; `None` for those that do not exist.
    looked: HashMap<EntityUid, Option<Loaded>>,
    /// How many of them exist, besides principal, action and resource.
    count: usize,
    /// The same in cedar-policy's form, until one more is loaded.
    entities: Option<Entities>,
}

enum Loaded {
    Stored {
        index: Option<EntityIndex>,
        facts: Arc<EntityFacts>,
    },
    /// An action of the schema.
    Action(Box<Entity>),
}

impl<'a> Slice<'a> {
    pub(crate) fn new(
        schema: &'a Schema,
        prepared: &'a Prepared,
        principal: Asked<'a>,
        view: &'a dyn EntityView,
    ) -> Self {
        Self { schema, prepared, principal, view, looked: HashMap::new(), count: 0, entities: None }
    }

    /// Entities that contain all that these paths lead to.
    ///
    /// # Errors
    /// `slice_too_large` if they lead to more than [`SLICE_MAX`].
    pub(crate) fn entities(&mut self, paths: &[Path]) -> Result<&Entities, Refusal> {
        if self.collect(paths).is_err() {
            // Together with earlier policies' entities it is too much: alone it may not be.
            self.clear();
            self.collect(paths)?;
        }
        let entities = match self.entities.take() {
            Some(entities) => entities,
            None => self.build()?,
        };
        Ok(self.entities.insert(entities))
    }

    fn clear(&mut self) {
        self.looked.clear();
        self.count = 0;
        self.entities = None;
    }

    fn collect(&mut self, paths: &[Path]) -> Result<(), Refusal> {
        let (prepared, principal) = (self.prepared, self.principal.uid);
        for root in [principal, &prepared.action, &prepared.resource] {
            self.load(root)?;
        }
        paths.iter().try_for_each(|path| self.follow(path))
    }

    /// Loads the entities that a path goes through and leads to.
    fn follow(&mut self, path: &Path) -> Result<(), Refusal> {
        let mut values = match &path.root {
            Root::Principal => vec![Value::Entity(self.principal.uid.clone())],
            Root::Action => vec![Value::Entity(self.prepared.action.clone())],
            Root::Resource => vec![Value::Entity(self.prepared.resource.clone())],
            Root::Context => return self.follow_context(path),
            Root::Entity(uid) => vec![Value::Entity(uid.clone())],
        };
        for step in &path.steps {
            values = self.step(values, step)?;
        }
        self.load_all(&values)
    }

    fn follow_context(&mut self, path: &Path) -> Result<(), Refusal> {
        let Some((Step::Attribute(name), steps)) = path.steps.split_first() else { return Ok(()) };
        let mut values: Vec<_> = self.prepared.context.get(name).cloned().into_iter().collect();
        for step in steps {
            values = self.step(values, step)?;
        }
        self.load_all(&values)
    }

    fn step(&mut self, values: Vec<Value>, step: &Step) -> Result<Vec<Value>, Refusal> {
        let mut next = Vec::new();
        for value in values {
            match (value, step) {
                (Value::Record(mut fields), Step::Attribute(name)) => next.extend(fields.remove(name)),
                (Value::Entity(uid), step) => {
                    self.load(&uid)?;
                    if let Some(Some(Loaded::Stored { facts, .. })) = self.looked.get(&uid) {
                        match step {
                            Step::Attribute(name) => next.extend(facts.attributes.get(name).map(|a| a.value.clone())),
                            Step::Tag(key) => next.extend(facts.tags.get(key).cloned()),
                            Step::AnyTag => next.extend(facts.tags.values().cloned()),
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(next)
    }

    fn load_all(&mut self, values: &[Value]) -> Result<(), Refusal> {
        values.iter().try_for_each(|value| match value {
            Value::Entity(uid) => self.load(uid),
            _ => Ok(()),
        })
    }

    fn load(&mut self, uid: &EntityUid) -> Result<(), Refusal> {
        if self.looked.contains_key(uid) {
            return Ok(());
        }
        let loaded = match self.schema.action_of(uid) {
            Some(action) => Some(Loaded::Action(Box::new(action.entity.clone()))),
            None => self.stored(uid),
        };
        if loaded.is_some() {
            if !self.is_root(uid) {
                self.count += 1;
            }
            if self.count > SLICE_MAX {
                let message = format!("a policy reaches more than {SLICE_MAX} entities in one evaluation");
                return Err(Refusal::new(ErrorCode::SliceTooLarge, message));
            }
            self.entities = None;
        }
        self.looked.insert(uid.clone(), loaded);
        Ok(())
    }

    fn is_root(&self, uid: &EntityUid) -> bool {
        [self.principal.uid, &self.prepared.action, &self.prepared.resource].contains(&uid)
    }

    fn stored(&self, uid: &EntityUid) -> Option<Loaded> {
        let is_resource = *uid == self.prepared.resource;
        let index = if *uid == *self.principal.uid {
            self.principal.index
        } else if is_resource && self.prepared.resource_index.is_some() {
            self.prepared.resource_index
        } else {
            self.view.find(uid)
        };
        let facts = index.filter(|index| self.view.exists(*index)).and_then(|index| self.view.facts(index));
        if !is_resource || self.prepared.overlay.is_empty() {
            return facts.map(|facts| Loaded::Stored { index, facts });
        }
        let mut merged = facts.map(Arc::unwrap_or_clone).unwrap_or_default();
        let overlay = self.prepared.overlay.iter();
        merged.attributes.extend(
            overlay.map(|(name, value)| (Arc::clone(name), Attribute { value: value.clone(), owner: Owner::Request })),
        );
        Some(Loaded::Stored { index, facts: Arc::new(merged) })
    }

    fn build(&self) -> Result<Entities, Refusal> {
        let mut entities = Vec::with_capacity(self.looked.len());
        for (uid, loaded) in &self.looked {
            match loaded {
                Some(Loaded::Stored { index, facts }) => entities.push(self.entity(uid, *index, facts)?),
                Some(Loaded::Action(action)) => entities.push((**action).clone()),
                None => {}
            }
        }
        Entities::from_entities(entities, None).map_err(|_| unusable())
    }

    fn entity(&self, uid: &EntityUid, index: Option<EntityIndex>, facts: &EntityFacts) -> Result<Entity, Refusal> {
        let mut parents = Vec::new();
        if let Some(index) = index {
            let view = self.view;
            view.ancestors(index, &mut |ancestor| parents.extend(view.uid(ancestor).map(|uid| self.cedar(uid))));
        }
        let parents: Option<Vec<_>> = parents.into_iter().collect();
        let attributes = facts.attributes.iter().map(|(name, attribute)| self.pair(name, &attribute.value));
        let attributes = attributes.collect::<Option<Vec<_>>>();
        let tags = facts.tags.iter().map(|(key, value)| self.pair(key, value)).collect::<Option<Vec<_>>>();
        let (Some(uid), Some(parents), Some(attributes), Some(tags)) = (self.cedar(uid), parents, attributes, tags)
        else {
            return Err(unusable());
        };
        Entity::new_with_tags(uid, attributes, parents, tags).map_err(|_| unusable())
    }

    fn cedar(&self, uid: &EntityUid) -> Option<cedar_policy::EntityUid> {
        cedar_uid(self.schema, uid)
    }

    fn pair(&self, name: &str, value: &Value) -> Option<(String, cedar_policy::RestrictedExpression)> {
        Some((name.to_owned(), expression(self.schema, value)?))
    }
}

/// Possible only where entities are stored without being checked against the schema.
fn unusable() -> Refusal {
    Refusal::new(ErrorCode::SchemaMismatch, "a stored entity holds what Cedar cannot hold")
}
