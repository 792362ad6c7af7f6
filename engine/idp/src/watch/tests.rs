#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use notify::event::{CreateKind, DataChange, ModifyKind};

use super::*;

/// Far longer than a poke takes; reached only where none comes.
const PATIENCE: Duration = Duration::from_secs(20);

async fn poked(pokes: &mut Pokes) {
    assert_eq!(timeout(PATIENCE, pokes.recv()).await, Ok(Some(())));
}

#[tokio::test]
async fn writing_and_renaming_over_poke() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("directory.json");
    std::fs::write(&path, "one").unwrap();
    let mut pokes = watch(&path).unwrap();
    std::fs::write(&path, "two").unwrap();
    poked(&mut pokes).await;
    for content in ["three", "four"] {
        let draft = folder.path().join("draft");
        std::fs::write(&draft, content).unwrap();
        std::fs::rename(&draft, &path).unwrap();
        poked(&mut pokes).await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
    }
    std::fs::remove_file(&path).unwrap();
    poked(&mut pokes).await;
}

#[cfg(unix)]
#[tokio::test]
async fn swapping_a_symlinked_folder_pokes() {
    let folder = tempfile::tempdir().unwrap();
    let link = |name: &str| std::os::unix::fs::symlink(folder.path().join(name), folder.path().join("next")).unwrap();
    for name in ["first", "second"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join("directory.json"), name).unwrap();
    }
    link("first");
    std::fs::rename(folder.path().join("next"), folder.path().join("data")).unwrap();
    let path = folder.path().join("directory.json");
    std::os::unix::fs::symlink("data/directory.json", &path).unwrap();
    let mut pokes = watch(&path).unwrap();
    link("second");
    std::fs::rename(folder.path().join("next"), folder.path().join("data")).unwrap();
    poked(&mut pokes).await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "second");
}

#[test]
fn only_changes_of_the_file_concern() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("directory.json");
    std::fs::write(&path, "one").unwrap();
    let mut noticer = Noticer { path: path.clone(), seen: Stamp::of(&path), changed: Arc::default() };
    let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    let read = EventKind::Access(AccessKind::Open(AccessMode::Any));
    let mut check = |kind, name: &str| noticer.concerns(&Event::new(kind).add_path(folder.path().join(name)));
    assert!(check(written, "directory.json"));
    assert!(check(EventKind::Access(AccessKind::Close(AccessMode::Write)), "directory.json"));
    assert!(!check(read, "directory.json"));
    assert!(!check(EventKind::Access(AccessKind::Close(AccessMode::Read)), "directory.json"));
    assert!(!check(written, "other.json"));
    std::fs::write(&path, "longer").unwrap();
    assert!(check(EventKind::Create(CreateKind::Any), "other.json"));
    assert!(noticer.concerns(&Event::new(EventKind::Other)));
}

#[test]
fn watching_needs_a_runtime_and_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(watch(&folder.path().join("directory.json")), Err(SourceError::Runtime)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _inside = runtime.enter();
    assert!(matches!(watch(&folder.path().join("none/directory.json")), Err(SourceError::Watch { .. })));
}
