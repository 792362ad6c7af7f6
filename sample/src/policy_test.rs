//! The shape of `tests.json`: one question a case, and the answer that policy must give.

use std::collections::BTreeMap;

use portcullis_model::{EntityUid, Reason, Verdict};
use serde::Deserialize;
use serde_json::Value as Json;

/// A file of policy tests.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyTestFile {
    /// The version of this shape: 1.
    pub schema_version: u32,
    /// The cases.
    pub cases: Vec<PolicyTest>,
}

/// One case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyTest {
    /// What it shows, as a sentence.
    pub name: String,
    /// The user asked about, as the bare id.
    #[serde(rename = "for")]
    pub subject: String,
    /// The whole chain of agents as bare ids, outermost first; empty for the user alone.
    #[serde(default)]
    pub agents: Vec<String>,
    /// The action, as the bare id.
    pub action: String,
    /// The resource.
    pub resource: EntityUid,
    /// The tool's input, which becomes `context.input`.
    #[serde(default)]
    pub input: Option<Json>,
    /// Further context in Cedar's JSON form.
    #[serde(default)]
    pub context: BTreeMap<String, Json>,
    /// The verdict expected.
    pub expect: Verdict,
    /// The reason expected; any if left out.
    #[serde(default)]
    pub reason: Option<Reason>,
    /// Policies that must be among the determining ones of the principals whose verdict is `expect`;
    /// empty where no policy determined it.
    #[serde(default)]
    pub policies: Vec<String>,
}
