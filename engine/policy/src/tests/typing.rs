//! What comes in is typed against the schema, as Cedar itself would.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy::{Context, Entities, Entity};
use portcullis_model::{Attribute, EntityRecord, ErrorCode, Owner, Refusal, Request, Value};
use proptest::prelude::*;
use serde_json::json;

use super::world::{CEDAR, Fixture, STRICT, record, request, tags, uid, value};
use crate::convert::{cedar_uid, expression};

const SCHEMA: &str = r#"
type Size = { bytes: Long, unit?: String };
entity Color enum ["red", "green"];
entity Group in Group;
entity Other;
entity User in Group = { age: Long, boss?: User, seen?: datetime, sizes?: Set<Size>, color?: Color } tags Set<String>;
entity Agent;
namespace Mail {
  entity Box = { quota?: Long, owner?: User };
  action "send" appliesTo {
    principal: [User, Agent],
    resource: [Box],
    context: {
      user?: User, agent?: Agent, agents?: Set<Agent>, depth?: Long,
      input?: { to: Set<String>, at?: datetime, size?: Size, cost?: decimal, who?: User },
      from?: ipaddr, flag?: Bool,
    }
  };
  action "list" appliesTo { principal: [User, Agent], resource: [Box] };
}
"#;

fn fixture() -> Fixture {
    let records = [record("User::ada", &[], json!({"age": 3})), record("Mail::Box::inbox", &[], json!({"quota": 1}))];
    Fixture::new(SCHEMA, "permit(principal, action, resource);", STRICT, &records)
}

fn send(context: serde_json::Value, input: Option<&str>) -> Request {
    Request { input: input.map(Arc::from), ..request("Mail::Action::send", "Mail::Box::inbox", context) }
}

fn refusal(request: &Request) -> Refusal {
    fixture().prepare(request, "User::ada", &["Agent::outer", "Agent::inner"]).map(drop).unwrap_err()
}

