//! Every mistake at once, each at its place.

use super::world::{CEDAR, Names, STRICT, text};
use crate::{
    CONDITION_BYTES_MAX, CompileOptions, DIAGNOSTICS_MAX, EXPRESSION_DEPTH_MAX, NESTING_MAX, PolicyErrors, Severity,
    Snapshot, compile, compile_condition,
};

const SCHEMA: &str =
    "entity User = { age: Long };\nentity Doc;\naction read, write appliesTo { principal: User, resource: Doc };\n";

fn errors_of(schema: &str, files: &[(&str, &str)], options: CompileOptions) -> PolicyErrors {
    compile(&text(schema, files), &Names::default(), options).map(|_: Snapshot| ()).unwrap_err()
}

/// Checks that a single policy file is refused with exactly these `line:column`s and parts of messages.
fn check(policies: &str, expected: &[(&str, &str)]) {
    let errors = errors_of(SCHEMA, &[("a.cedar", policies)], STRICT);
    let shown: Vec<_> =
        errors.diagnostics.iter().map(|d| format!("{d} ({})", d.help.clone().unwrap_or_default())).collect();
    assert_eq!(shown.len(), expected.len(), "{shown:#?}");
    for (shown, (place, part)) in shown.iter().zip(expected) {
        assert!(
            shown.starts_with(&format!("a.cedar:{place}: ")) && shown.contains(part),
            "{shown} is not {place} {part}"
        );
    }
}

#[test]
fn unknown_names_are_placed_and_the_near_ones_offered() {
    check(
        "permit(principal is User, action == Action::\"read\", resource);\n\n  permit(principal is Usr, action == Action::\"raed\", resource)\n  when { principal.agee > 1 };\n",
        &[("3:23", "did you mean `User`?"), ("3:38", "did you mean `Action::\"read\"`?")],
    );
    check(
        "permit(principal is User, action == Action::\"read\", resource) when { principal.agee > 1 };",
        &[("1:70", "did you mean `age`?")],
    );
}

#[test]
fn columns_count_characters_and_offsets_count_bytes() {
    let policies =
        "// é\npermit(principal is User, action, resource) when { [\"ééé\"].contains(\"é\") && principal.agee > 1 };";
    let errors = errors_of(SCHEMA, &[("a.cedar", policies)], STRICT);
    let found = errors.diagnostics.iter().find(|found| found.message.contains("agee")).unwrap();
    let line = policies.lines().nth(1).unwrap();
    let byte = line.find("principal.agee").unwrap();
    assert_eq!(found.line, 2);
    assert_eq!(usize::try_from(found.column).unwrap(), line[..byte].chars().count() + 1);
    assert_eq!(&policies[found.offset..found.offset + found.length], "principal.agee");
}

#[test]
fn syntax_errors_of_all_files_come_together() {
    let errors = errors_of(
        SCHEMA,
        &[
            ("b.cedar", "permit(principal, action, resource);\nforbid(principal action, resource);"),
            ("a.cedar", "permit(principal, action, resource) when { 1 + };\npermit(;"),
        ],
        STRICT,
    );
    let places: Vec<_> = errors.diagnostics.iter().map(|d| format!("{}:{}", d.file, d.line)).collect();
    assert_eq!(places, ["a.cedar:1", "a.cedar:2", "b.cedar:2"]);
}

#[test]
fn mistakes_of_schema_and_policies_come_together() {
    let errors = errors_of("entity A = { x: Strin };", &[("a.cedar", "permit(")], STRICT);
    let files: Vec<_> = errors.diagnostics.iter().map(|d| &*d.file).collect();
    assert_eq!(files, ["a.cedar", "schema.cedarschema"]);
    let errors = errors_of("entity A;\n\nentity A;", &[], STRICT);
    assert!(errors.to_string().starts_with("schema.cedarschema:1:8: "), "{errors}");
}

