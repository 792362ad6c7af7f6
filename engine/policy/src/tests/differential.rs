//! Sets of many policies against cedar-policy's own authorizer over the whole set and all entities.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::{Authorizer, Context, Decision, Entities, Entity, PolicySet};
use portcullis_model::{EntityRecord, EntityView, Intern, Request, Value};
use proptest::prelude::*;
use serde_json::json;

use super::world::{CEDAR, Names, World, record, text, uid};
use crate::{Ask, CompileOptions, EngineContext, OnError, PassOutcome, Snapshot, Validation, compile};

const SCHEMA: &str = r#"
entity Group in Group = { level?: Long };
entity User in Group = { level: Long, flag?: Bool, boss?: User, name?: String } tags User;
entity Folder in Folder = { owner?: User };
entity Doc in Folder = { owner?: User, readers?: Set<User>, meta?: { owner: User, level?: Long } };
action all;
action view in all;
action edit in all;
action read in view appliesTo { principal: [User], resource: [Doc, Folder], context: { who?: User, n?: Long } };
action write in [edit, view] appliesTo { principal: [User], resource: [Doc], context: { who?: User, n?: Long } };
action drop in edit appliesTo { principal: [User], resource: [Folder], context: { who?: User, n?: Long } };
"#;

const PRINCIPALS: &[&str] = &["User::u0", "User::u1", "User::u2", "User::u3"];
const GROUPS: &[&str] = &["Group::g0", "Group::g1", "Group::g2", "Group::g3"];
const RESOURCES: &[&str] = &["Doc::d0", "Doc::d1", "Doc::d2", "Folder::f0", "Folder::f1", "Folder::f2"];
const ACTIONS: &[&str] = &["Action::read", "Action::write", "Action::drop"];

fn quoted(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(names).prop_map(|name| uid(name).to_string())
}

fn principal_scope() -> impl Strategy<Value = String> {
    let named = || prop_oneof![quoted(PRINCIPALS), quoted(GROUPS)];
    prop_oneof![
        3 => Just("principal".to_owned()),
        2 => quoted(PRINCIPALS).prop_map(|name| format!("principal == {name}")),
        3 => named().prop_map(|name| format!("principal in {name}")),
        1 => prop::sample::select(vec!["User", "Group"]).prop_map(|name| format!("principal is {name}")),
        2 => named().prop_map(|name| format!("principal is User in {name}")),
    ]
}

fn action_scope() -> impl Strategy<Value = String> {
    let named =
        || quoted(&["Action::read", "Action::write", "Action::drop", "Action::view", "Action::edit", "Action::all"]);
    prop_oneof![
        2 => Just("action".to_owned()),
        1 => named().prop_map(|name| format!("action == {name}")),
        2 => named().prop_map(|name| format!("action in {name}")),
        2 => prop::collection::vec(named(), 1..4).prop_map(|names| format!("action in [{}]", names.join(", "))),
    ]
}

fn resource_scope() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("resource".to_owned()),
        2 => quoted(RESOURCES).prop_map(|name| format!("resource == {name}")),
        3 => quoted(RESOURCES).prop_map(|name| format!("resource in {name}")),
        1 => prop::sample::select(vec!["Doc", "Folder"]).prop_map(|name| format!("resource is {name}")),
        2 => quoted(RESOURCES).prop_map(|name| format!("resource is Doc in {name}")),
    ]
}

/// Expressions that are mostly entities; some are of another type, so that what uses them errors.
fn entity_expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        8 => prop::sample::select(vec!["principal", "principal", "resource", "action", "context.who"]).prop_map(str::to_owned),
        6 => prop_oneof![quoted(PRINCIPALS), quoted(GROUPS), quoted(RESOURCES)],
        1 => prop::sample::select(vec!["context.n", "\"text\"", "Action::\"write\"", "User::\"nobody\""]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        let attribute = prop::sample::select(vec!["boss", "boss", "owner", "owner", "meta.owner", "meta"]);
        prop_oneof![
            3 => (inner.clone(), attribute).prop_map(|(entity, attribute)| format!("{entity}.{attribute}")),
            1 => (inner.clone(), prop::sample::select(vec!["\"k\"", "context.who.name"])).prop_map(|(entity, key)| format!("{entity}.getTag({key})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(if {a} == principal then {a} else {b})")),
            1 => inner.prop_map(|entity| format!("{{x: {{y: {entity}}}}}.x.y")),
        ]
    })
}

