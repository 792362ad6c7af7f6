//! `doctor`: looks at everything that commonly goes wrong, and says what to do about it.

mod data;
mod network;
mod node;
mod tls;

use std::fmt::Display;

use serde::Serialize;
use serde_json::json;

use crate::cli::arguments::Global;
use crate::cli::{SCHEMA_VERSION, print, style};
use crate::config::Config;
use crate::exit::Exit;
use crate::node::NodeRecord;
use crate::node::policy_folder::read_policies;
use crate::output::Failure;
use crate::shell::quote;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Health {
    /// As it should be.
    Pass,
    /// It works, or does not matter yet.
    Warn,
    /// It does not work.
    Fail,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What was looked at.
    pub(crate) check: &'static str,
    /// How it came out.
    pub(crate) status: Health,
    /// What was found.
    pub(crate) detail: String,
    /// What to do about it; nothing where it passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<String>,
}

impl Finding {
    pub(crate) fn pass(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, status: Health::Pass, detail: detail.into(), fix: None }
    }

    pub(crate) fn warn(check: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, status: Health::Warn, detail: detail.into(), fix: Some(fix.into()) }
    }

    pub(crate) fn fail(check: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { status: Health::Fail, ..Self::warn(check, detail, fix) }
    }
}

/// Looks at everything. Exits 1 if something does not work.
pub(crate) fn run(global: &Global) -> Result<Exit, Failure> {
    let findings = examine(global);
    let count = |status: Health| findings.iter().filter(|finding| finding.status == status).count();
    let (warned, failed) = (count(Health::Warn), count(Health::Fail));
    let document = json!({
        "schema_version": SCHEMA_VERSION,
        "passed": count(Health::Pass),
        "warned": warned,
        "failed": failed,
        "checks": findings,
    });
    print(global.output, &document, |_| findings_text(&findings))?;
    Ok(if failed == 0 { Exit::Ok } else { Exit::Failure })
}

fn examine(global: &Global) -> Vec<Finding> {
    let data_dir = global.data_dir();
    let record = NodeRecord::find(&data_dir);
    let loaded = Config::load(&global.sources());
    let mut findings = vec![match &loaded {
        Ok(_) if global.config.is_some() => Finding::pass("config", "the configuration has no mistakes"),
        Ok(_) => Finding::pass("config", "no file is named: defaults and environment are in force"),
        Err(mistakes) => Finding::fail("config", mistakes.to_string(), "correct what is named"),
    }];
    let config = loaded.ok();
    findings.extend(network::ports(config.as_ref(), record.as_ref()));
    findings.extend(data::check(&data_dir));
    findings.push(policies(global, config.as_ref()));
    findings.extend(tls::check(config.as_ref(), &data_dir));
    findings.extend(node::check(global, record.as_ref()));
    findings.extend(network::limits());
    let program = global.program();
    findings.iter_mut().for_each(|finding| finding.fix = finding.fix.take().map(|fix| program.spell(&fix)));
    findings
}

/// Whether the policies that a node starts with compile.
fn policies(global: &Global, config: Option<&Config>) -> Finding {
    const CHECK: &str = "policies";
    let sample = global.data_dir().join("sample").join("policies");
    let configured = config.and_then(|config| config.policy.folder.clone());
    let Some(folder) = configured.or_else(|| Some(sample).filter(|folder| folder.is_dir())) else {
        return Finding::pass(CHECK, "no folder is configured: policies are pushed");
    };
    let shown = folder.display();
    let set = match read_policies(&folder) {
        Ok(set) => set,
        Err(error) => return Finding::fail(CHECK, error.to_string(), "look at the folder that `policy.folder` names"),
    };
    let look = format!("look: `portcullis policy validate {}`", quote(&folder.to_string_lossy()));
    match crate::cli::policy::compile_offline(&set) {
        Ok(snapshot) if snapshot.warnings().is_empty() => {
            Finding::pass(CHECK, format!("{} policies of `{shown}` compile", snapshot.policy_count()))
        }
        Ok(snapshot) => {
            let warnings = counted(snapshot.warnings().len(), "warning", "warnings");
            Finding::warn(CHECK, format!("`{shown}` compiles with {warnings}"), look)
        }
        Err(errors) => {
            let errors = counted(errors.diagnostics.len() + errors.omitted, "error", "errors");
            Finding::fail(CHECK, format!("`{shown}` has {errors}"), look)
        }
    }
}

/// A number and its noun.
fn counted<N: Display + PartialEq + From<u8>>(count: N, one: &str, many: &str) -> String {
    let noun = if count == N::from(1) { one } else { many };
    format!("{count} {noun}")
}

fn findings_text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let mut text = String::new();
    for finding in findings {
        let mark = match finding.status {
            Health::Pass => style::good("✔ pass"),
            Health::Warn => style::doubtful("! warn"),
            Health::Fail => style::bad("✘ fail"),
        };
        let detail = finding.detail.replace('\n', &format!("\n        {:width$}  ", ""));
        text.push_str(&format!("{mark}  {:width$}  {detail}\n", finding.check));
        if let Some(fix) = &finding.fix {
            text.push_str(&format!("        {:width$}  fix: {fix}\n", ""));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_is_a_glyph_a_word_and_what_to_do() {
        let findings = [
            Finding::pass("config", "fine"),
            Finding::fail("ports", "taken\nboth", "stop the other"),
            Finding::warn("disk", "small", "buy"),
        ];
        let text = anstream::adapter::strip_str(&findings_text(&findings)).to_string();
        assert_eq!(
            text,
            "✔ pass  config  fine\n✘ fail  ports   taken\n                both\n                fix: stop the other\n! warn  disk    small\n                fix: buy\n"
        );
    }

    #[test]
    fn an_empty_folder_is_no_failure_and_a_wrong_configuration_is() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("portcullis.toml");
        std::fs::write(&config, "[node]\nquic = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n")?;
        let global =
            Global { config: Some(config.clone()), data_dir: Some(folder.path().join("data")), ..Global::default() };
        let findings = examine(&global);
        assert!(findings.iter().all(|finding| finding.status != Health::Fail), "{findings:?}");
        std::fs::write(&config, "[node]\nqiuc = \"127.0.0.1:0\"\n")?;
        let findings = examine(&global);
        let failed = findings.iter().find(|finding| finding.status == Health::Fail);
        assert!(failed.is_some_and(|finding| finding.detail.contains("did you mean `quic`")), "{findings:?}");
        Ok(())
    }
}
