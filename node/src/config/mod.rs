//! Configuration, read in stages: text, typed values, then checked whole.
//!
//! Every key stands in one table, [`KEYS`]; the reader, the JSON Schema, the reference and the template
//! of `portcullis.toml` all come from it. Every mistake is found before anything is opened. Precedence:
//! flag, then environment, then file, then default; each value knows where it came from.

mod build;
mod check;
mod key;
mod keys;
mod layers;
mod mistake;
mod reference;
mod schema;
mod show;
mod typed;
mod value;

use std::collections::BTreeMap;
use std::path::PathBuf;

use portcullis_identity::{IssuerConfig, Registration};

pub use key::{Key, Kind, Section, Shape};
pub use keys::{KEYS, SECTIONS};
pub use mistake::{Mistake, Mistakes, Origin};
pub use reference::{reference_markdown, template};
pub use schema::schema;
pub use show::{Origins, show_json, show_text};
pub use typed::{
    AuditInput, AuditMode, AuditSection, Class, Durability, LimitsSection, NodeSection, OnError, PolicySection, Source,
    SourceKind, TlsSection,
};
pub use value::Value;

use layers::Settings;

/// A configuration in which everything has been checked that can be without opening anything.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node itself.
    pub node: NodeSection,
    /// Certificates; `None` where none are configured, as under `dev`, which makes its own.
    pub tls: Option<TlsSection>,
    /// Where policies come from.
    pub policy: PolicySection,
    /// What is recorded, and how durably.
    pub audit: AuditSection,
    /// Action classes by name; `default` is always among them.
    pub classes: BTreeMap<String, Class>,
    /// Whose tokens are trusted.
    pub issuers: Vec<IssuerConfig>,
    /// Who may connect.
    pub clients: Vec<Registration>,
    /// Where users, groups and agents come from.
    pub sources: Vec<Source>,
    /// Bounds.
    pub limits: LimitsSection,
    settings: Settings,
}

/// Where a configuration is read from. Later ones in this list win: file, environment, flags.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file, `portcullis.toml`.
    pub file: Option<PathBuf>,
    /// The environment: variables that are not ours are passed over.
    pub environment: Vec<(String, String)>,
    /// What the command line set: pairs of a key of the fixed sections, `node.quic`, and its value.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// The file and flags given, and this process's environment.
    pub fn of_process(file: Option<PathBuf>, flags: Vec<(String, String)>) -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
            .filter(|(name, _)| name.starts_with(layers::VARIABLE_PREFIX))
            .collect();
        Self { file, environment, flags }
    }
}

impl Config {
    /// Reads, types and checks a configuration.
    ///
    /// # Errors
    /// Every mistake in it at once, in the order of the files' lines.
    pub fn load(sources: &Sources) -> Result<Self, Mistakes> {
        let mut mistakes = Mistakes::default();
        let settings = Settings::read(sources, &mut mistakes);
        match build::build(settings, &mut mistakes) {
            Some(config) if mistakes.is_empty() => Ok(config),
            _ => Err(mistakes.sorted()),
        }
    }
}

#[cfg(test)]
mod tests;
