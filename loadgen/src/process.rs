//! Child processes, and what they use.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use portcullis_benches::results_folder;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::arguments::{Audit, ChildSettings, EchoSettings};
use crate::error::LoadError;

/// What a child says when it is ready: one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// Where it listens.
    pub(crate) address: String,
    /// What one decision takes inside, where it is a node without audit.
    pub(crate) evaluation: Option<Evaluation>,
}

/// Median time of one decision in the node's process, on a thread that does nothing else.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Evaluation {
    /// One call after the other: everything is in the caches.
    pub(crate) p50_ns: u64,
    /// Each call after a sleep, as a worker makes it that has one request in flight.
    pub(crate) spaced_p50_ns: u64,
}

/// This program, run again as something to measure. It ends when this is dropped.
pub(crate) struct Process {
    child: Child,
    /// The child ends when it is closed.
    stdin: Option<ChildStdin>,
    folder: TempDir,
    pub(crate) ready: Ready,
}

impl Process {
    /// A node with the generated organisation, in a temporary folder on the workspace's disk.
    pub(crate) fn node(shape: portcullis_benches::Shape, audit: Audit) -> Result<Self, LoadError> {
        let folder = folder()?;
        let settings = ChildSettings {
            folder: folder.path().to_owned(),
            users: shape.users,
            agents: shape.agents,
            policies: shape.policies,
            audit,
            workers: 1,
        };
        Self::start("node", folder, &settings.to_words())
    }

    /// An echo with blocks of these sizes.
    pub(crate) fn echo(request_bytes: usize, response_bytes: usize) -> Result<Self, LoadError> {
        let folder = folder()?;
        let settings = EchoSettings { folder: folder.path().to_owned(), request_bytes, response_bytes, workers: 1 };
        Self::start("echo", folder, &settings.to_words())
    }

    fn start(what: &'static str, folder: TempDir, words: &[String]) -> Result<Self, LoadError> {
        let problem = |problem: String| LoadError::Child { what, problem };
        let program = std::env::current_exe().map_err(|cause| problem(format!("cannot be found: {cause}")))?;
        let mut child = Command::new(program)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|cause| problem(format!("does not start: {cause}")))?;
        let stdin = child.stdin.take();
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(|cause| problem(format!("says nothing: {cause}")))?;
        }
        // The child's own message stands above, on stderr.
        let ready = serde_json::from_str(&line).map_err(|_| problem("did not get ready".to_owned()));
        match ready {
            Ok(ready) => Ok(Self { child, stdin, folder, ready }),
            Err(error) => {
                drop(stdin);
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// A file that the child has written for its clients.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Processor time of all its threads so far.
    pub(crate) fn cpu(&self) -> Duration {
        cpu_of(self.child.id())
    }

    /// Memory that it has in RAM, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: u64 = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
        kib * 1_024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // It ends by itself within half a minute, or something is very wrong.
        let _ = self.child.wait();
    }
}

/// Processor time of every thread that lives, to the nanosecond; where the kernel does not tell, of the
/// process, to a hundredth of a second.
fn cpu_of(process: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let of_task = |path: PathBuf| -> Option<u64> {
        fs::read_to_string(path.join("schedstat")).ok()?.split_whitespace().next()?.parse().ok()
    };
    let nanoseconds: u64 = tasks.filter_map(|task| of_task(task.path())).sum();
    if nanoseconds > 0 { Duration::from_nanos(nanoseconds) } else { ticks_of(process) }
}

fn ticks_of(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name in parentheses may have spaces; 14th and 15th field of the whole line.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// UDP datagrams that this machine has dropped because a socket's buffer was full.
pub(crate) fn receive_buffer_errors() -> u64 {
    let text = fs::read_to_string("/proc/net/snmp").unwrap_or_default();
    let mut udp = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (Some(names), Some(values)) = (udp.next(), udp.next()) else { return 0 };
    let mut pairs = names.split_whitespace().zip(values.split_whitespace());
    pairs.find(|(name, _)| *name == "RcvbufErrors").and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}

fn folder() -> Result<TempDir, LoadError> {
    let parent = results_folder().map_err(LoadError::file("target/portcullis"))?;
    TempDir::new_in(&parent).map_err(LoadError::file(parent))
}

impl ChildSettings {
    fn to_words(&self) -> Vec<String> {
        let folder = self.folder.to_string_lossy().into_owned();
        let mut words = vec!["node".to_owned(), "--folder".to_owned(), folder];
        for (name, value) in
            [("users", self.users), ("agents", self.agents), ("policies", self.policies), ("workers", self.workers)]
        {
            words.extend([format!("--{name}"), value.to_string()]);
        }
        words.extend(["--audit".to_owned(), self.audit.as_str().to_owned()]);
        words
    }
}

impl EchoSettings {
    fn to_words(&self) -> Vec<String> {
        let folder = self.folder.to_string_lossy().into_owned();
        let mut words = vec!["echo".to_owned(), "--folder".to_owned(), folder];
        for (name, value) in
            [("request-bytes", self.request_bytes), ("response-bytes", self.response_bytes), ("workers", self.workers)]
        {
            words.extend([format!("--{name}"), value.to_string()]);
        }
        words
    }
}
