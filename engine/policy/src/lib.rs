//! Cedar in, snapshot out: compile a policy set, decide one principal's pass, explain it.
//!
//! The only room that knows cedar-policy. Everything here is pure: no IO, clock, randomness or async;
//! entities are read through [`portcullis_model::EntityView`] and never kept. Invariants: a forbid
//! beats a permit; nothing is permitted that no policy permits; a candidate that the index leaves out
//! could neither have been satisfied nor have raised an error.
#![warn(missing_docs)]

mod candidates;
mod compile;
mod condition;
mod convert;
mod decide;
mod diagnostic;
mod entity_check;
mod evaluate;
mod hash;
mod input;
mod limits;
mod nearest;
mod parse;
mod pass;
mod prepare;
mod reach;
mod scan;
mod schema;
mod scope;
mod shape;
mod slice;
mod snapshot;

pub use compile::{CompileOptions, OnError, Validation, compile};
pub use condition::{Condition, compile_condition};
pub use decide::{Candidate, CandidateResult, Effect, Pass, PassExplanation, PassOutcome};
pub use diagnostic::{Diagnostic, PolicyErrors, Severity};
pub use hash::set_hash;
pub use limits::{CONDITION_BYTES_MAX, DIAGNOSTICS_MAX, EXPRESSION_DEPTH_MAX, NESTING_MAX, POLICIES_MAX, SLICE_MAX};
pub use prepare::{Ask, EngineContext, Prepared};
pub use schema::{ActionNumber, AppliesTo};
pub use snapshot::{PolicyNumber, Snapshot};

#[cfg(test)]
mod tests;
