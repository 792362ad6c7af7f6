//! The folder that holds everything a node keeps, and that belongs to one node at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::pki;

/// Whose data a folder holds. One kind of node never opens the other's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The sample organisation, on this machine, with credentials that lie beside it.
    Dev,
    /// An organisation of its own.
    Serve,
}

impl Mode {
    /// The command that runs it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Serve => "serve",
        }
    }

    /// Whose data a folder holds; `None` where it is no data folder that can be read.
    pub fn of_folder(path: &Path) -> Option<Self> {
        let marker: Marker = serde_json::from_slice(&fs::read(path.join(MARKER)).ok()?).ok()?;
        Some(marker.mode)
    }
}

/// An open data folder. Nobody else opens it while this lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    id: String,
    _lock: File,
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataDirError {
    /// Another node has it.
    #[error("another node runs on the data folder `{}`", .0.display())]
    InUse(PathBuf),
    /// It holds something else.
    #[error("`{}` holds other files and is no data folder: nothing was written there", .0.display())]
    Foreign(PathBuf),
    /// It belongs to the other kind of node.
    #[error("`{}` is the data folder of `portcullis {}`", .path.display(), .found.as_str())]
    Kind {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        found: Mode,
    },
    /// Its marker cannot be understood.
    #[error("`{}` is not the marker of a data folder", .0.display())]
    Marker(PathBuf),
    /// The system refused.
    #[error("could not use `{}`", .path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// What the marker says.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    mode: Mode,
    /// Id of the node that the folder belongs to.
    node: String,
}

impl DataDir {
    /// Opens the folder, making it where there is none: mode 0700, hidden from Git, marked as ours,
    /// and locked. A folder that holds anything else is left alone.
    ///
    /// # Errors
    /// [`DataDirError`]; in every case but [`DataDirError::File`] nothing was changed.
    pub fn open(path: &Path, mode: Mode) -> Result<Self, DataDirError> {
        let failed = |path: PathBuf| move |source| DataDirError::File { path, source };
        let marker = path.join(MARKER);
        match fs::read_dir(path) {
            Ok(mut entries) => {
                // What a file system puts into the root of a new volume is nobody's.
                let is_foreign = entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != "lost+found"));
                if is_foreign && !marker.exists() {
                    return Err(DataDirError::Foreign(path.to_owned()));
                }
            }
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                let made = pki::create_private_folder(path);
                made.map_err(|cause| failed(path.to_owned())(io::Error::other(cause)))?;
            }
            Err(source) => return Err(failed(path.to_owned())(source)),
        }
        let id = claim(&marker, mode)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed(path.to_owned()))?;
        let lock = take_lock(path)?;
        let ignore = path.join(".gitignore");
        if !ignore.exists() {
            fs::write(&ignore, "*\n").map_err(failed(ignore.clone()))?;
        }
        Ok(Self { path: path.to_owned(), id, _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Id of the node: made with the folder, the same at every start.
    pub fn node_id(&self) -> &str {
        &self.id
    }

    /// Where the engine keeps its logs.
    pub fn engine(&self) -> PathBuf {
        self.path.join("engine")
    }

    /// Removes what the engine keeps: every change and every audit record. Nothing else is touched.
    ///
    /// # Errors
    /// [`DataDirError::File`].
    pub fn remove_engine(&self) -> Result<(), DataDirError> {
        let engine = self.engine();
        match fs::remove_dir_all(&engine) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(DataDirError::File { path: engine, source }),
            _ => Ok(()),
        }
    }

    /// Whether a node runs on the folder now.
    pub fn is_in_use(path: &Path) -> bool {
        let opened = File::open(path.join(LOCK));
        opened.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

/// The node's id, from the marker or a new one.
fn claim(path: &Path, mode: Mode) -> Result<String, DataDirError> {
    let failed = |source| DataDirError::File { path: path.to_owned(), source };
    match fs::read(path) {
        Ok(bytes) => {
            let marker: Marker = serde_json::from_slice(&bytes).map_err(|_| DataDirError::Marker(path.to_owned()))?;
            if marker.mode != mode {
                let path = path.parent().unwrap_or(path).to_owned();
                return Err(DataDirError::Kind { path, found: marker.mode });
            }
            Ok(marker.node)
        }
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            let marker = Marker { mode, node: format!("n_{}", uuid::Uuid::now_v7().simple()) };
            let bytes = serde_json::to_vec(&marker).map_err(|cause| failed(io::Error::other(cause)))?;
            // Whole or not at all: half a marker would lock the folder for good.
            replace_file(path, &bytes, 0o600).map_err(failed)?;
            Ok(marker.node)
        }
        Err(source) => Err(failed(source)),
    }
}

fn take_lock(folder: &Path) -> Result<File, DataDirError> {
    let path = folder.join(LOCK);
    let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = opened.map_err(|source| DataDirError::File { path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(DataDirError::File { path, source }),
    }
}

/// Replaces a file whole: written beside it, then renamed over it. A crash of the machine may leave
/// the old one.
pub(crate) fn replace_file(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    use std::io::Write;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    match fs::remove_file(&beside) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(source),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    file.write_all(bytes)?;
    drop(file);
    fs::rename(&beside, path)
}

/// The file that makes a folder ours.
const MARKER: &str = "portcullis.json";
/// The file whose lock makes it one node's.
const LOCK: &str = "node.lock";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn a_new_folder_is_private_hidden_and_marked() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("a/data");
        let opened = DataDir::open(&path, Mode::Dev).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_to_string(path.join(".gitignore")).unwrap(), "*\n");
        let id = opened.node_id().to_owned();
        drop(opened);
        assert_eq!(DataDir::open(&path, Mode::Dev).unwrap().node_id(), id);
    }

    #[test]
    fn one_folder_has_one_node() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("data");
        assert!(!DataDir::is_in_use(&path));
        let first = DataDir::open(&path, Mode::Serve).unwrap();
        assert!(DataDir::is_in_use(&path));
        let second = DataDir::open(&path, Mode::Serve).unwrap_err();
        assert!(matches!(&second, DataDirError::InUse(found) if *found == path), "{second}");
        drop(first);
        assert!(!DataDir::is_in_use(&path));
        assert!(DataDir::open(&path, Mode::Serve).is_ok());
    }

    #[test]
    fn dev_and_serve_do_not_open_each_others_folder() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("data");
        drop(DataDir::open(&path, Mode::Dev).unwrap());
        let refused = DataDir::open(&path, Mode::Serve).unwrap_err();
        assert!(matches!(refused, DataDirError::Kind { found: Mode::Dev, .. }), "{refused}");
    }

    #[test]
    fn a_folder_with_other_files_is_left_as_it_is() {
        let outer = tempfile::tempdir().unwrap();
        fs::write(outer.path().join("thesis.txt"), "text").unwrap();
        let refused = DataDir::open(outer.path(), Mode::Dev).unwrap_err();
        assert!(matches!(refused, DataDirError::Foreign(_)), "{refused}");
        assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1);
    }

    #[test]
    fn fresh_removes_the_engine_and_nothing_else() {
        let outer = tempfile::tempdir().unwrap();
        let opened = DataDir::open(&outer.path().join("data"), Mode::Dev).unwrap();
        fs::create_dir_all(opened.engine().join("log")).unwrap();
        fs::write(opened.path().join("kept"), "").unwrap();
        opened.remove_engine().unwrap();
        opened.remove_engine().unwrap();
        assert!(!opened.engine().exists() && opened.path().join("kept").exists());
    }
}
