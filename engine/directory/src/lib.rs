//! Folds events into worlds: users, groups, agents, resources, grants, holds.
//!
//! Owns the entity table and the grant table. One [`Folder`] writes them, in the order of the log;
//! any number of readers look at them through [`World::view`], each at one revision. It never waits,
//! never reads a clock and never knows what a policy says.
//!
//! INVARIANT: everything that a batch changes is written before [`World::publish`] moves the
//! effective revision, so a reader that loaded a revision sees all of it and nothing later.

mod check;
mod entity_cell;
mod folder;
mod grants;
mod names;
mod versions;
mod world;

pub use check::Earlier;
pub use entity_cell::EntityCell;
pub use folder::{Ended, EntityPage, FoldError, FoldReport, Folder, Quarantined, SnapshotError};
pub use grants::{GrantBody, GrantIndex, GrantState};
pub use names::Names;
pub use versions::Versions;
pub use world::{World, WorldView};
