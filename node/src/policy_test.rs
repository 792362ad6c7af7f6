//! Runs the tests of a policy folder offline: each case is decided in a world that is made of files.

mod cases;
mod grants;
mod world;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use portcullis_idp::{FileSource, Mapping, Source, SourceError, diff};
use portcullis_model::{Change, EntityRecord, PolicySetText, SourceName, Timestamp};
use portcullis_policy::PolicyErrors;
use portcullis_sample::PolicyTestFile;
use serde::de::DeserializeOwned;

use crate::node::policy_folder::{PolicyFolderError, read_policies};

pub use cases::{CaseReport, TestReport};
use world::OfflineWorld;

/// Where a run takes everything from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Folder of the policies.
    pub policies: PathBuf,
    /// The cases.
    pub tests: PathBuf,
    /// Users, groups and agents as a SCIM list response.
    pub directory: PathBuf,
    /// Resources; none where there is no file.
    pub resources: Option<PathBuf>,
    /// Grants; cases are about policy alone where there is no file.
    pub grants: Option<PathBuf>,
}

impl Files {
    /// The files that lie where the sample has them: the cases in the policies' folder, all else beside
    /// it; resources and grants only where they are there.
    pub fn beside(policies: &Path) -> Self {
        let outer = policies.join("..");
        let if_there = |name: &str| Some(outer.join(name)).filter(|path| path.is_file());
        Self {
            policies: policies.to_owned(),
            tests: policies.join("tests.json"),
            directory: outer.join("directory.json"),
            resources: if_there("resources.json"),
            grants: if_there("grants.json"),
        }
    }
}

/// Which cases run: those of which the name, subject, agents, action or resource contain the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter(pub String);

/// Why no case was run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestError {
    /// The policies cannot be read.
    #[error(transparent)]
    Folder(#[from] PolicyFolderError),
    /// The policies do not compile.
    #[error("the policies are invalid\n{errors}")]
    Policy {
        /// Their text.
        set: Box<PolicySetText>,
        /// What is wrong with it.
        errors: PolicyErrors,
    },
    /// A file cannot be read.
    #[error("`{}` cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is not the JSON that it should be.
    #[error("`{}` is not what it should be", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// The cases have a shape that this version does not know.
    #[error("`{}` has schema version {found}: this version knows 1", .path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The directory cannot be used.
    #[error("`{}` cannot be used", .path.display())]
    Directory {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: SourceError,
    },
    /// An entity does not fit the schema, or a grant what is stored.
    #[error("{0}")]
    World(String),
}

/// Runs the cases that `filter` names, deciding as of `now`.
///
/// # Errors
/// [`TestError`], before any case has run. A case that fails is none.
pub fn run(files: &Files, filter: &Filter, now: Timestamp) -> Result<TestReport, TestError> {
    let set = read_policies(&files.policies)?;
    let tests: PolicyTestFile = read_json(&files.tests)?;
    if tests.schema_version != 1 {
        return Err(TestError::Schema { path: files.tests.clone(), found: tests.schema_version });
    }
    let mut changes = directory(&files.directory)?;
    if let Some(path) = &files.resources {
        let records: Vec<EntityRecord> = read_json(path)?;
        changes.extend(records.into_iter().map(Change::PutEntity));
    }
    let grants = match &files.grants {
        Some(path) => Some(grants::records(read_json(path)?).map_err(TestError::World)?),
        None => None,
    };
    let world = OfflineWorld::new(set, changes, grants, now)?;
    let all = tests.cases.len();
    let chosen = tests.cases.iter().filter(|case| cases::is_chosen(case, filter));
    let cases: Vec<CaseReport> = chosen.map(|case| cases::run(&world, case)).collect();
    Ok(TestReport { filtered_out: all - cases.len(), cases, grants_file: files.grants.clone() })
}

/// What the first reading of the directory changes.
fn directory(path: &Path) -> Result<Vec<Change>, TestError> {
    let failed = |source| TestError::Directory { path: path.to_owned(), source };
    let name: SourceName = SOURCE.parse().map_err(|_| TestError::World(format!("`{SOURCE}` is no source name")))?;
    let mut source = FileSource::open(path, name.clone(), Mapping::default()).map_err(failed)?;
    let state = source.read().map_err(failed)?;
    Ok(diff(None, &state, &name).changes)
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, TestError> {
    let failed = |source| TestError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if u64::try_from(bytes.len()).map_or(true, |length| length > BYTES_MAX) {
        return Err(failed(io::Error::other(format!("larger than {BYTES_MAX} bytes"))));
    }
    serde_json::from_slice(&bytes).map_err(|source| TestError::Json { path: path.to_owned(), source })
}

/// Most bytes of a file of cases, resources or grants.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// What the directory's file is called as a source.
const SOURCE: &str = "file";

#[cfg(test)]
mod tests;