/// Expressions that are users wherever the entities that they go through are there.
fn user_expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => Just("principal".to_owned()),
        2 => quoted(PRINCIPALS),
        1 => prop::sample::select(vec!["context.who", "resource.owner", "resource.meta.owner"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(2, 4, 2, |inner| {
        prop_oneof![
            2 => inner.clone().prop_map(|user| format!("{user}.boss")),
            1 => inner.clone().prop_map(|user| format!("{user}.getTag(\"k\")")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(if {a} == principal then {b} else {a})")),
            1 => inner.prop_map(|user| format!("{{x: {{y: {user}}}}}.x.y")),
        ]
    })
}

fn condition() -> impl Strategy<Value = String> {
    let user = user_expression;
    let leaf = prop_oneof![
        (user(), user()).prop_map(|(a, b)| format!("{a} == {b}")),
        (user(), quoted(GROUPS)).prop_map(|(a, group)| format!("{a} in {group}")),
        (user(), quoted(GROUPS), user()).prop_map(|(a, group, b)| format!("{a} in [{b}, {group}]")),
        (user(), quoted(GROUPS)).prop_map(|(a, group)| format!("{a} is User in {group}")),
        user().prop_map(|a| format!("{a} has boss && {a}.boss.level < 2")),
        user().prop_map(|a| format!("{a} has boss.boss && {a}.boss.boss in Group::\"g2\"")),
        user().prop_map(|a| format!("{a}.level < 2")),
        user().prop_map(|a| format!("{a}.level + 9223372036854775806 > 0")),
        user().prop_map(|a| format!("{a}.hasTag(\"k\") && {a}.getTag(\"k\") in Group::\"g1\"")),
        user().prop_map(|a| format!("resource has readers && resource.readers.contains({a})")),
        user().prop_map(|a| format!("resource has meta && resource.meta.owner == {a}")),
        (quoted(RESOURCES), quoted(RESOURCES)).prop_map(|(a, b)| format!("resource in {a} || {b} in resource")),
        (quoted(GROUPS), quoted(GROUPS)).prop_map(|(a, b)| format!("{a} in {b}")),
        Just("action in Action::\"edit\"".to_owned()),
        Just("context has n && context.n == 1".to_owned()),
        Just("ip(principal.name).isIpv4()".to_owned()),
        wild_condition(),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) && ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) || ({b})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("if {a} then {b} else {c}")),
        ]
    })
}

/// Conditions without regard to types: most of them error.
fn wild_condition() -> impl Strategy<Value = String> {
    let entity = entity_expression;
    prop_oneof![
        (entity(), entity()).prop_map(|(a, b)| format!("{a} == {b}")),
        (entity(), entity()).prop_map(|(a, b)| format!("{a} in {b}")),
        (entity(), entity(), entity()).prop_map(|(a, b, c)| format!("{a} in [{b}, {c}]")),
        entity().prop_map(|a| format!("{a} is User")),
        (entity(), entity()).prop_map(|(a, b)| format!("{a} is User in {b}")),
        (entity(), prop::sample::select(vec!["boss", "level", "meta.owner.level", "owner", "boss.boss"]))
            .prop_map(|(a, name)| format!("{a} has {name}")),
        entity().prop_map(|a| format!("{a}.level < 2")),
        entity().prop_map(|a| format!("{a}.flag")),
        entity().prop_map(|a| format!("{a}.level + 9223372036854775806 > 0")),
        (entity(), prop::sample::select(vec!["\"k\"", "\"none\"", "1"]))
            .prop_map(|(a, key)| format!("{a}.hasTag({key})")),
        (entity(), entity()).prop_map(|(a, b)| format!("{a}.readers.contains({b})")),
        (entity(), entity()).prop_map(|(a, b)| format!("{a}.readers.containsAny([{b}])")),
        entity().prop_map(|a| format!("ip({a}.name).isIpv4()")),
        Just("context.n == 1".to_owned()),
    ]
}

