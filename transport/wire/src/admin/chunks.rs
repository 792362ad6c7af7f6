//! Long messages in short frames.

use crate::error::WireError;
use crate::header::{Flags, HEADER_BYTES};
use crate::kind::FrameKind;
use crate::limits::{ADMIN_BYTES_MAX, ADMIN_CALLS_MAX};
use crate::reader::Frame;

/// Cuts a message into payloads for frames of `kind`, at least one, each with its flags. Payloads are
/// whole multiples of the header's size, so that only the last is padded.
pub fn chunks(kind: FrameKind, message: &[u8]) -> impl Iterator<Item = (Flags, &[u8])> {
    let size = kind.payload_bytes_max() / HEADER_BYTES * HEADER_BYTES;
    let count = message.len().div_ceil(size).max(1);
    (0..count).map(move |number| {
        let begin = number * size;
        let end = message.len().min(begin + size);
        let flags = if number + 1 < count { Flags::MORE } else { Flags::NONE };
        (flags, message.get(begin..end).unwrap_or_default())
    })
}

/// Puts the chunks of one connection's administrative messages together again: at most
/// [`ADMIN_CALLS_MAX`] at once, [`ADMIN_BYTES_MAX`] in each.
#[derive(Debug, Default)]
pub struct AdminAssembler {
    open: Vec<(u32, Vec<u8>)>,
}

impl AdminAssembler {
    /// Takes one chunk and returns the message if it was the last.
    ///
    /// # Errors
    /// [`WireError::AdminTooLong`], after which nothing of that message is kept;
    /// [`WireError::UnknownSchema`] and [`WireError::UnknownFlags`].
    pub fn push(&mut self, frame: &Frame<'_>) -> Result<Option<Vec<u8>>, WireError> {
        let kind = frame.kind()?;
        let (corr, flags) = (frame.header.corr, frame.header.flags);
        if frame.header.schema != 1 {
            return Err(WireError::UnknownSchema { kind, schema: frame.header.schema });
        }
        if flags != Flags::NONE && flags != Flags::MORE {
            return Err(WireError::UnknownFlags { kind, flags: flags.bits() });
        }
        let place = self.open.iter().position(|(open, _)| *open == corr);
        let mut message = place.map(|place| self.open.swap_remove(place).1).unwrap_or_default();
        let has_room = place.is_some() || self.open.len() < ADMIN_CALLS_MAX;
        if !has_room || message.len() + frame.payload.len() > ADMIN_BYTES_MAX {
            return Err(WireError::AdminTooLong { bytes: ADMIN_BYTES_MAX, calls: ADMIN_CALLS_MAX });
        }
        message.extend_from_slice(frame.payload);
        if !flags.has_more() {
            return Ok(Some(message));
        }
        self.open.push((corr, message));
        Ok(None)
    }

    /// Forgets what has arrived of a message.
    pub fn forget(&mut self, corr: u32) {
        self.open.retain(|(open, _)| *open != corr);
    }
}
