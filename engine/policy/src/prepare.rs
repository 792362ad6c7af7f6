//! Types a question once, for every pass of its decision.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use cedar_policy::Context;
use portcullis_model::{EntityIndex, EntityUid, ErrorCode, Refusal, Request, SetHash, Value};

use crate::convert::expression;
use crate::schema::{Action, ActionNumber, Schema, TypeKind};
use crate::shape::{Enumerations, Fields, Path, check_fields, coerce_fields};
use crate::{Snapshot, Validation, input};

/// A question, and for whom the engine asks it.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// The question.
    pub request: &'a Request,
    /// The number of the request's resource, if it has one.
    pub resource: Option<EntityIndex>,
    /// What the engine itself puts into the context.
    pub engine: EngineContext<'a>,
}

/// What the engine itself puts into the context, where the action's schema declares it.
#[derive(Clone, Copy)]
pub struct EngineContext<'a> {
    /// The subject: `context.user`.
    pub user: &'a EntityUid,
    /// The chain of agents, outermost first: `context.agents` as a set, the last one `context.agent`,
    /// their number `context.depth`. Empty for a direct session.
    pub agents: &'a [EntityUid],
}

/// The context keys that only the engine fills.
pub(crate) const ENGINE_KEYS: [&str; 5] = ["agent", "agents", "depth", "input", "user"];

/// A typed question, to be decided under the snapshot that made it, for one principal after another.
pub struct Prepared {
    pub(crate) snapshot: SetHash,
    pub(crate) action: EntityUid,
    pub(crate) action_number: Option<ActionNumber>,
    pub(crate) resource: EntityUid,
    pub(crate) resource_index: Option<EntityIndex>,
    /// Whether the action is for resources of this type; no pass permits it otherwise.
    pub(crate) is_applicable: bool,
    pub(crate) context: BTreeMap<Arc<str>, Value>,
    /// Attributes of the resource that the request brought.
    pub(crate) overlay: BTreeMap<Arc<str>, Value>,
    cedar_context: OnceLock<Context>,
}

impl Prepared {
    /// The action's number in the snapshot; `None` only without validation, for an undeclared action.
    pub fn action(&self) -> Option<ActionNumber> {
        self.action_number
    }

    /// The context that every pass sees, the engine's own keys included.
    pub fn context(&self) -> &BTreeMap<Arc<str>, Value> {
        &self.context
    }

    /// The context as cedar-policy's type, made when a policy first needs it.
    pub(crate) fn cedar_context(&self, schema: &Schema) -> Result<Context, Refusal> {
        if let Some(context) = self.cedar_context.get() {
            return Ok(context.clone());
        }
        let unusable = || Refusal::of_field(ErrorCode::SchemaMismatch, "context", "Cedar cannot hold the context");
        let pairs: Option<Vec<_>> =
            self.context.iter().map(|(key, value)| Some((key.to_string(), expression(schema, value)?))).collect();
        let context = Context::from_pairs(pairs.ok_or_else(unusable)?).map_err(|_| unusable())?;
        Ok(self.cedar_context.get_or_init(|| context).clone())
    }
}

impl Snapshot {
    /// Types action, resource and context against the schema, and fills the engine's own context keys
    /// where the action's schema declares them.
    ///
    /// Without validation nothing is typed or filled, and undeclared actions and types are let through.
    ///
    /// # Errors
    /// `unknown_action`, `unknown_type`; `reserved_key` for a context key that the engine fills;
    /// `schema_mismatch` with the field for what has another type than declared; `attribute_not_owned`
    /// for resource attributes where the resource is a principal of the question; `bad_request` and
    /// `too_large` for an input that is not one JSON object within
    /// [`portcullis_model::limits::INPUT_BYTES_MAX`].
    pub fn prepare(&self, ask: &Ask<'_>) -> Result<Prepared, Refusal> {
        let request = ask.request;
        check_overlay_owner(ask)?;
        request.input.as_deref().map_or(Ok(()), input::bound)?;
        let action_number = self.schema.action_number(&request.action);
        let action = action_number.and_then(|number| self.schema.action(number));
        let mut prepared = Prepared {
            snapshot: self.hash,
            action: request.action.clone(),
            action_number,
            resource: request.resource.clone(),
            resource_index: ask.resource,
            is_applicable: true,
            context: request.context.clone(),
            overlay: request.resource_attributes.clone(),
            cedar_context: OnceLock::new(),
        };
        if self.options.validation == Validation::Strict {
            let action = action.ok_or_else(|| self.schema.unknown_action(&request.action))?;
            let attributes = check_resource(&self.schema, &request.resource)?;
            prepared.is_applicable = action.resources.contains(request.resource.entity_type());
            prepared.context = context(&self.schema, action, ask)?;
            prepared.overlay = overlay(&self.schema, attributes, &request.resource_attributes)?;
        }
        Ok(prepared)
    }
}

