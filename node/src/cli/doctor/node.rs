//! The running node: reached by QUIC and by HTTP, and of this version.

use portcullis_client::admin::{AdminReply, AdminRequest, Status};

use super::{Finding, counted};
use crate::cli::arguments::Global;
use crate::cli::connection::{Connection, start_line, unexpected};
use crate::cli::healthcheck;
use crate::node::NodeRecord;
use crate::output::Failure;

/// Asks the node that runs on the data folder, or the one that `--client` names.
pub(super) fn check(global: &Global, record: Option<&NodeRecord>) -> Vec<Finding> {
    if record.is_none() && global.client.is_none() {
        let start = start_line(global);
        let detail = format!("no node runs on `{}`", global.data_dir().display());
        return vec![Finding::warn("node", detail, format!("start one: `{start}`"))];
    }
    let mut findings: Vec<Finding> = record.map(ready).into_iter().collect();
    match status(global) {
        Ok(status) => findings.extend([reached(&status), version(&status), logs(&status)]),
        // What is served under an operator's own credentials cannot be asked without them.
        Err(failure) if global.client.is_none() && failure.exit == crate::exit::Exit::CredentialsNeeded => {
            findings.push(Finding::warn("node over quic", failure.message, failure.fix));
        }
        Err(failure) => findings.push(Finding::fail("node over quic", failure.message, failure.fix)),
    }
    findings
}

fn ready(record: &NodeRecord) -> Finding {
    const CHECK: &str = "node over http";
    match healthcheck::get(record.admin, "/readyz") {
        Ok(answer) if answer.status == 200 => Finding::pass(CHECK, format!("http://{}/readyz is ready", record.admin)),
        Ok(answer) => {
            let detail = format!("http://{}/readyz answers {}", record.admin, answer.status);
            Finding::fail(CHECK, detail, "wait until it has started; then look at the node's log")
        }
        Err(error) => {
            let detail = format!("http://{}/readyz does not answer: {error}", record.admin);
            Finding::fail(CHECK, detail, "look at the node's log, and whether a firewall is between")
        }
    }
}

fn status(global: &Global) -> Result<Status, Failure> {
    let connection = Connection::open(global)?;
    match connection.call(&AdminRequest::Status {})? {
        AdminReply::Status(status) => Ok(status),
        _ => Err(unexpected()),
    }
}

fn reached(status: &Status) -> Finding {
    let detail = format!(
        "`{}` at revision {}: {}, {}, {}, {}",
        status.node,
        status.revision,
        counted(status.policies, "policy", "policies"),
        counted(status.entities, "entity", "entities"),
        counted(status.grants, "grant", "grants"),
        counted(status.sessions, "session", "sessions"),
    );
    match status.policy {
        Some(_) => Finding::pass("node over quic", detail),
        None => Finding::warn("node over quic", detail, "put policies in force: `portcullis policy push PATH`"),
    }
}

fn version(status: &Status) -> Finding {
    const OURS: &str = env!("CARGO_PKG_VERSION");
    if status.version == OURS {
        return Finding::pass("version", format!("node and command line are both {OURS}"));
    }
    let detail = format!("the node is {}, the command line {OURS}", status.version);
    Finding::warn("version", detail, "use the command line of the node's version")
}

fn logs(status: &Status) -> Finding {
    match (status.log_healthy, status.audit_healthy) {
        (true, true) => {
            Finding::pass("logs", format!("changes and audit are written, up to record {}", status.audit_durable))
        }
        (false, _) => Finding::fail("logs", "changes cannot be written", "look at the node's disk, then restart it"),
        (_, false) => Finding::fail(
            "logs",
            "audit records cannot be written: nothing is allowed",
            "look at the node's disk, then restart it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::Revision;

    use super::super::Health;
    use super::*;

    fn status(version: &str, audit_healthy: bool) -> Status {
        Status {
            node: "n_1".to_owned(),
            version: version.to_owned(),
            revision: Revision::new(1, 2),
            policy: None,
            policies: 0,
            entities: 0,
            grants: 0,
            sessions: 0,
            connections: 1,
            decisions: 0,
            uptime_seconds: 1,
            audit_healthy,
            audit_durable: 3,
            log_healthy: true,
        }
    }

    #[test]
    fn a_node_is_judged_by_what_it_says() {
        let well = status(env!("CARGO_PKG_VERSION"), true);
        assert_eq!((version(&well).status, logs(&well).status), (Health::Pass, Health::Pass));
        assert_eq!(reached(&well).status, Health::Warn);
        let ill = status("0.0.0", false);
        assert_eq!((version(&ill).status, logs(&ill).status), (Health::Warn, Health::Fail));
    }
}