#[test]
fn ids_count_over_files_and_are_unique() {
    let permit = "permit(principal is User, action == Action::\"read\", resource);";
    let set = text(
        SCHEMA,
        &[
            ("b.cedar", &format!("{permit}\n@id(\"named\")\n{permit}{permit}")),
            ("a.cedar", &format!("// one\n{permit}")),
        ],
    );
    let snapshot = compile(&set, &Names::default(), STRICT).unwrap();
    let found: Vec<_> =
        snapshot.policies().map(|(n, p)| format!("{} {} {}:{}", n.number(), p.id, p.file, p.line)).collect();
    assert_eq!(found, ["0 policy0 a.cedar:2", "1 policy1 b.cedar:1", "2 named b.cedar:2", "3 policy3 b.cedar:3"]);
    check(
        &format!("@id(\"x\")\n{permit}\n@id(\"policy0\") {permit}\n@id(\"x\") {permit}"),
        &[("4:1", "policy id `x` is taken: it is at a.cedar:1 too")],
    );
    check(&format!("{permit}\n@id(\"policy0\") {permit}"), &[("2:1", "policy id `policy0` is taken")]);
    check(&format!("@id(\"\") {permit}"), &[("1:1", "1 to 512 bytes")]);
}

#[test]
fn reserved_annotations_and_templates_are_refused() {
    let scope = "(principal is User, action == Action::\"read\", resource)";
    check(
        &format!(
            "@mode(\"shadow\")\npermit{scope};\n@require(\"approval\") permit{scope};\n@stale permit{scope};\n@note(\"fine\") permit{scope};"
        ),
        &[("1:1", "`@mode(\"shadow\")` is not supported"), ("3:1", "`@require"), ("4:1", "`@stale")],
    );
    check(
        "permit(principal == ?principal, action == Action::\"read\", resource);",
        &[("1:1", "templates are not supported")],
    );
}

#[test]
fn deep_text_is_refused_before_it_is_parsed() {
    let nested = |open: &str, close: &str, count: usize| {
        format!("permit(principal, action, resource) when {{ {}true{} }};", open.repeat(count), close.repeat(count))
    };
    for (open, close) in [("(", ")"), ("[", "]"), ("!(", ")"), ("{a: ", "}"), ("[1].contains(", ")")] {
        check(
            &nested(open, close, 100_000),
            &[("1", "brackets nest more than 200 deep")].map(|(_, part)| (place(open), part)),
        );
    }
    let chain = |link: &str, count: usize| {
        format!("permit(principal, action, resource) when {{ true{} }};", link.repeat(count))
    };
    for link in [" || true", " + 1", ".a", " && context.a.b"] {
        check(&chain(link, 100_000), &[("1:1", "deep: use sets or several policies")]);
    }
    check(&format!("permit(principal, action, resource) {};", "when {true} ".repeat(10_000)), &[("1:1", "deep")]);
    check(
        &format!("permit(principal, action, resource) when {{ {}true }};", "if true then true else ".repeat(10_000)),
        &[("1:1", "deep")],
    );
    let schema = format!("entity A = {{ x: {}Long{} }};", "Set<".repeat(100_000), ">".repeat(100_000));
    let errors = errors_of(&schema, &[], STRICT);
    assert!(errors.to_string().contains("nest more than 200"), "{errors}");
    assert!(compile_condition(&format!("when {{ {}true{} }}", "(".repeat(1_000), ")".repeat(1_000))).is_err());
}

/// Where the bracket stands that is one too many: the clause's own brace counts.
fn place(open: &str) -> &'static str {
    let before = "permit(principal, action, resource) when { ".len();
    let offset_in = open.find(['(', '[', '{']).unwrap();
    let brackets_each = open.matches(['(', '[', '{']).count() - open.matches(']').count().min(1);
    assert_eq!(brackets_each, 1);
    // `[1].contains(` opens its lasting bracket last.
    let lasting = if open.contains(']') { 0 } else { offset_in };
    Box::leak(format!("1:{}", before + (NESTING_MAX - 1) * open.len() + lasting + 1).into_boxed_str())
}

#[test]
fn text_at_the_bounds_compiles_and_evaluates_on_a_small_stack() {
    let schema = "entity User;\naction read appliesTo { principal: User, resource: User, context: { a: Bool } };";
    let nested = format!("{}true{}", "(".repeat(NESTING_MAX - 1), ")".repeat(NESTING_MAX - 1));
    let chain = vec!["context.a"; EXPRESSION_DEPTH_MAX / 2].join(" || ");
    let policies = format!("permit(principal, action, resource) when {{ {nested} }} when {{ {chain} }};");
    let thread = std::thread::Builder::new().stack_size(512 * 1024).spawn(move || {
        let fixture = super::world::Fixture::new(
            schema,
            &policies,
            STRICT,
            &[super::world::record("User::a", &[], serde_json::json!({}))],
        );
        let request = super::world::request("Action::read", "User::a", serde_json::json!({"a": true}));
        let prepared = fixture.prepare(&request, "User::a", &[]).unwrap();
        fixture.snapshot.decide(&prepared, fixture.world.index("User::a"), &fixture.world).unwrap().outcome
    });
    assert_eq!(thread.unwrap().join().unwrap(), crate::PassOutcome::Permit);
}

