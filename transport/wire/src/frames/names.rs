//! Names that later frames mention by number.

use rkyv::{Archive, Deserialize, Serialize};

use crate::error::WireError;
use crate::kind::FrameKind;
use crate::limits::NAMES_PER_FRAME_MAX;
use crate::payload::Payload;

/// Names of actions and resources in Cedar's form, `Type::"id"`. Numbers belong to the connection.
/// A frame is accepted or refused whole; the same name may get several numbers.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct RegisterV1 {
    /// The names, 1 to [`NAMES_PER_FRAME_MAX`].
    pub names: Vec<String>,
}

impl Payload for RegisterV1 {
    const KIND: FrameKind = FrameKind::Register;

    fn validate(&self) -> Result<(), WireError> {
        if self.names.is_empty() || self.names.len() > NAMES_PER_FRAME_MAX {
            return Err(WireError::field("names", "has not 1 to 256 names"));
        }
        Ok(())
    }
}

/// The numbers of the names of one register frame, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct RegisteredV1 {
    /// Number of the first name; the others follow it.
    pub first: u32,
    /// How many names.
    pub count: u32,
}

impl Payload for RegisteredV1 {
    const KIND: FrameKind = FrameKind::Registered;

    fn validate(&self) -> Result<(), WireError> {
        if self.first.checked_add(self.count).is_none() {
            return Err(WireError::field("count", "leads beyond the last number"));
        }
        Ok(())
    }
}
