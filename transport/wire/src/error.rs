//! Why bytes are not what they should be.

use portcullis_model::{ErrorCode, Refusal};

use crate::kind::FrameKind;

/// Why bytes are not a frame, a frame not a payload, or a payload not a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// A frame does not begin with [`crate::MAGIC`]. The lane must be closed.
    #[error("a frame begins with byte `{0:#04x}`, which is not this protocol's")]
    BadMagic(u8),
    /// Another major version of the protocol. The lane must be closed.
    #[error("major version `{0}` of the protocol is not spoken here")]
    BadVersion(u8),
    /// The header announces more bytes than its kind may have. The lane must be closed.
    #[error("a frame of kind `{kind}` announces {len} payload bytes: at most {limit}")]
    TooLong {
        /// Number of the kind.
        kind: u16,
        /// Announced bytes.
        len: u32,
        /// Most bytes.
        limit: usize,
    },
    /// The bytes between payload and next frame are not zero. The lane must be closed.
    #[error("the padding after a payload is not zero")]
    Padding,
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame, after {0} of its bytes")]
    Truncated(usize),
    /// The peer is newer, or wrong: the frame can be skipped.
    #[error("frame kind `{0}` is not known here")]
    UnknownKind(u16),
    /// The frame is known, but not expected here.
    #[error("frame kind `{0}` is not expected here")]
    UnexpectedKind(FrameKind),
    /// The peer speaks a version of this frame that is not known here.
    #[error("schema `{schema}` of frame kind `{kind}` is not known here")]
    UnknownSchema {
        /// The kind.
        kind: FrameKind,
        /// The version.
        schema: u16,
    },
    /// A flag that is not known here, or not defined for this kind.
    #[error("flags `{flags:#06x}` are not defined for frame kind `{kind}`")]
    UnknownFlags {
        /// The kind.
        kind: FrameKind,
        /// All bits.
        flags: u16,
    },
    /// The payload's bytes are not the structure that its schema defines.
    #[error("the payload of frame kind `{0}` is malformed")]
    Malformed(FrameKind),
    /// A field of the payload has a value that it cannot have.
    #[error("`{field}` {problem}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong with it, for example `is not a known reason number`.
        problem: &'static str,
    },
    /// A call or reply in chunks is longer than [`crate::limits::ADMIN_BYTES_MAX`], or there are more
    /// than [`crate::limits::ADMIN_CALLS_MAX`] of them at once.
    #[error("an administrative call has at most {bytes} bytes, and {calls} arrive at once")]
    AdminTooLong {
        /// Most bytes.
        bytes: usize,
        /// Most calls.
        calls: usize,
    },
    /// The JSON of an administrative call or reply is not one.
    #[error("not an administrative message: {0}")]
    AdminJson(String),
}

impl WireError {
    /// Whether frame borders are lost, so that the lane must be closed; if not, the frame can be
    /// answered with an error and the next one read.
    pub const fn is_fatal(&self) -> bool {
        matches!(
            self,
            Self::BadMagic(_) | Self::BadVersion(_) | Self::TooLong { .. } | Self::Padding | Self::Truncated(_)
        )
    }

    /// What the peer is told.
    pub fn to_refusal(&self) -> Refusal {
        let code = match self {
            Self::BadVersion(_) | Self::UnknownKind(_) | Self::UnknownSchema { .. } | Self::UnexpectedKind(_) => {
                ErrorCode::UnknownFrame
            }
            Self::TooLong { .. } | Self::AdminTooLong { .. } => ErrorCode::TooLarge,
            Self::Field { field, .. } => return Refusal::of_field(ErrorCode::BadRequest, *field, self.to_string()),
            Self::AdminJson(_) => ErrorCode::BadRequest,
            Self::BadMagic(_) | Self::Padding | Self::Truncated(_) | Self::UnknownFlags { .. } | Self::Malformed(_) => {
                ErrorCode::MalformedFrame
            }
        };
        Refusal::new(code, self.to_string())
    }

    pub(crate) const fn field(field: &'static str, problem: &'static str) -> Self {
        Self::Field { field, problem }
    }
}