fn policy() -> impl Strategy<Value = String> {
    let clause = (prop::sample::select(vec!["when", "unless"]), condition())
        .prop_map(|(word, text)| format!(" {word} {{ {text} }}"));
    let effect = prop_oneof![3 => Just("permit"), 1 => Just("forbid")];
    (effect, principal_scope(), action_scope(), resource_scope(), prop::collection::vec(clause, 0..3)).prop_map(
        |(effect, principal, action, resource, clauses)| {
            format!("{effect}({principal}, {action}, {resource}){};", clauses.concat())
        },
    )
}

fn maybe(names: &'static [&'static str]) -> impl Strategy<Value = Option<&'static str>> {
    prop::option::weighted(0.7, prop::sample::select(names))
}

fn entity_json(name: &str) -> serde_json::Value {
    let name = uid(name);
    json!({"__entity": {"type": name.entity_type().as_str(), "id": name.id()}})
}

/// A user that the schema allows.
fn user_record(name: &'static str) -> impl Strategy<Value = EntityRecord> {
    let parents = prop::collection::btree_set(prop::sample::select(GROUPS), 0..3);
    (parents, 0_i64..4, prop::option::of(any::<bool>()), maybe(PRINCIPALS), maybe(PRINCIPALS)).prop_map(
        move |(parents, level, flag, boss, tag)| {
            let mut attributes = json!({"level": level, "name": "10.0.0.1"});
            if let Some(flag) = flag {
                attributes["flag"] = json!(flag);
            }
            if let Some(boss) = boss {
                attributes["boss"] = entity_json(boss);
            }
            let mut record = record(name, &parents.into_iter().collect::<Vec<_>>(), attributes);
            record.tags.extend(tag.map(|tag| (Arc::from("k"), Value::Entity(uid(tag)))));
            record
        },
    )
}

/// A group or folder: its parents come after it, so that there is no circle.
fn container_record(names: &'static [&'static str], position: usize) -> impl Strategy<Value = EntityRecord> {
    let later = &names[position + 1..];
    prop::collection::vec(any::<bool>(), later.len()).prop_map(move |chosen| {
        let parents: Vec<_> = later.iter().zip(chosen).filter_map(|(name, chosen)| chosen.then_some(*name)).collect();
        record(names[position], &parents, json!({}))
    })
}

fn doc_record(name: &'static str) -> impl Strategy<Value = EntityRecord> {
    let parents = prop::collection::btree_set(prop::sample::select(&RESOURCES[3..]), 0..2);
    let readers = prop::collection::vec(prop::sample::select(PRINCIPALS), 0..3);
    (parents, maybe(PRINCIPALS), prop::option::of(readers), maybe(PRINCIPALS)).prop_map(
        move |(parents, owner, readers, meta)| {
            let mut attributes = json!({});
            if let Some(owner) = owner {
                attributes["owner"] = entity_json(owner);
            }
            if let Some(readers) = readers {
                attributes["readers"] = readers.into_iter().map(entity_json).collect();
            }
            if let Some(owner) = meta {
                attributes["meta"] = json!({"owner": entity_json(owner)});
            }
            record(name, &parents.into_iter().collect::<Vec<_>>(), attributes)
        },
    )
}

/// Every entity of the pools, each missing now and then.
fn records() -> impl Strategy<Value = Vec<EntityRecord>> {
    let mut all: Vec<BoxedStrategy<EntityRecord>> = Vec::new();
    all.extend(PRINCIPALS.iter().map(|name| user_record(name).boxed()));
    all.extend((0..GROUPS.len()).map(|position| container_record(GROUPS, position).boxed()));
    all.extend(RESOURCES[..3].iter().map(|name| doc_record(name).boxed()));
    all.extend((3..RESOURCES.len()).map(|position| container_record(RESOURCES, position).boxed()));
    let all: Vec<_> = all.into_iter().map(|record| prop::option::weighted(0.85, record)).collect();
    all.prop_map(|records| records.into_iter().flatten().collect())
}

