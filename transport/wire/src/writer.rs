//! From values to frames.

use rkyv::api::serialize_using;
use rkyv::rancor::Failure;
use rkyv::ser::Serializer;
use rkyv::ser::allocator::Arena;
use rkyv::util::AlignedVec;

use crate::error::WireError;
use crate::header::{Flags, HEADER_BYTES, Header};
use crate::kind::FrameKind;
use crate::payload::Payload;

/// Appends frames to one reusable buffer, which a lane then writes at once.
///
/// Its owner bounds it by looking at [`FrameWriter::len`] between frames; one frame adds at most what
/// its kind may have. A frame that cannot be written leaves the buffer as it was.
pub struct FrameWriter {
    bytes: AlignedVec<HEADER_BYTES>,
    arena: Arena,
}

impl FrameWriter {
    /// All frames appended since the last [`FrameWriter::clear`].
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bytes that is.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Forgets the frames and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Appends one frame. Allocates only to grow the buffer.
    ///
    /// # Errors
    /// [`WireError::TooLong`] if the payload exceeds what its kind may have, [`WireError::Field`] for a
    /// value that a field cannot have.
    pub fn append<P: Payload>(&mut self, corr: u32, payload: &P) -> Result<(), WireError> {
        payload.validate()?;
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(&[0; HEADER_BYTES]);
        let written = self.serialize(payload);
        let header = Header { kind: P::KIND.number(), flags: Flags::NONE, schema: P::SCHEMA, len: 0, corr };
        let sealed = written.and_then(|()| self.seal(begin, header, P::KIND));
        if sealed.is_err() {
            self.bytes.resize(begin, 0);
        }
        sealed
    }

    /// Appends one frame whose payload is bytes already: a chunk of an administrative message.
    ///
    /// # Errors
    /// [`WireError::TooLong`].
    pub fn append_bytes(&mut self, kind: FrameKind, flags: Flags, corr: u32, payload: &[u8]) -> Result<(), WireError> {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(&[0; HEADER_BYTES]);
        self.bytes.extend_from_slice(payload);
        let sealed = self.seal(begin, Header { kind: kind.number(), flags, schema: 1, len: 0, corr }, kind);
        if sealed.is_err() {
            self.bytes.resize(begin, 0);
        }
        sealed
    }

    fn serialize<P: Payload>(&mut self, payload: &P) -> Result<(), WireError> {
        // The serializer owns its writer, so the buffer moves in and, whatever happens, out again. The
        // buffer's length is a multiple of 16 here, which keeps every archived field aligned.
        let bytes = std::mem::take(&mut self.bytes);
        let mut serializer = Serializer::new(bytes, self.arena.acquire(), ());
        let result = serialize_using::<_, Failure>(payload, &mut serializer);
        self.bytes = serializer.into_writer();
        result.map(drop).map_err(|_| WireError::Malformed(P::KIND))
    }

    fn seal(&mut self, begin: usize, mut header: Header, kind: FrameKind) -> Result<(), WireError> {
        let length = self.bytes.len() - begin - HEADER_BYTES;
        let limit = kind.payload_bytes_max();
        header.len = u32::try_from(length).unwrap_or(u32::MAX);
        if length > limit {
            return Err(WireError::TooLong { kind: header.kind, len: header.len, limit });
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(HEADER_BYTES), 0);
        if let Some(head) = self.bytes.get_mut(begin..begin + HEADER_BYTES) {
            head.copy_from_slice(&header.to_bytes());
        }
        Ok(())
    }
}

impl Default for FrameWriter {
    fn default() -> Self {
        Self { bytes: AlignedVec::new(), arena: Arena::new() }
    }
}

impl std::fmt::Debug for FrameWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrameWriter").field("len", &self.bytes.len()).finish_non_exhaustive()
    }
}
