//! The runtime: actors, the applier, and the [`Engine`] handle that joins the other rooms.
//!
//! Owns every thread and task of an engine. Decisions never wait for an actor: they read the world
//! that the applier published last, on the thread that asks, through a [`Decider`].

mod alive;
mod applier;
mod audit_actor;
mod clients;
mod clock;
mod counters;
mod decide;
mod delegation;
mod ended;
mod engine;
mod explain;
mod force;
mod policy_actor;
mod restriction;
mod revoke;
mod session_actors;
mod sessions;
mod shared;
mod start;
mod supervisor;
mod sync_actor;
#[cfg(test)]
mod tests;
mod tokens;

pub use clock::Clock;
pub use counters::Counters;
pub use decide::{Answer, AuditMode, Decider, Detail};
pub use ended::{EndedNotice, EndedScope, Notices};
pub use engine::{Engine, Issued, OpenError, OpenedSession, SessionView, Status};
pub use explain::{Checked, Explanation, PathStep, PrincipalPass};
pub use force::Classes;
pub use policy_actor::{PublishError, Published};
pub use revoke::Revoked;
pub use start::{EngineOptions, Progress, StartError};
pub use tokens::IssuedToken;
