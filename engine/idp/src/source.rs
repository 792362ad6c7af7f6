//! What every identity source offers, and how it fails.

use std::path::PathBuf;

use portcullis_model::SourceName;

use crate::scim::ResourceKind;
use crate::state::FullState;
use crate::watch::Pokes;

/// A system that knows users, groups and agents.
pub trait Source: Send {
    /// The name under which its claims are kept.
    fn name(&self) -> &SourceName;

    /// Everything the source says now. Blocks; call it where blocking is allowed.
    ///
    /// # Errors
    /// [`SourceError`]; the last state read then stays in force.
    fn read(&mut self) -> Result<FullState, SourceError>;

    /// Tells when another [`Source::read`] is due. Begins to watch before it returns, so that what
    /// changes after it is never missed.
    ///
    /// # Errors
    /// [`SourceError::Watch`], or [`SourceError::Runtime`] outside a tokio runtime with timers.
    fn watch(&self) -> Result<Pokes, SourceError>;
}

/// Why a source could not be read. Nothing of a refused state is used. Messages name positions, not
/// people.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The file could not be read; trying again may help.
    #[error("could not read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The path is a folder, a pipe or a device, or names no file.
    #[error("`{0}` is not a file")]
    NotAFile(PathBuf),
    /// The file is larger than its limit.
    #[error("`{path}` has more than {limit} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// The text is not JSON, or a member has not the type it should have.
    #[error("line {line}, column {column}: {problem}")]
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong, in words.
        problem: &'static str,
    },
    /// The document is not a SCIM list response with all its resources.
    #[error("not a whole SCIM list response: {0}")]
    List(&'static str),
    /// A page where a full state should be: who is not on it would seem to have vanished.
    #[error("`totalResults` is {total}, but {found} resources are listed")]
    Partial {
        /// What the response promises.
        total: u64,
        /// What it holds.
        found: usize,
    },
    /// One resource is refused, and with it the whole state.
    #[error("resource {position}: {fault}")]
    Resource {
        /// Its place in `Resources`, from 1.
        position: usize,
        /// What is wrong with it.
        fault: ResourceFault,
    },
    /// The folder of the file could not be watched.
    #[error("could not watch `{path}`")]
    Watch {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: notify::Error,
    },
    /// Watching needs a tokio runtime.
    #[error("watching needs a running tokio runtime")]
    Runtime,
}

/// What is wrong with one resource.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResourceFault {
    /// It lists no core schema that is known, or more than one, or a schema that is no extension.
    #[error("`schemas` names exactly one of the core schemas User, Group and Agent, and extensions")]
    Schemas,
    /// Its `id` is empty or too long.
    #[error("`id` has 1 to 512 bytes")]
    Id,
    /// Another resource has the same `id`.
    #[error("`id` is that of resource {0} as well")]
    Duplicate(usize),
    /// `active` is missing or not a JSON boolean; a text such as `"false"` is none.
    #[error("`active` is the JSON value true or false, and not left out")]
    Active,
    /// A mapped text is too long.
    #[error("`{0}` is longer than its limit")]
    Long(&'static str),
    /// An attribute names a resource that is not listed, or not of a kind that may stand there.
    #[error("`{attribute}` names a resource that is not listed as {wanted}")]
    Reference {
        /// The attribute.
        attribute: &'static str,
        /// What was expected.
        wanted: &'static str,
    },
    /// The group is directly or indirectly a member of itself.
    #[error("the group is a member of itself")]
    GroupCycle,
    /// The agent acts through itself, or through a longer chain than a session may have.
    #[error("the agent acts through itself or through too many others")]
    Chain,
    /// It is in more groups than an entity may have parents.
    #[error("the resource is in too many groups")]
    Groups,
    /// There are more resources than a source may have.
    #[error("there are more than {limit} resources", limit = crate::RESOURCES_MAX)]
    TooMany,
}

impl SourceError {
    pub(crate) fn at(position: usize, fault: ResourceFault) -> Self {
        Self::Resource { position: position + 1, fault }
    }
}

impl ResourceFault {
    pub(crate) fn reference(attribute: &'static str, wanted: ResourceKind) -> Self {
        Self::Reference { attribute, wanted: wanted.entity_type() }
    }
}
