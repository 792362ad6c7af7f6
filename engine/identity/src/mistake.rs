//! What is wrong with a configuration.

/// One mistake in the configuration of issuers or clients; all of them are reported at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigMistake {
    /// A value that must be there is empty.
    #[error("`{key}` is empty")]
    Empty {
        /// Where, for example `issuer.acme.audience`.
        key: String,
    },
    /// A value is not of the shape it must have.
    #[error("`{key}` is wrong: {rule}")]
    Shape {
        /// Where.
        key: String,
        /// What holds for such a value.
        rule: &'static str,
    },
    /// A list or number is larger than it may be.
    #[error("`{key}` exceeds its limit of {limit}")]
    Limit {
        /// Where.
        key: String,
        /// The limit.
        limit: usize,
    },
    /// Two entries share what only one may have.
    #[error("`{first}` and `{second}` have the same {what}")]
    Duplicate {
        /// What they share, for example `name`.
        what: &'static str,
        /// The earlier entry.
        first: String,
        /// The later entry.
        second: String,
    },
}

impl ConfigMistake {
    pub(crate) fn shape(key: impl Into<String>, rule: &'static str) -> Self {
        Self::Shape { key: key.into(), rule }
    }
}

/// Whether `name` can be shown in logs and metrics as it is.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

pub(crate) const NAME_RULE: &str = "a name has 1 to 64 letters, digits and `-_.`";

/// BOUND: names stand in every log line and metric label.
const NAME_BYTES_MAX: usize = 64;
