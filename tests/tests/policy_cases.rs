//! The sample's own policy tests, asked of a whole engine: grants and liveness included.

use std::collections::BTreeSet;

use portcullis_model::{Request, SessionTerms, Timestamp, Value, Verdict};
use portcullis_policy::PassOutcome;
use portcullis_runtime::Checked;
use portcullis_sample::{PolicyTest, PolicyTestFile};
use portcullis_tests::engines;
use portcullis_tests::names::{action, named};

#[tokio::test(flavor = "multi_thread")]
async fn every_policy_test_of_the_sample_holds_in_an_engine() {
    let (_folder, engine) = engines::sample().await;
    let mut decider = engine.decider().unwrap();
    let file: PolicyTestFile = serde_json::from_str(portcullis_sample::tests_json()).unwrap();
    assert!(file.cases.len() >= 20, "the sample has policy tests");
    for case in &file.cases {
        let (terms, request) = question(case);
        let Checked { answer, explanation: explained, .. } =
            engine.check(&mut decider, &terms, "cases", &request).unwrap();
        assert_eq!(answer.decision.verdict, case.expect, "{}: {:?}", case.name, answer.decision);
        if let Some(reason) = case.reason {
            assert_eq!(answer.decision.reason, reason, "{}", case.name);
        }
        let permits = case.expect == Verdict::Allow;
        let passes = explained.passes.iter().filter(|pass| (pass.outcome == PassOutcome::Permit) == permits);
        let determining: BTreeSet<_> = passes.flat_map(|pass| &pass.policies).map(|policy| &*policy.id).collect();
        for policy in &case.policies {
            assert!(determining.contains(policy.as_str()), "{}: {policy} is not among {determining:?}", case.name);
        }
    }
    engine.stop().await;
}

fn question(case: &PolicyTest) -> (SessionTerms, Request) {
    let terms = SessionTerms {
        subject: named("User", &case.subject),
        agents: case.agents.iter().map(|agent| named("Agent", agent)).collect(),
        expires: Timestamp::MAX,
    };
    let context = case.context.iter().map(|(key, value)| (key.as_str().into(), Value::from_json(value).unwrap()));
    let request = Request {
        input: case.input.as_ref().map(|input| input.to_string().into()),
        context: context.collect(),
        ..Request::new(action(&case.action), case.resource.clone())
    };
    (terms, request)
}
