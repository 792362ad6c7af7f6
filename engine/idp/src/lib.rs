//! Identity sources behind one trait, and what turns their full states into changes.
//!
//! Owns the reading of sources and the comparison of two full states. Never writes the directory,
//! never decides, and never removes many at once: see [`diff`].
#![warn(missing_docs, clippy::indexing_slicing, clippy::as_conversions)]

mod changes;
mod diff;
mod file;
mod mapping;
mod resolve;
mod scim;
mod source;
mod state;
mod watch;

pub use diff::{Diff, Held, diff};
pub use file::{FILE_BYTES_MAX, FileSource};
pub use mapping::{MappedAttribute, Mapping, MappingError, ScimAttribute};
pub use scim::{RESOURCES_MAX, ResourceKind, parse};
pub use source::{ResourceFault, Source, SourceError};
pub use state::{FullState, Status};
pub use watch::{Pokes, watch};
