//! The push stream of one connection, and the word that the client is still there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use portcullis_wire::frames::{AppliedV1, EndedV1, HeartbeatV1};
use portcullis_wire::{FrameKind, FrameReader, FrameWriter};
use quinn::Connection;
use tokio::sync::mpsc;

use crate::error::LoadError;
use crate::load::lane::{lost_reading, nanoseconds};

/// Ends that are remembered; a run has at most some thousand revocations on each connection.
const SEEN_MAX: usize = 1 << 20;

/// An end that a connection was told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PushSeen {
    /// When.
    pub(crate) at: Instant,
    /// Of which revision.
    pub(crate) seq: u64,
    /// How many of the connection's sessions it ended.
    pub(crate) sessions: u32,
}

/// Everything that the push streams of a run have told.
pub(crate) type Seen = Arc<Mutex<Vec<PushSeen>>>;

/// Reads the push stream until the connection is over.
pub(super) async fn read(
    connection: Connection,
    control: mpsc::Sender<Vec<u8>>,
    base: Instant,
    seen: Seen,
) -> Result<(), LoadError> {
    let lost = |error: quinn::ConnectionError| LoadError::Lost(error.to_string());
    let mut stream = connection.accept_uni().await.map_err(lost)?;
    let mut reader = FrameReader::for_client();
    let mut newest = 0;
    while let Some(chunk) = stream.read_chunk(16 * 1024, true).await.map_err(lost_reading)? {
        let at = Instant::now();
        let mut rest = &chunk.bytes[..];
        while !rest.is_empty() {
            let taken = reader.push(rest);
            rest = &rest[taken..];
            while let Some(frame) = reader.next_frame()? {
                match frame.kind()? {
                    FrameKind::Ended => {
                        let ended = frame.read::<EndedV1>()?;
                        newest = ended.push_seq;
                        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                        if seen.len() < SEEN_MAX {
                            seen.push(PushSeen { at, seq: ended.seq, sessions: ended.sessions });
                        }
                    }
                    FrameKind::Heartbeat => newest = newest.max(frame.read::<HeartbeatV1>()?.push_seq),
                    _ => {}
                }
            }
        }
        let mut writer = FrameWriter::default();
        writer.append(0, &AppliedV1 { push_seq: newest, stamp: nanoseconds(base.elapsed()).max(1) })?;
        if control.send(writer.bytes().to_vec()).await.is_err() {
            break;
        }
    }
    Ok(())
}
