//! The node's figures in Prometheus' text format. Labels come from small fixed sets only: never a
//! name, an id or an input.

use std::time::Duration;

use portcullis_audit::{Health, HealthState};
use portcullis_http::Metrics;
use portcullis_quic::QuicStats;
use portcullis_runtime::Engine;

/// Everything there is to tell of a running node.
pub(crate) fn text(engine: &Engine, quic: Option<&QuicStats>, uptime: Duration) -> String {
    let mut metrics = Metrics::new();
    build(&mut metrics, uptime);
    decisions(&mut metrics, engine);
    state(&mut metrics, engine);
    audit(&mut metrics, &engine.audit().health());
    if let Some(quic) = quic {
        transport(&mut metrics, quic);
    }
    metrics.finish()
}

/// What can be told before the engine is there.
pub(crate) fn text_before_start(uptime: Duration) -> String {
    let mut metrics = Metrics::new();
    build(&mut metrics, uptime);
    metrics.finish()
}

fn build(metrics: &mut Metrics, uptime: Duration) {
    let version = env!("CARGO_PKG_VERSION");
    metrics.gauge("portcullis_build_info", "The version that runs.").count(&[("version", version)], 1);
    metrics.gauge("portcullis_uptime_seconds", "Seconds since the start.").measure(&[], uptime.as_secs_f64());
}

fn decisions(metrics: &mut Metrics, engine: &Engine) {
    let counters = engine.counters();
    let mut family = metrics.counter("portcullis_decisions_total", "Decisions by reason.");
    for (reason, count) in counters.reasons() {
        family.count(&[("reason", reason.code())], count);
    }
    let mut family =
        metrics.counter("portcullis_refusals_total", "Requests for which no decision was reached, by error code.");
    for (code, count) in counters.codes() {
        family.count(&[("code", code.code())], count);
    }
    metrics
        .counter("portcullis_revocations_total", "Revocations that were acknowledged.")
        .count(&[], counters.revocations());
    metrics.counter("portcullis_events_folded_total", "Events that took effect.").count(&[], counters.folded());
    metrics
        .counter("portcullis_events_quarantined_total", "Events that could not be applied.")
        .count(&[], counters.quarantined());
    metrics
        .counter("portcullis_actor_restarts_total", "Runtime actors that were restarted.")
        .count(&[], counters.restarts());
}

fn state(metrics: &mut Metrics, engine: &Engine) {
    let status = engine.status();
    metrics
        .gauge("portcullis_deciding", "1 while decisions are made, 0 once a failure has stopped them.")
        .count(&[], u64::from(status.halted.is_none()));
    metrics
        .gauge("portcullis_revision", "Sequence number of the revision that decisions see.")
        .count(&[], status.effective.seq);
    let policies = status.policy.map_or(0, |(_, count)| count);
    metrics.gauge("portcullis_policies", "Policies in force.").count(&[], u64::try_from(policies).unwrap_or(u64::MAX));
    metrics.gauge("portcullis_names", "Entity names known.").count(&[], u64::from(status.names));
    metrics.gauge("portcullis_sessions_active", "Open sessions.").count(&[], status.sessions);
    metrics.counter("portcullis_sessions_opened_total", "Sessions opened.").count(&[], status.opened);
    metrics
        .gauge("portcullis_resident_actors", "Session actors that have work.")
        .count(&[], u64::try_from(status.resident).unwrap_or(u64::MAX));
}

fn audit(metrics: &mut Metrics, health: &Health) {
    metrics
        .gauge("portcullis_audit_healthy", "1 while audit records can be written.")
        .count(&[], u64::from(health.state == HealthState::Good));
    metrics.counter("portcullis_audit_entries_total", "Audit entries on disk.").count(&[], health.entries);
    metrics.gauge("portcullis_audit_queue_entries", "Audit records not on disk yet.").count(&[], health.queued);
    metrics
        .counter("portcullis_audit_refused_total", "Audit records refused because a queue was full.")
        .count(&[], health.refused);
    metrics.counter("portcullis_audit_batches_total", "Batches of audit records written.").count(&[], health.batches);
    metrics.counter("portcullis_audit_written_bytes_total", "Bytes of audit records written.").count(&[], health.bytes);
}

fn transport(metrics: &mut Metrics, quic: &QuicStats) {
    metrics.gauge("portcullis_connections_active", "Open connections.").count(&[], quic.connections);
    metrics
        .counter("portcullis_handshakes_total", "Handshakes by result.")
        .count(&[("result", "done")], quic.handshakes)
        .count(&[("result", "failed")], quic.handshakes_failed)
        .count(&[("result", "refused")], quic.handshakes_refused)
        .count(&[("result", "retried")], quic.handshakes_retried);
    metrics
        .counter("portcullis_connections_unauthenticated_total", "Connections whose client is not known.")
        .count(&[], quic.unauthenticated);
    metrics.counter("portcullis_frames_total", "Frames from clients.").count(&[], quic.frames);
    metrics
        .counter("portcullis_frames_malformed_total", "Frames that were not what they should be.")
        .count(&[], quic.frames_malformed);
    metrics.counter("portcullis_batches_total", "Batches of answers written.").count(&[], quic.batches);
    metrics
        .counter("portcullis_decided_again_total", "Answers decided again because a restriction overtook them.")
        .count(&[], quic.decided_again);
    metrics
        .counter("portcullis_requests_overloaded_total", "Requests refused because a bound was reached.")
        .count(&[], quic.overloaded);
    metrics
        .counter("portcullis_connections_closed_total", "Connections that the node closed, by cause.")
        .count(&[("cause", "slow")], quic.slow)
        .count(&[("cause", "overtaken")], quic.overtaken);
    metrics.counter("portcullis_ends_told_total", "Ends told on push streams.").count(&[], quic.ends_told);
    metrics
        .counter("portcullis_udp_receive_buffer_errors_total", "Datagrams that the system dropped, machine-wide.")
        .count(&[], quic.udp_receive_buffer_errors);
}
