//! What can only be seen of the whole: keys that need or exclude each other, names given twice.

use std::collections::BTreeMap;

use portcullis_identity::{ConfigMistake, IssuerConfig, Registration, Registry, TokenVerifier};

use crate::config::build::Reader;
use crate::config::layers::CLASS_DEFAULT;
use crate::config::mistake::{Mistakes, Origin};
use crate::config::typed::TlsSection;

/// Certificate and key stand together; authorities for clients need both.
pub(super) fn tls(reader: &Reader<'_>, mistakes: &mut Mistakes) -> Option<TlsSection> {
    let keys = ["certificate", "key", "client_ca"];
    if let Some(given) = keys.into_iter().find(|key| reader.path(key).is_some()) {
        for missing in ["certificate", "key"].into_iter().filter(|key| reader.path(key).is_none()) {
            if !is_refused(&format!("tls.{missing}"), mistakes) {
                let message = format!("`tls.{missing}` is missing: `tls.{given}` needs it");
                mistakes.add(origin(reader, given), message);
            }
        }
    }
    reader.tls()
}

/// Every class but the default one has actions; the default one has none.
pub(super) fn classes<'a>(reader: &Reader<'_>, paths: impl Iterator<Item = &'a String>, mistakes: &mut Mistakes) {
    for path in paths {
        let class = reader.of(path);
        let has_actions = class.entities("actions").is_some_and(|actions| !actions.is_empty());
        match (path == CLASS_DEFAULT, has_actions) {
            (true, true) => {
                let message = "`class.default.actions` may not stand: it is for actions that are in no class";
                mistakes.add(origin(&class, "actions"), message);
            }
            (false, false) if !is_refused(&format!("{path}.actions"), mistakes) => {
                mistakes.add(origin(&class, "actions"), format!("`{path}.actions` is missing or empty"));
            }
            _ => {}
        }
        let not_actions = class.entities("actions").unwrap_or_default().into_iter().filter(|entity| {
            let entity_type = entity.entity_type().as_str();
            entity_type != "Action" && !entity_type.ends_with("::Action")
        });
        for entity in not_actions {
            mistakes.add(origin(&class, "actions"), format!("`{path}.actions` has `{entity}`, which is not an action"));
        }
    }
}

/// An issuer has one place for its keys.
pub(super) fn keys<'a>(reader: &Reader<'_>, paths: impl Iterator<Item = &'a String>, mistakes: &mut Mistakes) {
    for path in paths {
        let issuer = reader.of(path);
        match (issuer.path("keys_file"), issuer.text("keys_url")) {
            (Some(_), Some(_)) => {
                let message = format!("`{path}` has `keys_file` and `keys_url`: only one may stand");
                mistakes.add(origin(&issuer, "keys_url"), message);
            }
            (None, None)
                if !is_refused(&format!("{path}.keys_file"), mistakes)
                    && !is_refused(&format!("{path}.keys_url"), mistakes) =>
            {
                mistakes.add(origin(&issuer, "name"), format!("`{path}` has neither `keys_file` nor `keys_url`"));
            }
            _ => {}
        }
    }
}

/// A client has only what its role can use.
pub(super) fn roles<'a>(reader: &Reader<'_>, paths: impl Iterator<Item = &'a String>, mistakes: &mut Mistakes) {
    for path in paths {
        let client = reader.of(path);
        let Some(role) = client.text("role").filter(|role| !matches!(role.as_str(), "platform" | "pep")) else {
            continue;
        };
        let is_set = |key: &str| {
            client.entities(key).is_some_and(|entities| !entities.is_empty())
                || client.texts(key).is_some_and(|texts| !texts.is_empty())
                || client.text(key).is_some()
                || client.flag(key) == Some(true)
        };
        for key in ROLE_KEYS.into_iter().filter(|key| is_set(key)) {
            mistakes.add(origin(&client, key), format!("`{path}.{key}` is of no use to the role `{role}`"));
        }
    }
}

