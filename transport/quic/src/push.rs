//! The push stream: what has ended, that the node lives, and that clients shall go.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use portcullis_model::Revision;
use portcullis_runtime::{EndedNotice, EndedScope};
use portcullis_wire::FrameWriter;
use portcullis_wire::frames::{EndedV1, GoAwayV1, HeartbeatV1, SubscribeScope, SubscribedV1};
use portcullis_wire::limits::{HEARTBEAT_MS, LEASE_MS};
use quinn::SendStream;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::close::CloseCode;
use crate::connection::Link;
use crate::counters::count;
use crate::lock::held;
use crate::threads::Phase;
use crate::worker::Worker;

/// Bytes that wait for one client; one that has more does not read, and is closed: it then fails
/// closed by itself.
const PENDING_BYTES_MAX: usize = 64 * 1024;
/// When to come back to a node that is being restarted.
const RETRY_AFTER_MS: u32 = 1_000;
/// Ends leave before answers.
const PRIORITY: i32 = 1;

/// What waits for one connection's push stream.
#[derive(Default)]
pub(crate) struct Push {
    queue: Mutex<Queue>,
    wake: Notify,
}

#[derive(Default)]
struct Queue {
    writer: FrameWriter,
    /// Number of the newest end.
    push_seq: u64,
    scope: SubscribeScope,
}

/// Whether a connection keeps up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Keeps,
    TooSlow,
}

impl Push {
    /// Chooses what is told, complete from the number on that is returned.
    pub(crate) fn subscribe(&self, scope: SubscribeScope, effective: Revision) -> SubscribedV1 {
        let mut queue = held(&self.queue);
        queue.scope = scope;
        SubscribedV1 { push_seq: queue.push_seq, epoch: effective.epoch, seq: effective.seq }
    }

    /// Queues an end. `concerned` says how many of the connection's sessions it ended, if any.
    pub(crate) fn tell(&self, notice: &EndedNotice, concerned: Option<u32>) -> Pace {
        let mut queue = held(&self.queue);
        let Some(sessions) = concerned.or((queue.scope == SubscribeScope::All).then_some(0)) else {
            return Pace::Keeps;
        };
        if queue.writer.len() >= PENDING_BYTES_MAX {
            return Pace::TooSlow;
        }
        queue.push_seq += 1;
        let frame = EndedV1::new(queue.push_seq, notice.revision, &scope_of(&notice.scope), sessions);
        // One that cannot be written leaves a gap in the numbers, which the client sees.
        if let Err(error) = queue.writer.append(0, &frame) {
            tracing::error!(%error, "an end cannot be told");
        }
        drop(queue);
        self.wake.notify_one();
        Pace::Keeps
    }

    /// Ends were lost: leaves a gap in the numbers, so that the client drops what it believes.
    pub(crate) fn gap(&self) {
        held(&self.queue).push_seq += 1;
        self.wake.notify_one();
    }

    /// Moves what is queued to `batch` and returns the number of the newest end.
    fn take(&self, batch: &mut FrameWriter) -> u64 {
        let mut queue = held(&self.queue);
        std::mem::swap(&mut queue.writer, batch);
        queue.push_seq
    }
}

fn scope_of(scope: &EndedScope) -> portcullis_wire::frames::EndedScope {
    use portcullis_wire::frames::EndedScope as Wire;
    match scope {
        EndedScope::Session(id) => Wire::Session(*id),
        EndedScope::User(uid) => Wire::User(uid.clone()),
        EndedScope::Agent(uid) => Wire::Agent(uid.clone()),
        EndedScope::Grant(id) => Wire::Grant(*id),
        EndedScope::All => Wire::All,
    }
}

