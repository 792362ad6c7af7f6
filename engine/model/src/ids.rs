//! 128-bit ids with a one-letter prefix, so that a session id is never taken for a grant id.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// Why a text is not the id it was taken for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The text does not begin with the prefix of this kind of id.
    #[error("`{found}` is not a {kind} id: it begins with `{prefix}`")]
    Prefix {
        /// What was being parsed.
        kind: &'static str,
        /// What such an id begins with.
        prefix: &'static str,
        /// The start of what was given, at most 40 characters.
        found: String,
    },
    /// The part after the prefix is not 32 hexadecimal digits.
    #[error("a {kind} id is `{prefix}` and 32 hexadecimal digits")]
    Digits {
        /// What was being parsed.
        kind: &'static str,
        /// What such an id begins with.
        prefix: &'static str,
    },
}

macro_rules! id128 {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// An id from its 16 bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes.
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0
            }

            /// The id as two little-endian words, as atomics and frames carry it.
            pub fn to_words(self) -> [u64; 2] {
                let (low, high) = self.0.split_at(8);
                let word = |half: &[u8]| half.iter().rev().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
                [word(low), word(high)]
            }

            /// The id from two little-endian words.
            pub fn from_words(words: [u64; 2]) -> Self {
                let mut bytes = [0; 16];
                let (low, high) = bytes.split_at_mut(8);
                low.copy_from_slice(&words[0].to_le_bytes());
                high.copy_from_slice(&words[1].to_le_bytes());
                Self(bytes)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($prefix)?;
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::ids::IdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::ids::parse($kind, $prefix, text).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::ids::deserialize(deserializer)
            }
        }
    };
}

pub(crate) use id128;

id128!(
    /// A session: one client's bounded stay for one subject. Written `s_` and 32 hexadecimal digits.
    SessionId,
    "session",
    "s_"
);
id128!(
    /// A grant or delegation. Written `g_` and 32 hexadecimal digits.
    GrantId,
    "grant",
    "g_"
);

pub(crate) fn parse(kind: &'static str, prefix: &'static str, text: &str) -> Result<[u8; 16], IdError> {
    let digits = text.strip_prefix(prefix).ok_or_else(|| IdError::Prefix {
        kind,
        prefix,
        found: text.chars().take(40).collect(),
    })?;
    let malformed = || IdError::Digits { kind, prefix };
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)) {
        return Err(malformed());
    }
    u128::from_str_radix(digits, 16).map(u128::to_be_bytes).map_err(|_| malformed())
}

pub(crate) fn deserialize<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_words_round_trip() {
        let id = SessionId::from_bytes(*b"0123456789abcdef");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(SessionId::from_words(id.to_words()), id);
    }

    #[test]
    fn another_kind_or_shape_is_refused() {
        let grant = GrantId::from_bytes([7; 16]).to_string();
        assert!(matches!(grant.parse::<SessionId>(), Err(IdError::Prefix { .. })));
        for text in ["s_", "s_00", "s_0000000000000000000000000000000G", "s_+0000000000000000000000000000000"] {
            assert!(matches!(text.parse::<SessionId>(), Err(IdError::Digits { .. })), "{text}");
        }
    }
}
