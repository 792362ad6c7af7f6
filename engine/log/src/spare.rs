//! The next segment, zeroed ahead on a thread of its own so that no append waits for it.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::disk::{DiskTarget, PIECE_BYTES};
use crate::error::LogError;
use crate::folder::{Folder, discard};

/// A zeroed file without a name of its own yet.
pub(crate) struct Spare {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    pub(crate) capacity: usize,
}

/// Orders spares, one at a time, and hands them out.
pub(crate) struct Spares {
    folder: Arc<Folder>,
    orders: Option<SyncSender<usize>>,
    made: Receiver<Option<Spare>>,
    held: Option<Spare>,
    ordered: bool,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Spares {
    pub(crate) fn start(folder: &Arc<Folder>) -> Result<Self, LogError> {
        let (orders, ordered) = sync_channel::<usize>(1);
        let (give, made) = sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let (maker, stopped) = (Arc::clone(folder), Arc::clone(&stop));
        let work = move || {
            for capacity in ordered {
                let spare = make(&maker, capacity, &stopped)
                    .inspect_err(|error| tracing::warn!(%error, "could not prepare the log's next segment"));
                if give.send(spare.ok()).is_err() {
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new().name("log-spare".into()).spawn(work);
        let thread = thread.map_err(LogError::io("start the thread that prepares", folder.scratch_path(NAME)))?;
        Ok(Self {
            folder: Arc::clone(folder),
            orders: Some(orders),
            made,
            held: None,
            ordered: false,
            stop,
            thread: Some(thread),
        })
    }

    /// Orders a spare of `capacity` bytes, unless there is or will be one.
    pub(crate) fn order(&mut self, capacity: usize) {
        if !self.ordered
            && self.held.is_none()
            && let Some(orders) = &self.orders
        {
            self.ordered = orders.try_send(capacity).is_ok();
        }
    }

    /// The spare, if it is ready and has at least `bytes_min`.
    pub(crate) fn take(&mut self, bytes_min: usize) -> Option<Spare> {
        if let Ok(made) = self.made.try_recv() {
            self.ordered = false;
            self.held = made;
        }
        self.held.take_if(|spare| spare.capacity >= bytes_min)
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        discard(&self.folder.scratch_path(NAME));
    }
}

fn make(folder: &Folder, capacity: usize, stop: &AtomicBool) -> Result<Spare, LogError> {
    let path = folder.scratch_path(NAME);
    let file = folder.create(&path)?;
    let wanted = || !stop.load(Ordering::Relaxed);
    // Synced piece by piece: one long flush would hold up the syncs of appends.
    for start in (0..capacity).step_by(PIECE_BYTES) {
        let end = capacity.min(start + PIECE_BYTES);
        let zeroed = folder.disk.write_zeros(DiskTarget::Spare, &file, start as u64, end as u64, &wanted);
        zeroed
            .and_then(|()| folder.disk.sync_data(DiskTarget::Spare, &file))
            .map_err(LogError::io("write zeros to", &path))?;
        if !wanted() {
            break;
        }
    }
    Ok(Spare { file, path, capacity })
}

const NAME: &str = "spare";
