//! What benches and the load generator share: a generated organisation, an engine that holds it, and
//! where results go.
//!
//! Everything generated follows from a [`Shape`] alone, so two runs of one shape measure the same.
#![warn(missing_docs)]
#![allow(clippy::expect_used, reason = "the generator's own names are valid; a measurement may fail by panicking")]

mod fixture;
mod machine;
mod organisation;
mod policies;
mod results;
#[cfg(test)]
mod tests;

pub use fixture::{FixtureError, engine_options, load, start};
pub use machine::{Commit, Machine, commit, cpu_of_thread};
pub use organisation::{Organisation, Shape};
pub use policies::Grid;
pub use results::{results_folder, write_results, write_results_in};
