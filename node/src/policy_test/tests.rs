#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::fs;

use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn sample() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("policies")).unwrap();
    for (path, text) in portcullis_sample::files() {
        fs::write(folder.path().join(path), text).unwrap();
    }
    folder
}

fn files(folder: &TempDir) -> Files {
    Files::beside(&folder.path().join("policies"))
}

fn edit(folder: &TempDir, file: &str, change: impl FnOnce(&mut Json)) {
    let path = folder.path().join(file);
    let mut json: Json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut json);
    fs::write(&path, json.to_string()).unwrap();
}

fn test_all(folder: &TempDir) -> TestReport {
    run(&files(folder), &Filter::default(), NOW).unwrap()
}

#[test]
fn every_case_of_the_sample_passes_with_and_without_grants() {
    let folder = sample();
    let report = test_all(&folder);
    assert!(report.cases.len() > 20 && report.failed() == 0, "{}", report.to_text());
    assert!(report.grants_file.is_some());
    let without = Files { grants: None, ..files(&folder) };
    let without = run(&without, &Filter::default(), NOW).unwrap();
    assert_eq!((without.failed(), without.passed()), (0, report.passed()), "{}", without.to_text());
}

#[test]
fn a_mutated_expectation_fails_and_says_what_was_given() {
    let folder = sample();
    edit(&folder, "policies/tests.json", |json| {
        assert_eq!(json["cases"][0]["expect"], json!("allow"));
        json["cases"][0]["expect"] = json!("deny");
    });
    let report = test_all(&folder);
    assert_eq!(report.failed(), 1);
    let text = anstream::adapter::strip_str(&report.to_text()).to_string();
    assert!(text.contains("✘ FAIL  ada lists channels") && text.contains("expected deny, got allow"), "{text}");
    assert!(text.ends_with(&format!("{} passed, 1 failed\n", report.passed())), "{text}");
    assert_eq!(report.to_json()["cases"][0]["actual"], json!({"verdict": "allow", "reason": "permitted"}));
}

#[test]
fn wrong_reasons_policies_and_names_fail_their_case() {
    let check = |change: fn(&mut Json), problem: &str| {
        let folder = sample();
        edit(&folder, "policies/tests.json", |json| change(&mut json["cases"][0]));
        let report = test_all(&folder);
        let problems = report.cases[0].problems.join("; ");
        assert!(problems.contains(problem), "{problem} is not in {problems}");
        assert_eq!(report.failed(), 1);
    };
    check(|case| case["reason"] = json!("forbidden"), "expected reason forbidden, got permitted");
    check(|case| case["policies"] = json!(["no-such"]), "policy `no-such` did not determine it");
    check(|case| case["action"] = json!("slack/list_chanels"), "unknown_action");
    check(|case| case["for"] = json!("nobody"), "expected allow, got deny");
    check(|case| case["context"] = json!({"depth": 0}), "reserved_key");
}

#[test]
fn grants_are_looked_at_before_policy() {
    let folder = sample();
    edit(&folder, "grants.json", |json| json.as_array_mut().unwrap().clear());
    let report = test_all(&folder);
    let with_agents =
        report.cases.iter().filter(|case| case.actual.is_some_and(|(_, reason)| reason.code() == "not_delegated"));
    assert!(with_agents.count() > 5, "{}", report.to_text());
    assert!(report.passed() > 0, "{}", report.to_text());
}

#[test]
fn an_expired_grant_does_not_cover() {
    let folder = sample();
    edit(&folder, "grants.json", |json| {
        for grant in json.as_array_mut().unwrap() {
            grant["expires"] = json!(NOW.as_millis());
        }
    });
    let reasons: Vec<_> = test_all(&folder).cases.into_iter().filter_map(|case| case.actual).collect();
    assert!(reasons.iter().any(|(_, reason)| reason.code() == "grant_expired"), "{reasons:?}");
}

#[test]
fn a_suspended_user_is_denied_for_that() {
    let folder = sample();
    edit(&folder, "directory.json", |json| {
        let resources = json["Resources"].as_array_mut().unwrap();
        resources.iter_mut().find(|resource| resource["id"] == "ada").unwrap()["active"] = json!(false);
    });
    let report = test_all(&folder);
    assert_eq!(report.cases[0].actual.unwrap().1.code(), "user_suspended");
}

#[test]
fn the_filter_leaves_out_what_it_does_not_name() {
    let folder = sample();
    let all = test_all(&folder).cases.len();
    let report = run(&files(&folder), &Filter("mailer".to_owned()), NOW).unwrap();
    assert!(!report.cases.is_empty() && report.cases.len() < all);
    assert_eq!(report.cases.len() + report.filtered_out, all);
}

#[test]
fn files_that_cannot_be_used_stop_the_run() {
    let folder = sample();
    let broken = |path: &str, text: &str| {
        let folder = sample();
        fs::write(folder.path().join(path), text).unwrap();
        run(&files(&folder), &Filter::default(), NOW).err().unwrap_or_else(|| panic!("{path} was taken"))
    };
    assert!(matches!(broken("policies/mail.cedar", "permit("), TestError::Policy { .. }));
    assert!(matches!(broken("policies/tests.json", "{"), TestError::Json { .. }));
    assert!(matches!(
        broken("policies/tests.json", r#"{"schema_version":2,"cases":[]}"#),
        TestError::Schema { found: 2, .. }
    ));
    assert!(matches!(broken("directory.json", "{}"), TestError::Directory { .. }));
    assert!(matches!(broken("resources.json", r#"[{"uid":"Nothing::x"}]"#), TestError::World(_)));
    assert!(matches!(broken("grants.json", r#"[{"name":"x"}]"#), TestError::Json { .. }));
    fs::remove_file(folder.path().join("directory.json")).unwrap();
    assert!(matches!(run(&files(&folder), &Filter::default(), NOW), Err(TestError::Directory { .. })));
}