#[test]
fn diagnostics_are_bounded() {
    let policies = "permit(principal is Nobody, action, resource);\n".repeat(DIAGNOSTICS_MAX + 7);
    let errors = errors_of(SCHEMA, &[("a.cedar", &policies)], STRICT);
    assert_eq!((errors.diagnostics.len(), errors.omitted), (DIAGNOSTICS_MAX, 7));
    assert!(errors.to_string().ends_with("and 7 more"));
}

#[test]
fn sets_without_validation_compile_what_strict_refuses() {
    let policies = "permit(principal, action, resource) when { principal.nothing > \"a\" };";
    assert!(errors_of(SCHEMA, &[("a.cedar", policies)], STRICT).to_string().contains("nothing"));
    assert!(compile(&text(SCHEMA, &[("a.cedar", policies)]), &Names::default(), CEDAR).is_ok());
}

#[test]
fn schemas_that_are_incomplete_or_grow_without_bound_are_refused() {
    let mut bomb = "entity User;\ntype T0 = { a: Long, b: Long };\n".to_owned();
    for level in 1..40 {
        bomb.push_str(&format!("type T{level} = {{ a: T{0}, b: T{0} }};\n", level - 1));
    }
    bomb.push_str("entity Doc = { x: T39 };");
    let errors = errors_of(&bomb, &[], STRICT);
    assert!(errors.to_string().contains("more than 1000000 types"), "{errors}");
    let chain: String = (1..5_000).map(|level| format!("type T{level} = Set<T{}>;\n", level - 1)).collect();
    let errors = errors_of(&format!("type T0 = Long;\n{chain} entity Doc = {{ x: T4999 }};"), &[], STRICT);
    assert!(errors.to_string().contains("nest more than 200"), "{errors}");
    assert!(!errors_of("type A = B; type B = A; entity Doc = { x: A };", &[], STRICT).diagnostics.is_empty());
}

#[test]
fn engine_keys_of_another_type_are_refused_at_once() {
    let schema = "entity User;\naction read appliesTo { principal: User, resource: User, context: { depth: String, agents: Set<Long>, user?: User } };";
    let errors = errors_of(schema, &[], STRICT).to_string();
    assert!(errors.contains("`context.depth` as a String: the engine fills it with a Long"), "{errors}");
    assert!(errors.contains("`context.agents`") && !errors.contains("`context.user`"), "{errors}");
}

#[test]
fn warnings_are_kept_with_their_places() {
    let policies = "\npermit(principal is User, action == Action::\"read\", resource is User);";
    let snapshot = compile(&text(SCHEMA, &[("a.cedar", policies)]), &Names::default(), STRICT).unwrap();
    let warning = &snapshot.warnings()[0];
    assert_eq!((warning.severity, warning.line, warning.column), (Severity::Warning, 2, 1));
}

#[test]
fn conditions_are_clauses_and_nothing_else() {
    for text in [
        "",
        "   // nothing",
        "permit(principal, action, resource)",
        "when { true }; permit(principal, action, resource)",
        "when { true };",
        "; permit(principal, action, resource) when { true }",
        "when { true",
        "when { ?principal == principal }",
        "true",
    ] {
        assert!(compile_condition(text).is_err(), "{text}");
    }
    assert!(compile_condition("when { true } // why").is_ok());
    assert!(compile_condition("when { context.a } unless { context.b }").is_ok());
    let long = format!("when {{ \"{}\" == \"\" }}", "x".repeat(CONDITION_BYTES_MAX));
    assert!(compile_condition(&long).unwrap_err().to_string().contains("the limit is 4096"));
    let errors = compile_condition("when { true }\nwhen { 1 + }").unwrap_err();
    assert!(errors.to_string().starts_with("condition:2:12: "), "{errors}");
}
