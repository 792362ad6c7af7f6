//! A request that was not carried out.

use portcullis_model::{ErrorCode, Refusal};
use rkyv::{Archive, Deserialize, Serialize};

use crate::error::WireError;
use crate::kind::FrameKind;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::payload::Payload;

/// Why a request was not carried out. Never a verdict. With correlation number 0 it is about the
/// connection, which the node then closes.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct ErrorV1 {
    /// Number of the [`ErrorCode`].
    pub code: u16,
    /// After how many milliseconds a repetition may help; 0 for no hint.
    pub retry_after_ms: u32,
    /// The field at fault; empty for none.
    pub field: String,
    /// What exactly, in words, without secrets.
    pub message: String,
}

impl ErrorV1 {
    /// The frame of a refusal; texts are cut to [`MESSAGE_BYTES_MAX`].
    pub fn new(refusal: &Refusal) -> Self {
        Self {
            code: refusal.code.number(),
            retry_after_ms: 0,
            field: cut(refusal.field.as_deref().unwrap_or_default()),
            message: cut(&refusal.message),
        }
    }

    /// The refusal.
    ///
    /// # Errors
    /// [`WireError::Field`] for a code that this version does not know.
    pub fn to_refusal(&self) -> Result<Refusal, WireError> {
        let code = ErrorCode::from_number(self.code).ok_or(UNKNOWN_CODE)?;
        let field = Some(self.field.clone()).filter(|field| !field.is_empty());
        Ok(Refusal { code, message: self.message.clone(), field })
    }
}

impl Payload for ErrorV1 {
    const KIND: FrameKind = FrameKind::Error;

    fn validate(&self) -> Result<(), WireError> {
        if ErrorCode::from_number(self.code).is_none() {
            return Err(UNKNOWN_CODE);
        }
        if self.field.len() > MESSAGE_BYTES_MAX || self.message.len() > MESSAGE_BYTES_MAX {
            return Err(WireError::field("message", "or `field` is too long"));
        }
        Ok(())
    }
}

const UNKNOWN_CODE: WireError = WireError::field("code", "is not a known error number");

/// The longest beginning of `text` that fits [`MESSAGE_BYTES_MAX`] and ends between characters.
pub(super) fn cut(text: &str) -> String {
    let end = (0..=MESSAGE_BYTES_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
}
