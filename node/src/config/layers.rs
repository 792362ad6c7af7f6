//! From file, environment and flags to one flat map of typed settings, each with its origin.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::config::Sources;
use crate::config::key::{Default as KeyDefault, Key, Section, Shape};
use crate::config::keys::{KEYS, SECTIONS};
use crate::config::mistake::{Mistakes, Origin};
use crate::config::value::{Value, is_name};
use crate::output::{excerpt, nearest};

/// Every value that is set, by its full name: `node.quic`, `class.write.audit`, `client[0].name`.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    /// The values.
    pub(super) values: BTreeMap<String, Setting>,
    /// The named and listed sections there are, in their order.
    pub(super) instances: Vec<Instance>,
}

/// A value and where it came from.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) key: &'static Key,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// One `[class.NAME]` or `[[client]]`.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) section: &'static str,
    /// `class.write` or `client[0]`.
    pub(super) path: String,
    pub(super) origin: Origin,
}

impl Settings {
    /// Reads every layer; what is wrong is added to `mistakes` and left out.
    pub(super) fn read(sources: &Sources, mistakes: &mut Mistakes) -> Self {
        let mut settings = Self::default();
        if let Some(path) = &sources.file {
            settings.read_file(path, mistakes);
        }
        settings.read_environment(&sources.environment, mistakes);
        for (path, text) in &sources.flags {
            settings.set_text(path, text, &Origin::Flag, mistakes);
        }
        if !settings.instances.iter().any(|instance| instance.path == CLASS_DEFAULT) {
            let path = CLASS_DEFAULT.to_owned();
            settings.instances.push(Instance { section: "class", path, origin: Origin::Default });
        }
        settings.fill_defaults(mistakes);
        settings
    }

    fn read_file(&mut self, path: &Path, mistakes: &mut Mistakes) {
        let place = Place { path, text: "" };
        let text = match read_bounded(path) {
            Ok(text) => text,
            Err(message) => return mistakes.add(place.at(0), message),
        };
        let place = Place { path, text: &text };
        let (document, errors) = DeTable::parse_recoverable(&text);
        if !errors.is_empty() {
            for error in errors {
                mistakes.add(place.at(error.span().map_or(0, |span| span.start)), error.message());
            }
            return;
        }
        for (name, value) in document.get_ref() {
            match SECTIONS.iter().find(|section| section.name == name.get_ref()) {
                Some(section) => self.read_section(section, value, &place, mistakes),
                None => {
                    let near = nearest(name.get_ref(), SECTIONS.iter().map(|section| section.name));
                    let message = format!("unknown section `{}`{}", excerpt(name.get_ref()), hint(near));
                    mistakes.add(place.at(name.span().start), message);
                }
            }
        }
    }

    fn read_section(
        &mut self,
        section: &'static Section,
        value: &Spanned<DeValue<'_>>,
        place: &Place<'_>,
        mistakes: &mut Mistakes,
    ) {
        let start = value.span().start;
        match (section.shape, value.get_ref()) {
            (Shape::Once, DeValue::Table(table)) => self.read_table(section, section.name, table, place, mistakes),
            (Shape::Named(max), DeValue::Table(tables)) => {
                if tables.len() > max {
                    mistakes.add(place.at(start), format!("more than {max} of `[{}.NAME]`", section.name));
                }
                for (name, value) in tables.iter().take(max) {
                    self.read_named(section, name, value, place, mistakes);
                }
            }
            (Shape::Listed(max), DeValue::Array(tables)) => {
                if tables.len() > max {
                    mistakes.add(place.at(start), format!("more than {max} of `[[{}]]`", section.name));
                }
                for (index, value) in tables.iter().take(max).enumerate() {
                    let path = format!("{}[{index}]", section.name);
                    self.read_instance(section, path, value, place, mistakes);
                }
            }
            (Shape::Once | Shape::Named(_), _) => {
                mistakes.add(place.at(start), format!("`{}` is a section", section.name))
            }
            (Shape::Listed(_), _) => {
                mistakes.add(place.at(start), format!("`{0}` is a list of sections: write `[[{0}]]`", section.name));
            }
        }
    }

