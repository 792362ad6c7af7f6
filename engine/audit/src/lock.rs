//! One writer for each folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::error::AuditError;

/// Takes the folder for this process until the file is dropped.
pub(crate) fn take(folder: &Path) -> Result<File, AuditError> {
    let path = folder.join(NAME);
    let failed = || AuditError::io("lock", path.as_path());
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(failed())?;
    for _ in 0..ATTEMPTS_MAX {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // A reader that is looking whether a node runs holds it for a moment.
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            Err(TryLockError::Error(error)) => return Err(failed()(error)),
        }
    }
    Err(AuditError::Locked { folder: folder.to_owned() })
}

/// Whether a node runs on the folder.
pub(crate) fn is_held(folder: &Path) -> bool {
    let Ok(file) = File::open(folder.join(NAME)) else { return false };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

const NAME: &str = "LOCK";
/// BOUND: 50 ms together; a reader looks for microseconds.
const ATTEMPTS_MAX: u32 = 10;
const PAUSE: Duration = Duration::from_millis(5);
