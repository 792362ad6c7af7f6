//! The seam of evaluation: one policy whose scope matches, one principal, one answer.
//!
//! Finding candidates, combining their answers and typing the question happen outside and do not know
//! how a policy is evaluated.

use cedar_policy::{Authorizer, PolicySet, Request};
use portcullis_model::{EntityView, ErrorCode, Refusal};

use crate::convert::cedar_uid;
use crate::limits::{EVALUATION_STACK_BASE_BYTES, EVALUATION_STACK_PER_LEVEL_BYTES};
use crate::prepare::Prepared;
use crate::reach::{Path, ReachError, reach};
use crate::schema::Schema;
use crate::scope::Asked;
use crate::slice::Slice;

/// What one policy says to one principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Evaluation {
    Satisfied,
    Unsatisfied,
    /// Evaluation failed, in Cedar's words.
    Error(String),
}

/// Evaluates the clauses of single policies for one principal.
pub(crate) trait Evaluate {
    /// Evaluates the clauses of one policy whose scope matches.
    ///
    /// # Errors
    /// `slice_too_large` if they reach more than [`crate::SLICE_MAX`] entities. A policy that fails is
    /// [`Evaluation::Error`] instead.
    fn evaluate(&mut self, clauses: &Clauses) -> Result<Evaluation, Refusal>;
}

/// The `when` and `unless` clauses of one policy, compiled.
pub(crate) struct Clauses {
    /// The policy alone.
    set: PolicySet,
    /// What they look into.
    paths: Vec<Path>,
    /// Stack that evaluating them may take.
    stack_bytes: usize,
}

/// Why clauses cannot be compiled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClausesError {
    #[error(transparent)]
    Reach(#[from] ReachError),
    #[error("the policy cannot be evaluated alone")]
    Set,
}

impl Clauses {
    /// The clauses of a policy whose syntax tree is at most `depth` deep.
    pub(crate) fn compile(
        policy: cedar_policy::Policy,
        clauses: &[cedar_policy::pst::Clause],
        depth: usize,
    ) -> Result<Self, ClausesError> {
        let paths = reach(clauses)?;
        let set = PolicySet::from_policies([policy]).map_err(|_| ClausesError::Set)?;
        let levels = depth.saturating_add(SCOPE_LEVELS);
        let stack_bytes =
            levels.saturating_mul(EVALUATION_STACK_PER_LEVEL_BYTES).saturating_add(EVALUATION_STACK_BASE_BYTES);
        Ok(Self { set, paths, stack_bytes })
    }
}

/// Levels that cedar-policy's condition has above its clauses: the three parts of the scope.
const SCOPE_LEVELS: usize = 8;

/// Evaluation by cedar-policy itself, over a slice of the entities.
pub(crate) struct CedarEvaluator<'a> {
    schema: &'a Schema,
    prepared: &'a Prepared,
    principal: Asked<'a>,
    slice: Slice<'a>,
    /// Made when a policy first needs it.
    request: Option<Request>,
    authorizer: Authorizer,
}

impl<'a> CedarEvaluator<'a> {
    pub(crate) fn new(
        schema: &'a Schema,
        prepared: &'a Prepared,
        principal: Asked<'a>,
        view: &'a dyn EntityView,
    ) -> Self {
        let slice = Slice::new(schema, prepared, principal, view);
        Self { schema, prepared, principal, slice, request: None, authorizer: Authorizer::new() }
    }

    /// The context was typed when the question was prepared: it is not typed again.
    fn new_request(&self) -> Result<Request, Refusal> {
        let unusable = |field: &str| {
            Refusal::of_field(ErrorCode::BadRequest, field, format!("Cedar reserves the type of the {field}"))
        };
        let cedar = |uid, field| cedar_uid(self.schema, uid).ok_or_else(|| unusable(field));
        let principal = cedar(self.principal.uid, "principal")?;
        let action = cedar(&self.prepared.action, "action")?;
        let resource = cedar(&self.prepared.resource, "resource")?;
        let context = self.prepared.cedar_context(self.schema)?;
        Request::new(principal, action, resource, context, None).map_err(|_| unusable("principal"))
    }
}

impl Evaluate for CedarEvaluator<'_> {
    fn evaluate(&mut self, clauses: &Clauses) -> Result<Evaluation, Refusal> {
        let request = match self.request.take() {
            Some(request) => request,
            None => self.new_request()?,
        };
        let request = &*self.request.insert(request);
        let entities = self.slice.entities(&clauses.paths)?;
        let answer = stacker::maybe_grow(clauses.stack_bytes, clauses.stack_bytes, || {
            self.authorizer.is_authorized(request, &clauses.set, entities)
        });
        if let Some(error) = answer.diagnostics().errors().next() {
            return Ok(Evaluation::Error(error.to_string()));
        }
        // Of one policy, the reason names it exactly if it is satisfied, be it a permit or a forbid.
        let is_satisfied = answer.diagnostics().reason().next().is_some();
        Ok(if is_satisfied { Evaluation::Satisfied } else { Evaluation::Unsatisfied })
    }
}
