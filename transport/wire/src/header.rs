//! The 16 bytes before every payload. Frozen for ever.

use crate::error::WireError;
use crate::kind::FrameKind;

/// First byte of every frame; no ASCII protocol begins with it.
pub const MAGIC: u8 = 0xA7;
/// Second byte of every frame, and the number in [`ALPN`].
pub const WIRE_MAJOR: u8 = 1;
/// The protocol that TLS negotiates.
pub const ALPN: &[u8] = b"portcullis/1";
/// Bytes of a header, and the alignment of every payload.
pub const HEADER_BYTES: usize = 16;

/// Bits of a header that change how its payload is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u16);

impl Flags {
    /// No bit.
    pub const NONE: Self = Self(0);
    /// Another chunk of the same correlation number follows; admin frames only.
    pub const MORE: Self = Self(1);

    /// Flags from their bits, known or not.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// The bits.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether another chunk follows.
    pub const fn has_more(self) -> bool {
        self.0 & Self::MORE.0 != 0
    }
}

/// What stands before a payload: `magic u8 | major u8 | kind u16 | flags u16 | schema u16 | len u32 |
/// corr u32`, little endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Number of the kind; it need not be a known one.
    pub kind: u16,
    /// Bits that change how the payload is read.
    pub flags: Flags,
    /// Version of the payload's layout, from 1.
    pub schema: u16,
    /// Bytes of the payload, padding not counted.
    pub len: u32,
    /// Correlation number, chosen by the client; 0 where no answer is expected.
    pub corr: u32,
}

impl Header {
    /// The kind; `None` for one that this version does not know.
    pub const fn frame_kind(&self) -> Option<FrameKind> {
        FrameKind::from_number(self.kind)
    }

    /// A header from its bytes.
    ///
    /// # Errors
    /// [`WireError::BadMagic`] or [`WireError::BadVersion`]: the stream cannot be read any further.
    pub const fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, WireError> {
        let [magic, major, k0, k1, f0, f1, s0, s1, l0, l1, l2, l3, c0, c1, c2, c3] = *bytes;
        if magic != MAGIC {
            return Err(WireError::BadMagic(magic));
        }
        if major != WIRE_MAJOR {
            return Err(WireError::BadVersion(major));
        }
        Ok(Self {
            kind: u16::from_le_bytes([k0, k1]),
            flags: Flags(u16::from_le_bytes([f0, f1])),
            schema: u16::from_le_bytes([s0, s1]),
            len: u32::from_le_bytes([l0, l1, l2, l3]),
            corr: u32::from_le_bytes([c0, c1, c2, c3]),
        })
    }

    /// The bytes.
    pub const fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let [k0, k1] = self.kind.to_le_bytes();
        let [f0, f1] = self.flags.0.to_le_bytes();
        let [s0, s1] = self.schema.to_le_bytes();
        let [l0, l1, l2, l3] = self.len.to_le_bytes();
        let [c0, c1, c2, c3] = self.corr.to_le_bytes();
        [MAGIC, WIRE_MAJOR, k0, k1, f0, f1, s0, s1, l0, l1, l2, l3, c0, c1, c2, c3]
    }
}