/// Every source has a name of its own.
pub(super) fn sources<'a>(reader: &Reader<'_>, paths: impl Iterator<Item = &'a String>, mistakes: &mut Mistakes) {
    let mut names = BTreeMap::new();
    for path in paths {
        let source = reader.of(path);
        let Some(name) = source.text("name") else { continue };
        if let Some(first) = names.insert(name.clone(), path) {
            mistakes.add(origin(&source, "name"), format!("`{path}.name` is `{name}`, as that of `{first}`"));
        }
    }
}

/// What identity itself demands of issuers and clients, each alone and together.
pub(super) fn identity(
    reader: &Reader<'_>,
    issuers: &[IssuerConfig],
    clients: &[Registration],
    mistakes: &mut Mistakes,
) {
    let of_issuers = TokenVerifier::new(issuers.to_vec()).err().unwrap_or_default();
    let of_clients = Registry::new(clients.to_vec()).err().unwrap_or_default();
    for (section, found) in [("issuer", of_issuers), ("client", of_clients)] {
        for mistake in found {
            mistakes.add(place(reader, section, &mistake), mistake.to_string());
        }
    }
}

/// Where a mistake of identity's is: it names issuers and clients by name, and its own fields.
fn place(reader: &Reader<'_>, section: &str, mistake: &ConfigMistake) -> Origin {
    let (name, field) = match mistake {
        ConfigMistake::Duplicate { what, second, .. } => (second.as_str(), *what),
        ConfigMistake::Empty { key } | ConfigMistake::Shape { key, .. } | ConfigMistake::Limit { key, .. } => {
            // `issuer.NAME.FIELD`, where both name and field may have dots.
            let rest = key.split_once('.').map_or("", |(_, rest)| rest);
            let known =
                FIELDS.iter().find_map(|(field, _)| Some((rest.strip_suffix(field)?.strip_suffix('.')?, *field)));
            known.or_else(|| rest.rsplit_once('.')).unwrap_or((rest, "name"))
        }
        _ => ("", "name"),
    };
    let key = FIELDS.iter().find(|(known, _)| *known == field).map_or(field, |(_, key)| *key);
    // The last of that name: of two that share something, the later one is at fault.
    let instances = reader.settings.instances.iter().rev().filter(|instance| instance.section == section);
    let mut readers = instances.map(|instance| reader.of(&instance.path));
    let found = readers.find(|reader| reader.text("name").is_some_and(|known| known == name));
    found.map_or(Origin::Default, |found| origin(&found, key))
}

/// Where a key of the reader's section was said; else where the section begins.
fn origin(reader: &Reader<'_>, key: &str) -> Origin {
    let setting = reader.settings.values.get(&format!("{}.{key}", reader.section));
    let instance = || reader.settings.instances.iter().find(|instance| instance.path == reader.section);
    match setting {
        Some(setting) if setting.origin != Origin::Default => setting.origin.clone(),
        _ => instance().map_or(Origin::Default, |instance| instance.origin.clone()),
    }
}

/// Whether a value was given for this key and refused.
fn is_refused(path: &str, mistakes: &Mistakes) -> bool {
    mistakes.as_slice().iter().any(|mistake| mistake.message.starts_with(&format!("`{path}` ")))
}

/// Keys of a client that only those who ask for decisions can use.
const ROLE_KEYS: [&str; 7] = ["subjects", "subject_types", "agents", "subject", "agent", "direct", "attributes"];
/// Fields by identity's names, where ours differ.
const FIELDS: [(&str, &str); 11] = [
    ("keys.file", "keys_file"),
    ("keys.url", "keys_url"),
    ("agents.client_claim", "agents"),
    ("credentials.uris", "uri"),
    ("credentials.bearers", "token_sha256"),
    ("credentials", "name"),
    ("asserts.subject_types", "subject_types"),
    ("asserts", "subjects"),
    ("certificate", "certificate_sha256"),
    ("URI", "uri"),
    ("bearer token", "token_sha256"),
];
