//! The sample organisation as files, to look at and to edit.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::node::{NodeError, Seed};
use crate::pki;

/// The sample's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unpacked {
    folder: PathBuf,
}

impl Unpacked {
    /// The sample in a data folder, unpacked where it is not there yet: whole or not at all.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, NodeError> {
        let folder = data_dir.join("sample");
        if !folder.is_dir() {
            unpack(data_dir, &folder)?;
        }
        Ok(Self { folder })
    }

    /// The policies.
    pub(crate) fn policies(&self) -> PathBuf {
        self.folder.join("policies")
    }

    /// The directory.
    pub(crate) fn directory(&self) -> PathBuf {
        self.folder.join("directory.json")
    }

    /// Resources as the folder has them, and the sample's grants.
    pub(crate) fn seed(&self) -> Result<Seed, NodeError> {
        let path = self.folder.join("resources.json");
        let failed = |source| NodeError::File { path: path.clone(), source };
        let text = fs::read(&path).map_err(failed)?;
        let entities = serde_json::from_slice(&text).map_err(|source| failed(io::Error::other(source)))?;
        Ok(Seed { entities, grants: portcullis_sample::grants()? })
    }
}

fn unpack(data_dir: &Path, folder: &Path) -> Result<(), NodeError> {
    let beside = data_dir.join("sample.new");
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| NodeError::File { path, source }
    };
    match fs::remove_dir_all(&beside) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(failed(&beside)(source)),
        _ => {}
    }
    for (name, text) in portcullis_sample::files() {
        let path = beside.join(name);
        if let Some(parent) = path.parent() {
            pki::create_private_folder(parent)?;
        }
        fs::write(&path, text).map_err(failed(&path))?;
    }
    fs::rename(&beside, folder).map_err(failed(folder))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn it_is_unpacked_once_and_then_left_to_its_reader() {
        let data_dir = tempfile::tempdir().unwrap();
        let sample = Unpacked::open(data_dir.path()).unwrap();
        assert_eq!(fs::read_to_string(sample.directory()).unwrap(), portcullis_sample::directory_json());
        assert_eq!(sample.seed().unwrap().entities, portcullis_sample::resources().unwrap());
        let edited = sample.policies().join("mail.cedar");
        fs::write(&edited, "// edited").unwrap();
        assert_eq!(Unpacked::open(data_dir.path()).unwrap(), sample);
        assert_eq!(fs::read_to_string(&edited).unwrap(), "// edited");
    }
}
