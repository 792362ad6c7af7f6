//! From bytes to frames.

use rkyv::Archive;
use rkyv::api::low;
use rkyv::rancor::Failure;
use rkyv::util::AlignedVec;

use crate::error::WireError;
use crate::header::{Flags, HEADER_BYTES, Header};
use crate::kind::FrameKind;
use crate::limits::{REPLY_FRAME_BYTES_MAX, REQUEST_FRAME_BYTES_MAX};
use crate::payload::Payload;

/// Cuts a stream of bytes into frames.
///
/// Chunks may have any length and alignment; they are copied once, so that payloads are aligned. It
/// holds at most one frame and one chunk. Push what was read, take frames until there is none, push on:
///
/// ```
/// use portcullis_wire::{FrameReader, FrameWriter, frames::CloseV1};
/// let mut writer = FrameWriter::default();
/// writer.append(7, &CloseV1 { session: 42 })?;
/// let mut reader = FrameReader::for_server();
/// let mut rest = writer.bytes();
/// while !rest.is_empty() {
///     let taken = reader.push(rest);
///     rest = &rest[taken..];
///     while let Some(frame) = reader.next_frame()? {
///         assert_eq!(frame.header.corr, 7);
///         assert_eq!(frame.access::<CloseV1>()?.session, 42);
///     }
/// }
/// reader.finish()?;
/// # Ok::<(), portcullis_wire::WireError>(())
/// ```
#[derive(Debug)]
pub struct FrameReader {
    bytes: AlignedVec<HEADER_BYTES>,
    /// Where the next frame begins; a multiple of [`HEADER_BYTES`], at most `bytes.len()`.
    start: usize,
    frame_bytes_max: usize,
}

impl FrameReader {
    /// A reader of what clients send: frames of at most [`REQUEST_FRAME_BYTES_MAX`].
    pub fn for_server() -> Self {
        Self::new(REQUEST_FRAME_BYTES_MAX)
    }

    /// A reader of what servers send: frames of at most [`REPLY_FRAME_BYTES_MAX`].
    pub fn for_client() -> Self {
        Self::new(REPLY_FRAME_BYTES_MAX)
    }

    fn new(frame_bytes_max: usize) -> Self {
        Self { bytes: AlignedVec::new(), start: 0, frame_bytes_max }
    }

    /// Copies the beginning of `chunk` and says how many bytes it took; 0 only for an empty chunk or
    /// while frames that have not been taken fill the buffer.
    pub fn push(&mut self, chunk: &[u8]) -> usize {
        let bytes_max = 2 * self.frame_bytes_max;
        if self.start > 0 && (self.start == self.bytes.len() || self.bytes.len() + chunk.len() > bytes_max) {
            self.bytes.copy_within(self.start.., 0);
            let kept = self.bytes.len() - self.start;
            self.bytes.resize(kept, 0);
            self.start = 0;
        }
        let taken = chunk.len().min(bytes_max - self.bytes.len());
        self.bytes.extend_from_slice(chunk.get(..taken).unwrap_or_default());
        taken
    }

    /// The next whole frame, or `None` until more bytes are pushed. Kinds that this version does not
    /// know are frames too.
    ///
    /// # Errors
    /// Only fatal ones: frame borders are lost, and every later call fails alike.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, WireError> {
        let rest = self.bytes.get(self.start..).unwrap_or_default();
        let Some(head) = rest.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let header = Header::parse(head)?;
        let length = self.checked_length(&header)?;
        let end = HEADER_BYTES + length;
        let Some(padding) = rest.get(end..end.next_multiple_of(HEADER_BYTES)) else { return Ok(None) };
        if padding.iter().any(|byte| *byte != 0) {
            return Err(WireError::Padding);
        }
        let begin = self.start + HEADER_BYTES;
        self.start += end.next_multiple_of(HEADER_BYTES);
        let payload = self.bytes.get(begin..begin + length).unwrap_or_default();
        Ok(Some(Frame { header, payload }))
    }

    /// Says that the stream has ended.
    ///
    /// # Errors
    /// [`WireError::Truncated`] if that was inside a frame.
    pub fn finish(&self) -> Result<(), WireError> {
        match self.bytes.len() - self.start {
            0 => Ok(()),
            left => Err(WireError::Truncated(left)),
        }
    }

    fn checked_length(&self, header: &Header) -> Result<usize, WireError> {
        let side = self.frame_bytes_max - HEADER_BYTES;
        let limit = header.frame_kind().map_or(side, |kind| kind.payload_bytes_max().min(side));
        let too_long = WireError::TooLong { kind: header.kind, len: header.len, limit };
        usize::try_from(header.len).ok().filter(|length| *length <= limit).ok_or(too_long)
    }
}

/// One frame: its header, and its payload aligned to [`HEADER_BYTES`].
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The header.
    pub header: Header,
    /// The payload, padding not included.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The kind.
    ///
    /// # Errors
    /// [`WireError::UnknownKind`], which is answered and not fatal.
    pub fn kind(&self) -> Result<FrameKind, WireError> {
        self.header.frame_kind().ok_or(WireError::UnknownKind(self.header.kind))
    }

    /// The payload in place, its structure checked; its fields' values are not. Never allocates.
    ///
    /// # Errors
    /// For another kind, schema or flags, and for bytes that are not the structure.
    #[inline]
    pub fn access<P: Payload>(&self) -> Result<&'a <P as Archive>::Archived, WireError> {
        let kind = self.kind()?;
        if kind != P::KIND {
            return Err(WireError::UnexpectedKind(kind));
        }
        if self.header.schema != P::SCHEMA {
            return Err(WireError::UnknownSchema { kind, schema: self.header.schema });
        }
        if self.header.flags != Flags::NONE {
            return Err(WireError::UnknownFlags { kind, flags: self.header.flags.bits() });
        }
        low::access::<P::Archived, Failure>(self.payload).map_err(|_| WireError::Malformed(kind))
    }

    /// The payload copied out, every field checked.
    ///
    /// # Errors
    /// As [`Frame::access`], and [`WireError::Field`] for a value that a field cannot have.
    pub fn read<P: Payload>(&self) -> Result<P, WireError> {
        let archived = self.access::<P>()?;
        let payload: P = low::deserialize::<P, Failure>(archived).map_err(|_| WireError::Malformed(P::KIND))?;
        payload.validate()?;
        Ok(payload)
    }
}
