//! What every archived payload has in common.

use rkyv::api::low::{LowDeserializer, LowSerializer, LowValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Failure;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Deserialize, Portable, Serialize};

use crate::error::WireError;
use crate::header::HEADER_BYTES;
use crate::kind::FrameKind;

/// A frozen structure that travels as the payload of one kind of frame.
///
/// A change of layout is a new structure with the next schema number; this one stays as it is.
pub trait Payload:
    Sized
    + Archive<
        Archived: Portable
                      + for<'a> CheckBytes<LowValidator<'a, Failure>>
                      + Deserialize<Self, LowDeserializer<Failure>>,
    > + for<'a> Serialize<LowSerializer<AlignedVec<HEADER_BYTES>, ArenaHandle<'a>, Failure>>
{
    /// Its kind of frame.
    const KIND: FrameKind;
    /// Its version within the kind.
    const SCHEMA: u16 = 1;

    /// Checks every field that has values it cannot have.
    ///
    /// # Errors
    /// [`WireError::Field`] naming the first such field.
    fn validate(&self) -> Result<(), WireError> {
        Ok(())
    }
}
