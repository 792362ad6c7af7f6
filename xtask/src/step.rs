//! Runs one program of a command, streams its output and reads it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::tally::Tally;

/// Where things are.
pub(crate) struct Workspace {
    /// The folder of the root manifest.
    pub(crate) root: PathBuf,
    /// Where cargo builds.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// The workspace of the running xtask.
    pub(crate) fn find() -> Self {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let manifest = manifest.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
        let root = manifest.parent().expect("xtask lies in the workspace").to_owned();
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |path| root.join(path));
        Self { root, target }
    }

    /// A cargo command in the workspace.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(Path::new("cargo"), arguments);
        // What cargo set for xtask itself would make it build some dependencies anew.
        for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION"] {
            command.env_remove(name);
        }
        command
    }

    /// Any command in the workspace.
    pub(crate) fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.root);
        command
    }

    /// Whether the tests package has this runner.
    pub(crate) fn has_runner(&self, name: &str) -> bool {
        let bins = self.root.join("tests/src/bin");
        bins.join(name).with_extension("rs").is_file() || bins.join(name).join("main.rs").is_file()
    }
}

/// What a step's output must show, besides that it exits with 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reports {
    /// Nothing.
    Nothing,
    /// At least one test, in `cargo test`'s closing lines.
    CargoTests,
    /// At least one test, in the closing line of a runner of ours.
    Runner,
}

/// Runs a step; whether it succeeded.
pub(crate) fn run(name: &str, mut command: Command, reports: Reports, tally: &mut Tally) -> bool {
    println!("\n== {name}");
    let begun = Instant::now();
    let before = tally.reported();
    let exited_well = match stream(&mut command, reports, tally) {
        Ok(exited_well) => exited_well,
        Err(error) => {
            println!("could not run {command:?}: {error}");
            false
        }
    };
    let reported = reports == Reports::Nothing || tally.reported() > before;
    if exited_well && !reported {
        println!("no test ran");
    }
    let succeeded = exited_well && reported;
    if !succeeded {
        tally.broke(name);
    }
    println!("== {name}: {} in {} s", if succeeded { "ok" } else { "FAILED" }, begun.elapsed().as_secs());
    succeeded
}

/// Says that a step is left out, and why.
pub(crate) fn skip(name: &str, reason: &str) {
    println!("\nskipped: {name}: {reason}");
}

fn stream(command: &mut Command, reports: Reports, tally: &mut Tally) -> std::io::Result<bool> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut output = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let mut stdout = std::io::stdout().lock();
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line)? > 0 {
        stdout.write_all(&line)?;
        stdout.flush()?;
        tally.read(String::from_utf8_lossy(&line).trim_end(), reports);
        line.clear();
    }
    Ok(child.wait()?.success())
}
