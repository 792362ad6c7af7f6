//! `check` and `explain`.

use portcullis_client::admin::{AdminReply, AdminRequest, DecisionReport, Question};
use portcullis_model::Reason;
use serde_json::{Value as Json, json};

use crate::cli::arguments::{AskOrder, Global};
use crate::cli::connection::{Connection, unexpected};
use crate::cli::report_text::{Depth, report_text};
use crate::cli::{known, print};
use crate::exit::Exit;
use crate::output::Failure;

/// Asks, and shows one sufficient set of policies.
pub(crate) fn check(global: &Global, order: &AskOrder) -> Result<Exit, Failure> {
    let report = ask(global, order, AdminRequest::Check)?;
    print(global.output, &check_json(&report), |_| report_text(&report, Depth::Brief))?;
    Ok(report.verdict.into())
}

/// Asks, and shows every determining policy and error.
pub(crate) fn explain(global: &Global, order: &AskOrder) -> Result<Exit, Failure> {
    let report = ask(global, order, AdminRequest::Explain)?;
    print(global.output, &report, |report| report_text(report, Depth::Full))?;
    Ok(report.verdict.into())
}

fn ask(
    global: &Global,
    order: &AskOrder,
    request: impl FnOnce(Question) -> AdminRequest,
) -> Result<DecisionReport, Failure> {
    let connection = Connection::open(global)?;
    let AdminReply::Report(report) = connection.call(&request(question(order)))? else { return Err(unexpected()) };
    // The denial stands and is recorded; the one who typed the name is told what it may have been.
    let mistyped = match report.reason {
        Reason::UnknownUser => known::first_unknown(&connection, [&report.subject]),
        Reason::UnknownAgent => known::first_unknown(&connection, &report.chain),
        _ => None,
    };
    mistyped.map_or(Ok(typed_here(global, *report)), Err)
}

/// The command that the node proposes, as it is typed where this program runs.
fn typed_here(global: &Global, report: DecisionReport) -> DecisionReport {
    let fix = report.fix.as_deref().and_then(|line| global.program().retyped(line));
    DecisionReport { fix, ..report }
}

fn question(order: &AskOrder) -> Question {
    Question {
        agents: order.agents.clone(),
        subject: order.subject.clone(),
        action: order.action.clone(),
        resource: order.resource.clone(),
        input: order.input.clone(),
        context: Default::default(),
        at_least: None,
    }
}

/// The document of `check`: nine keys that scripts rely on.
fn check_json(report: &DecisionReport) -> Json {
    json!({
        "schema_version": report.schema_version,
        "decision_id": report.decision_id,
        "verdict": report.verdict,
        "reason": report.reason,
        "policies": report.policies,
        "revision": report.revision,
        "latency_ns": report.latency_ns,
        "session": report.session,
        "chain": report.chain,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;
    use crate::cli::arguments::Command;
    use crate::cli::tests::{denied_report, parse};

    #[test]
    fn json_of_check_has_exactly_the_promised_keys() {
        let json = check_json(&denied_report());
        let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let mut promised = [
            "schema_version",
            "decision_id",
            "verdict",
            "reason",
            "policies",
            "revision",
            "latency_ns",
            "session",
            "chain",
        ];
        promised.sort_unstable();
        let mut keys = keys;
        keys.sort_unstable();
        assert_eq!(keys, promised);
        assert_eq!(json["verdict"], json!("deny"));
        assert_eq!(json["policies"], json!([{"id": "mail-delete-directly", "file": "mail.cedar", "line": 40}]));
        assert_eq!(json["chain"], json!(["Agent::triage-bot", "Agent::mailer"]));
        assert_eq!(json["revision"], json!({"epoch": 1, "seq": 42}));
        assert_eq!(json["session"], json!(null));
    }

    #[test]
    fn the_proposed_command_reaches_the_node_that_was_asked() {
        let global = Global { client: Some("a b/operator.toml".into()), ..Global::default() };
        let fix = typed_here(&global, denied_report()).fix.unwrap();
        assert!(fix.ends_with(" --resource Mailbox::ada --client 'a b/operator.toml'"), "{fix}");
        let global = Global { data_dir: Some("d".into()), ..Global::default() };
        let fix = typed_here(&global, denied_report()).fix.unwrap();
        assert!(fix.ends_with(" --resource Mailbox::ada --data-dir d"), "{fix}");
    }

    #[test]
    fn the_question_is_what_was_typed() {
        let typed = ["check", "--agent", "mailer", "--for", "ada", "mail/send", "Mailbox::ada", "--input", "{\"a\":1}"];
        let Command::Check(order) = parse(&typed).unwrap().command else { unreachable!() };
        let question = question(&order);
        assert_eq!(question.agents, ["Agent::mailer".parse().unwrap()]);
        assert_eq!(question.subject.to_string(), "User::\"ada\"");
        assert_eq!(question.action.to_string(), "Action::\"mail/send\"");
        assert_eq!(question.resource.to_string(), "Mailbox::\"ada\"");
        assert_eq!(question.input, Some(json!({"a": 1})));
    }
}
