//! The frozen structures that frames carry.
//!
//! Fields are fixed integers, byte strings, texts and lists of these; no structure is ever changed.

mod batch;
mod connect;
mod convert;
mod decide;
mod failure;
mod names;
mod push;
mod session;

pub use batch::{AnswerV1, BatchDecisionsV1, BatchItemV1, BatchV1};
pub use connect::{HelloV1, LimitsV1, WelcomeV1};
pub use convert::{action_and_resource, context_of};
pub use decide::{DecideTextV1, DecideV1, DecisionV1, DetailsV1, PolicyV1, RevisionV1, Want};
pub use failure::ErrorV1;
pub use names::{RegisterV1, RegisteredV1};
pub use push::{AppliedV1, EndedScope, EndedV1, GoAwayV1, HeartbeatV1, SubscribeScope, SubscribeV1, SubscribedV1};
pub use session::{CloseV1, ClosedV1, OpenV1, OpenedV1, Proof, ProofV1, RefreshV1};

// The archived forms that a server reads in place.
pub use batch::{ArchivedBatchItemV1, ArchivedBatchV1};
pub use decide::{ArchivedDecideTextV1, ArchivedDecideV1, ArchivedDecisionV1, ArchivedDetailsV1};
