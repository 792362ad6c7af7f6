//! A grant's condition: the clauses of a policy without its head.

use cedar_policy::{PolicyId, PolicySet, pst};
use portcullis_model::{EntityIndex, EntityView, Refusal};

use crate::diagnostic::{PolicyErrors, Problems, Severity, Source};
use crate::evaluate::{Clauses, Evaluate, Evaluation};
use crate::limits::{COMPILE_STACK_BYTES, CONDITION_BYTES_MAX};
use crate::pass::PassInput;
use crate::prepare::Prepared;
use crate::scan::{Dialect, scan};
use crate::{Diagnostic, Snapshot};

/// A compiled condition: one or more `when { … }` and `unless { … }` clauses, all of which must hold.
pub struct Condition {
    clauses: Clauses,
}

/// Compiles a grant's condition. It is not validated against a schema, which may change while the grant
/// lives: a condition that does not fit the schema does not hold.
///
/// # Errors
/// Every mistake found, placed in a file called `condition`. A condition has at most
/// [`CONDITION_BYTES_MAX`] bytes.
pub fn compile_condition(text: &str) -> Result<Condition, PolicyErrors> {
    let source = Source::new("condition", text);
    let refused = |diagnostics: Vec<Diagnostic>| {
        let mut problems = Problems::default();
        problems.extend(diagnostics);
        problems.into_errors()
    };
    if text.len() > CONDITION_BYTES_MAX {
        let message = format!("the condition has {} bytes, the limit is {CONDITION_BYTES_MAX}", text.len());
        return Err(refused(vec![source.error(0..text.len(), message)]));
    }
    stacker::grow(COMPILE_STACK_BYTES, || compile(&source)).map_err(refused)
}

const HEAD: &str = "permit(principal, action, resource)\n";

fn compile(source: &Source<'_>) -> Result<Condition, Vec<Diagnostic>> {
    let everything = 0..source.text.len();
    let refused = |message: String| vec![source.error(everything.clone(), message)];
    // The line break ends a comment that the condition may end with.
    let whole = format!("{HEAD}{}\n;", source.text);
    let statements = scan(&whole, Dialect::Policy).map_err(|deep| refused(deep.message()))?;
    let set: PolicySet =
        whole.parse().map_err(|error| source.report(Severity::Error, &error, HEAD.len(), everything.clone()))?;
    let not_clauses = || refused("a condition is one or more `when { … }` or `unless { … }` clauses".to_owned());
    let (1, 0, Some(policy), Some(statement)) =
        (set.num_of_policies(), set.num_of_templates(), set.policy(&PolicyId::new("policy0")), statements.first())
    else {
        return Err(not_clauses());
    };
    let Ok(pst::Policy::Static(tree)) = policy.to_pst() else { return Err(not_clauses()) };
    if tree.body().clauses().is_empty() {
        return Err(not_clauses());
    }
    Clauses::compile(policy.clone(), tree.body().clauses(), statement.depth)
        .map(|clauses| Condition { clauses })
        .map_err(|error| refused(error.to_string()))
}

impl Condition {
    /// Whether the condition holds for a principal. One that cannot be evaluated does not.
    ///
    /// # Errors
    /// As [`Snapshot::decide`].
    pub fn holds(
        &self,
        snapshot: &Snapshot,
        prepared: &Prepared,
        principal: EntityIndex,
        view: &dyn EntityView,
    ) -> Result<bool, Refusal> {
        let pass = PassInput::new(snapshot, prepared, principal, view)?;
        Ok(pass.evaluator().evaluate(&self.clauses)? == Evaluation::Satisfied)
    }
}

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Condition")
    }
}