fn check_overlay_owner(ask: &Ask<'_>) -> Result<(), Refusal> {
    let Some(name) = ask.request.resource_attributes.keys().next() else { return Ok(()) };
    let resource = &ask.request.resource;
    if resource == ask.engine.user || ask.engine.agents.contains(resource) {
        let field = format!("resource_attributes.{name}");
        let message = "a request cannot bring attributes of a principal";
        return Err(Refusal::of_field(ErrorCode::AttributeNotOwned, field, message));
    }
    Ok(())
}

/// The attributes that the resource's type declares.
fn check_resource<'a>(schema: &'a Schema, resource: &EntityUid) -> Result<Option<&'a Fields>, Refusal> {
    let entity_type = resource.entity_type();
    // Actions are entities too, and may be asked about like any other.
    if schema.action_number(resource).is_some() {
        return Ok(None);
    }
    let facts = schema.facts(entity_type).ok_or_else(|| schema.unknown_type(entity_type, "resource"))?;
    if schema.excludes(resource) {
        return Err(Path::Root("resource").mismatch(format!("is not one of the ids that `{entity_type}` enumerates")));
    }
    match &facts.kind {
        TypeKind::Standard { attributes, .. } => Ok(Some(attributes)),
        TypeKind::Enumerated(_) => Ok(None),
    }
}

/// The typed context: what the request brought, and what the engine adds.
fn context(schema: &Schema, action: &Action, ask: &Ask<'_>) -> Result<BTreeMap<Arc<str>, Value>, Refusal> {
    let brought = &ask.request.context;
    if let Some(key) = ENGINE_KEYS.into_iter().find(|key| brought.contains_key(*key)) {
        let message = format!("`context.{key}` is filled by the engine: leave it out");
        return Err(Refusal::of_field(ErrorCode::ReservedKey, format!("context.{key}"), message));
    }
    let mut values = brought.clone();
    for key in ENGINE_KEYS {
        if let Some((key, _)) = action.context.get_key_value(key)
            && let Some(value) = engine_value(key, ask)?
        {
            values.insert(Arc::clone(key), value);
        }
    }
    let values = coerce_fields(&action.context, values);
    check_fields(&action.context, &values, &Path::Root("context"), schema)?;
    Ok(values)
}

fn engine_value(key: &str, ask: &Ask<'_>) -> Result<Option<Value>, Refusal> {
    let EngineContext { user, agents } = ask.engine;
    Ok(match key {
        "user" => Some(Value::Entity(user.clone())),
        "agent" => agents.last().cloned().map(Value::Entity),
        "agents" => Some(Value::Set(agents.iter().cloned().map(Value::Entity).collect())),
        "depth" => i64::try_from(agents.len()).ok().map(Value::Long),
        "input" => ask.request.input.as_deref().map(input::parse).transpose()?.map(Value::Record),
        _ => None,
    })
}

fn overlay(
    schema: &Schema,
    attributes: Option<&Fields>,
    brought: &BTreeMap<Arc<str>, Value>,
) -> Result<BTreeMap<Arc<str>, Value>, Refusal> {
    let none = Fields::new();
    let fields = attributes.unwrap_or(&none);
    let values = coerce_fields(fields, brought.clone());
    let root = Path::Root("resource_attributes");
    for (name, value) in &values {
        let path = Path::Field(&root, name);
        let field = fields.get(name).ok_or_else(|| path.mismatch("is not declared in the schema"))?;
        field.shape.check(value, &path, schema)?;
    }
    Ok(values)
}