#[test]
fn the_engine_fills_what_the_action_declares() {
    let fixture = fixture();
    let request = send(json!({}), Some(r#"{"to": ["x"], "at": "2026-01-01", "cost": "1.5"}"#));
    let prepared = fixture.prepare(&request, "User::ada", &["Agent::outer", "Agent::inner"]).unwrap();
    let shown = |key: &str| prepared.context().get(key).map(|value| value.to_json());
    let agent = |id: &str| json!({"__entity": {"type": "Agent", "id": id}});
    assert_eq!(shown("user"), Some(json!({"__entity": {"type": "User", "id": "ada"}})));
    assert_eq!(shown("agent"), Some(agent("inner")));
    assert_eq!(shown("agents"), Some(json!([agent("outer"), agent("inner")])));
    assert_eq!(shown("depth"), Some(json!(2)));
    let at = json!({"__extn": {"fn": "datetime", "arg": "2026-01-01"}});
    let cost = json!({"__extn": {"fn": "decimal", "arg": "1.5"}});
    assert_eq!(shown("input"), Some(json!({"to": ["x"], "at": at, "cost": cost})));
}

#[test]
fn a_direct_session_has_no_agent_and_an_action_that_declares_nothing_gets_nothing() {
    let fixture = fixture();
    let prepared = fixture.prepare(&send(json!({}), None), "User::ada", &[]).unwrap();
    let keys: Vec<_> = prepared.context().keys().map(|key| &**key).collect();
    assert_eq!(keys, ["agents", "depth", "user"]);
    let list = Request { input: Some("{}".into()), ..request("Mail::Action::list", "Mail::Box::inbox", json!({})) };
    assert!(fixture.prepare(&list, "User::ada", &["Agent::a"]).unwrap().context().is_empty());
}

#[test]
fn keys_of_the_engine_are_refused_whatever_the_action_declares() {
    for action in ["Mail::Action::send", "Mail::Action::list"] {
        for key in ["user", "agent", "agents", "depth", "input"] {
            let refusal = refusal(&request(action, "Mail::Box::inbox", json!({key: 1})));
            assert_eq!((refusal.code, refusal.field), (ErrorCode::ReservedKey, Some(format!("context.{key}"))));
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_by_field() {
    let boxed = |id: &str| format!("Mail::Box::{id}");
    for (request, code, field) in [
        (request("Mail::Action::sned", &boxed("a"), json!({})), ErrorCode::UnknownAction, "action"),
        (request("Mail::Action::send", "Mail::Bx::a", json!({})), ErrorCode::UnknownType, "resource"),
        (request("Mail::Action::send", "Color::blue", json!({})), ErrorCode::SchemaMismatch, "resource"),
        (send(json!({"flag": 1}), None), ErrorCode::SchemaMismatch, "context.flag"),
        (send(json!({"more": 1}), None), ErrorCode::SchemaMismatch, "context.more"),
        (send(json!({"from": "1.2.3"}), None), ErrorCode::SchemaMismatch, "context.from"),
        (send(json!({}), Some("{}")), ErrorCode::SchemaMismatch, "context.input.to"),
        (send(json!({}), Some(r#"{"to": ["a", 1]}"#)), ErrorCode::SchemaMismatch, "context.input.to[]"),
        (
            send(json!({}), Some(r#"{"to": [], "size": {"bytes": "1"}}"#)),
            ErrorCode::SchemaMismatch,
            "context.input.size.bytes",
        ),
        (send(json!({}), Some(r#"{"to": [], "at": "yesterday"}"#)), ErrorCode::SchemaMismatch, "context.input.at"),
        (
            send(json!({}), Some(r#"{"to": [], "who": {"__entity": {"type": "Agent", "id": "a"}}}"#)),
            ErrorCode::SchemaMismatch,
            "context.input.who",
        ),
        (send(json!({}), Some("[]")), ErrorCode::BadRequest, "input"),
        (send(json!({}), Some(r#"{"to": [], "to": ["a"]}"#)), ErrorCode::BadRequest, "input"),
    ] {
        let refusal = refusal(&request);
        assert_eq!((refusal.code, refusal.field.as_deref()), (code, Some(field)), "{}", refusal.message);
    }
    assert!(
        refusal(&request("Mail::Action::sned", "Mail::Box::a", json!({})))
            .message
            .contains("did you mean `Mail::Action::\"send\"`?")
    );
    assert!(
        refusal(&request("Mail::Action::send", "Mail::Bx::a", json!({}))).message.contains("did you mean `Mail::Box`?")
    );
}

#[test]
fn a_long_input_is_refused_even_where_nobody_reads_it() {
    let input = format!("{{\"a\":\"{}\"}}", "x".repeat(5_000));
    let list = Request { input: Some(input.into()), ..request("Mail::Action::list", "Mail::Box::inbox", json!({})) };
    assert_eq!(refusal(&list).code, ErrorCode::TooLarge);
}

#[test]
fn attributes_of_the_request_are_typed_and_never_replace_stored_ones_or_a_principals() {
    let fixture = fixture();
    let with = |resource: &str, name: &str, json: serde_json::Value| Request {
        resource_attributes: tags(&[(name, json)]),
        ..request("Mail::Action::list", resource, json!({}))
    };
    let owner = json!({"__entity": {"type": "User", "id": "ada"}});
    let prepared = fixture.prepare(&with("Mail::Box::inbox", "owner", owner), "User::ada", &[]).unwrap();
    assert!(fixture.snapshot.decide(&prepared, fixture.world.index("User::ada"), &fixture.world).is_ok());
    let prepared = fixture.prepare(&with("Mail::Box::inbox", "quota", json!(9)), "User::ada", &[]).unwrap();
    let refused = fixture.snapshot.decide(&prepared, fixture.world.index("User::ada"), &fixture.world).unwrap_err();
    assert_eq!(
        (refused.code, refused.field.as_deref()),
        (ErrorCode::AttributeNotOwned, Some("resource_attributes.quota"))
    );
    for (resource, name, json, code) in [
        ("Mail::Box::inbox", "quota", json!("9"), ErrorCode::SchemaMismatch),
        ("Mail::Box::inbox", "size", json!(9), ErrorCode::SchemaMismatch),
        ("User::ada", "age", json!(9), ErrorCode::AttributeNotOwned),
        ("Agent::a", "age", json!(9), ErrorCode::AttributeNotOwned),
    ] {
        let refused = fixture.prepare(&with(resource, name, json), "User::ada", &["Agent::a"]).map(drop).unwrap_err();
        assert_eq!(refused.code, code, "{resource} {name}");
    }
}

#[test]
fn without_validation_everything_passes_as_it_is() {
    let fixture = Fixture::new(SCHEMA, "", CEDAR, &[]);
    let asked = request("Action::any", "Thing::x", json!({"user": 1, "input": "x"}));
    let prepared = fixture.prepare(&asked, "User::ada", &["Agent::a"]).unwrap();
    assert_eq!(prepared.context(), &asked.context);
    assert!(fixture.snapshot.check_entity(&record("Thing::x", &["Thing::y"], json!({"a": 1}))).is_ok());
}

#[test]
fn actions_and_types_are_told() {
    let schema = "entity User;\naction all;\naction edit in all;\naction write in [edit] appliesTo { principal: User, resource: User };";
    let snapshot = Fixture::new(schema, "", STRICT, &[]).snapshot;
    let write = snapshot.action(&uid("Action::write")).unwrap();
    for (group, expected) in
        [("Action::write", true), ("Action::edit", true), ("Action::all", true), ("Action::x", false)]
    {
        assert_eq!(snapshot.action_is_in(write, &uid(group)), expected, "{group}");
    }
    assert!(!snapshot.action_is_in(snapshot.action(&uid("Action::all")).unwrap(), &uid("Action::write")));
    assert_eq!(snapshot.actions().len(), 3);
    assert_eq!(snapshot.action_uid(write), Some(&uid("Action::write")));
    assert_eq!(snapshot.applies_to(write).principals, snapshot.entity_types());
    assert_eq!(snapshot.action(&uid("Action::wirte")), None);
    assert_eq!(snapshot.nearest_action("wirte"), Some(&uid("Action::write")));
    assert_eq!(snapshot.nearest_action("Action::\"wirte\""), Some(&uid("Action::write")));
}

#[test]
fn entities_that_do_not_fit_are_refused_by_field() {
    let snapshot = fixture().snapshot;
    let user = |attributes| record("User::ada", &["Group::g"], attributes);
    assert_eq!(snapshot.check_entity(&user(json!({"age": 1, "sizes": [{"bytes": 2}]}))), Ok(()));
    let many: Vec<String> = (0..2_000).map(|number| format!("Group::g{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (record, code, field) in [
        (record("Usr::a", &[], json!({})), ErrorCode::UnknownType, "uid"),
        (record("Color::blue", &[], json!({})), ErrorCode::SchemaMismatch, "uid"),
        (user(json!({})), ErrorCode::SchemaMismatch, "attributes.age"),
        (user(json!({"age": true})), ErrorCode::SchemaMismatch, "attributes.age"),
        (
            user(json!({"age": 1, "sizes": [{"bytes": 2}, {"bytes": 2, "unit": 1}]})),
            ErrorCode::SchemaMismatch,
            "attributes.sizes[].unit",
        ),
        (user(json!({"age": 1, "seen": "2026-01-01"})), ErrorCode::SchemaMismatch, "attributes.seen"),
        (record("User::a", &["Other::o"], json!({"age": 1})), ErrorCode::SchemaMismatch, "parents"),
        (record("User::a", &["Grup::o"], json!({"age": 1})), ErrorCode::UnknownType, "parents"),
        (record("User::a", &many, json!({"age": 1})), ErrorCode::TooLarge, "parents"),
        (
            EntityRecord { tags: tags(&[("t", json!("x"))]), ..user(json!({"age": 1})) },
            ErrorCode::SchemaMismatch,
            "tags.t",
        ),
        (
            EntityRecord { tags: tags(&[("t", json!("x"))]), ..record("Group::g", &[], json!({})) },
            ErrorCode::SchemaMismatch,
            "tags.t",
        ),
    ] {
        let refusal = snapshot.check_entity(&record).unwrap_err();
        assert_eq!((refusal.code, refusal.field.as_deref()), (code, Some(field)), "{}", refusal.message);
    }
}

/// Values that often, not always, fit the schema above.
fn any_value() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec!["User::ada", "Agent::a", "Color::red", "Color::blue"]);
    let extensions = prop::sample::select(vec![
        json!({"__extn": {"fn": "datetime", "arg": "2026-01-01"}}),
        json!({"__extn": {"fn": "datetime", "arg": "never"}}),
        json!({"__extn": {"fn": "decimal", "arg": "1.5"}}),
        json!({"__extn": {"fn": "ip", "arg": "10.0.0.1"}}),
    ]);
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Long),
        prop::sample::select(vec!["", "2026-01-01", "1.5", "10.0.0.1"]).prop_map(|text| Value::String(text.into())),
        names.prop_map(|name| Value::Entity(uid(name))),
        extensions.prop_map(value),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        let keys = prop::sample::select(vec!["bytes", "unit", "to", "at", "size", "cost", "who"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Set),
            prop::collection::btree_map(keys.prop_map(Arc::from), inner, 0..3).prop_map(Value::Record),
        ]
    })
}

fn fields(keys: &'static [&'static str]) -> impl Strategy<Value = BTreeMap<Arc<str>, Value>> {
    prop::collection::btree_map(prop::sample::select(keys).prop_map(Arc::from), any_value(), 0..3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn contexts_fit_exactly_if_cedar_says_so(context in fields(&["from", "flag"]), brought in fields(&["to", "at", "size", "cost", "who"])) {
        let fixture = shared();
        let schema = &fixture.snapshot.schema.cedar;
        let input = Value::Record(brought).to_json();
        let request = Request { context: context.clone(), ..send(json!({}), Some(&input.to_string())) };
        let mut whole = Value::Record(context).to_json();
        whole["input"] = input;
        let action = "Mail::Action::\"send\"".parse().unwrap();
        let oracle = Context::from_json_value(whole, Some((schema, &action)))
            .is_ok_and(|context| context.validate(schema, &action).is_ok());
        let ours = fixture.prepare(&request, "User::ada", &["Agent::a"]);
        prop_assert_eq!(ours.is_ok(), oracle, "{:?}", ours.map(drop));
    }

    #[test]
    fn entities_fit_exactly_if_cedar_says_so(
        attributes in fields(&["age", "boss", "seen", "sizes", "color"]),
        age in prop::option::of(any::<i64>()),
        tags in fields(&["k"]),
        parent in prop::option::of(prop::sample::select(vec!["Group::g", "User::u", "Color::red"])),
    ) {
        let fixture = shared();
        let schema = &fixture.snapshot.schema;
        let mut attributes = attributes;
        attributes.extend(age.map(|age| (Arc::from("age"), Value::Long(age))));
        let pairs = |values: &BTreeMap<Arc<str>, Value>| -> Vec<_> {
            values.iter().map(|(name, value)| (name.to_string(), expression(schema, value).unwrap())).collect()
        };
        let parents = parent.map(uid);
        let cedar = |name| cedar_uid(schema, name).unwrap();
        let oracle = Entity::new_with_tags(cedar(&uid("User::x")), pairs(&attributes), parents.as_ref().map(cedar), pairs(&tags))
            .is_ok_and(|entity| Entities::from_entities([entity], Some(&schema.cedar)).is_ok());
        let attributes = attributes.into_iter().map(|(name, value)| (name, Attribute { value, owner: Owner::Directory }));
        let record = EntityRecord {
            attributes: attributes.collect(),
            tags,
            parents: parents.into_iter().collect(),
            ..EntityRecord::named(uid("User::x"))
        };
        let ours = fixture.snapshot.check_entity(&record);
        prop_assert_eq!(ours.is_ok(), oracle, "{:?}", ours);
    }
}

fn shared() -> std::rc::Rc<Fixture> {
    thread_local!(static SHARED: std::rc::Rc<Fixture> = std::rc::Rc::new(fixture()));
    SHARED.with(std::rc::Rc::clone)
}
