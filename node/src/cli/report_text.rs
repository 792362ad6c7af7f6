//! A decision on one screen.

use std::fmt::Write;

use portcullis_client::admin::{DecisionReport, PassOutcome, PrincipalPass};
use portcullis_model::{EntityUid, PolicyRef, Verdict};

use crate::cli::style::{bad, dim, doubtful, good, nanoseconds, plain, verdict};

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// What decided.
    Brief,
    /// Every policy and error as well, and the ids by which the record names it.
    Full,
}

/// The report for people. Colours are escapes, which the writer takes out where nobody sees them.
pub(crate) fn report_text(report: &DecisionReport, depth: Depth) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        text,
        "{}  {}  {}",
        verdict(report.verdict),
        report.reason,
        dim(&format!("in {}", nanoseconds(report.latency_ns)))
    );
    line(&mut text, "why", &report.words);
    line(&mut text, "asked", &asked(report));
    for policy in &report.policies {
        line(&mut text, "policy", &place(policy));
    }
    principals(&mut text, report, depth);
    delegation(&mut text, report);
    if depth == Depth::Full {
        line(&mut text, "decision", &report.decision_id.to_string());
        if let Some(session) = &report.session {
            line(&mut text, "session", &session.to_string());
        }
        line(&mut text, "revision", &report.revision.to_string());
    }
    if let Some(fix) = &report.fix {
        line(&mut text, if report.verdict == Verdict::Allow { "to stop it" } else { "to change it" }, fix);
    }
    text
}

fn line(text: &mut String, label: &str, what: &str) {
    let _ = writeln!(text, "  {label:<12}  {what}");
}

fn asked(report: &DecisionReport) -> String {
    let mut through: Vec<String> = vec![short(&report.subject)];
    through.extend(report.chain.iter().map(short));
    format!("{}: {} on {}", through.join(" -> "), short(&report.action), report.resource.shown())
}

/// A principal as people call it: the type says nothing new of users and agents.
pub(crate) fn short(uid: &EntityUid) -> String {
    let is_plain = matches!(uid.entity_type().as_str(), "User" | "Agent" | "Action");
    if is_plain && !uid.id().contains("::") { plain(uid.id()) } else { uid.shown() }
}

/// A policy as `file:line id`.
pub(crate) fn place(policy: &PolicyRef) -> String {
    format!("{}:{} {}", policy.file, policy.line, policy.id)
}

fn principals(text: &mut String, report: &DecisionReport, depth: Depth) {
    let width = report.principals.iter().map(|pass| short(&pass.principal).chars().count()).max().unwrap_or(0);
    for (index, pass) in report.principals.iter().enumerate() {
        let label = if index == 0 { "allows" } else { "" };
        let policies: Vec<String> = pass.policies.iter().map(place).collect();
        let name = short(&pass.principal);
        line(text, label, format!("{name:width$}  {}  {}", outcome(pass.outcome), policies.join(", ")).trim_end());
        faults(text, pass, depth);
    }
}

fn faults(text: &mut String, pass: &PrincipalPass, depth: Depth) {
    // A policy that could not be evaluated is told where it decided, and always to who asks for all.
    if depth == Depth::Brief && pass.outcome != PassOutcome::PolicyError {
        return;
    }
    for fault in &pass.errors {
        line(text, "", &format!("  {} {}: {}", doubtful("! error in"), fault.policy, fault.message));
    }
}

fn outcome(outcome: PassOutcome) -> String {
    match outcome {
        PassOutcome::Allow => good("✔ allow"),
        PassOutcome::NoPermit => bad("✘ no permit"),
        PassOutcome::Forbidden => bad("✘ forbidden"),
        PassOutcome::PolicyError => bad("✘ policy error"),
        PassOutcome::NotAsked => dim("- not asked"),
        _ => doubtful("? unknown"),
    }
}

fn delegation(text: &mut String, report: &DecisionReport) {
    for (index, step) in report.delegation.iter().enumerate() {
        let label = if index == 0 { "path" } else { "" };
        let words = plain(&step.words);
        let words = if step.covers { good(&format!("✔ {words}")) } else { bad(&format!("✘ stops here: {words}")) };
        let grant = step.grant.map_or_else(|| "no grant".to_owned(), |grant| grant.to_string());
        line(text, label, &format!("{} -> {}  {words}  {}", short(&step.from), short(&step.to), dim(&grant)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{allowed_report, denied_report};

    fn text_of(report: &DecisionReport, depth: Depth) -> String {
        anstream::adapter::strip_str(&report_text(report, depth)).to_string()
    }

    #[test]
    fn a_denial_explains_itself_on_one_screen() {
        let text = text_of(&denied_report(), Depth::Brief);
        let expected = "\
✘ DENY  forbidden  in 6.1 us
  why           a policy forbids it
  asked         ada -> triage-bot -> mailer: mail/delete on Mailbox::ada
  policy        mail.cedar:40 mail-delete-directly
  allows        ada         ✔ allow  mail.cedar:5 mail-own
                triage-bot  ✔ allow  mail.cedar:27 mail-agents
                mailer      ✘ forbidden  mail.cedar:40 mail-delete-directly
  path          ada -> triage-bot  ✔ any resource  g_00000000000000000000000000000001
                triage-bot -> mailer  ✘ stops here: mail/delete is not among its actions  no grant
  to change it  portcullis grant --for ada --agent mailer --action mail/delete --resource Mailbox::ada
";
        assert_eq!(text, expected);
    }

    #[test]
    fn an_explanation_adds_errors_and_ids() {
        let text = text_of(&denied_report(), Depth::Full);
        assert!(text.contains("! error in mail-digest-own: no such attribute"), "{text}");
        assert!(text.contains("  decision      d_00000000000000000000000000000007\n"), "{text}");
        assert!(text.contains("  revision      1.42\n"), "{text}");
        let brief = text_of(&denied_report(), Depth::Brief);
        assert!(!brief.contains("error in"), "{brief}");
    }

    #[test]
    fn an_allow_names_its_policy_and_how_to_stop_it() {
        let text = text_of(&allowed_report(), Depth::Brief);
        assert!(text.starts_with("✔ ALLOW  permitted  in 850 ns\n"), "{text}");
        assert!(text.contains("  to stop it    portcullis revoke agent triage-bot\n"), "{text}");
    }

    #[test]
    fn names_cannot_move_the_cursor() {
        let mut report = allowed_report();
        report.subject = match EntityUid::of("User", "a\u{1b}[2J\nb") {
            Ok(uid) => uid,
            Err(_) => return assert!(EntityUid::of("User", "a\u{1b}[2J\nb").is_ok()),
        };
        report.principals.clear();
        let text = report_text(&report, Depth::Brief);
        assert!(!text.contains("\u{1b}[2J") && !text.contains("\nb"), "{text:?}");
    }
}
