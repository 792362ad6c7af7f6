//! What each command runs.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::step::{Reports, Workspace, run, skip};
use crate::tally::Tally;

/// What the command line may say after the command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Whether cargo-deny may be installed where it is missing.
    with_deny: bool,
    /// How long each fuzz target runs, in seconds; `None` where not said.
    seconds: Option<u32>,
}

impl Options {
    /// Reads what follows the command.
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self, String> {
        let mut options = Self { with_deny: false, seconds: None };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match *argument {
                "--with-deny" => options.with_deny = true,
                "--seconds" => {
                    let seconds = rest.next().and_then(|text| text.parse().ok()).filter(|seconds| *seconds > 0);
                    options.seconds = Some(seconds.ok_or("`--seconds` takes a number from 1")?);
                }
                other => return Err(format!("unknown argument `{other}`")),
            }
        }
        Ok(options)
    }
}

/// Everything that CI runs. Every step runs, also after one that failed.
pub(crate) fn everything(workspace: &Workspace, options: &Options, tally: &mut Tally) {
    let plain = |name: &str, command: Command, tally: &mut Tally| run(name, command, Reports::Nothing, tally);
    plain("format", workspace.cargo(&["fmt", "--all", "--check"]), tally);
    let clippy = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    plain("clippy", workspace.cargo(&clippy), tally);
    let mut rustdoc = workspace.cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
    rustdoc.env("RUSTDOCFLAGS", "-D warnings");
    plain("rustdoc", rustdoc, tally);
    deny(workspace, options, tally);
    loom(workspace, options, tally);
    test(workspace, options, tally);
    let release = ["build", "--release", "--locked", "-p", "portcullis", "-p", "portcullis-tests"];
    plain("release build", workspace.cargo(&release), tally);
    runner(workspace, "crash", &["--runs", "20"], tally);
    conformance(workspace, tally);
    fuzz_for(workspace, options.seconds.unwrap_or(FUZZ_SECONDS_CI), tally);
}

/// Every test of the workspace.
pub(crate) fn test(workspace: &Workspace, _: &Options, tally: &mut Tally) {
    tally.expect_tests();
    let command = workspace.cargo(&["test", "--workspace", "--no-fail-fast", "--locked"]);
    run("test", command, Reports::CargoTests, tally);
}

/// Every schedule of the dependency-free module of atomics, in a target directory of its own because
/// the flag would rebuild everything else.
pub(crate) fn loom(workspace: &Workspace, _: &Options, tally: &mut Tally) {
    let mut command = workspace.cargo(&["test", "-p", "portcullis-cells", "--release", "--locked", "--lib", "--tests"]);
    command.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", workspace.target.join("loom"));
    if std::env::var_os("LOOM_MAX_PREEMPTIONS").is_none() {
        // BOUND: three preemptions find nearly every fault that schedules can show; more take hours.
        command.env("LOOM_MAX_PREEMPTIONS", "3");
    }
    run("loom", command, Reports::CargoTests, tally);
}

/// Licences, bans and sources. Advisories need a database that CI cannot reach: the floors in
/// `deny.toml` stand for those known.
pub(crate) fn deny(workspace: &Workspace, options: &Options, tally: &mut Tally) {
    let tools = workspace.target.join("tools");
    let own = tools.join("bin/cargo-deny");
    let installs = options.with_deny || std::env::var("CI").is_ok_and(|value| value == "true");
    if !own.is_file() && !is_installed() {
        if !installs {
            skip("deny", "cargo-deny is not installed; `cargo xtask deny --with-deny` installs it, in minutes");
            return;
        }
        let mut install = workspace.cargo(&["install", "cargo-deny", "--locked", "--version", DENY_VERSION, "--root"]);
        install.arg(&tools).env("CARGO_TARGET_DIR", tools.join("build"));
        if !run("install cargo-deny", install, Reports::Nothing, tally) {
            return;
        }
    }
    let program = if own.is_file() { own } else { PathBuf::from("cargo-deny") };
    let command = workspace.command(&program, &["--workspace", "check", "licenses", "bans", "sources"]);
    run("deny", command, Reports::Nothing, tally);
}

fn is_installed() -> bool {
    let mut probe = Command::new("cargo-deny");
    let probe = probe.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

/// Mutated input for every decoder.
pub(crate) fn fuzz(workspace: &Workspace, options: &Options, tally: &mut Tally) {
    tally.expect_tests();
    fuzz_for(workspace, options.seconds.unwrap_or(FUZZ_SECONDS), tally);
}

fn fuzz_for(workspace: &Workspace, seconds: u32, tally: &mut Tally) {
    runner(workspace, "fuzz", &["--seconds", &seconds.to_string()], tally);
}

/// Cedar's own tests through a running node, where their data lies beside the checkout.
fn conformance(workspace: &Workspace, tally: &mut Tally) {
    let data = workspace.root.join("../shared/data/cedar-conformance");
    match data.to_str() {
        Some(path) if data.is_dir() => runner(workspace, "cedar-conformance", &[path], tally),
        _ => skip("cedar-conformance", "../shared/data/cedar-conformance is not there"),
    }
}

/// A runner of the tests package, in release.
fn runner(workspace: &Workspace, name: &str, arguments: &[&str], tally: &mut Tally) {
    if !workspace.has_runner(name) {
        skip(name, &format!("tests/src/bin/{name}.rs is not present"));
        return;
    }
    let mut command = workspace.cargo(&["run", "--release", "--locked", "-p", "portcullis-tests", "--bin", name, "--"]);
    command.args(arguments);
    run(name, command, Reports::Runner, tally);
}

/// The cargo-deny that is installed where none is.
const DENY_VERSION: &str = "0.20.2";
/// How long each fuzz target runs when asked for by hand.
const FUZZ_SECONDS: u32 = 60;
/// How long each fuzz target runs within CI.
const FUZZ_SECONDS_CI: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_unknown_ones_refused() {
        assert_eq!(Options::parse(&[]), Ok(Options { with_deny: false, seconds: None }));
        let given = Options::parse(&["--seconds", "5", "--with-deny"]);
        assert_eq!(given, Ok(Options { with_deny: true, seconds: Some(5) }));
        for wrong in [&["--second", "5"][..], &["--seconds"], &["--seconds", "0"], &["--seconds", "x"], &["x"]] {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
