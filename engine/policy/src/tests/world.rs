//! An in-memory view, and short ways to say things.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use portcullis_model::{
    Attribute, EntityFacts, EntityIndex, EntityRecord, EntityUid, EntityView, Intern, Owner, PolicyFile, PolicySetText,
    Refusal, Request, Value,
};

use crate::{Ask, CompileOptions, EngineContext, OnError, PolicyErrors, Prepared, Snapshot, Validation, compile};

pub(super) const STRICT: CompileOptions = CompileOptions { validation: Validation::Strict, on_error: OnError::Deny };
pub(super) const CEDAR: CompileOptions = CompileOptions { validation: Validation::Off, on_error: OnError::Skip };

/// Names in the order in which they were first seen.
#[derive(Default)]
pub(super) struct Names(RefCell<Vec<EntityUid>>);

impl Intern for Names {
    fn intern(&self, uid: &EntityUid) -> Option<EntityIndex> {
        let mut names = self.0.borrow_mut();
        let position = names.iter().position(|name| name == uid).unwrap_or_else(|| {
            names.push(uid.clone());
            names.len() - 1
        });
        Some(EntityIndex::new(u32::try_from(position).unwrap()))
    }
}

/// Entities at one revision.
pub(super) struct World {
    names: Vec<EntityUid>,
    numbers: HashMap<EntityUid, EntityIndex>,
    facts: HashMap<EntityIndex, Arc<EntityFacts>>,
    ancestors: HashMap<EntityIndex, BTreeSet<EntityIndex>>,
}

impl World {
    pub(super) fn new(names: Names, records: &[EntityRecord]) -> Self {
        for record in records {
            names.intern(&record.uid);
            assert!(record.parents.iter().all(|parent| names.intern(parent).is_some()));
        }
        let names = names.0.into_inner();
        let numbers: HashMap<_, _> =
            names.iter().zip(0..).map(|(name, number)| (name.clone(), EntityIndex::new(number))).collect();
        let parents: HashMap<EntityIndex, Vec<EntityIndex>> = records
            .iter()
            .map(|record| (numbers[&record.uid], record.parents.iter().map(|parent| numbers[parent]).collect()))
            .collect();
        let facts = records.iter().map(|record| {
            let facts = EntityFacts { attributes: record.attributes.clone(), tags: record.tags.clone() };
            (numbers[&record.uid], Arc::new(facts))
        });
        let ancestors = parents.keys().map(|entity| {
            let mut found = BTreeSet::new();
            let mut open = parents[entity].clone();
            while let Some(next) = open.pop() {
                if found.insert(next) {
                    open.extend(parents.get(&next).into_iter().flatten());
                }
            }
            (*entity, found)
        });
        Self { facts: facts.collect(), ancestors: ancestors.collect(), names, numbers }
    }

    pub(super) fn index(&self, name: &str) -> EntityIndex {
        self.find(&uid(name)).unwrap_or_else(|| panic!("{name} has no number"))
    }
}

impl EntityView for World {
    fn find(&self, uid: &EntityUid) -> Option<EntityIndex> {
        self.numbers.get(uid).copied()
    }

    fn uid(&self, entity: EntityIndex) -> Option<&EntityUid> {
        self.names.get(entity.index())
    }

    fn exists(&self, entity: EntityIndex) -> bool {
        self.facts.contains_key(&entity)
    }

    fn is_in(&self, entity: EntityIndex, ancestor: EntityIndex) -> bool {
        self.ancestors.get(&entity).is_some_and(|ancestors| ancestors.contains(&ancestor))
    }

    fn ancestors(&self, entity: EntityIndex, visit: &mut dyn FnMut(EntityIndex)) {
        self.ancestors.get(&entity).into_iter().flatten().copied().for_each(visit);
    }

    fn facts(&self, entity: EntityIndex) -> Option<Arc<EntityFacts>> {
        self.facts.get(&entity).cloned()
    }
}

pub(super) fn uid(name: &str) -> EntityUid {
    name.parse().unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub(super) fn value(json: serde_json::Value) -> Value {
    Value::from_json(&json).unwrap()
}

/// A record whose attributes are a JSON object.
pub(super) fn record(name: &str, parents: &[&str], attributes: serde_json::Value) -> EntityRecord {
    let Value::Record(attributes) = value(attributes) else { panic!("attributes are an object") };
    EntityRecord {
        parents: parents.iter().copied().map(uid).collect(),
        attributes: attributes
            .into_iter()
            .map(|(name, value)| (name, Attribute { value, owner: Owner::Directory }))
            .collect(),
        ..EntityRecord::named(uid(name))
    }
}

pub(super) fn text(schema: &str, files: &[(&str, &str)]) -> PolicySetText {
    let file = |name: &str, text: &str| PolicyFile { name: name.to_owned(), text: text.to_owned() };
    PolicySetText {
        schema: file("schema.cedarschema", schema),
        files: files.iter().map(|(name, text)| file(name, text)).collect(),
    }
}

/// A compiled set and the world that it is asked about.
pub(super) struct Fixture {
    pub(super) snapshot: Snapshot,
    pub(super) world: World,
}

impl Fixture {
    pub(super) fn new(schema: &str, policies: &str, options: CompileOptions, records: &[EntityRecord]) -> Self {
        Self::try_new(schema, policies, options, records).unwrap_or_else(|errors| panic!("{errors}"))
    }

    pub(super) fn try_new(
        schema: &str,
        policies: &str,
        options: CompileOptions,
        records: &[EntityRecord],
    ) -> Result<Self, PolicyErrors> {
        let names = Names::default();
        let snapshot = compile(&text(schema, &[("main.cedar", policies)]), &names, options)?;
        Ok(Self { snapshot, world: World::new(names, records) })
    }

    pub(super) fn prepare(&self, request: &Request, user: &str, agents: &[&str]) -> Result<Prepared, Refusal> {
        let agents: Vec<_> = agents.iter().copied().map(uid).collect();
        let engine = EngineContext { user: &uid(user), agents: &agents };
        self.snapshot.prepare(&Ask { request, resource: self.world.find(&request.resource), engine })
    }

    /// The ids of policies by number.
    pub(super) fn ids<'a>(&self, numbers: impl IntoIterator<Item = &'a crate::PolicyNumber>) -> Vec<String> {
        numbers.into_iter().map(|number| self.snapshot.policy(*number).unwrap().id.to_string()).collect()
    }
}

/// A request with a context that is a JSON object.
pub(super) fn request(action: &str, resource: &str, context: serde_json::Value) -> Request {
    let Value::Record(context) = value(context) else { panic!("a context is an object") };
    Request { context, ..Request::new(uid(action), uid(resource)) }
}

pub(super) fn tags(pairs: &[(&str, serde_json::Value)]) -> BTreeMap<Arc<str>, Value> {
    pairs.iter().map(|(key, json)| (Arc::from(*key), value(json.clone()))).collect()
}
