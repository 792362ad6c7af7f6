#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use super::*;

fn open(path: &Path) -> Result<FileSource, SourceError> {
    FileSource::open(path, "file".parse().unwrap(), Mapping::default())
}

#[test]
fn a_file_is_read_with_its_digest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("directory.json");
    std::fs::write(&path, portcullis_sample::directory_json()).unwrap();
    let mut source = open(&path).unwrap();
    let state = source.read().unwrap();
    assert_eq!(state.entities().len(), 17);
    assert_eq!(state.digest(), Some(Sha256::digest(portcullis_sample::directory_json()).into()));
    assert_eq!(source.read().unwrap(), state);
    assert_eq!((source.name().as_str(), source.path()), ("file", path.as_path()));
}

#[test]
fn what_is_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(open(folder.path()), Err(SourceError::NotAFile(_))));
    assert!(matches!(open(Path::new("/")), Err(SourceError::NotAFile(_))));
    let path = folder.path().join("later.json");
    let mut source = open(&path).unwrap();
    assert!(matches!(source.read(), Err(SourceError::Read { .. })));
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(source.read(), Err(SourceError::NotAFile(_))));
}

#[test]
fn a_file_past_its_limit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("directory.json");
    std::fs::write(&path, [b' '; 100]).unwrap();
    let source = open(&path).unwrap();
    assert_eq!(source.bytes(100).unwrap().len(), 100);
    assert!(matches!(source.bytes(99), Err(SourceError::TooLarge { limit: 99, .. })));
}
