#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

//! The program itself, for a moment each: whether its reports are what others read.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Runs a mode on a small organisation and returns its results.
fn run(folder: &Path, words: &str) -> Value {
    let small = "--users 20 --agents 3 --policies 20 --warm-up 50ms --duration 300ms --audit buffered";
    let (json, html) = (folder.join("out.json"), folder.join("out.html"));
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis-loadgen"))
        .args(words.split(' ').chain(small.split(' ')))
        .args([Path::new("--json"), &json, Path::new("--html"), &html, Path::new("--results"), folder])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(!output.stdout.is_empty());
    assert_eq!(std::fs::read_to_string(&html).unwrap().matches("<svg").count(), 2);
    serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap()
}

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn quic_reports_echo_decide_audit_and_their_ratio() {
    let folder = tempfile::TempDir::new().unwrap();
    let results = run(folder.path(), "quic --sessions 20 --window 8");
    for arm in ["echo", "decide", "audit"] {
        for figure in ["rate_per_s", "p50_ns", "p99_ns", "p999_ns", "max_ns", "cpu_ns_per_frame"] {
            assert!(number(&results[arm][figure]) > 0.0, "{arm} {figure}");
        }
        assert_eq!(results[arm]["errors"], 0);
    }
    for arm in ["decide", "audit"] {
        assert_eq!(results[arm]["allows"], results[arm]["count"]);
    }
    assert_eq!(results["audit"]["mode"], "buffered");
    assert!(number(&results["ratio"]) > 0.0);
    for figure in ["evaluation_p50_ns", "evaluation_spaced_p50_ns", "added_p50_ns"] {
        assert!(results["one_in_flight"][figure].is_number(), "{figure}");
    }
    assert_eq!(results["schema_version"], 1);
}

#[test]
fn quic_at_a_rate_keeps_to_it() {
    let folder = tempfile::TempDir::new().unwrap();
    let results = run(folder.path(), "quic --sessions 20 --rate 500 --arrivals poisson");
    let rate = number(&results["audit"]["rate_per_s"]);
    assert!((100.0..1_500.0).contains(&rate), "{rate}");
}

#[test]
fn revoke_finds_no_allow_after_an_acknowledgement() {
    let folder = tempfile::TempDir::new().unwrap();
    let words = "revoke --sessions 200 --connections 4 --probes 300 --revokes 3 --rate 200 --group-change";
    let results = run(folder.path(), words);
    assert_eq!((&results["sessions"], &results["connections"]), (&200.into(), &4.into()));
    assert_eq!((&results["allows_after_ack"], &results["allows_left_after_ack"]), (&0.into(), &0.into()));
    assert_eq!((&results["errors"], &results["pushes_missed"]), (&0.into(), &0.into()));
    assert_eq!(results["first"]["sessions_ended"], 200);
    for figure in ["revokes", "probes_after_ack", "ack_p99_ns", "push_p99_ns"] {
        assert!(number(&results[figure]) > 0.0, "{figure}");
    }
    assert!(number(&results["probe"]["allows"]) > 0.0, "probes are allowed before");
}

#[test]
fn sessions_and_inproc_report_their_figures() {
    let folder = tempfile::TempDir::new().unwrap();
    let results = run(folder.path(), "sessions --sessions 500 --rate 200 --connections 2");
    assert_eq!((&results["errors"], &results["idle"]["sessions"]), (&0.into(), &500.into()));
    let results = run(folder.path(), "inproc --sessions 20");
    let row = &results["rows"][0];
    assert_eq!((&row["policies"], &row["errors"]), (&20.into(), &0.into()));
    assert_eq!(row["allows"], row["count"]);
}

#[test]
fn a_node_that_is_not_there_ends_with_1() {
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis-loadgen"))
        .args(["quic", "--addr", "127.0.0.1:1", "--client", "/nowhere/client.toml"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("/nowhere/client.toml"));
}
