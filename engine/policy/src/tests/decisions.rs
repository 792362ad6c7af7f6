//! Verdicts, one rule at a time.

use portcullis_model::{EntityRecord, ErrorCode, Request};
use serde_json::json;

use super::world::{Fixture, STRICT, record, request, tags};
use crate::{CandidateResult, CompileOptions, OnError, Pass, PassOutcome, SLICE_MAX};

const SCHEMA: &str = r#"
entity Group in Group;
entity User in Group = { level: Long, boss?: User };
entity Agent in Group;
entity Folder in Folder;
entity Doc in Folder = { public?: Bool, readers?: Set<User>, owner?: User };
action view, edit;
action read in view appliesTo { principal: [User, Agent], resource: [Doc, Folder], context: { agent?: Agent } };
action write in [edit, view] appliesTo { principal: [User], resource: [Doc], context: { agent?: Agent } };
"#;

fn user(id: &str) -> serde_json::Value {
    json!({"__entity": {"type": "User", "id": id}})
}

fn records() -> Vec<EntityRecord> {
    vec![
        record("Group::all", &[], json!({})),
        record("Group::staff", &["Group::all"], json!({})),
        record("User::ada", &["Group::staff"], json!({"level": 3, "boss": user("bob")})),
        record("User::bob", &[], json!({"level": 9})),
        record("Agent::bot", &[], json!({})),
        record("Folder::root", &[], json!({})),
        record("Folder::sub", &["Folder::root"], json!({})),
        record("Doc::d", &["Folder::sub"], json!({"readers": [user("ada")], "owner": user("bob")})),
    ]
}

fn fixture(policies: &str, on_error: OnError) -> Fixture {
    Fixture::new(SCHEMA, policies, CompileOptions { on_error, ..STRICT }, &records())
}

fn decide_asked(fixture: &Fixture, principal: &str, asked: &Request) -> Pass {
    let prepared = fixture.prepare(asked, "User::zoe", &["Agent::bot"]).unwrap();
    let pass = fixture.snapshot.decide(&prepared, fixture.world.index(principal), &fixture.world).unwrap();
    let explained = fixture.snapshot.explain(&prepared, fixture.world.index(principal), &fixture.world).unwrap();
    assert_eq!(pass.outcome, explained.outcome);
    pass
}

fn decide(policies: &str, principal: &str, action: &str, resource: &str) -> PassOutcome {
    decide_asked(&fixture(policies, OnError::Deny), principal, &request(action, resource, json!({}))).outcome
}

#[test]
fn scopes_match_by_name_group_and_type() {
    let read = "Action::read";
    for (scope, expected) in [
        ("principal, action, resource", true),
        ("principal == User::\"ada\", action, resource", true),
        ("principal == User::\"bob\", action, resource", false),
        ("principal in Group::\"all\", action, resource", true),
        ("principal in User::\"ada\", action, resource", true),
        ("principal in Group::\"none\", action, resource", false),
        ("principal is User, action, resource", true),
        ("principal is Agent, action, resource", false),
        ("principal is User in Group::\"staff\", action, resource", true),
        ("principal is Agent in Group::\"staff\", action, resource", false),
        ("principal, action == Action::\"read\", resource", true),
        ("principal, action == Action::\"view\", resource", false),
        ("principal, action in Action::\"view\", resource", true),
        ("principal, action in [Action::\"edit\", Action::\"view\"], resource", true),
        ("principal, action in Action::\"edit\", resource", false),
        ("principal, action, resource == Doc::\"d\"", true),
        ("principal, action, resource in Folder::\"root\"", true),
        ("principal, action, resource in Doc::\"d\"", true),
        ("principal, action, resource is Folder", false),
        ("principal, action, resource is Doc in Folder::\"sub\"", true),
        ("principal, action, resource is Doc in Folder::\"other\"", false),
    ] {
        let outcome = decide(&format!("permit({scope});"), "User::ada", read, "Doc::d");
        assert_eq!(outcome == PassOutcome::Permit, expected, "{scope}");
        let outcome =
            decide(&format!("permit(principal, action, resource); forbid({scope});"), "User::ada", read, "Doc::d");
        assert_eq!(outcome == PassOutcome::Forbid, expected, "forbid {scope}");
    }
}

