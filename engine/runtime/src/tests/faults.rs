//! What a failing disk stops, and what it does not.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_log::{Disk, DiskTarget, StdDisk};
use portcullis_model::{ErrorCode, Origin, Reason, RevokeScope};

use super::*;

/// A disk whose syncs fail once it is broken.
#[derive(Default)]
struct Breakable {
    broken: AtomicBool,
}

impl Disk for Breakable {
    fn write_at(&self, target: DiskTarget, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        StdDisk.write_at(target, file, bytes, offset)
    }

    fn sync_data(&self, target: DiskTarget, file: &File) -> io::Result<()> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(io::Error::other("no space left"));
        }
        StdDisk.sync_data(target, file)
    }
}

impl portcullis_audit::Disk for Breakable {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        portcullis_audit::FileSystem.write_at(file, bytes, offset)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(io::Error::other("no space left"));
        }
        portcullis_audit::FileSystem.sync_data(file)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_log_acknowledges_nothing_and_stops_allows_but_keeps_the_restriction() {
    let folder = TempDir::new().unwrap();
    let disk = Arc::new(Breakable::default());
    let log = LogOptions { disk: Arc::clone(&disk) as Arc<dyn Disk>, ..LogOptions::default() };
    let engine = Engine::start(EngineOptions { log, ..options(folder.path()) }).await.unwrap();
    furnish(&engine).await;
    let mut decider = engine.decider().unwrap();
    let session = engine.open_session(&terms("User::ada", &[]), "test").unwrap();
    disk.broken.store(true, Ordering::SeqCst);
    let refused = engine.revoke(RevokeScope::User(uid("User::ada")), Origin::Node).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::LogUnavailable);
    assert_eq!(decide(&mut decider, session.handle, "read").unwrap_err().code, ErrorCode::LogUnavailable);
    assert_eq!(
        engine.apply(vec![put("User::new", &[])], Origin::Node).await.unwrap_err().code,
        ErrorCode::LogUnavailable
    );
    drop(decider);
    disk.broken.store(false, Ordering::SeqCst);
    engine.stop().await;
    drop(engine);
    let engine = start(folder.path()).await.unwrap();
    assert!(engine.is_stored(&uid("User::ada")), "what was acknowledged is there");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_audit_log_stops_allows_but_not_restrictions() {
    let folder = TempDir::new().unwrap();
    let disk = Arc::new(Breakable::default());
    let audit_disk = Arc::clone(&disk) as Arc<dyn portcullis_audit::Disk>;
    let engine = Engine::start(EngineOptions { audit_disk, ..options(folder.path()) }).await.unwrap();
    furnish(&engine).await;
    let mut decider = engine.decider().unwrap();
    let session = engine.open_session(&terms("User::ada", &[]), "test").unwrap();
    engine.flush_audit().await.unwrap();
    disk.broken.store(true, Ordering::SeqCst);
    let _ = decide(&mut decider, session.handle, "read");
    assert_eq!(engine.flush_audit().await.unwrap_err().code, ErrorCode::AuditUnavailable);
    assert_eq!(decide(&mut decider, session.handle, "read").unwrap_err().code, ErrorCode::AuditUnavailable);
    engine.revoke(RevokeScope::User(uid("User::ada")), Origin::Node).await.unwrap();
    drop(decider);
    disk.broken.store(false, Ordering::SeqCst);
    engine.stop().await;
    drop(engine);
    let engine = start(folder.path()).await.unwrap();
    let denied = engine.open_session(&terms("User::ada", &[]), "test").map(|_| ());
    assert_eq!(denied, Err(crate::OpenError::Denied(Reason::UserRevoked)), "the restriction went on");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_engines_on_one_folder_do_not_both_start() {
    let (folder, engine) = organisation().await;
    let Err(error) = start(folder.path()).await else { panic!("started twice") };
    assert!(matches!(error, StartError::Log(portcullis_log::LogError::Locked { .. })), "{error:?}");
    engine.stop().await;
}
