#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::collections::BTreeSet;

use portcullis_model::limits::CHAIN_MAX;
use portcullis_model::{Owner, Value};
use serde_json::json;

use super::*;
use crate::mapping::{MappedAttribute, MappingError, ScimAttribute};
use crate::state::Status;

fn uid(text: &str) -> EntityUid {
    text.parse().unwrap()
}

fn user(id: &str) -> Json {
    json!({"schemas": [format!("{CORE_SCHEMA}User")], "id": id, "active": true})
}

fn agent(id: &str, through: Option<&str>) -> Json {
    let extension = json!({"actsThrough": through.map(|through| json!({"value": through}))});
    json!({"schemas": [format!("{CORE_SCHEMA}Agent")], "id": id, "active": true,
        "urn:portcullis:scim:schemas:extension:agent:1.0:Agent": extension})
}

fn group(id: &str, members: &[&str]) -> Json {
    let members: Vec<_> = members.iter().map(|member| json!({"value": member})).collect();
    json!({"schemas": [format!("{CORE_SCHEMA}Group")], "id": id, "members": members})
}

fn with(mut resource: Json, key: &str, value: Json) -> Json {
    resource[key] = value;
    resource
}

fn read(list: &Json) -> Result<FullState, SourceError> {
    parse(&serde_json::to_vec(list).unwrap(), &Mapping::default())
}

fn list(resources: Vec<Json>) -> Result<FullState, SourceError> {
    read(&json!({"schemas": [LIST_SCHEMA], "totalResults": resources.len(), "Resources": resources}))
}

/// The position and fault of a list that must be refused for one resource.
fn refused(resources: Vec<Json>) -> (usize, ResourceFault) {
    match list(resources) {
        Err(SourceError::Resource { position, fault }) => (position, fault),
        other => panic!("{other:?}"),
    }
}

#[test]
fn sample_directory_reads_whole() {
    let state = parse(portcullis_sample::directory_json().as_bytes(), &Mapping::default()).unwrap();
    assert!(state.status().values().all(|status| *status == Status::Active));
    let people: BTreeSet<&str> = state.status().keys().map(EntityUid::id).collect();
    assert_eq!(people, BTreeSet::from(["ada", "ben", "chen", "triage-bot", "mailer", "release-bot", "digest-bot"]));

    let ada = &state.entities()[&uid("User::ada")];
    assert_eq!(ada.parents, [uid("Group::support")]);
    let names: Vec<&str> = ada.attributes.keys().map(|name| &**name).collect();
    assert_eq!(names, ["department", "displayName", "email", "title", "userName"]);
    assert_eq!(ada.attributes["email"].value, Value::String("ada@corp.example".into()));
    assert!(ada.attributes.values().all(|attribute| attribute.owner == Owner::Directory));

    let mailer = &state.entities()[&uid("Agent::mailer")];
    assert_eq!(mailer.acts_through, Some(uid("Agent::triage-bot")));
    assert_eq!(mailer.attributes["owners"].value, Value::Set(vec![Value::Entity(uid("User::ada"))]));
    assert_eq!(state.entities()[&uid("Group::platform")].parents, [uid("Group::engineering")]);
    assert_eq!(
        state.entities()[&uid("Agent::triage-bot")].parents,
        [uid("Group::assistants"), uid("Group::mail-agents")]
    );
}

#[test]
fn inactive_is_suspended_and_unmapped_attributes_stay_out() {
    let ada = with(with(user("ada"), "active", json!(false)), "nickName", json!("A."));
    let state = list(vec![ada, with(user("ben"), "emails", json!([{"value": "b@corp.example"}]))]).unwrap();
    assert_eq!(state.status_of(&uid("User::ada")), Status::Suspended);
    assert_eq!(state.status_of(&uid("User::ben")), Status::Active);
    assert!(state.entities().values().all(|record| record.attributes.is_empty()));
}

