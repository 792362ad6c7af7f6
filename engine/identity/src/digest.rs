//! SHA-256 digests that name credentials, in types that cannot be taken for each other.

/// Why a text is not a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 digest is 64 hexadecimal digits")]
pub struct DigestError;

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The digest of `bytes`.
            pub fn of(bytes: &[u8]) -> Self {
                Self(<sha2::Sha256 as sha2::Digest>::digest(bytes).into())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        /// 64 hexadecimal digits of either case; colons between pairs, as `openssl` prints them, are allowed.
        impl std::str::FromStr for $name {
            type Err = $crate::digest::DigestError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::digest::from_hex(text).map(Self).ok_or($crate::digest::DigestError)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

digest!(
    /// A certificate: SHA-256 of its DER form.
    Fingerprint
);
digest!(
    /// A bearer token: SHA-256 of its text. Bearer tokens are random and long, so the digest can be stored.
    BearerHash
);

impl BearerHash {
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Fingerprint {
    /// The fingerprint in the form of `x5t#S256` (RFC 8705).
    pub(crate) fn from_base64url(text: &str) -> Option<Self> {
        use base64::Engine;
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

pub(crate) fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = match text.len() {
        64 => text.bytes().collect(),
        95 => colon_free(text)?,
        _ => return None,
    };
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair.iter().try_fold(0_u8, |sum, digit| Some((sum << 4) | nibble(*digit)?))?;
    }
    Some(digest)
}

fn colon_free(text: &str) -> Option<Vec<u8>> {
    let pairs: Vec<&str> = text.split(':').collect();
    (pairs.len() == 32 && pairs.iter().all(|pair| pair.len() == 2)).then(|| pairs.concat().into_bytes())
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_round_trip_and_match_a_known_answer() {
        // FIPS 180-2, appendix B.1.
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Fingerprint::of(b"abc").to_string(), text);
        assert_eq!(text.to_uppercase().parse(), Ok(Fingerprint::of(b"abc")));
        let colons = text.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair)).collect::<Vec<_>>().join(":");
        assert_eq!(colons.parse(), Ok(BearerHash::of(b"abc")));
        assert_eq!(
            Fingerprint::from_base64url("ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"),
            Some(Fingerprint::of(b"abc"))
        );
    }

    #[test]
    fn other_texts_are_refused() {
        let digits = "0".repeat(63);
        for text in ["", "00", &digits, &format!("{digits}g"), &format!("{digits}00"), &format!("{digits}\u{e9}")] {
            assert_eq!(text.parse::<BearerHash>(), Err(DigestError), "{text}");
        }
        assert_eq!(":".repeat(95).parse::<Fingerprint>(), Err(DigestError));
        assert_eq!(Fingerprint::from_base64url("AAAA"), None);
    }
}
