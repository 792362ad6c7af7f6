//! Reads a schema's text: through cedar-policy for what it means, through its JSON form for the types,
//! which cedar-policy does not tell otherwise.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use portcullis_model::{EntityType, EntityUid};
use serde_json::{Map, Value as Json};

use super::{Action, Schema, TypeFacts, TypeKind};
use crate::compile::Validation;
use crate::convert::uid_of_cedar;
use crate::diagnostic::{Diagnostic, Problems, Severity, Source};
use crate::limits::{NESTING_MAX, SCHEMA_TYPES_MAX};
use crate::shape::{Extension, Field, Fields, Presence, Shape};

/// The schema of a text that is known not to nest too deep; `None` if there were errors.
pub(crate) fn load(source: &Source<'_>, validation: Validation, problems: &mut Problems) -> Option<Schema> {
    let everything = 0..0;
    let json = match cedar_policy::schema_str_to_json_with_resolved_types(source.text) {
        Ok((json, _)) => json,
        Err(error) => {
            problems.extend(source.report(Severity::Error, &error, 0, everything));
            return None;
        }
    };
    let declared = match Declared::read(&json) {
        Ok(declared) => declared,
        Err(problem) => {
            problems.push(source.error(everything, problem.to_string()));
            return None;
        }
    };
    let cedar = match cedar_policy::Schema::from_cedarschema_str(source.text) {
        Ok((cedar, warnings)) => {
            for warning in warnings {
                problems.extend(source.report(Severity::Warning, &warning, 0, everything.clone()));
            }
            cedar
        }
        Err(error) => {
            problems.extend(source.report(Severity::Error, &error, 0, everything));
            return None;
        }
    };
    if !cedar.is_complete() {
        problems.push(source.error(everything, "the schema has `external` declarations: define them here"));
        return None;
    }
    match join(cedar, declared, validation) {
        Ok(schema) => Some(schema),
        Err(problem) => {
            let diagnostic: Diagnostic = source.error(everything, problem.to_string());
            problems.push(diagnostic);
            None
        }
    }
}

/// What the JSON form says, by full name.
struct Declared {
    contexts: HashMap<EntityUid, Arc<Fields>>,
    types: HashMap<EntityType, (Arc<Fields>, Option<Shape>)>,
    enumerations: HashMap<EntityType, BTreeSet<Arc<str>>>,
}

#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error("types nest more than {NESTING_MAX} deep")]
    Deep,
    #[error("with its common types written out, the schema has more than {SCHEMA_TYPES_MAX} types")]
    Large,
    #[error("`{0}` cannot be read: {1}")]
    Unreadable(String, &'static str),
}

impl Declared {
    fn read(json: &Json) -> Result<Self, LoadError> {
        let namespaces = json.as_object().into_iter().flatten();
        let mut reader = Reader::default();
        for (namespace, definition) in namespaces.clone() {
            for (name, common) in entries(definition, "commonTypes") {
                reader.commons.insert(qualified(namespace, name), common);
            }
        }
        let mut declared = Self { contexts: HashMap::new(), types: HashMap::new(), enumerations: HashMap::new() };
        for (namespace, definition) in namespaces {
            for (name, entity) in entries(definition, "entityTypes") {
                declared.read_type(&mut reader, &qualified(namespace, name), entity)?;
            }
            for (name, action) in entries(definition, "actions") {
                // An id that no request can carry is judged when the action itself is read.
                if let Ok(uid) = EntityUid::of(&qualified(namespace, "Action"), name) {
                    let context = action.get("appliesTo").and_then(|applies| applies.get("context"));
                    declared.contexts.insert(uid, reader.record(context)?);
                }
            }
        }
        Ok(declared)
    }

    fn read_type<'a>(&mut self, reader: &mut Reader<'a>, name: &str, entity: &'a Json) -> Result<(), LoadError> {
        let entity_type = type_name(name)?;
        if let Some(choices) = entity.get("enum").and_then(Json::as_array) {
            let choices = choices.iter().filter_map(Json::as_str).map(Arc::from).collect();
            self.enumerations.insert(entity_type, choices);
            return Ok(());
        }
        let attributes = reader.record(entity.get("shape"))?;
        let tags = entity.get("tags").map(|tags| reader.shape(tags, 0)).transpose()?.map(|measured| measured.shape);
        self.types.insert(entity_type, (attributes, tags));
        Ok(())
    }
}

