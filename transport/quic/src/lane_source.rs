//! A lane's reading half.

use std::pin::pin;
use std::task::{Context, Poll};

use portcullis_wire::limits::REQUEST_FRAME_BYTES_MAX;
use portcullis_wire::{FrameReader, WireError};
use quinn::{Chunk, ReadError, RecvStream};

/// The reading half.
pub(crate) struct Source {
    receive: RecvStream,
    pub(crate) reader: FrameReader,
    /// The newest chunk, and how much of it the reader has.
    chunk: Option<(Chunk, usize)>,
    /// Whether the client has ended it.
    pub(crate) is_over: bool,
}

/// Why nothing more can be read.
pub(crate) enum Broken {
    Lost,
    Protocol(WireError),
}

impl Source {
    pub(crate) const fn new(receive: RecvStream, reader: FrameReader) -> Self {
        Self { receive, reader, chunk: None, is_over: false }
    }

    /// Gives the reader more bytes; `false` if there are none now.
    pub(crate) fn refill(&mut self, context: &mut Context<'_>) -> Result<bool, Broken> {
        loop {
            if let Some((chunk, taken)) = &mut self.chunk {
                let rest = chunk.bytes.get(*taken..).unwrap_or_default();
                if !rest.is_empty() {
                    let more = self.reader.push(rest);
                    *taken += more;
                    return Ok(more > 0);
                }
                self.chunk = None;
            }
            if self.is_over {
                return Ok(false);
            }
            // Cancel safe: a chunk is taken only when it is returned.
            match pin!(self.receive.read_chunk(REQUEST_FRAME_BYTES_MAX, true)).poll(context) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Ok(Some(chunk))) => self.chunk = Some((chunk, 0)),
                Poll::Ready(Ok(None)) => {
                    self.is_over = true;
                    return self.reader.finish().map(|()| false).map_err(Broken::Protocol);
                }
                Poll::Ready(Err(ReadError::Reset(_))) => {
                    self.is_over = true;
                    return Ok(false);
                }
                Poll::Ready(Err(_)) => return Err(Broken::Lost),
            }
        }
    }
}
