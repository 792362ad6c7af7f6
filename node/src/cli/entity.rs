//! `entity`: put, list and show.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use portcullis_client::admin::{AdminReply, AdminRequest, EntityQuery, EntityView};
use portcullis_model::{EntityRecord, EntityType, EntityUid};
use serde_json::{Value as Json, json};

use crate::cli::arguments::{EntityCommand, Global};
use crate::cli::connection::{Connection, unexpected};
use crate::cli::report_text::short;
use crate::cli::table::table;
use crate::cli::{SCHEMA_VERSION, known, names, print, style};
use crate::exit::Exit;
use crate::output::{Failure, Format};

/// Stores, lists or shows.
pub(crate) fn run(global: &Global, command: &EntityCommand) -> Result<Exit, Failure> {
    match command {
        EntityCommand::Put { file } => put(global, file),
        EntityCommand::List { entity_type, limit } => list(global, entity_type.as_ref(), *limit),
        EntityCommand::Show { uid } => show(global, uid),
    }
}

fn put(global: &Global, file: &Path) -> Result<Exit, Failure> {
    let entities = records(&read(file)?).map_err(|message| {
        let shown = file.display();
        let fix = "write `{\"uid\": \"Channel::\\\"x\\\"\", \"parents\": [], \"attributes\": {\"name\": {\"value\": 1}}}`, or a list of such";
        Failure::usage(format!("`{shown}`: {message}"), fix)
    })?;
    let count = entities.len();
    let connection = Connection::open(global)?;
    let AdminReply::Done { revision } = connection.call(&AdminRequest::EntityPut { entities })? else {
        return Err(unexpected());
    };
    let document = json!({ "schema_version": SCHEMA_VERSION, "entities": count, "revision": revision });
    print(global.output, &document, |_| {
        let noun = if count == 1 { "entity" } else { "entities" };
        format!("{} {count} {noun} at revision {revision}", style::good("✔ stored"))
    })?;
    Ok(Exit::Ok)
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let failed =
        |error: io::Error| Failure::usage(format!("`{}` cannot be read: {error}", file.display()), "name a file");
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        io::stdin().lock().take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        File::open(file).and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes)).map_err(failed)?;
    }
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= BYTES_MAX) {
        return Ok(bytes);
    }
    Err(Failure::usage(format!("`{}` is larger than {BYTES_MAX} bytes", file.display()), "store it in parts"))
}

/// One record or a list of them.
fn records(bytes: &[u8]) -> Result<Vec<EntityRecord>, String> {
    let is_list = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let records = if is_list {
        serde_json::from_slice(bytes)
    } else {
        serde_json::from_slice(bytes).map(|record: EntityRecord| vec![record])
    };
    records.map_err(|error| error.to_string())
}

fn list(global: &Global, entity_type: Option<&EntityType>, limit: u32) -> Result<Exit, Failure> {
    let connection = Connection::open(global)?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut entities: Vec<EntityView> = Vec::new();
    let mut after = None;
    loop {
        let limit = u32::try_from(wanted - entities.len()).unwrap_or(0).min(portcullis_wire::limits::PAGE_MAX);
        let query = EntityQuery { entity_type: entity_type.cloned(), limit, after };
        let AdminReply::Entities(page) = connection.call(&AdminRequest::EntityList(query))? else {
            return Err(unexpected());
        };
        let is_empty = page.entities.is_empty();
        entities.extend(page.entities);
        after = page.next;
        if after.is_none() || is_empty || entities.len() >= wanted {
            break;
        }
    }
    entities.truncate(wanted);
    if global.output == Format::Ndjson {
        entities.iter().try_for_each(|entity| print(Format::Ndjson, entity, |_| String::new()))?;
        return Ok(Exit::Ok);
    }
    let document = json!({ "schema_version": SCHEMA_VERSION, "entities": entities, "more": after.is_some() });
    print(global.output, &document, |_| entities_text(&entities))?;
    Ok(Exit::Ok)
}

fn show(global: &Global, uid: &EntityUid) -> Result<Exit, Failure> {
    let connection = Connection::open(global)?;
    let reply = connection.call(&AdminRequest::EntityShow { uid: uid.clone() });
    let AdminReply::Entity(entity) = reply.map_err(|failure| known::or_nearest(&connection, failure, uid))? else {
        return Err(unexpected());
    };
    print(global.output, &entity, entity_text)?;
    Ok(Exit::Ok)
}

fn entities_text(entities: &[EntityView]) -> String {
    let row = |view: &EntityView| {
        let parents = view.entity.parents.iter().map(EntityUid::shown).collect::<Vec<_>>().join(" ");
        [
            view.entity.uid.shown(),
            names::word(&view.standing),
            if parents.is_empty() { "-".to_owned() } else { parents },
        ]
    };
    table(["ENTITY", "STANDING", "IN"], entities.iter().map(row))
}

fn entity_text(view: &EntityView) -> String {
    let entity = &view.entity;
    let mut text = format!("{}\n  standing  {}\n", entity.uid.shown(), names::word(&view.standing));
    for parent in &entity.parents {
        text.push_str(&format!("  in        {}\n", parent.shown()));
    }
    if let Some(through) = &entity.acts_through {
        text.push_str(&format!("  through   {}\n", short(through)));
    }
    if let Some(sponsor) = &entity.sponsor {
        text.push_str(&format!("  sponsor   {}\n", short(sponsor)));
    }
    for (name, attribute) in &entity.attributes {
        let owner = names::word(&attribute.owner);
        text.push_str(&format!("  {} = {}  ({owner})\n", style::plain(name), shown(&attribute.value.to_json())));
    }
    for (name, value) in &entity.tags {
        text.push_str(&format!("  tag {} = {}\n", style::plain(name), shown(&value.to_json())));
    }
    text
}

/// JSON text has its control characters escaped.
fn shown(value: &Json) -> String {
    value.to_string()
}

/// Most bytes of a file of entities: what one administrative call may carry.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn one_record_and_a_list_are_both_read() {
        assert_eq!(records(br#"{"uid": "Channel::\"x\""}"#).unwrap().len(), 1);
        assert_eq!(records(br#" [{"uid": "Channel::x"}, {"uid": "Channel::y"}]"#).unwrap().len(), 2);
        let wrong = records(br#"{"uid": "Channel::x", "parnets": []}"#).unwrap_err();
        assert!(wrong.contains("parnets") && wrong.contains("line 1"), "{wrong}");
        assert!(records(b"").is_err());
    }

    #[test]
    fn an_entity_is_shown_with_what_is_stored() {
        let json = json!({
            "entity": {"uid": "Channel::\"general\"", "parents": ["Server::\"slack\""],
                "attributes": {"public": {"value": true, "owner": "directory"}}},
            "standing": "active",
        });
        let view: EntityView = serde_json::from_value(json).unwrap();
        assert_eq!(
            entity_text(&view),
            "Channel::general\n  standing  active\n  in        Server::slack\n  public = true  (directory)\n"
        );
        assert_eq!(
            entities_text(&[view]),
            "ENTITY            STANDING  IN\nChannel::general  active    Server::slack\n"
        );
    }
}
