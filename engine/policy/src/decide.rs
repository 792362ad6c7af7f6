//! One pass of a decision: what the set says to one principal, quickly or in full.

use portcullis_model::{EntityIndex, EntityView, ErrorCode, Refusal};

use crate::evaluate::{Evaluate, Evaluation};
use crate::pass::PassInput;
use crate::prepare::Prepared;
use crate::{OnError, PolicyNumber, Snapshot};

/// What a policy does when it is satisfied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It permits, unless a forbid is satisfied too.
    Permit,
    /// It forbids.
    Forbid,
}

/// What the set says to one principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PassOutcome {
    /// A permit is satisfied and no forbid is.
    Permit,
    /// A forbid is satisfied.
    Forbid,
    /// Nothing is satisfied, or the action does not apply to this principal or resource.
    NoPermit,
    /// No forbid is satisfied, but one could not be evaluated, under [`OnError::Deny`].
    Error,
}

/// The quick answer for one principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// What the set says.
    pub outcome: PassOutcome,
    /// One policy that suffices for it; none for [`PassOutcome::NoPermit`].
    pub policies: Vec<PolicyNumber>,
    /// How many policies were looked at after the scope.
    pub candidates: u32,
}

/// The full answer for one principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassExplanation {
    /// What the set says, as [`Snapshot::decide`] answers it.
    pub outcome: PassOutcome,
    /// Exactly the policies that Cedar names as determining, ascending.
    pub reason: Vec<PolicyNumber>,
    /// Exactly the policies that Cedar names as erroring, ascending, each with Cedar's words.
    pub errors: Vec<(PolicyNumber, String)>,
    /// Every policy whose scope matches: forbids first, each ascending.
    pub candidates: Vec<Candidate>,
    /// Whether the schema lets this principal's type do the action to this type of resource. If not,
    /// no policy was looked at.
    pub applicable: bool,
}

/// A policy whose scope matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// The policy.
    pub policy: PolicyNumber,
    /// What it does when satisfied.
    pub effect: Effect,
    /// What became of it.
    pub result: CandidateResult,
}

/// What became of a policy whose scope matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CandidateResult {
    /// Its clauses hold.
    Satisfied,
    /// A clause does not hold.
    Unsatisfied,
    /// Its clauses could not be evaluated; Cedar takes it as not satisfied.
    Error,
}

impl Snapshot {
    /// Decides for one principal, stopping as soon as the outcome is sure.
    ///
    /// A satisfied forbid beats everything; then, under [`OnError::Deny`], a forbid that could not be
    /// evaluated; then a satisfied permit. A permit that cannot be evaluated does not permit.
    ///
    /// # Errors
    /// `attribute_not_owned` if the request brought an attribute that is stored; `slice_too_large`;
    /// `not_found` for a principal that was never named; `internal` for a question prepared under
    /// another snapshot.
    pub fn decide(&self, prepared: &Prepared, principal: EntityIndex, view: &dyn EntityView) -> Result<Pass, Refusal> {
        let pass = PassInput::new(self, prepared, principal, view)?;
        if !pass.is_applicable() {
            return Ok(Pass { outcome: PassOutcome::NoPermit, policies: Vec::new(), candidates: 0 });
        }
        let mut evaluator = pass.evaluator();
        let mut candidates = 0;
        let mut first_error = None;
        for number in pass.candidates(Effect::Forbid) {
            candidates += 1;
            match self.evaluate(number, &mut evaluator)? {
                Evaluation::Satisfied => return Ok(Pass::of(PassOutcome::Forbid, number, candidates)),
                Evaluation::Error(_) => first_error = first_error.or(Some(number)),
                Evaluation::Unsatisfied => {}
            }
        }
        if let (Some(number), OnError::Deny) = (first_error, self.options.on_error) {
            return Ok(Pass::of(PassOutcome::Error, number, candidates));
        }
        for number in pass.candidates(Effect::Permit) {
            candidates += 1;
            if self.evaluate(number, &mut evaluator)? == Evaluation::Satisfied {
                return Ok(Pass::of(PassOutcome::Permit, number, candidates));
            }
        }
        Ok(Pass { outcome: PassOutcome::NoPermit, policies: Vec::new(), candidates })
    }

    /// Evaluates every candidate for one principal, and gives Cedar's own reasons and errors.
    ///
    /// # Errors
    /// As [`Snapshot::decide`].
    pub fn explain(
        &self,
        prepared: &Prepared,
        principal: EntityIndex,
        view: &dyn EntityView,
    ) -> Result<PassExplanation, Refusal> {
        let pass = PassInput::new(self, prepared, principal, view)?;
        let mut tally = Tally::default();
        if pass.is_applicable() {
            let mut evaluator = pass.evaluator();
            for effect in [Effect::Forbid, Effect::Permit] {
                let mut numbers = pass.candidates(effect);
                numbers.sort_unstable();
                for number in numbers {
                    tally.add(number, effect, self.evaluate(number, &mut evaluator)?);
                }
            }
        }
        Ok(tally.explanation(self.options.on_error, pass.is_applicable()))
    }

    /// What one policy whose scope matches says.
    fn evaluate(&self, number: PolicyNumber, evaluator: &mut dyn Evaluate) -> Result<Evaluation, Refusal> {
        match self.policies.get(number.index()) {
            Some(policy) => match &policy.clauses {
                Some(clauses) => evaluator.evaluate(clauses),
                None => Ok(Evaluation::Satisfied),
            },
            None => Err(Refusal::new(ErrorCode::Internal, "the index names a policy that is not in the set")),
        }
    }
}

impl Pass {
    fn of(outcome: PassOutcome, policy: PolicyNumber, candidates: u32) -> Self {
        Self { outcome, policies: vec![policy], candidates }
    }
}

/// Answers of all candidates.
#[derive(Default)]
struct Tally {
    permits: Vec<PolicyNumber>,
    forbids: Vec<PolicyNumber>,
    errors: Vec<(PolicyNumber, String)>,
    has_erroring_forbid: bool,
    candidates: Vec<Candidate>,
}

impl Tally {
    fn add(&mut self, policy: PolicyNumber, effect: Effect, evaluation: Evaluation) {
        let result = match evaluation {
            Evaluation::Satisfied => {
                match effect {
                    Effect::Permit => self.permits.push(policy),
                    Effect::Forbid => self.forbids.push(policy),
                }
                CandidateResult::Satisfied
            }
            Evaluation::Unsatisfied => CandidateResult::Unsatisfied,
            Evaluation::Error(words) => {
                self.errors.push((policy, words));
                self.has_erroring_forbid |= effect == Effect::Forbid;
                CandidateResult::Error
            }
        };
        self.candidates.push(Candidate { policy, effect, result });
    }

    fn explanation(mut self, on_error: OnError, applicable: bool) -> PassExplanation {
        let outcome = if !self.forbids.is_empty() {
            PassOutcome::Forbid
        } else if self.has_erroring_forbid && on_error == OnError::Deny {
            PassOutcome::Error
        } else if self.permits.is_empty() {
            PassOutcome::NoPermit
        } else {
            PassOutcome::Permit
        };
        let reason = if self.forbids.is_empty() { self.permits } else { self.forbids };
        self.errors.sort();
        PassExplanation { outcome, reason, errors: self.errors, candidates: self.candidates, applicable }
    }
}
