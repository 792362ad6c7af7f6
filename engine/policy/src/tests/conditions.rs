//! Grants' conditions.

use serde_json::json;

use super::world::{Fixture, STRICT, record, request};
use crate::compile_condition;

const SCHEMA: &str = r#"
entity User = { age: Long, boss?: User };
entity Doc = { owner: User };
action read appliesTo { principal: User, resource: Doc, context: { size: Long } };
"#;

fn holds(condition: &str) -> bool {
    let boss = json!({"__entity": {"type": "User", "id": "bob"}});
    let records = [
        record("User::ada", &[], json!({"age": 3, "boss": boss})),
        record("User::bob", &[], json!({"age": 50})),
        record("Doc::d", &[], json!({"owner": boss})),
    ];
    let fixture = Fixture::new(SCHEMA, "", STRICT, &records);
    let prepared = fixture.prepare(&request("Action::read", "Doc::d", json!({"size": 7})), "User::ada", &[]).unwrap();
    let condition = compile_condition(condition).unwrap_or_else(|errors| panic!("{errors}"));
    condition.holds(&fixture.snapshot, &prepared, fixture.world.index("User::ada"), &fixture.world).unwrap()
}

#[test]
fn a_condition_holds_if_all_its_clauses_do() {
    for (condition, expected) in [
        ("when { true }", true),
        ("unless { true }", false),
        ("when { context.size < 10 }", true),
        ("when { context.size < 10 } unless { principal.age > 2 }", false),
        ("when { context.size < 10 } unless { principal.age > 3 }", true),
        ("when { principal.boss == resource.owner && resource.owner.age == 50 }", true),
        ("when { User::\"bob\".age == 50 } // a comment", true),
    ] {
        assert_eq!(holds(condition), expected, "{condition}");
    }
}

#[test]
fn a_condition_that_errors_does_not_hold() {
    for condition in [
        "when { context.nothing }",
        "unless { context.nothing }",
        "when { principal.age + 9223372036854775807 > 0 }",
        "when { User::\"nobody\".age == 1 }",
        "when { 1 }",
        "unless { ip(\"x\").isIpv4() }",
    ] {
        assert!(!holds(condition), "{condition}");
    }
}
