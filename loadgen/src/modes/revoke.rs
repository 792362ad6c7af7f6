//! A revocation storm: a user with many sessions is revoked while they are used.
//!
//! Everything runs on one thread with one clock: what is sent after the acknowledgement was seen here
//! was sent after it. Probes ask in sessions of the revoked user all the time, other users' decisions go
//! on beside them, and every connection's push stream is read.

mod findings;
mod rounds;
mod sessions;

use std::time::Duration;

use portcullis_model::EntityUid;
use serde_json::json;

use self::findings::{Findings, Headline};
use self::rounds::{Round, Storm};
use super::progress::{bar, step};
use crate::arguments::{Audit, RevokeSettings};
use crate::error::LoadError;
use crate::process::receive_buffer_errors;
use crate::report::{Report, arm, latency, line};
use crate::target::Target;

const SESSIONS: usize = 100_000;
const CONNECTIONS: usize = 64;
/// Users where a change touches all of them.
const GROUP_CHANGE_USERS: usize = 100_000;
/// Sessions of each connection in the rounds after the first.
const SESSIONS_LATER: usize = 2;
/// Probes after the acknowledgement in the rounds after the first.
const PROBES_LATER: u64 = 500;

/// One round with all sessions, then small rounds until the duration is over.
pub(crate) fn run(settings: &RevokeSettings) -> Result<Report, LoadError> {
    let common = &settings.common;
    if settings.group_change && common.addr.is_some() {
        return Err(LoadError::Settings("`--group-change` needs the generated organisation: leave `--addr` out"));
    }
    let users = if settings.group_change { GROUP_CHANGE_USERS } else { 1_000 };
    let bar = bar(3);
    step(&bar, "starting the node");
    let target = Target::open(common, common.shape(users), common.audit.unwrap_or(Audit::Buffered))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(LoadError::Thread)?;
    let report = runtime.block_on(async {
        let connections = common.connections.unwrap_or(CONNECTIONS);
        let mut storm = Storm::open(&target, common, connections).await?;
        bar.inc(1);
        let sessions = common.sessions.unwrap_or(SESSIONS).max(connections);
        step(&bar, &format!("{sessions} sessions on {connections} connections"));
        let first = Round { sessions, probes: settings.probes, group_change: settings.group_change };
        storm.start_background(common)?;
        let mut findings = Findings::new();
        let headline = storm.round(first, &mut findings).await?;
        bar.inc(1);
        let later =
            Round { sessions: connections * SESSIONS_LATER, probes: settings.probes.min(PROBES_LATER), ..first };
        let began = std::time::Instant::now();
        while began.elapsed() < common.duration && settings.revokes.is_none_or(|most| findings.revokes < most) {
            step(&bar, &format!("revocation {}", findings.revokes + 1));
            storm.round(later, &mut findings).await?;
        }
        findings.background = storm.stop_background().await?;
        let report = report(settings, &findings, &headline, &storm.user);
        storm.close().await;
        Ok::<_, LoadError>(report)
    })?;
    bar.finish_and_clear();
    Ok(report)
}

fn report(settings: &RevokeSettings, findings: &Findings, headline: &Headline, user: &EntityUid) -> Report {
    let common = &settings.common;
    let mut report = Report::new("revoke", common);
    let millis = |nanoseconds: u64| nanoseconds as f64 / 1e6;
    let p99 = |recorder: &crate::load::Recorder| recorder.response.value_at_quantile(0.99);
    report.set("audit", common.audit.unwrap_or(Audit::Buffered).as_str());
    report.set("sessions", headline.sessions);
    report.set("connections", headline.connections);
    report.set("group_change", settings.group_change);
    report.set("revokes", findings.revokes);
    report.set("probes_after_ack", findings.probes_after_ack);
    report.set("allows_after_ack", findings.allows_after_ack);
    report.set("allows_left_after_ack", findings.allows_left_after_ack);
    report.set("ack_p99_ns", p99(&findings.acks));
    report.set("push_p99_ns", p99(&findings.pushes));
    report.set("ack", latency(&findings.acks.response));
    report.set("push", latency(&findings.pushes.response));
    report.set("pushes_missed", findings.pushes_missed);
    report.set("first", headline.to_json());
    report.set("probe", arm(&findings.probes, findings.probes.count() as f64 / findings.probing.as_secs_f64(), None));
    report.set("decide", arm(&findings.background, findings.background_rate(), None));
    report.set("opens_per_s", headline.opens_per_s());
    report.set("open_cpu_us", headline.open_cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / headline.sessions as f64));
    report.set("session_bytes", headline.bytes.map(|bytes| bytes as f64 / headline.sessions as f64));
    report.set("udp_receive_buffer_errors", receive_buffer_errors());
    let errors = findings.probes.errors() + findings.background.errors() + findings.pushes_missed;
    report.set("errors", errors);
    if settings.group_change {
        report.set("group_change_ms", json!({"max": findings.group_change_max.as_secs_f64() * 1e3}));
        report.say(format!(
            "a change that touches every user folds meanwhile, the longest in {:.1} ms",
            findings.group_change_max.as_secs_f64() * 1e3
        ));
    }
    report.say(format!(
        "{user}: {} sessions on {} connections, revoked: acknowledged in {:.2} ms ({:.2} ms in the node), all {} subscribed clients told in {:.2} ms",
        headline.sessions,
        headline.connections,
        headline.ack.as_secs_f64() * 1e3,
        headline.node_elapsed.as_secs_f64() * 1e3,
        headline.connections,
        headline.push_max.as_secs_f64() * 1e3,
    ));
    report.say(format!(
        "{} revocations: ack p50 {:.2} ms, p99 {:.2} ms; push p50 {:.2} ms, p99 {:.2} ms",
        findings.revokes,
        millis(findings.acks.response.value_at_quantile(0.5)),
        millis(p99(&findings.acks)),
        millis(findings.pushes.response.value_at_quantile(0.5)),
        millis(p99(&findings.pushes)),
    ));
    report.say(format!(
        "{} probes sent after an acknowledgement: {} allows; {} allows left the node after its acknowledgement",
        findings.probes_after_ack, findings.allows_after_ack, findings.allows_left_after_ack
    ));
    report.say(format!("sessions: {:.0} opened a second{}", headline.opens_per_s(), headline.costs()));
    report.say(line("probes", &findings.probes, findings.probes.count() as f64 / findings.probing.as_secs_f64(), None));
    report.say(line("others' decisions", &findings.background, findings.background_rate(), None));
    if findings.allows_after_ack + findings.allows_left_after_ack > 0 {
        report.fail("something was allowed after its revocation was acknowledged");
    }
    if findings.probes_after_ack < settings.probes {
        report.fail("too few probes were answered after the acknowledgement");
    }
    if findings.pushes_missed > 0 {
        report.fail(format!("{} connections were not told", findings.pushes_missed));
    }
    report.check_errors("probes", &findings.probes);
    report.check_errors("others' decisions", &findings.background);
    report.plot("acknowledgement", findings.acks.clone());
    report.plot("push", findings.pushes.clone());
    report.plot("others' decisions", findings.background.clone());
    report
}

/// A span as nanoseconds.
fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