#[derive(Clone, Debug)]
struct Question {
    principal: &'static str,
    request: Request,
}

fn question() -> impl Strategy<Value = Question> {
    let names = (prop::sample::select(PRINCIPALS), prop::sample::select(ACTIONS), prop::sample::select(RESOURCES));
    (names, maybe(PRINCIPALS), prop::option::of(0_i64..3)).prop_map(|((principal, action, resource), who, n)| {
        let mut request = Request::new(uid(action), uid(resource));
        request.context.extend(who.map(|who| (Arc::from("who"), Value::Entity(uid(who)))));
        request.context.extend(n.map(|n| (Arc::from("n"), Value::Long(n))));
        Question { principal, request }
    })
}

/// cedar-policy over everything at once, fed through its own JSON form.
struct Oracle {
    policies: PolicySet,
    entities: Entities,
}

/// A decision, its reasons and its errors.
type Answer = (Decision, BTreeSet<String>, BTreeSet<String>);

impl Oracle {
    fn new(policies: &str, records: &[EntityRecord]) -> Self {
        let (schema, _) = cedar_policy::Schema::from_cedarschema_str(SCHEMA).unwrap();
        let stored = records.iter().map(|record| {
            let name = |uid: &portcullis_model::EntityUid| json!({"type": uid.entity_type().as_str(), "id": uid.id()});
            let attributes: serde_json::Map<_, _> = record
                .attributes
                .iter()
                .map(|(name, attribute)| (name.to_string(), attribute.value.to_json()))
                .collect();
            let tags: serde_json::Map<_, _> =
                record.tags.iter().map(|(key, value)| (key.to_string(), value.to_json())).collect();
            let parents: Vec<_> = record.parents.iter().map(name).collect();
            Entity::from_json_value(
                json!({"uid": name(&record.uid), "attrs": attributes, "parents": parents, "tags": tags}),
                None,
            )
            .unwrap()
        });
        let all = stored.chain(schema.action_entities().unwrap());
        Self { policies: policies.parse().unwrap(), entities: Entities::from_entities(all, None).unwrap() }
    }

    fn answer(&self, question: &Question) -> Answer {
        let name = |uid: &portcullis_model::EntityUid| uid.to_string().parse().unwrap();
        let context =
            Context::from_json_value(Value::Record(question.request.context.clone()).to_json(), None).unwrap();
        let Question { principal, request } = question;
        let request = cedar_policy::Request::new(
            name(&uid(principal)),
            name(&request.action),
            name(&request.resource),
            context,
            None,
        );
        let answer = stacker::grow(64 << 20, || {
            Authorizer::new().is_authorized(&request.unwrap(), &self.policies, &self.entities)
        });
        let errors = answer.diagnostics().errors().map(|error| match error {
            cedar_policy::AuthorizationError::PolicyEvaluationError(error) => error.policy_id().to_string(),
        });
        (answer.decision(), answer.diagnostics().reason().map(ToString::to_string).collect(), errors.collect())
    }
}

/// What this room answers, after checking that its two ways agree.
fn ours(snapshot: &Snapshot, world: &World, question: &Question) -> Answer {
    let user = uid(question.principal);
    let engine = EngineContext { user: &user, agents: &[] };
    let resource = world.find(&question.request.resource);
    let prepared = snapshot.prepare(&Ask { request: &question.request, resource, engine }).unwrap();
    let principal = world.find(&user).unwrap();
    let pass = snapshot.decide(&prepared, principal, world).unwrap();
    let explained = snapshot.explain(&prepared, principal, world).unwrap();
    assert_eq!(pass.outcome, explained.outcome);
    match pass.outcome {
        PassOutcome::Permit | PassOutcome::Forbid => {
            assert!(!pass.policies.is_empty() && pass.policies.iter().all(|policy| explained.reason.contains(policy)));
        }
        PassOutcome::NoPermit => assert!(pass.policies.is_empty() && explained.reason.is_empty()),
        PassOutcome::Error => panic!("errors are skipped here"),
    }
    let decision = if pass.outcome == PassOutcome::Permit { Decision::Allow } else { Decision::Deny };
    let id = |number: &crate::PolicyNumber| snapshot.policy(*number).unwrap().id.to_string();
    let errors = explained.errors.iter().map(|(number, _)| id(number)).collect();
    (decision, explained.reason.iter().map(id).collect(), errors)
}

