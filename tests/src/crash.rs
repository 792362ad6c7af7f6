//! Kills under load: what was acknowledged before, and whether it is there after.

mod check;
mod ledger;
mod load;

pub use check::differences;
pub use ledger::{Fate, HeldSession, Ledger};
pub use load::{Load, prepare};
