//! The reference page and the commented template of `portcullis.toml`.

use std::fmt::Write;

use crate::config::key::{Default, Key, Shape};
use crate::config::keys::{KEYS, SECTIONS};
use crate::config::layers::{VARIABLES_SHORT, path_of};
use crate::config::value::Value;

/// The reference of every key, in Markdown.
pub fn reference_markdown() -> String {
    let mut page = String::from(INTRODUCTION);
    for (variable, path) in VARIABLES_SHORT {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(page, "`{variable}` is a short name of `{path}`.");
    }
    for section in SECTIONS {
        let _ = write!(page, "\n## `{}`\n\n{}", heading(section.name, section.shape), section.meaning);
        if let Shape::Named(max) | Shape::Listed(max) = section.shape {
            let _ = write!(page, " At most {max}.");
        }
        page.push_str("\n\n| key | takes | default | meaning | what a wrong value costs |\n|---|---|---|---|---|\n");
        for key in KEYS.iter().filter(|key| key.section == section.name) {
            let default = match default(key) {
                Some(default) => format!("`{default}`"),
                None if key.default == Default::Required => "required".to_owned(),
                None => "none".to_owned(),
            };
            let _ = writeln!(
                page,
                "| `{}` | {} | {default} | {} | {} |",
                key.name,
                key.kind.words(),
                key.meaning,
                key.cost
            );
        }
    }
    page
}

/// A commented `portcullis.toml`: the keys in `given` (full name and value as TOML) set, every other
/// key of the fixed sections as a comment with its default, then `rest` as it is.
pub fn template(given: &[(&str, &str)], rest: &str) -> String {
    let mut file = String::from("# Every key: `portcullis config schema`, and docs/configuration.md.\n");
    for section in SECTIONS.iter().filter(|section| section.shape == Shape::Once) {
        let _ = write!(file, "\n# {}\n[{}]\n", section.meaning, section.name);
        for key in KEYS.iter().filter(|key| key.section == section.name) {
            let path = path_of(key);
            let _ = writeln!(file, "# {}", key.meaning);
            match (given.iter().find(|(given, _)| *given == path), default(key)) {
                (Some((_, value)), _) => drop(writeln!(file, "{} = {value}", key.name)),
                (None, Some(default)) => drop(writeln!(file, "# {} = {default}", key.name)),
                (None, None) => drop(writeln!(file, "# {} = ...", key.name)),
            }
        }
    }
    if !rest.is_empty() {
        let _ = write!(file, "\n{rest}");
    }
    file
}

fn heading(name: &str, shape: Shape) -> String {
    match shape {
        Shape::Once => format!("[{name}]"),
        Shape::Named(_) => format!("[{name}.NAME]"),
        Shape::Listed(_) => format!("[[{name}]]"),
    }
}

/// The default as TOML writes it, which for these values is as JSON does.
fn default(key: &Key) -> Option<String> {
    let Default::Is(text) = key.default else { return None };
    let value = Value::from_text(key.kind, text, std::path::Path::new("")).ok()?;
    Some(value.json().to_string())
}

const INTRODUCTION: &str = "\
# Configuration

Generated from the table of keys in `node/src/config/keys.rs`.

A value comes from the first of: a flag of the command line, an environment variable, the file, the default. `portcullis config show --origin` tells which. All mistakes are reported at once, with file, line and column, before
anything is opened; an unknown key is a mistake. A change takes a restart.

Environment variables are `PORTCULLIS_SECTION__KEY`, for example `PORTCULLIS_NODE__QUIC`, with lists separated by commas; they and flags reach the sections that stand once. Relative paths in the file count from its folder,
others from the working directory.
";