/// A type, and how large and deep it is when written out.
#[derive(Clone)]
struct Measured {
    shape: Shape,
    types: u64,
    depth: usize,
}

/// Makes shapes out of JSON, each common type once.
#[derive(Default)]
struct Reader<'a> {
    commons: HashMap<String, &'a Json>,
    done: HashMap<String, Measured>,
    /// Common types being read; cedar-policy reports a cycle, so here it only has to end.
    open: HashSet<String>,
    /// The size of all records read so far.
    types: u64,
}

impl<'a> Reader<'a> {
    fn record(&mut self, json: Option<&'a Json>) -> Result<Arc<Fields>, LoadError> {
        let Some(json) = json else { return Ok(Arc::default()) };
        let measured = self.shape(json, 0)?;
        self.types = self.types.saturating_add(measured.types);
        if self.types > SCHEMA_TYPES_MAX {
            return Err(LoadError::Large);
        }
        match measured.shape {
            Shape::Record(fields) => Ok(fields),
            _ => Err(LoadError::Unreadable("context or shape".to_owned(), "it is not a record")),
        }
    }

    fn shape(&mut self, json: &'a Json, depth: usize) -> Result<Measured, LoadError> {
        if depth > NESTING_MAX {
            return Err(LoadError::Deep);
        }
        let name = json.get("type").and_then(Json::as_str).unwrap_or_default();
        let measured = match name {
            "Set" => {
                let element = self.shape(json.get("element").unwrap_or(&Json::Null), depth + 1)?;
                let shape = Shape::Set(Arc::new(element.shape));
                Measured { shape, types: element.types.saturating_add(1), depth: element.depth + 1 }
            }
            "Record" => self.fields(json.get("attributes").and_then(Json::as_object), depth)?,
            "Entity" => leaf(Shape::Entity(type_name(json.get("name").and_then(Json::as_str).unwrap_or_default())?)),
            "Extension" => builtin(json.get("name").and_then(Json::as_str).unwrap_or_default())?,
            name => self.named(name, depth)?,
        };
        if measured.types > SCHEMA_TYPES_MAX {
            return Err(LoadError::Large);
        }
        if depth.saturating_add(measured.depth) > NESTING_MAX {
            return Err(LoadError::Deep);
        }
        Ok(measured)
    }

    fn fields(&mut self, attributes: Option<&'a Map<String, Json>>, depth: usize) -> Result<Measured, LoadError> {
        let mut fields = BTreeMap::new();
        let (mut types, mut deepest) = (1_u64, 0);
        for (name, attribute) in attributes.into_iter().flatten() {
            let field = self.shape(attribute, depth + 1)?;
            types = types.saturating_add(field.types);
            deepest = deepest.max(field.depth);
            let is_required = attribute.get("required").and_then(Json::as_bool).unwrap_or(true);
            let presence = if is_required { Presence::Required } else { Presence::Optional };
            fields.insert(Arc::from(name.as_str()), Field { shape: field.shape, presence });
        }
        Ok(Measured { shape: Shape::Record(Arc::new(fields)), types, depth: deepest + 1 })
    }

    fn named(&mut self, name: &str, depth: usize) -> Result<Measured, LoadError> {
        if let Some(done) = self.done.get(name) {
            return Ok(done.clone());
        }
        let Some(&common) = self.commons.get(name) else { return builtin(name) };
        if !self.open.insert(name.to_owned()) {
            return Err(LoadError::Unreadable(name.to_owned(), "it is defined by itself"));
        }
        let measured = self.shape(common, depth)?;
        self.open.remove(name);
        self.done.insert(name.to_owned(), measured.clone());
        Ok(measured)
    }
}

