//! What is in force, and where it came from.

use serde_json::{Value as Json, json};

use crate::config::Config;
use crate::config::key::Kind;
use crate::config::layers::Setting;
use crate::config::mistake::Origin;

/// Whether origins are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Each value with its origin.
    Shown,
    /// Values alone.
    Hidden,
}

/// Every value in force, one a line, `key = value`; digests of secrets are not shown.
pub fn show_text(config: &Config, origins: Origins) -> String {
    let settings = &config.settings.values;
    let lines = settings.iter().map(|(path, setting)| (format!("{path} = {}", shown(setting)), &setting.origin));
    let lines: Vec<_> = lines.collect();
    let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or_default().min(WIDTH_MAX);
    let told = lines.iter().map(|(line, origin)| match origins {
        Origins::Shown => format!("{line:width$}  # {origin}\n"),
        Origins::Hidden => format!("{line}\n"),
    });
    told.collect()
}

/// The same as one JSON document: `{schema_version, settings: [{key, value, origin}]}`.
pub fn show_json(config: &Config, origins: Origins) -> Json {
    let setting = |(path, setting): (&String, &Setting)| {
        let mut told = json!({ "key": path, "value": shown(setting) });
        if let (Origins::Shown, Some(told)) = (origins, told.as_object_mut()) {
            told.insert("origin".to_owned(), origin(&setting.origin));
        }
        told
    };
    json!({ "schema_version": 1, "settings": config.settings.values.iter().map(setting).collect::<Vec<_>>() })
}

fn shown(setting: &Setting) -> Json {
    match (setting.key.kind, setting.value.json()) {
        (Kind::SecretDigests, Json::Array(digests)) => json!(vec![REDACTED; digests.len()]),
        (_, value) => value,
    }
}

fn origin(origin: &Origin) -> Json {
    match origin {
        Origin::File { path, line, column } => {
            json!({ "kind": "file", "path": path.to_string_lossy(), "line": line, "column": column })
        }
        Origin::Variable(name) => json!({ "kind": "environment", "name": name }),
        Origin::Flag => json!({ "kind": "flag" }),
        Origin::Default => json!({ "kind": "default" }),
    }
}

/// What stands for a secret.
const REDACTED: &str = "(not shown)";
/// Widest column of values before origins, in characters.
const WIDTH_MAX: usize = 64;