#[test]
fn conditions_look_into_what_they_reach() {
    for (condition, expected) in [
        ("resource has readers && resource.readers.contains(principal)", true),
        ("principal has boss && principal.boss.level == 9", true),
        ("resource has owner && principal has boss && resource.owner == principal.boss", true),
        ("context has agent && context.agent == Agent::\"bot\"", true),
        ("context has agent && context.agent in Group::\"all\"", false),
        ("action in Action::\"view\"", true),
        ("Folder::\"sub\" in Folder::\"root\"", true),
        ("resource in Folder::\"root\"", true),
        ("(if principal has boss then principal.boss else principal).level == 9", true),
        ("(if context has agent && context.agent == Agent::\"x\" then principal else User::\"bob\").level == 9", true),
        ("{ who: User::\"bob\" }.who.level == 9", true),
    ] {
        let policy =
            format!("permit(principal is User, action == Action::\"write\", resource) when {{ {condition} }};");
        let outcome = decide(&policy, "User::ada", "Action::write", "Doc::d");
        assert_eq!(outcome == PassOutcome::Permit, expected, "{condition}");
    }
}

#[test]
fn an_action_that_does_not_apply_is_not_permitted_and_not_an_error() {
    let all = "permit(principal, action, resource);";
    for (principal, action, resource, expected) in [
        ("Agent::bot", "Action::read", "Doc::d", PassOutcome::Permit),
        ("Agent::bot", "Action::write", "Doc::d", PassOutcome::NoPermit),
        ("User::ada", "Action::write", "Folder::sub", PassOutcome::NoPermit),
        ("User::ada", "Action::view", "Doc::d", PassOutcome::NoPermit),
        ("Group::all", "Action::read", "Doc::d", PassOutcome::NoPermit),
    ] {
        assert_eq!(decide(all, principal, action, resource), expected, "{principal} {action} {resource}");
    }
    let fixture = fixture(all, OnError::Deny);
    let prepared = fixture.prepare(&request("Action::write", "Doc::d", json!({})), "User::ada", &[]).unwrap();
    let explained = fixture.snapshot.explain(&prepared, fixture.world.index("Agent::bot"), &fixture.world).unwrap();
    assert!(!explained.applicable && explained.candidates.is_empty());
}

#[test]
fn an_erroring_forbid_denies_or_is_skipped_and_an_erroring_permit_is_skipped() {
    let overflow = "when { User::\"bob\".level + 9223372036854775807 > 0 }";
    let erroring =
        format!("@id(\"broken\") forbid(principal is User, action == Action::\"write\", resource) {overflow};");
    let permit = "@id(\"open\") permit(principal, action, resource);";
    let forbid =
        "@id(\"closed\") forbid(principal, action, resource) when { principal has level && principal.level == 3 };";
    let forbid = &forbid.replace("principal, action,", "principal is User, action == Action::\"write\",");
    let asked = request("Action::write", "Doc::d", json!({}));
    for (policies, on_error, outcome, sufficient) in [
        (format!("{erroring}{permit}"), OnError::Deny, PassOutcome::Error, vec!["broken"]),
        (format!("{erroring}{permit}"), OnError::Skip, PassOutcome::Permit, vec!["open"]),
        (format!("{erroring}{permit}{forbid}"), OnError::Deny, PassOutcome::Forbid, vec!["closed"]),
        (erroring.replace("forbid", "permit"), OnError::Deny, PassOutcome::NoPermit, vec![]),
        (format!("{}{permit}", erroring.replace("forbid", "permit")), OnError::Deny, PassOutcome::Permit, vec!["open"]),
    ] {
        let fixture = fixture(&policies, on_error);
        let pass = decide_asked(&fixture, "User::ada", &asked);
        assert_eq!(
            (pass.outcome, fixture.ids(&pass.policies)),
            (outcome, sufficient.iter().map(|id| (*id).to_owned()).collect())
        );
        let prepared = fixture.prepare(&asked, "User::ada", &[]).unwrap();
        let explained = fixture.snapshot.explain(&prepared, fixture.world.index("User::ada"), &fixture.world).unwrap();
        let numbers: Vec<_> = explained.errors.iter().map(|(number, _)| *number).collect();
        assert_eq!(fixture.ids(&numbers), ["broken"]);
        let broken = explained.candidates.iter().find(|candidate| candidate.policy == numbers[0]).unwrap();
        assert_eq!(broken.result, CandidateResult::Error);
    }
}

#[test]
fn decide_stops_early_and_looks_first_at_what_needs_no_evaluation() {
    let policies = "permit(principal, action, resource) when { 1 == 1 };\n@id(\"sure\") permit(principal, action, resource);\npermit(principal, action, resource) when { 2 == 2 };";
    let fixture = fixture(policies, OnError::Deny);
    let pass = decide_asked(&fixture, "User::ada", &request("Action::read", "Doc::d", json!({})));
    assert_eq!((fixture.ids(&pass.policies), pass.candidates), (vec!["sure".to_owned()], 1));
}

