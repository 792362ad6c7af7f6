//! A folder with a policy set: one schema and the policies beside it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use portcullis_model::limits::POLICY_BYTES_MAX;
use portcullis_model::{PolicyFile, PolicySetText};

/// Why a folder holds no policy set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyFolderError {
    /// The system refused.
    #[error("could not read `{}`", .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Its reason.
        #[source]
        source: io::Error,
    },
    /// There is no schema, or more than one.
    #[error("`{}` holds {found} files `*.cedarschema`: a policy set has one", .path.display())]
    Schema {
        /// The folder.
        path: PathBuf,
        /// How many there are.
        found: usize,
    },
    /// There are too many files, or they are too large.
    #[error("`{}` holds more than {FILES_MAX} policy files or more than {POLICY_BYTES_MAX} bytes", .0.display())]
    TooLarge(PathBuf),
    /// A file name cannot be shown.
    #[error("`{}` is not a file name in UTF-8", .0.display())]
    Name(PathBuf),
}

/// Reads the policy set of a folder: every `*.cedar` by name, and the one `*.cedarschema`. Other files
/// and folders in it are passed over.
///
/// # Errors
/// [`PolicyFolderError`].
pub fn read_policies(folder: &Path) -> Result<PolicySetText, PolicyFolderError> {
    let mut left = POLICY_BYTES_MAX;
    let mut schemas = Vec::new();
    let mut files = Vec::new();
    for path in paths(folder)? {
        let file = read(&path, folder, &mut left)?;
        if is_schema(&path) { schemas.push(file) } else { files.push(file) }
    }
    let found = schemas.len();
    match (schemas.pop(), found) {
        (Some(schema), 1) => Ok(PolicySetText { schema, files }),
        _ => Err(PolicyFolderError::Schema { path: folder.to_owned(), found }),
    }
}

/// What tells one state of a folder from another without reading its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FolderStamp(Vec<(PathBuf, Option<SystemTime>, u64)>);

impl FolderStamp {
    /// The stamp now; empty where the folder cannot be read.
    pub(crate) fn of(folder: &Path) -> Self {
        let stamp = |path: PathBuf| {
            let metadata = fs::metadata(&path).ok();
            let modified = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
            (path, modified, metadata.map_or(0, |metadata| metadata.len()))
        };
        Self(paths(folder).unwrap_or_default().into_iter().map(stamp).collect())
    }
}

/// The files of the set, by name.
fn paths(folder: &Path) -> Result<Vec<PathBuf>, PolicyFolderError> {
    let failed = |source| PolicyFolderError::Read { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if (is_schema(&path) || has_extension(&path, "cedar")) && path.is_file() {
            found.push(path);
        }
        if found.len() > FILES_MAX {
            return Err(PolicyFolderError::TooLarge(folder.to_owned()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn read(path: &Path, folder: &Path, left: &mut usize) -> Result<PolicyFile, PolicyFolderError> {
    let failed = |source| PolicyFolderError::Read { path: path.to_owned(), source };
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| PolicyFolderError::Name(path.to_owned()))?.to_owned();
    let mut text = String::new();
    let limit = u64::try_from(*left).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text)).map_err(failed)?;
    *left = left.checked_sub(text.len()).ok_or_else(|| PolicyFolderError::TooLarge(folder.to_owned()))?;
    Ok(PolicyFile { name, text })
}

fn is_schema(path: &Path) -> bool {
    has_extension(path, "cedarschema")
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

/// Most files of one set. BOUND: 10,000 policies in files of their own.
const FILES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn the_sample_folder_is_the_sample_set() {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in portcullis_sample::files() {
            if let Some(name) = path.strip_prefix("policies/") {
                fs::write(folder.path().join(name), text).unwrap();
            }
        }
        assert_eq!(read_policies(folder.path()).unwrap(), portcullis_sample::policy_set());
    }

    #[test]
    fn a_set_has_one_schema() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.cedar"), "").unwrap();
        let refused = read_policies(folder.path()).unwrap_err();
        assert!(matches!(refused, PolicyFolderError::Schema { found: 0, .. }), "{refused}");
        fs::write(folder.path().join("a.cedarschema"), "").unwrap();
        assert!(read_policies(folder.path()).is_ok());
        fs::write(folder.path().join("b.cedarschema"), "").unwrap();
        assert!(matches!(read_policies(folder.path()), Err(PolicyFolderError::Schema { found: 2, .. })));
        assert!(matches!(read_policies(&folder.path().join("none")), Err(PolicyFolderError::Read { .. })));
    }

    #[test]
    fn a_stamp_changes_with_names_and_contents() {
        let folder = tempfile::tempdir().unwrap();
        let empty = FolderStamp::of(folder.path());
        fs::write(folder.path().join("a.cedar"), "1").unwrap();
        let one = FolderStamp::of(folder.path());
        assert_ne!(empty, one);
        assert_eq!(one, FolderStamp::of(folder.path()));
        fs::write(folder.path().join("a.cedar"), "12").unwrap();
        assert_ne!(one, FolderStamp::of(folder.path()));
        fs::write(folder.path().join("notes.txt"), "").unwrap();
        assert_eq!(FolderStamp::of(folder.path()).0.len(), 1);
    }
}
