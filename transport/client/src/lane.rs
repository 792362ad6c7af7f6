//! One lane's way out: frames gather while the stream is being written, then leave in one write.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_wire::{Flags, FrameKind, FrameWriter, Payload, WireError};
use quinn::SendStream;
use tokio::sync::Notify;

use crate::error::{DecideError, not_written};

/// Bytes that wait for one lane; when there are more, requests are refused. Some ten thousand small
/// frames, and a fraction of a second on any network.
const QUEUE_BYTES_MAX: usize = 256 * 1024;

/// The queue of one lane.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    queue: Mutex<FrameWriter>,
    wake: Notify,
    room: Notify,
    is_finishing: AtomicBool,
}

impl Lane {
    /// Queues one frame.
    pub(crate) fn append<P: Payload>(&self, corr: u32, payload: &P) -> Result<(), DecideError> {
        self.queue(|writer| writer.append(corr, payload))
    }

    /// Queues one chunk of an administrative call.
    pub(crate) fn append_chunk(&self, flags: Flags, corr: u32, chunk: &[u8]) -> Result<(), DecideError> {
        self.queue(|writer| writer.append_bytes(FrameKind::Admin, flags, corr, chunk))
    }

    /// Queues the end of an administrative call that is given up half-way, also where there is no room:
    /// its half is in the queue or was, and must not stay with the node.
    pub(crate) fn append_end(&self, corr: u32) {
        // An empty frame is never too long for its kind.
        let _ = self.lock().append_bytes(FrameKind::Admin, Flags::NONE, corr, &[]);
        self.wake.notify_one();
    }

    /// Queues one chunk of an administrative call as soon as there is room.
    pub(crate) async fn append_chunk_later(&self, flags: Flags, corr: u32, chunk: &[u8]) -> Result<(), DecideError> {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            match self.append_chunk(flags, corr, chunk) {
                Err(DecideError::Overloaded) => room.await,
                result => return result,
            }
        }
    }

    /// Lets [`Lane::write`] end once the queue is empty.
    pub(crate) fn finish(&self) {
        self.is_finishing.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Writes what is queued until the lane is finished and all of it has arrived, or the stream fails.
    pub(crate) async fn write(&self, mut stream: SendStream) {
        let mut batch = FrameWriter::default();
        loop {
            std::mem::swap(&mut *self.lock(), &mut batch);
            if batch.is_empty() {
                // ORDERING: pairs with `finish`, which stores before it wakes.
                if self.is_finishing.load(Ordering::Acquire) {
                    break;
                }
                self.wake.notified().await;
                continue;
            }
            self.room.notify_waiters();
            if stream.write_all(batch.bytes()).await.is_err() {
                return;
            }
            batch.clear();
        }
        if stream.finish().is_ok() {
            // The peer may be gone: then there is nothing to wait for.
            let _ = stream.stopped().await;
        }
    }

    fn queue(&self, append: impl FnOnce(&mut FrameWriter) -> Result<(), WireError>) -> Result<(), DecideError> {
        let mut queue = self.lock();
        if queue.len() >= QUEUE_BYTES_MAX {
            return Err(DecideError::Overloaded);
        }
        append(&mut queue).map_err(|error| not_written(&error))?;
        drop(queue);
        self.wake.notify_one();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, FrameWriter> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