fn leaf(shape: Shape) -> Measured {
    Measured { shape, types: 1, depth: 1 }
}

fn builtin(name: &str) -> Result<Measured, LoadError> {
    match name.strip_prefix("__cedar::").unwrap_or(name) {
        "Bool" | "Boolean" => Ok(leaf(Shape::Bool)),
        "Long" => Ok(leaf(Shape::Long)),
        "String" => Ok(leaf(Shape::String)),
        other => Extension::of_type(other)
            .map(|extension| leaf(Shape::Extension(extension)))
            .ok_or_else(|| LoadError::Unreadable(name.chars().take(80).collect(), "no such type is known")),
    }
}

/// What cedar-policy says of actions and types, with the types of their fields.
fn join(cedar: cedar_policy::Schema, mut declared: Declared, validation: Validation) -> Result<Schema, LoadError> {
    let mut types = BTreeMap::new();
    for name in cedar.entity_types() {
        let entity_type = type_name(&name.to_string())?;
        let kind = match declared.enumerations.remove(&entity_type) {
            Some(choices) => TypeKind::Enumerated(choices),
            None => {
                let ancestors = cedar.ancestors(name).into_iter().flatten();
                let ancestors = ancestors.map(|name| type_name(&name.to_string())).collect::<Result<_, _>>()?;
                let (attributes, tags) = declared
                    .types
                    .remove(&entity_type)
                    .ok_or_else(|| LoadError::Unreadable(name.to_string(), "its attributes are not declared"))?;
                TypeKind::Standard { attributes, tags, ancestors }
            }
        };
        types.insert(entity_type, TypeFacts { cedar: name.clone(), kind });
    }
    let actions = actions(&cedar, &mut declared, validation)?;
    Ok(Schema::new(cedar, actions, types))
}

fn actions(
    cedar: &cedar_policy::Schema,
    declared: &mut Declared,
    validation: Validation,
) -> Result<BTreeMap<EntityUid, Action>, LoadError> {
    let entities =
        cedar.action_entities().map_err(|_| LoadError::Unreadable("action groups".to_owned(), "they are circular"))?;
    let mut actions = BTreeMap::new();
    for name in cedar.actions() {
        let uid = match (uid_of_cedar(name), validation) {
            (Ok(uid), _) => uid,
            // No request can name it, so that without validation it is as if it were not there.
            (Err(_), Validation::Off) => continue,
            (Err(_), Validation::Strict) => {
                let shown = name.to_string().chars().take(80).collect();
                return Err(LoadError::Unreadable(shown, "an action id has 1 to 512 bytes"));
            }
        };
        let ancestors: Vec<_> = entities.ancestors(name).into_iter().flatten().cloned().collect();
        let entity = cedar_policy::Entity::new_no_attrs(name.clone(), ancestors.iter().cloned().collect());
        let action = Action {
            ancestors: ancestors.iter().filter_map(|name| uid_of_cedar(name).ok()).collect(),
            principals: type_names(cedar.principals_for_action(name))?,
            resources: type_names(cedar.resources_for_action(name))?,
            context: declared.contexts.remove(&uid).unwrap_or_default(),
            entity,
        };
        actions.insert(uid, action);
    }
    Ok(actions)
}

fn type_names<'a>(
    names: Option<impl Iterator<Item = &'a cedar_policy::EntityTypeName>>,
) -> Result<Vec<EntityType>, LoadError> {
    let names = names.into_iter().flatten().map(|name| type_name(&name.to_string()));
    let sorted: BTreeSet<_> = names.collect::<Result<_, _>>()?;
    Ok(sorted.into_iter().collect())
}

fn type_name(name: &str) -> Result<EntityType, LoadError> {
    name.parse()
        .map_err(|_| LoadError::Unreadable(name.chars().take(80).collect(), "an entity type has at most 256 bytes"))
}

fn qualified(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}::{name}") }
}

fn entries<'a>(definition: &'a Json, key: &str) -> impl Iterator<Item = (&'a String, &'a Json)> {
    definition.get(key).and_then(Json::as_object).into_iter().flatten()
}
