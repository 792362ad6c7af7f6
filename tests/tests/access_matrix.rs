//! Who may do what in the sample organisation, as a snapshot that a change of policy must change.

use std::collections::BTreeSet;
use std::fmt::Write;

use portcullis_model::{EntityUid, Request, SessionTerms, Timestamp, Verdict};
use portcullis_runtime::{Checked, Decider, Engine};
use portcullis_sample::MatrixRow;
use portcullis_tests::engines;

#[tokio::test(flavor = "multi_thread")]
async fn who_may_do_what_is_as_committed() {
    let (_folder, engine) = engines::sample().await;
    let mut decider = engine.decider().unwrap();
    let mut text = String::new();
    let mut before = None;
    for row in portcullis_sample::matrix().unwrap() {
        let principals = principals(&row);
        if before.as_ref() != Some(&principals) {
            writeln!(text, "{principals}").unwrap();
            before = Some(principals);
        }
        let answer = answer(&engine, &mut decider, &row);
        writeln!(text, "  {:<26} {:<26} {answer}", row.action.id(), row.resource.shown()).unwrap();
    }
    engine.stop().await;
    insta::assert_snapshot!("access_matrix", text);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_user_agent_action_and_resource_type_of_the_engine_is_in_the_matrix() {
    let (_folder, engine) = engines::sample().await;
    let rows = portcullis_sample::matrix().unwrap();
    let stored = |entity_type: &str| {
        let page = engine.entities(Some(entity_type), 0, 1_000);
        page.entities.into_iter().map(|(record, _)| record.uid).collect::<BTreeSet<_>>()
    };
    let users: BTreeSet<_> = rows.iter().map(|row| row.subject.clone()).collect();
    assert_eq!(users, stored("User"));
    let agents: BTreeSet<_> = rows.iter().filter_map(|row| row.chain.last().cloned()).collect();
    assert_eq!(agents, stored("Agent"));
    for row in &rows {
        let implied = row.chain.last().map(|agent| engine.chain_of(agent)).unwrap_or_default();
        assert_eq!(implied, row.chain, "the chain that the directory implies");
    }

    let names = portcullis_directory::Names::new();
    let snapshot = portcullis_policy::compile(&portcullis_sample::policy_set(), &names, engines::LIVE).unwrap();
    let mut declared = BTreeSet::new();
    for action in snapshot.actions() {
        let applies = snapshot.applies_to(snapshot.action(action).unwrap());
        declared.extend(applies.resources.iter().map(|resource| (action.clone(), resource.to_string())));
    }
    let asked: BTreeSet<_> =
        rows.iter().map(|row| (row.action.clone(), row.resource.entity_type().to_string())).collect();
    assert_eq!(asked, declared, "every action with every type of resource that it applies to");
    engine.stop().await;
}

fn principals(row: &MatrixRow) -> String {
    let chain: Vec<_> = row.chain.iter().map(EntityUid::id).collect();
    let through = if chain.is_empty() { String::new() } else { format!(" through {}", chain.join(" > ")) };
    format!("{}{through}", row.subject.id())
}

/// What the engine decides; explaining it must say the same.
fn answer(engine: &Engine, decider: &mut Decider, row: &MatrixRow) -> String {
    let terms = SessionTerms { subject: row.subject.clone(), agents: row.chain.clone(), expires: Timestamp::MAX };
    let request =
        Request { input: row.input.map(Into::into), ..Request::new(row.action.clone(), row.resource.clone()) };
    let Checked { answer, explanation: explained, .. } = engine.check(decider, &terms, "matrix", &request).unwrap();
    let decision = answer.decision;
    assert_eq!((decision.verdict, decision.reason), (explained.verdict, explained.reason), "{row:?}");
    let verdict = match decision.verdict {
        Verdict::Allow => "allow",
        Verdict::Deny => "deny",
        Verdict::Suspend => "suspend",
    };
    let mut policies: Vec<_> = decision.policies.iter().map(|policy| &*policy.id).collect();
    policies.sort_unstable();
    format!("{verdict:<5} {} {}", decision.reason, policies.join(" ")).trim_end().to_owned()
}