#[test]
fn mapping_is_what_enters() {
    let entry = |resource, from, to: &str| MappedAttribute { resource, from, to: to.into() };
    let mapping = Mapping::new(vec![entry(ResourceKind::User, ScimAttribute::ExternalId, "key")]).unwrap();
    let ada = with(with(user("ada"), "externalId", json!("00u1")), "userName", json!("ada"));
    let text = json!({"schemas": [LIST_SCHEMA], "Resources": [ada]}).to_string();
    let state = parse(text.as_bytes(), &mapping).unwrap();
    let ada = &state.entities()[&uid("User::ada")];
    assert_eq!(ada.attributes.keys().map(|name| &**name).collect::<Vec<_>>(), ["key"]);

    let owners = entry(ResourceKind::User, ScimAttribute::Owners, "owners");
    assert!(matches!(Mapping::new(vec![owners]), Err(MappingError::Kind { .. })));
    let title = entry(ResourceKind::User, ScimAttribute::Title, "key");
    let twice = vec![entry(ResourceKind::User, ScimAttribute::ExternalId, "key"), title];
    assert_eq!(Mapping::new(twice), Err(MappingError::Name("key".into())));
    let config = r#"[{"resource": "agent", "from": "agentType", "to": "kind"}]"#;
    assert!(serde_json::from_str::<Mapping>(config).is_ok());
    assert!(serde_json::from_str::<Mapping>(&config.replace("agentType", "password")).is_err());
    assert!(serde_json::from_str::<Mapping>(&config.replace("\"kind\"", "\"\"")).is_err());
}

#[test]
fn active_must_be_said_and_be_a_boolean() {
    for active in [json!("false"), json!("true"), json!(0), json!(null), json!([])] {
        assert_eq!(refused(vec![user("ada"), with(user("ben"), "active", active)]), (2, ResourceFault::Active));
    }
    let silent = json!({"schemas": [format!("{CORE_SCHEMA}User")], "id": "ada", "Active": false});
    assert_eq!(refused(vec![silent]), (1, ResourceFault::Active));
}

#[test]
fn unknown_schemas_are_refused_where_they_stand() {
    let core = |name: &str| format!("{CORE_SCHEMA}{name}");
    for schemas in [
        json!([]),
        json!([core("Device")]),
        json!([core("user")]),
        json!([core("User"), core("Group")]),
        json!([core("User"), core("User")]),
        json!(["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"]),
        json!([core("User"), "urn:example:User"]),
    ] {
        assert_eq!(refused(vec![user("ada"), with(user("ben"), "schemas", schemas)]), (2, ResourceFault::Schemas));
    }
    assert!(list(vec![with(user("ada"), "schemas", json!([core("User"), "urn:example:extension:1.0:User"]))]).is_ok());
}

#[test]
fn ids_are_unique_across_kinds_and_within_limits() {
    assert_eq!(refused(vec![user("ada"), user("ben"), user("ada")]), (3, ResourceFault::Duplicate(1)));
    assert_eq!(refused(vec![user("ada"), group("ada", &[])]), (2, ResourceFault::Duplicate(1)));
    assert_eq!(refused(vec![user("")]), (1, ResourceFault::Id));
    assert_eq!(refused(vec![user(&"x".repeat(513))]), (1, ResourceFault::Id));
    assert!(list(vec![user(&"x".repeat(512)), user("Ada"), user("ada")]).is_ok());
}

#[test]
fn references_name_what_is_listed() {
    let reference = |attribute, wanted| ResourceFault::Reference { attribute, wanted };
    let members = reference("members", "what its type says");
    assert_eq!(refused(vec![user("ada"), group("g", &["ada", "ben"])]), (2, members.clone()));
    let typed = |kind: &str| with(group("g", &[]), "members", json!([{"value": "ada", "type": kind}]));
    assert_eq!(refused(vec![user("ada"), typed("Group")]), (2, members));
    assert!(list(vec![user("ada"), typed("user")]).is_ok());
    assert_eq!(refused(vec![user("ada"), agent("a", Some("ada"))]), (2, reference("actsThrough", "Agent")));
    assert_eq!(refused(vec![agent("a", Some("b"))]), (1, reference("actsThrough", "Agent")));
    let owned = |owner: &str| with(agent("a", None), "owners", json!([{"value": owner}]));
    assert_eq!(refused(vec![owned("nobody")]), (1, reference("owners", "User")));
    assert_eq!(refused(vec![owned("g"), group("g", &[])]), (1, reference("owners", "User")));
}

#[test]
fn groups_nest_and_never_hold_themselves() {
    assert_eq!(refused(vec![group("a", &["a"])]), (1, ResourceFault::GroupCycle));
    let cycle = vec![group("top", &["a"]), group("a", &["b"]), group("b", &["c"]), group("c", &["a"])];
    assert_eq!(refused(cycle), (2, ResourceFault::GroupCycle));
    let diamond = vec![group("top", &["a", "b"]), group("a", &["low"]), group("b", &["low", "low"]), group("low", &[])];
    let state = list(diamond).unwrap();
    assert_eq!(state.entities()[&uid("Group::low")].parents, [uid("Group::a"), uid("Group::b")]);
}