fn compare(
    policies: &str,
    options: CompileOptions,
    records: &[EntityRecord],
    questions: &[Question],
) -> Result<(), TestCaseError> {
    let names = Names::default();
    // A principal has a number whether or not it is stored.
    assert!(PRINCIPALS.iter().all(|name| names.intern(&uid(name)).is_some()));
    let snapshot = compile(&text(SCHEMA, &[("main.cedar", policies)]), &names, options);
    let snapshot = snapshot.map_err(|errors| TestCaseError::fail(errors.to_string()))?;
    let world = World::new(names, records);
    let oracle = Oracle::new(policies, records);
    for question in questions {
        prop_assert_eq!(ours(&snapshot, &world, question), oracle.answer(question), "{:?}", question);
    }
    Ok(())
}

/// Conditions that pass strict validation, some of which can still error.
const VALID: &[&str] = &[
    "principal.level > 1",
    "principal has boss && principal.boss.level > 1",
    "principal has boss && principal.boss has boss && principal.boss.boss.level > 1",
    "principal.level + 9223372036854775806 > 0",
    "User::\"u3\".level == 1",
    "User::\"u3\" in Group::\"g1\"",
    "context has who && context.who in Group::\"g2\"",
    "context has who && context.who.level < 2",
    "principal.hasTag(\"k\") && principal.getTag(\"k\").level > 1",
    "action in Action::\"edit\"",
    "context has n && context.n == 1",
];

fn valid_policy() -> impl Strategy<Value = String> {
    let scope = (
        prop::sample::select(vec!["permit", "permit", "forbid"]),
        principal_scope(),
        prop::sample::select(vec![
            "action in [Action::\"read\", Action::\"write\", Action::\"drop\"]",
            "action == Action::\"read\"",
            "action in Action::\"edit\"",
        ]),
        resource_scope(),
    );
    (scope, prop::option::of(prop::sample::select(VALID))).prop_map(
        |((effect, principal, action, resource), condition)| {
            // A type test keeps impossible scopes, which strict validation refuses, out.
            let principal = if principal == "principal is Group" { "principal is User".to_owned() } else { principal };
            let clause = condition.map(|condition| format!(" when {{ {condition} }}")).unwrap_or_default();
            format!("{effect}({principal}, {action}, {resource}){clause};")
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn sets_without_validation_answer_as_cedar_does(
        policies in prop::collection::vec(policy(), 0..40),
        records in records(),
        questions in prop::collection::vec(question(), 8),
    ) {
        compare(&policies.join("\n"), CEDAR, &records, &questions)?;
    }

    #[test]
    fn strict_sets_answer_as_cedar_does(
        policies in prop::collection::vec(valid_policy(), 0..40),
        records in records(),
        questions in prop::collection::vec(question(), 8),
    ) {
        let applies: HashMap<&str, &[&str]> =
            [("read", &["Doc", "Folder"][..]), ("write", &["Doc"]), ("drop", &["Folder"])].into_iter().collect();
        let applicable: Vec<_> = questions
            .into_iter()
            .filter(|question| applies[question.request.action.id()].contains(&question.request.resource.entity_type().as_str()))
            .collect();
        let options = CompileOptions { validation: Validation::Strict, on_error: OnError::Skip };
        compare(&policies.join("\n"), options, &records, &applicable)?;
    }
}