    fn read_named(
        &mut self,
        section: &'static Section,
        name: &Spanned<DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
        place: &Place<'_>,
        mistakes: &mut Mistakes,
    ) {
        if is_name(name.get_ref()) && !name.get_ref().contains('.') {
            self.read_instance(section, format!("{}.{}", section.name, name.get_ref()), value, place, mistakes);
        } else {
            let message = format!("`{}` is not a name: 1 to 64 of `a-z0-9_-`", excerpt(name.get_ref()));
            mistakes.add(place.at(name.span().start), message);
        }
    }

    fn read_instance(
        &mut self,
        section: &'static Section,
        path: String,
        value: &Spanned<DeValue<'_>>,
        place: &Place<'_>,
        mistakes: &mut Mistakes,
    ) {
        let origin = place.at(value.span().start);
        match value.get_ref() {
            DeValue::Table(table) => {
                self.read_table(section, &path, table, place, mistakes);
                self.instances.push(Instance { section: section.name, path, origin });
            }
            _ => mistakes.add(origin, format!("`{path}` is a section")),
        }
    }

    fn read_table(
        &mut self,
        section: &Section,
        path: &str,
        table: &DeTable<'_>,
        place: &Place<'_>,
        mistakes: &mut Mistakes,
    ) {
        let folder = place.path.parent().unwrap_or(Path::new(""));
        for (name, value) in table {
            let full = format!("{path}.{}", name.get_ref());
            let Some(key) = key_of(section.name, name.get_ref()) else {
                let near = nearest(name.get_ref(), names_of(section.name));
                let message = format!("unknown key `{}` in `{path}`{}", excerpt(name.get_ref()), hint(near));
                mistakes.add(place.at(name.span().start), message);
                continue;
            };
            let origin = place.at(value.span().start);
            match Value::from_toml(key.kind, value.get_ref(), folder) {
                Ok(value) => drop(self.values.insert(full, Setting { key, value, origin })),
                Err(message) => mistakes.add(origin, format!("`{full}` {message}")),
            }
        }
    }

    fn read_environment(&mut self, variables: &[(String, String)], mistakes: &mut Mistakes) {
        for (name, text) in variables {
            let Some(rest) = name.strip_prefix(VARIABLE_PREFIX) else { continue };
            let path = match VARIABLES_SHORT.iter().find(|(short, _)| short == name) {
                Some((_, path)) => (*path).to_owned(),
                None if rest.contains("__") => rest.to_ascii_lowercase().replacen("__", ".", 1),
                // Without a section it is no key: the command line has variables of its own.
                None => {
                    if let Some(meant) = meant_variable(rest) {
                        let message = format!("it sets nothing: did you mean `{meant}`?");
                        mistakes.add(Origin::Variable(name.clone()), message);
                    }
                    continue;
                }
            };
            self.set_text(&path, text, &Origin::Variable(name.clone()), mistakes);
        }
    }

    /// Sets a key of a fixed section from text.
    fn set_text(&mut self, path: &str, text: &str, origin: &Origin, mistakes: &mut Mistakes) {
        let fixed = SECTIONS.iter().filter(|section| section.shape == Shape::Once).map(|section| section.name);
        let fixed: BTreeSet<&str> = fixed.collect();
        let key = path.split_once('.').filter(|(section, _)| fixed.contains(section));
        let Some(key) = key.and_then(|(section, name)| key_of(section, name)) else {
            let known = KEYS.iter().filter(|key| fixed.contains(key.section)).map(path_of).collect::<Vec<_>>();
            let near = nearest(path, known.iter().map(String::as_str));
            return mistakes.add(origin.clone(), format!("unknown key `{}`{}", excerpt(path), hint(near)));
        };
        match Value::from_text(key.kind, text, Path::new("")) {
            Ok(value) => drop(self.values.insert(path.to_owned(), Setting { key, value, origin: origin.clone() })),
            Err(message) => mistakes.add(origin.clone(), format!("`{path}` {message}")),
        }
    }

