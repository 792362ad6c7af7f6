//! The source `file`: a SCIM list response on disk, watched.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use portcullis_model::SourceName;
use sha2::{Digest, Sha256};

use crate::mapping::Mapping;
use crate::scim::parse;
use crate::source::{Source, SourceError};
use crate::state::FullState;
use crate::watch::{Pokes, watch};

/// Largest directory file in bytes. BOUND: 2,000,000 resources of 128 bytes each.
pub const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A SCIM list response in a file. Never writes it.
#[derive(Clone, Debug)]
pub struct FileSource {
    path: PathBuf,
    name: SourceName,
    mapping: Mapping,
}

impl FileSource {
    /// A source that reads `path`. The file need not exist yet; its folder must by the time of
    /// [`Source::watch`].
    ///
    /// # Errors
    /// [`SourceError::NotAFile`] if `path` ends in no file name or is something else than a file.
    pub fn open(path: impl Into<PathBuf>, name: SourceName, mapping: Mapping) -> Result<Self, SourceError> {
        let path = path.into();
        let other = std::fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file());
        if path.file_name().is_none() || other {
            return Err(SourceError::NotAFile(path));
        }
        Ok(Self { path, name, mapping })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn bytes(&self, limit: u64) -> Result<Vec<u8>, SourceError> {
        let failed = |source| SourceError::Read { path: self.path.clone(), source };
        // Asked before opening: opening a pipe would wait for its writer.
        if !std::fs::metadata(&self.path).map_err(failed)?.is_file() {
            return Err(SourceError::NotAFile(self.path.clone()));
        }
        let mut bytes = Vec::new();
        File::open(&self.path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes)).map_err(failed)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
            return Err(SourceError::TooLarge { path: self.path.clone(), limit });
        }
        Ok(bytes)
    }
}

impl Source for FileSource {
    fn name(&self) -> &SourceName {
        &self.name
    }

    fn read(&mut self) -> Result<FullState, SourceError> {
        let bytes = self.bytes(FILE_BYTES_MAX)?;
        let digest: [u8; 32] = Sha256::digest(&bytes).into();
        parse(&bytes, &self.mapping).map(|state| state.with_digest(digest))
    }

    fn watch(&self) -> Result<Pokes, SourceError> {
        watch(&self.path)
    }
}

#[cfg(test)]
mod tests;