#[test]
fn groups_nest_deeper_than_the_stack() {
    let names: Vec<String> = (0..50_000).map(|number| format!("g{number}")).collect();
    let mut groups: Vec<Json> = names.windows(2).map(|pair| group(&pair[0], &[pair[1].as_str()])).collect();
    groups.push(group(names.last().unwrap(), &[]));
    assert_eq!(list(groups).unwrap().entities().len(), names.len());
}

#[test]
fn one_resource_is_in_a_bounded_number_of_groups() {
    let groups = |count: usize| (0..count).map(|number| group(&format!("g{number}"), &["ada"])).chain([user("ada")]);
    let limit = portcullis_model::limits::PARENTS_MAX;
    assert!(list(groups(limit).collect()).is_ok());
    assert_eq!(refused(groups(limit + 1).collect()), (limit + 2, ResourceFault::Groups));
}

#[test]
fn agents_act_through_no_more_than_a_session_can_name() {
    let chain = |length: usize| {
        let names: Vec<String> = (0..length).map(|number| format!("a{number}")).collect();
        let through = |place: usize| place.checked_sub(1).map(|place| names[place].as_str());
        (0..length).map(|place| agent(&names[place], through(place))).collect::<Vec<_>>()
    };
    assert!(list(chain(CHAIN_MAX)).is_ok());
    assert_eq!(refused(chain(CHAIN_MAX + 1)), (CHAIN_MAX + 1, ResourceFault::Chain));
    assert_eq!(refused(vec![agent("a", Some("a"))]), (1, ResourceFault::Chain));
    let misspelt = json!({"actsTrough": {"value": "a"}});
    let misspelt = with(agent("b", None), "urn:portcullis:scim:schemas:extension:agent:1.0:Agent", misspelt);
    assert!(matches!(list(vec![agent("a", None), misspelt]), Err(SourceError::Json { .. })));
}

#[test]
fn texts_are_bounded() {
    assert_eq!(refused(vec![with(user("ada"), "title", json!("x".repeat(4_097)))]), (1, ResourceFault::Long("title")));
    assert!(list(vec![with(user("ada"), "title", json!("x".repeat(4_096)))]).is_ok());
}

#[test]
fn a_page_is_not_a_full_state() {
    let page = json!({"schemas": [LIST_SCHEMA], "totalResults": 2, "Resources": [user("ada")]});
    assert!(matches!(read(&page), Err(SourceError::Partial { total: 2, found: 1 })));
    let second = json!({"schemas": [LIST_SCHEMA], "totalResults": 1, "startIndex": 2, "Resources": [user("ada")]});
    assert!(matches!(read(&second), Err(SourceError::List(_))));
    for other in [json!({"schemas": [LIST_SCHEMA]}), json!({"Resources": []}), json!({"schemas": [], "Resources": []})]
    {
        assert!(matches!(read(&other), Err(SourceError::List(_))), "{other}");
    }
}

#[test]
fn broken_text_is_refused_with_its_line_and_without_its_words() {
    let whole = portcullis_sample::directory_json();
    for text in [
        "",
        "[]",
        "{\"schemas\": [],\n \"Resources\": [7]}",
        "{\"Resources\": [], \"Resources\": []}",
        "{\"schemas\": [\"secret\"]} x",
        "{\"Resources\": [{\"schemas\": [], \"id\": \"secret\", \"id\": \"b\"}]}",
        "{\"Resources\": [{\"schemas\": [], \"id\": \"a\", \"title\": {\"secret\": 1}}]}",
        &whole[..whole.len() / 2],
        &format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
        &format!("{{\"Resources\": [{{\"active\": {}{}}}]}}", "[".repeat(100_000), "]".repeat(100_000)),
    ] {
        match parse(text.as_bytes(), &Mapping::default()) {
            Err(error @ SourceError::Json { .. }) => assert!(!error.to_string().contains("secret")),
            other => panic!("{text:.60}: {other:?}"),
        }
    }
    let third = "{\"schemas\": [],\n\n \"Resources\": [7]}";
    assert!(matches!(parse(third.as_bytes(), &Mapping::default()), Err(SourceError::Json { line: 3, .. })));
    assert!(parse(b"\xff\xfe{}", &Mapping::default()).is_err());
}

#[test]
fn every_cut_of_the_sample_is_refused() {
    let whole = portcullis_sample::directory_json().trim_end().as_bytes();
    for end in (0..whole.len()).step_by(7) {
        assert!(parse(&whole[..end], &Mapping::default()).is_err(), "{end}");
    }
    assert!(parse(whole, &Mapping::default()).is_ok());
}
