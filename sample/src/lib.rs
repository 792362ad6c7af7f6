//! The sample organisation that `dev`, the docs, the tests and the load generator share: three
//! people, four agents, the tools they use, policies with their tests, and the directory.
//!
//! Everything is text in `data/`, compiled in. Nothing here touches a file or a clock.
#![warn(missing_docs)]

mod grants;
mod matrix;
mod policy_test;
#[cfg(test)]
mod tests;

use portcullis_model::{EntityRecord, PolicyFile, PolicySetText};

pub use grants::grants;
pub use matrix::{MatrixRow, matrix};
pub use policy_test::{PolicyTest, PolicyTestFile};

/// The sample's data is not what it should be: a fault of this crate, never of a caller.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// A data file is not the JSON it should be.
    #[error("`{file}` of the sample could not be read")]
    Json {
        /// The file, relative to the sample's folder.
        file: &'static str,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// A name in a data file is not the name of an entity.
    #[error("`{name}` of the sample does not name an entity")]
    Name {
        /// The name.
        name: String,
        /// Why.
        #[source]
        source: portcullis_model::UidError,
    },
    /// A grant's name cannot become an id, is used twice, or its parent comes later or never.
    #[error("grant `{0}` of the sample has an unusable name or parent")]
    Grant(String),
}

/// Every file of the sample as (path relative to its folder, text), for unpacking.
pub fn files() -> &'static [(&'static str, &'static str)] {
    FILES
}

/// The policy set: schema and policy files, by name.
pub fn policy_set() -> PolicySetText {
    let file = |name: &str, text: &str| PolicyFile { name: name.to_owned(), text: text.to_owned() };
    PolicySetText {
        schema: file("schema.cedarschema", SCHEMA),
        files: vec![file("github.cedar", GITHUB), file("mail.cedar", MAIL), file("slack.cedar", SLACK)],
    }
}

/// The directory as a SCIM list response: users, agents and groups.
pub fn directory_json() -> &'static str {
    DIRECTORY
}

/// The policy tests as JSON; parse with [`PolicyTestFile`].
pub fn tests_json() -> &'static str {
    TESTS
}

/// The resources: servers, channels, repositories and mailboxes.
///
/// # Errors
/// [`SampleError::Json`] if the data does not parse.
pub fn resources() -> Result<Vec<EntityRecord>, SampleError> {
    parse("resources.json", RESOURCES)
}

pub(crate) fn parse<T: serde::de::DeserializeOwned>(file: &'static str, text: &str) -> Result<T, SampleError> {
    serde_json::from_str(text).map_err(|source| SampleError::Json { file, source })
}

const SCHEMA: &str = include_str!("../data/policies/schema.cedarschema");
const SLACK: &str = include_str!("../data/policies/slack.cedar");
const GITHUB: &str = include_str!("../data/policies/github.cedar");
const MAIL: &str = include_str!("../data/policies/mail.cedar");
const TESTS: &str = include_str!("../data/policies/tests.json");
const DIRECTORY: &str = include_str!("../data/directory.json");
const RESOURCES: &str = include_str!("../data/resources.json");
pub(crate) const GRANTS: &str = include_str!("../data/grants.json");

const FILES: &[(&str, &str)] = &[
    ("directory.json", DIRECTORY),
    ("grants.json", GRANTS),
    ("policies/github.cedar", GITHUB),
    ("policies/mail.cedar", MAIL),
    ("policies/schema.cedarschema", SCHEMA),
    ("policies/slack.cedar", SLACK),
    ("policies/tests.json", TESTS),
    ("resources.json", RESOURCES),
];
