//! Text in, snapshot out, or every mistake at once.

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy::{PolicyId, PolicySet, ValidationMode, Validator, pst};
use portcullis_model::{Intern, PolicyRef, PolicySetText};

use crate::candidates::CandidateIndex;
use crate::decide::Effect;
use crate::diagnostic::{PolicyErrors, Problems, Severity, Source};
use crate::evaluate::Clauses;
use crate::hash::set_hash;
use crate::limits::COMPILE_STACK_BYTES;
use crate::parse::{Parsed, Sources, parse};
use crate::prepare::ENGINE_KEYS;
use crate::schema::{self, Schema};
use crate::scope::{ActionScope, Scope};
use crate::shape::Shape;
use crate::snapshot::{Policy, PolicyNumber, Snapshot};

/// Whether a set must pass Cedar's strict validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Validation {
    /// It must, and entities, resources and contexts must fit the schema. The only mode for a live engine.
    Strict,
    /// Nothing is validated, typed or filled in: for conformance runs, which test Cedar's untyped
    /// semantics. What such a set answers is Cedar's answer, and safe for nobody to act on.
    Off,
}

/// What a forbid does that cannot be evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnError {
    /// It denies.
    Deny,
    /// It is skipped, as Cedar defines it: the forbid fails open.
    Skip,
}

/// How a set is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CompileOptions {
    /// Whether it must pass validation.
    pub validation: Validation,
    /// What an erroring forbid does.
    pub on_error: OnError,
}

/// Compiles a policy set.
///
/// A policy's id is its `@id`, else `policyN`, where N counts over all files by name. Cost: parsing and
/// validating, about 0.5 ms a policy; takes 64 MiB of address space for its stack.
///
/// # Errors
/// Every mistake found, up to [`crate::DIAGNOSTICS_MAX`]: text that does not parse or validate; two
/// policies of one id; templates; values of the reserved annotations `@mode`, `@require` and `@stale`,
/// none of which is supported; more than [`portcullis_model::limits::POLICY_BYTES_MAX`] bytes, [`crate::POLICIES_MAX`] policies,
/// [`crate::NESTING_MAX`] nested brackets or [`crate::EXPRESSION_DEPTH_MAX`] levels of expression.
pub fn compile(text: &PolicySetText, intern: &dyn Intern, options: CompileOptions) -> Result<Snapshot, PolicyErrors> {
    let mut problems = Problems::default();
    let sources = Sources::new(text);
    let Some(scanned) = sources.scan(&mut problems) else { return Err(problems.into_errors()) };
    // INVARIANT: no parser sees text before its depth is known to fit this stack.
    stacker::grow(COMPILE_STACK_BYTES, move || {
        let schema = schema::load(&sources.schema, options.validation, &mut problems);
        let parsed = parse(&sources, &scanned, &mut problems);
        if let (Some(schema), Validation::Strict) = (&schema, options.validation) {
            check_engine_keys(schema, &sources.schema, &mut problems);
            validate(schema, &sources, &parsed, &mut problems);
        }
        let (policies, references) = build(&sources, &parsed, intern, options.validation, &mut problems);
        let Some(schema) = schema else { return Err(problems.into_errors()) };
        let warnings = problems.finish()?;
        let mut index = CandidateIndex::default();
        for (number, policy) in (0..).map(PolicyNumber::new).zip(&policies) {
            index.insert(number, policy);
        }
        Ok(Snapshot { hash: set_hash(text), options, schema, policies, references, index, warnings })
    })
}