    /// Sets what nobody said, and complains where something must be said.
    fn fill_defaults(&mut self, mistakes: &mut Mistakes) {
        let once = SECTIONS.iter().filter(|section| section.shape == Shape::Once).map(|section| Instance {
            section: section.name,
            path: section.name.to_owned(),
            origin: Origin::Default,
        });
        for instance in once.chain(self.instances.clone()) {
            for key in KEYS.iter().filter(|key| key.section == instance.section) {
                let path = format!("{}.{}", instance.path, key.name);
                if self.values.contains_key(&path) {
                    continue;
                }
                match key.default {
                    KeyDefault::Nothing => {}
                    KeyDefault::Required => {
                        // A value that was given and refused has its own complaint already.
                        if !mistakes.as_slice().iter().any(|mistake| mistake.message.starts_with(&format!("`{path}` ")))
                        {
                            mistakes.add(instance.origin.clone(), format!("`{path}` is missing: {}", key.kind.words()));
                        }
                    }
                    KeyDefault::Is(text) => match Value::from_text(key.kind, text, Path::new("")) {
                        Ok(value) => drop(self.values.insert(path, Setting { key, value, origin: Origin::Default })),
                        Err(message) => mistakes.add(Origin::Default, format!("`{path}` {message}")),
                    },
                }
            }
        }
    }
}

/// A text of the file, to name places in it.
struct Place<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Place<'_> {
    fn at(&self, offset: usize) -> Origin {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Origin::File { path: PathBuf::from(self.path), line, column }
    }
}

fn read_bounded(path: &Path) -> Result<String, String> {
    let opened = File::open(path).map_err(|error| format!("could not be opened: {error}"))?;
    let mut text = String::new();
    let read = opened.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| format!("could not be read: {error}"))?;
    if u64::try_from(text.len()).is_ok_and(|length| length <= FILE_BYTES_MAX) {
        Ok(text)
    } else {
        Err(format!("is larger than {FILE_BYTES_MAX} bytes"))
    }
}

/// A key's full name in the fixed sections.
pub(super) fn path_of(key: &Key) -> String {
    format!("{}.{}", key.section, key.name)
}

fn key_of(section: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.section == section && key.name == name)
}

fn names_of(section: &str) -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter(move |key| key.section == section).map(|key| key.name)
}

/// The variable of a key that was meant by one with a single underline after its section.
fn meant_variable(rest: &str) -> Option<String> {
    let typed = rest.to_ascii_lowercase().replacen('_', ".", 1);
    let fixed = |key: &&Key| SECTIONS.iter().any(|found| found.name == key.section && found.shape == Shape::Once);
    let known: Vec<String> = KEYS.iter().filter(fixed).map(path_of).collect();
    let near = nearest(&typed, known.iter().map(String::as_str))?;
    Some(format!("{VARIABLE_PREFIX}{}", near.to_ascii_uppercase().replacen('.', "__", 1)))
}

fn hint(near: Option<&str>) -> String {
    near.map_or_else(String::new, |near| format!(": did you mean `{near}`?"))
}

/// What our environment variables begin with; `PORTCULLIS_NODE__QUIC` is `node.quic`.
pub(super) const VARIABLE_PREFIX: &str = "PORTCULLIS_";
/// Variables with a short name.
pub(super) const VARIABLES_SHORT: &[(&str, &str)] = &[("PORTCULLIS_DATA_DIR", "node.data_dir")];
/// The class of actions that are in none.
pub(super) const CLASS_DEFAULT: &str = "class.default";
/// Largest file, in bytes: a thousand clients with a hundred subjects each.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;
