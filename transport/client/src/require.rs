//! Turns everything but an allow into an error.

use std::sync::Arc;

use portcullis_model::{Decision, Reason, Verdict};

/// Proof that a decision was an allow. Only [`Require`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    decision: Decision,
}

impl Allowed {
    /// The decision.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }
}

/// The action must not be performed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAllowed {
    /// It is denied.
    #[error("denied: {}", .0.reason.words())]
    Denied(Box<Decision>),
    /// A person must approve it first.
    #[error("not approved: {}", .0.reason.words())]
    NeedsApproval(Box<Decision>),
    /// It is allowed if something is done besides, which the caller does not know how to do.
    #[error("allowed only with `{obligation}`, which is not known here")]
    Obligation {
        /// What should be done.
        obligation: Arc<str>,
        /// The decision.
        decision: Box<Decision>,
    },
}

impl NotAllowed {
    /// The decision.
    pub fn decision(&self) -> &Decision {
        match self {
            Self::Denied(decision) | Self::NeedsApproval(decision) | Self::Obligation { decision, .. } => decision,
        }
    }

    /// Why, as a code.
    pub fn reason(&self) -> Reason {
        self.decision().reason
    }
}

/// What an enforcement point does with a decision.
///
/// ```
/// use portcullis_client::{Decision, DecisionId, NotAllowed, Reason, Require, Revision, Verdict};
/// # let id = DecisionId::from_bytes([0; 16]);
/// let denied = Decision::new(id, Verdict::Deny, Reason::NoPermit, vec![], Revision::new(1, 7));
/// assert!(matches!(denied.require(), Err(NotAllowed::Denied(_))));
/// ```
pub trait Require: Sized {
    /// The allow, without any obligation.
    ///
    /// # Errors
    /// [`NotAllowed`] for everything else.
    fn require(self) -> Result<Allowed, NotAllowed> {
        self.require_with(&[])
    }

    /// The allow; the caller promises to do every obligation it lists in `known`.
    ///
    /// # Errors
    /// [`NotAllowed`] for everything else, and for an obligation that is not in `known`.
    fn require_with(self, known: &[&str]) -> Result<Allowed, NotAllowed>;
}

impl Require for Decision {
    fn require_with(self, known: &[&str]) -> Result<Allowed, NotAllowed> {
        match self.verdict {
            Verdict::Deny => return Err(NotAllowed::Denied(Box::new(self))),
            Verdict::Suspend => return Err(NotAllowed::NeedsApproval(Box::new(self))),
            Verdict::Allow => {}
        }
        let unknown = self.obligations.iter().find(|obligation| !known.contains(&&***obligation)).cloned();
        match unknown {
            Some(obligation) => Err(NotAllowed::Obligation { obligation, decision: Box::new(self) }),
            None => Ok(Allowed { decision: self }),
        }
    }
}
