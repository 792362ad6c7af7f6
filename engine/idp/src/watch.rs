//! Tells when a file may have changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::source::SourceError;

/// How long a file must be left alone before it is read. BOUND: longer than an editor takes to save.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// When a file that is never left alone is read all the same.
const DEBOUNCE_MAX: Duration = Duration::from_secs(1);
/// How often the file's stamp is looked at besides, for file systems that tell nothing.
const RECHECK: Duration = Duration::from_secs(60);

/// Pokes: each says that the file may have changed since it was last read. At most one is waiting.
///
/// Dropping it ends the watching.
#[derive(Debug)]
pub struct Pokes {
    receiver: mpsc::Receiver<()>,
    task: JoinHandle<()>,
}

impl Pokes {
    /// Waits for the next poke; `None` when watching has ended.
    ///
    /// # Cancel safety
    /// A poke that was not returned is returned by the next call.
    pub async fn recv(&mut self) -> Option<()> {
        self.receiver.recv().await
    }
}

impl Drop for Pokes {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Watches the folder of `path`, so that a file that is renamed over, or reached through a symlink that
/// is swapped, is noticed too. What changes after the return is never missed.
///
/// # Errors
/// [`SourceError::Runtime`] outside a tokio runtime; [`SourceError::Watch`] if the folder cannot be
/// watched.
pub fn watch(path: &Path) -> Result<Pokes, SourceError> {
    let runtime = Handle::try_current().map_err(|_| SourceError::Runtime)?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let failed = |source| SourceError::Watch { path: folder.to_owned(), source };
    let changed = Arc::new(Notify::new());
    let mut noticer = Noticer { path: path.to_owned(), seen: Stamp::of(path), changed: Arc::clone(&changed) };
    let mut watcher = notify::recommended_watcher(move |event| noticer.notice(event)).map_err(failed)?;
    watcher.watch(folder, RecursiveMode::NonRecursive).map_err(failed)?;
    let (sender, receiver) = mpsc::channel(1);
    let task = runtime.spawn(poke(path.to_owned(), watcher, changed, sender));
    Ok(Pokes { receiver, task })
}

/// Turns bursts of notices into pokes, until nobody listens. Holds the watcher, which works while it lives.
async fn poke(path: PathBuf, _watcher: RecommendedWatcher, changed: Arc<Notify>, sender: mpsc::Sender<()>) {
    let mut seen = Stamp::of(&path);
    while !sender.is_closed() {
        if timeout(RECHECK, changed.notified()).await.is_err() {
            if Stamp::of(&path) == seen {
                continue;
            }
        } else {
            let latest = Instant::now() + DEBOUNCE_MAX;
            while Instant::now() < latest && timeout(DEBOUNCE, changed.notified()).await.is_ok() {}
        }
        seen = Stamp::of(&path);
        // A full channel holds a poke that has not been taken: the reader will see this change as well.
        let _ = sender.try_send(());
    }
}

/// Sits in the watcher's thread and tells changes of the file from all else in its folder.
struct Noticer {
    path: PathBuf,
    seen: Stamp,
    changed: Arc<Notify>,
}

impl Noticer {
    fn notice(&mut self, event: notify::Result<Event>) {
        if let Err(error) = &event {
            tracing::warn!(%error, "watching the directory file failed; reading it again");
        }
        if event.is_ok_and(|event| !self.concerns(&event)) {
            return;
        }
        self.changed.notify_one();
    }

    fn concerns(&mut self, event: &Event) -> bool {
        if event.need_rescan() || event.paths.is_empty() {
            return true;
        }
        if !is_change(event.kind) {
            return false;
        }
        let before = std::mem::replace(&mut self.seen, Stamp::of(&self.path));
        let named = event.paths.iter().any(|path| path.file_name() == self.path.file_name());
        named || before != self.seen
    }
}

/// Reading the file makes events as well, and must not lead to another reading.
fn is_change(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

/// What tells one content of a path from another without reading it; symlinks are followed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: Option<u64>,
    file: Option<u64>,
}

impl Stamp {
    fn of(path: &Path) -> Self {
        let Ok(metadata) = std::fs::metadata(path) else { return Self::default() };
        #[cfg(unix)]
        let file = Some(std::os::unix::fs::MetadataExt::ino(&metadata));
        #[cfg(not(unix))]
        let file = None;
        Self { modified: metadata.modified().ok(), bytes: Some(metadata.len()), file }
    }
}

#[cfg(test)]
mod tests;
