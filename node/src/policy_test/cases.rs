//! One case, what came of it, and the report of all.

use std::path::PathBuf;

use portcullis_model::{EntityUid, Reason, Request, Value, Verdict};
use portcullis_sample::PolicyTest;
use serde_json::{Value as Json, json};

use super::Filter;
use super::world::{Answer, OfflineWorld, Question};
use crate::cli::style;

/// What came of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseReport {
    /// What the case shows.
    pub name: String,
    /// The verdict and reason expected.
    pub expected: (Verdict, Option<Reason>),
    /// The verdict and reason given; `None` where the question was refused.
    pub actual: Option<(Verdict, Reason)>,
    /// Ids of the determining policies.
    pub policies: Vec<String>,
    /// What is not as expected, in words; empty where the case passed.
    pub problems: Vec<String>,
}

impl CaseReport {
    /// Whether all was as expected.
    pub fn is_passed(&self) -> bool {
        self.problems.is_empty()
    }
}

/// What came of all cases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestReport {
    /// The cases that ran, in the order of the file.
    pub cases: Vec<CaseReport>,
    /// How many the filter left out.
    pub filtered_out: usize,
    /// The grants; `None` where cases were about policy alone.
    pub grants_file: Option<PathBuf>,
}

impl TestReport {
    /// How many cases passed.
    pub fn passed(&self) -> usize {
        self.cases.iter().filter(|case| case.is_passed()).count()
    }

    /// How many cases failed.
    pub fn failed(&self) -> usize {
        self.cases.len() - self.passed()
    }

    /// The report for scripts.
    pub fn to_json(&self) -> Json {
        let case = |case: &CaseReport| {
            json!({
                "name": case.name,
                "passed": case.is_passed(),
                "expected": { "verdict": case.expected.0, "reason": case.expected.1 },
                "actual": case.actual.map(|(verdict, reason)| json!({ "verdict": verdict, "reason": reason })),
                "policies": case.policies,
                "problems": case.problems,
            })
        };
        json!({
            "schema_version": 1,
            "passed": self.passed(),
            "failed": self.failed(),
            "filtered_out": self.filtered_out,
            "grants": self.grants_file.as_ref().map(|path| path.to_string_lossy().into_owned()),
            "cases": self.cases.iter().map(case).collect::<Vec<_>>(),
        })
    }

    /// The report for people: a line a case, what is wrong below it, and the counts.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for case in &self.cases {
            let mark = if case.is_passed() { style::good("✔ pass") } else { style::bad("✘ FAIL") };
            let given = match case.actual {
                Some((verdict, reason)) => format!("{} {reason}", crate::cli::names::word(&verdict)),
                None => "refused".to_owned(),
            };
            text.push_str(&format!("{mark}  {}  {}\n", style::plain(&case.name), style::dim(&given)));
            for problem in &case.problems {
                text.push_str(&format!("        {problem}\n"));
            }
        }
        if self.filtered_out > 0 {
            text.push_str(&format!("{} left out by the filter\n", self.filtered_out));
        }
        text.push_str(&format!("{} passed, {} failed\n", self.passed(), self.failed()));
        text
    }
}

/// Whether the filter names the case.
pub(super) fn is_chosen(case: &PolicyTest, filter: &Filter) -> bool {
    let resource = case.resource.shown();
    let texts = [case.name.as_str(), &case.subject, &case.action, &resource];
    texts.into_iter().chain(case.agents.iter().map(String::as_str)).any(|text| text.contains(&filter.0))
}

/// Decides a case and compares.
pub(super) fn run(world: &OfflineWorld, case: &PolicyTest) -> CaseReport {
    let answer = question(case).and_then(|question| world.ask(&question).map_err(|refusal| refusal.to_string()));
    let mut report = CaseReport {
        name: case.name.clone(),
        expected: (case.expect, case.reason),
        actual: None,
        policies: Vec::new(),
        problems: Vec::new(),
    };
    match answer {
        Ok(answer) => {
            report.actual = Some((answer.verdict, answer.reason));
            report.policies = answer.policies.iter().map(|policy| policy.id.to_string()).collect();
            report.problems = problems(case, &answer);
        }
        Err(message) => report.problems.push(format!("no decision: {message}")),
    }
    report
}

fn question(case: &PolicyTest) -> Result<Question, String> {
    let named = |entity_type: &str, id: &str| EntityUid::of(entity_type, id).map_err(|error| error.to_string());
    let mut request = Request::new(named("Action", &case.action)?, case.resource.clone());
    request.input = case.input.as_ref().map(|input| input.to_string().into());
    for (key, json) in &case.context {
        let value = Value::from_json(json).map_err(|error| format!("`context.{key}`: {error}"))?;
        request.context.insert(key.as_str().into(), value);
    }
    Ok(Question {
        subject: named("User", &case.subject)?,
        agents: case.agents.iter().map(|id| named("Agent", id)).collect::<Result<_, _>>()?,
        request,
    })
}

fn problems(case: &PolicyTest, answer: &Answer) -> Vec<String> {
    let word = crate::cli::names::word::<Verdict>;
    let mut problems = Vec::new();
    if answer.verdict != case.expect {
        let (expected, given) = (word(&case.expect), word(&answer.verdict));
        problems.push(format!("expected {expected}, got {given}: {}", answer.reason.words()));
    }
    if let Some(expected) = case.reason.filter(|expected| *expected != answer.reason) {
        problems.push(format!("expected reason {expected}, got {}", answer.reason));
    }
    for id in &case.policies {
        if !answer.policies.iter().any(|policy| *policy.id == **id) {
            problems.push(format!("policy `{id}` did not determine it"));
        }
    }
    if !problems.is_empty() {
        let place = |policy: &portcullis_model::PolicyRef| {
            format!("determined by {}:{} {}", policy.file, policy.line, policy.id)
        };
        problems.extend(answer.policies.iter().map(place));
        problems.extend(answer.errors.iter().map(|error| format!("error in {error}")));
    }
    problems
}