#[test]
fn resources_that_are_not_stored_match_by_name_and_type() {
    let asked = request("Action::read", "Doc::\"never stored\"", json!({}));
    for (policy, expected) in [
        ("permit(principal, action, resource is Doc);", PassOutcome::Permit),
        ("permit(principal, action, resource == Doc::\"never stored\");", PassOutcome::Permit),
        ("permit(principal, action, resource in Doc::\"never stored\");", PassOutcome::Permit),
        ("permit(principal, action, resource in Folder::\"root\");", PassOutcome::NoPermit),
        (
            "permit(principal, action == Action::\"write\", resource) when { resource has public && resource.public };",
            PassOutcome::NoPermit,
        ),
    ] {
        let fixture = fixture(policy, OnError::Deny);
        assert_eq!(decide_asked(&fixture, "User::ada", &asked).outcome, expected, "{policy}");
        // A caller that has no number for the resource gets the same answer.
        let prepared = fixture.snapshot.prepare(&crate::Ask {
            request: &asked,
            resource: None,
            engine: crate::EngineContext { user: &super::world::uid("User::ada"), agents: &[] },
        });
        let pass =
            fixture.snapshot.decide(&prepared.unwrap(), fixture.world.index("User::ada"), &fixture.world).unwrap();
        assert_eq!(pass.outcome, expected, "{policy}");
    }
}

#[test]
fn attributes_of_the_request_are_seen() {
    let policy = "permit(principal is User, action == Action::\"write\", resource) when { resource has public && resource.public };";
    let fixture = fixture(policy, OnError::Deny);
    for resource in ["Doc::d", "Doc::unstored"] {
        for public in [true, false] {
            let asked = Request {
                resource_attributes: tags(&[("public", json!(public))]),
                ..request("Action::write", resource, json!({}))
            };
            let outcome = decide_asked(&fixture, "User::ada", &asked).outcome;
            assert_eq!(outcome == PassOutcome::Permit, public, "{resource}");
        }
    }
}

#[test]
fn a_slice_is_bounded_by_what_is_reached_and_not_by_what_is_compared() {
    let mut records = records();
    let readers: Vec<_> = (0..=SLICE_MAX).map(|number| user(&format!("u{number}"))).collect();
    records.extend((0..SLICE_MAX + 2).map(|number| record(&format!("User::u{number}"), &[], json!({"level": 1}))));
    records.push(record("Doc::big", &[], json!({"readers": readers})));
    let literals: Vec<_> = (0..SLICE_MAX + 2).map(|number| format!("User::\"u{number}\".level")).collect();
    let scope = "(principal is User, action == Action::\"write\", resource is Doc)";
    let outcome = |policies: &str| {
        let fixture = Fixture::new(SCHEMA, policies, STRICT, &records);
        let prepared = fixture.prepare(&request("Action::write", "Doc::big", json!({})), "User::u7", &[]).unwrap();
        fixture.snapshot.decide(&prepared, fixture.world.index("User::u7"), &fixture.world).map(|pass| pass.outcome)
    };
    let contains = format!("permit{scope} when {{ resource has readers && resource.readers.contains(principal) }};");
    assert_eq!(outcome(&contains), Ok(PassOutcome::Permit));
    let all = format!("permit{scope} when {{ [{}].contains(1) }};", literals.join(", "));
    assert_eq!(outcome(&all).map_err(|refusal| refusal.code), Err(ErrorCode::SliceTooLarge));
    // The principal itself is there in any case: this is the most that one policy may reach.
    let most = format!("permit{scope} when {{ [{}].contains(1) }};", literals[1..].join(", "));
    assert_eq!(outcome(&most), Ok(PassOutcome::Permit));
    // Two policies that reach much one after the other are each within the bound.
    let (first, second) = literals.split_at(SLICE_MAX / 2 + 1);
    let second = [second, &["User::\"bob\".level".to_owned()]].concat();
    let halves = format!(
        "forbid{scope} when {{ [{}].contains(5) }};\npermit{scope} when {{ [{}].contains(9) }};",
        first.join(", "),
        second.join(", ")
    );
    assert_eq!(outcome(&halves), Ok(PassOutcome::Permit));
}

#[test]
fn questions_of_another_set_and_principals_without_a_name_are_refused() {
    let one = fixture("permit(principal, action, resource);", OnError::Deny);
    let other = fixture("", OnError::Deny);
    let asked = request("Action::read", "Doc::d", json!({}));
    let prepared = other.prepare(&asked, "User::ada", &[]).unwrap();
    let refused = one.snapshot.decide(&prepared, one.world.index("User::ada"), &one.world).unwrap_err();
    assert_eq!(refused.code, ErrorCode::Internal);
    let prepared = one.prepare(&asked, "User::ada", &[]).unwrap();
    let refused = one.snapshot.decide(&prepared, portcullis_model::EntityIndex::new(9_999), &one.world).unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotFound);
}
