#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod oracle;

use std::collections::BTreeSet;

use portcullis_model::{EntityUid, GrantRecord, Reason, ResourceScope, Verdict};
use serde_json::Value as Json;

use self::oracle::Oracle;
use super::*;
use crate::matrix::{ACTIONS, CHAINS, PEOPLE};

fn cases() -> Vec<PolicyTest> {
    let file: PolicyTestFile = parse("policies/tests.json", tests_json()).unwrap();
    assert_eq!(file.schema_version, 1);
    file.cases
}

#[test]
fn policies_pass_strict_validation_without_warnings() {
    let oracle = Oracle::new();
    let result = oracle.validate();
    assert_eq!(result.validation_errors().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
    assert_eq!(result.validation_warnings().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn every_policy_has_an_id_of_its_own_and_every_permit_names_its_side() {
    let oracle = Oracle::new();
    let ids: BTreeSet<String> = oracle.policy_ids();
    assert_eq!(ids.len(), oracle.policies().count());
    for policy in oracle.policies().filter(|policy| policy.effect() == cedar_policy::Effect::Permit) {
        let text = policy.to_string();
        assert!(text.contains("principal is User") || text.contains("principal is Agent"), "{text}");
    }
}

#[test]
fn every_case_holds_by_cedars_own_authorizer() {
    let oracle = Oracle::new();
    for case in cases() {
        let outcome = oracle.ask(&case);
        assert_eq!(outcome.errors, Vec::<String>::new(), "{}", case.name);
        assert_eq!(outcome.verdict, case.expect, "{}: {:?}", case.name, outcome.policies);
        for id in &case.policies {
            assert!(outcome.policies.contains(id), "{}: {id} is not among {:?}", case.name, outcome.policies);
        }
        if case.expect == Verdict::Deny {
            let reason = if outcome.policies.is_empty() { Reason::NoPermit } else { Reason::Forbidden };
            assert_eq!(case.reason.unwrap_or(reason), reason, "{}", case.name);
            assert_eq!(case.policies.is_empty(), outcome.policies.is_empty(), "{}", case.name);
        }
    }
}

#[test]
fn cases_exercise_every_policy_and_have_names_of_their_own() {
    let exercised: BTreeSet<String> = cases().into_iter().flat_map(|case| case.policies).collect();
    assert_eq!(exercised, Oracle::new().policy_ids());
    let names: BTreeSet<String> = cases().into_iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases().len());
}

/// So that a runner that also looks at grants reaches the same verdicts and reasons.
#[test]
fn every_case_is_within_the_grants() {
    let oracle = Oracle::new();
    let grants = grants().unwrap();
    for case in cases() {
        let mut parents: Vec<Option<&GrantRecord>> = vec![None];
        for agent in &case.agents {
            let agent = EntityUid::of("Agent", agent).unwrap();
            parents = grants
                .iter()
                .filter(|grant| grant.agent == agent && covers(&oracle, grant, &case))
                .filter(|grant| parents.iter().any(|parent| grant.parent == parent.map(|parent| parent.id)))
                .map(Some)
                .collect();
        }
        assert!(!parents.is_empty(), "{}", case.name);
    }
}

fn covers(oracle: &Oracle, grant: &GrantRecord, case: &PolicyTest) -> bool {
    let subject = EntityUid::of("User", &case.subject).unwrap();
    let action = EntityUid::of("Action", &case.action).unwrap();
    let resource = match &grant.resource {
        ResourceScope::Any => true,
        ResourceScope::One(uid) => case.resource == *uid,
        ResourceScope::In(uid) => oracle.is_in(&case.resource, uid),
        ResourceScope::OfType(entity_type) => case.resource.entity_type() == entity_type,
    };
    resource
        && oracle.is_in(&subject, &grant.subject)
        && grant.actions.iter().any(|group| oracle.is_in(&action, group))
        && grant.condition.as_ref().is_none_or(|condition| oracle.holds(condition, case))
}

#[test]
fn delegations_narrow_and_end() {
    let grants = grants().unwrap();
    for grant in &grants {
        if let Some(parent) = grant.parent {
            let parent = grants.iter().find(|other| other.id == parent).unwrap();
            assert!(grant.depth_left < parent.depth_left);
            assert_eq!((&grant.grantor, &grant.subject), (&parent.agent, &parent.subject));
        }
    }
    assert_eq!(grants.iter().filter(|grant| grant.subject.entity_type().as_str() == "Group").count(), 1);
    assert_eq!(grants[0].id.to_string(), "g_6164612d747269616765000000000000");
}

#[test]
fn grants_with_unusable_names_are_refused() {
    let grant = |name: &str, parent: Json| {
        serde_json::json!({"name": name, "grantor": "User::ada", "subject": "User::ada", "agent": "Agent::mailer",
            "parent": parent, "actions": [], "resource": "any"})
    };
    let check = |list: Vec<Json>| grants::records(serde_json::from_value(Json::Array(list)).unwrap()).is_ok();
    assert!(check(vec![grant("sixteen-bytes-ok", Json::Null), grant("b", "sixteen-bytes-ok".into())]));
    assert!(!check(vec![grant("", Json::Null)]));
    assert!(!check(vec![grant("seventeen-bytes-x", Json::Null)]));
    assert!(!check(vec![grant("a", Json::Null), grant("a", Json::Null)]));
    assert!(!check(vec![grant("a", "b".into()), grant("b", Json::Null)]));
    assert!(!check(vec![grant("a", "a".into())]));
}

#[test]
fn matrix_has_every_person_agent_action_and_resource_type() {
    let oracle = Oracle::new();
    let names = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(names(PEOPLE), oracle.ids_of("User"));
    let ends: Vec<&str> = CHAINS.iter().filter_map(|chain| chain.last().copied()).collect();
    assert_eq!(names(&ends), oracle.ids_of("Agent"));
    for chain in CHAINS {
        for pair in chain.windows(2) {
            assert_eq!(oracle.acts_through(pair[1]).as_deref(), Some(pair[0]));
        }
        assert!(chain.first().is_none_or(|first| oracle.acts_through(first).is_none()));
    }
    let listed: BTreeSet<_> =
        ACTIONS.iter().map(|action| (action.id.to_owned(), action.resource_type.to_owned())).collect();
    assert_eq!(listed, oracle.actions_and_resource_types());

    let rows = matrix().unwrap();
    let stored: BTreeSet<EntityUid> = resources().unwrap().into_iter().map(|record| record.uid).collect();
    assert!(rows.iter().all(|row| stored.contains(&row.resource)));
    assert!(rows.len() > PEOPLE.len() * CHAINS.len() * ACTIONS.len());
    let distinct: BTreeSet<_> = rows.iter().map(|row| (&row.subject, &row.chain, &row.action, &row.resource)).collect();
    assert_eq!(distinct.len(), rows.len());
}

#[test]
fn files_are_all_there_is() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let mut on_disk = BTreeSet::new();
    for part in ["", "policies"] {
        for entry in std::fs::read_dir(folder.join(part)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                on_disk.insert(path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    assert_eq!(files().iter().map(|(path, _)| (*path).to_owned()).collect::<BTreeSet<_>>(), on_disk);
    let set = policy_set();
    assert!(set.files.is_sorted_by(|one, other| one.name < other.name));
    for file in set.files.iter().chain([&set.schema]) {
        assert!(files().contains(&(format!("policies/{}", file.name).as_str(), file.text.as_str())), "{}", file.name);
    }
}