/// Refuses a schema that declares a key that the engine fills with another type than it fills in.
fn check_engine_keys(schema: &Schema, source: &Source<'_>, problems: &mut Problems) {
    for uid in schema.action_uids() {
        let Some(action) = schema.action_of(uid) else { continue };
        for key in ENGINE_KEYS {
            let Some(field) = action.context.get(key) else { continue };
            let wanted = match (key, &field.shape) {
                ("depth", Shape::Long) | ("input", Shape::Record(_)) | ("agent" | "user", Shape::Entity(_)) => continue,
                ("agents", Shape::Set(element)) if matches!(**element, Shape::Entity(_)) => continue,
                ("depth", _) => "a Long",
                ("input", _) => "a record",
                ("agents", _) => "a set of entities",
                _ => "an entity",
            };
            let message = format!(
                "`{uid}` declares `context.{key}` as {}: the engine fills it with {wanted}",
                field.shape.name()
            );
            problems.push(source.error(0..0, message));
        }
    }
}

/// Cedar's strict validation, each finding at its place.
fn validate(schema: &Schema, sources: &Sources<'_>, parsed: &[Parsed], problems: &mut Problems) {
    // Ids are distinct, so that this cannot fail.
    let Ok(set) = PolicySet::from_policies(parsed.iter().map(|parsed| parsed.policy.clone())) else {
        problems.push(sources.schema.error(0..0, "the policies do not make a set"));
        return;
    };
    let of_id: HashMap<&str, &Parsed> = parsed.iter().map(|parsed| (&*parsed.id, parsed)).collect();
    let mut report = |severity, id: &PolicyId, finding: &dyn miette::Diagnostic| {
        let id: &str = id.as_ref();
        let parsed = of_id.get(id);
        let source = parsed.and_then(|parsed| sources.files.get(parsed.file)).unwrap_or(&sources.schema);
        let place = parsed.map_or(0..0, |parsed| parsed.statement.span.clone());
        problems.extend(source.report(severity, finding, 0, place));
    };
    let result = Validator::new(schema.cedar.clone()).validate(&set, ValidationMode::Strict);
    for error in result.validation_errors() {
        report(Severity::Error, error.policy_id(), error);
    }
    for warning in result.validation_warnings() {
        report(Severity::Warning, warning.policy_id(), warning);
    }
}

/// The compiled policies and their references, as many as can be compiled.
fn build(
    sources: &Sources<'_>,
    parsed: &[Parsed],
    intern: &dyn Intern,
    validation: Validation,
    problems: &mut Problems,
) -> (Vec<Policy>, Vec<PolicyRef>) {
    let mut policies = Vec::with_capacity(parsed.len());
    let mut references = Vec::with_capacity(parsed.len());
    for parsed in parsed {
        let Some(source) = sources.files.get(parsed.file) else { continue };
        match build_policy(parsed, intern, validation) {
            Ok(policy) => policies.push(policy),
            Err(message) => problems.push(source.error(parsed.statement.span.clone(), message)),
        }
        references.push(PolicyRef {
            id: Arc::clone(&parsed.id),
            file: Arc::clone(&source.file),
            line: source.line(parsed.statement.span.start),
        });
    }
    (policies, references)
}

fn build_policy(parsed: &Parsed, intern: &dyn Intern, validation: Validation) -> Result<Policy, String> {
    let tree = parsed.policy.to_pst().map_err(|error| error.to_string())?;
    let body = tree.body();
    let principal = Scope::of_principal(&body.principal, intern).map_err(|error| error.to_string())?;
    let resource = Scope::of_resource(&body.resource, intern).map_err(|error| error.to_string())?;
    let names_nothing = principal == Scope::Never || resource == Scope::Never;
    if names_nothing && validation == Validation::Strict {
        return Err("the scope names an entity whose id is empty or longer than 512 bytes".to_owned());
    }
    let clauses = match body.clauses().as_slice() {
        [] => None,
        clauses => Some(
            Clauses::compile(parsed.policy.clone(), clauses, parsed.statement.depth)
                .map_err(|error| error.to_string())?,
        ),
    };
    let effect = match body.effect {
        pst::Effect::Permit => Effect::Permit,
        pst::Effect::Forbid => Effect::Forbid,
    };
    Ok(Policy { effect, principal, action: ActionScope::of(&body.action), resource, clauses })
}
