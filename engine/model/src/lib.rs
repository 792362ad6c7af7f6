//! The nouns of Portcullis: ids, entity uids, values, actions, events, decisions, revisions.
//!
//! Everything here is pure: no clock, no randomness, no IO. Times and ids come in as arguments, and
//! every type that meets outside input is parsed once, within the limits of [`limits`].
#![warn(missing_docs)]

mod decision;
mod entity;
mod error;
mod event;
mod grant;
mod ids;
pub mod limits;
mod reason;
mod request;
mod revision;
mod time;
mod uid;
mod value;
mod view;

pub use decision::{Decision, DecisionId, PolicyRef, Verdict};
pub use entity::{Attribute, EntityIndex, EntityRecord, Owner, SourceName, SourceNameError, Standing};
pub use error::{ErrorCode, Refusal};
pub use event::{Change, Event, EventId, Origin, PolicyFile, PolicySetText, RevokeScope, SetHash};
pub use grant::{GrantRecord, ResourceScope};
pub use ids::{GrantId, IdError, SessionId};
pub use reason::Reason;
pub use request::{Intent, Request, SessionTerms};
pub use revision::Revision;
pub use time::Timestamp;
pub use uid::{EntityType, EntityUid, UidError};
pub use value::{Value, ValueError};
pub use view::{EntityFacts, EntityView, Intern};