/// Writes one connection's push stream until the connection is over.
pub(crate) async fn push(worker: Arc<Worker>, link: Arc<Link>, mut stream: SendStream) {
    // A stream that has just been opened takes a priority.
    let _ = stream.set_priority(PRIORITY);
    let mut beat = interval(Duration::from_millis(HEARTBEAT_MS.into()));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut phase = worker.phase.clone();
    let mut is_told_to_go = false;
    let mut batch = FrameWriter::default();
    loop {
        let mut is_beat = false;
        tokio::select! {
            () = link.push.wake.notified() => {}
            _ = beat.tick() => is_beat = true,
            _ = phase.wait_for(|phase| *phase != Phase::Running), if !is_told_to_go => {}
            _ = link.quic.closed() => return,
        }
        let push_seq = link.push.take(&mut batch);
        if is_beat || batch.is_empty() {
            append(&mut batch, &heartbeat(&worker, &link, push_seq));
        }
        if !is_told_to_go && *phase.borrow() != Phase::Running {
            is_told_to_go = true;
            append(&mut batch, &GoAwayV1 { retry_after_ms: RETRY_AFTER_MS });
        }
        let longest = Duration::from_millis(LEASE_MS.into());
        match timeout(longest, stream.write_all(batch.bytes())).await {
            Ok(Ok(())) => batch.clear(),
            Ok(Err(_)) => return,
            Err(_) => return too_slow(&worker, &link),
        }
    }
}

/// Closes a connection whose client does not read its push stream.
pub(crate) fn too_slow(worker: &Worker, link: &Link) {
    count(&worker.counters.slow, 1);
    CloseCode::Slow.close(&link.quic, "the push stream is not read");
}

fn heartbeat(worker: &Worker, link: &Link, push_seq: u64) -> HeartbeatV1 {
    let effective = worker.engine.effective();
    HeartbeatV1 {
        push_seq,
        echo: link.stamp.load(Ordering::Relaxed),
        lease_ms: if worker.may_decide.load(Ordering::Acquire) { LEASE_MS } else { 0 },
        epoch: effective.epoch,
        seq: effective.seq,
    }
}

fn append<P: portcullis_wire::Payload>(batch: &mut FrameWriter, payload: &P) {
    // Fixed shapes of fixed sizes.
    if let Err(error) = batch.append(0, payload) {
        tracing::error!(%error, "a push frame cannot be written");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

    use portcullis_wire::FrameReader;

    use super::*;

    fn notice(seq: u64) -> EndedNotice {
        EndedNotice { revision: Revision::new(1, seq), scope: EndedScope::All, sessions: 0 }
    }

    fn taken(push: &Push) -> (Vec<EndedV1>, u64) {
        let mut batch = FrameWriter::default();
        let push_seq = push.take(&mut batch);
        let mut reader = FrameReader::for_client();
        reader.push(batch.bytes());
        let mut ends = Vec::new();
        while let Some(frame) = reader.next_frame().unwrap() {
            ends.push(frame.read().unwrap());
        }
        (ends, push_seq)
    }

    #[test]
    fn ends_are_numbered_and_what_is_lost_leaves_a_gap() {
        let push = Push::default();
        assert_eq!(push.tell(&notice(1), Some(3)), Pace::Keeps);
        assert_eq!(push.tell(&notice(2), None), Pace::Keeps);
        push.gap();
        push.tell(&notice(3), Some(1));
        let (ends, push_seq) = taken(&push);
        let numbers: Vec<_> = ends.iter().map(|end| (end.push_seq, end.prev_seq, end.seq, end.sessions)).collect();
        assert_eq!((numbers, push_seq), (vec![(1, 0, 1, 3), (3, 2, 3, 1)], 3));
        assert_eq!(taken(&push), (Vec::new(), 3));
        assert_eq!(push.subscribe(SubscribeScope::All, Revision::new(1, 9)).push_seq, 3);
        push.tell(&notice(4), None);
        assert_eq!(taken(&push).0[0].sessions, 0);
    }

    #[test]
    fn a_client_that_does_not_read_is_found_out() {
        let push = Push::default();
        let told = (0..10_000).take_while(|seq| push.tell(&notice(*seq), Some(1)) == Pace::Keeps).count();
        assert!((PENDING_BYTES_MAX / 256..PENDING_BYTES_MAX / 32).contains(&told), "{told}");
    }
}
