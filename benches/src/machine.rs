//! On what and of what something was measured.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

/// The machine, as results name it.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Model of the processor.
    pub cpu: String,
    /// Processors that this process may use.
    pub cores: usize,
    /// Version of the kernel.
    pub kernel: String,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Largest receive buffer of a socket in bytes, where it can be read.
    pub receive_buffer_max_bytes: u64,
    /// How busy it was in the minute before: threads that ran or wanted to.
    pub load_average: f64,
}

impl Machine {
    /// This machine. What cannot be read is `unknown` or 0.
    pub fn this() -> Self {
        let cpu = field(Path::new("/proc/cpuinfo"), "model name");
        let memory = field(Path::new("/proc/meminfo"), "MemTotal");
        let kib: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
        let number = |path| fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        Self {
            cpu,
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or_else(|_| UNKNOWN.to_owned(), |text| text.trim().to_owned()),
            memory_mib: kib / 1_024,
            receive_buffer_max_bytes: number("/proc/sys/net/core/rmem_max"),
            load_average: fs::read_to_string("/proc/loadavg")
                .ok()
                .and_then(|text| text.split_whitespace().next()?.parse().ok())
                .unwrap_or(0.0),
        }
    }

    /// As results carry it.
    pub fn to_json(&self) -> Value {
        json!({
            "cpu": self.cpu, "cores": self.cores, "kernel": self.kernel, "memory_mib": self.memory_mib,
            "receive_buffer_max_bytes": self.receive_buffer_max_bytes, "load_average": self.load_average,
        })
    }
}

/// The code that was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The commit, or `unknown`.
    pub id: String,
    /// Whether files differ from it.
    pub is_dirty: bool,
}

/// The commit of the workspace that this was built from.
pub fn commit() -> Commit {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(env!("CARGO_MANIFEST_DIR")).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let id = git(&["rev-parse", "HEAD"]).unwrap_or_else(|| UNKNOWN.to_owned());
    let is_dirty = git(&["status", "--porcelain"]).is_none_or(|changes| !changes.is_empty());
    Commit { id, is_dirty }
}

/// Processor time of the calling thread so far; zero where the kernel does not tell.
pub fn cpu_of_thread() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(0);
    Duration::from_nanos(nanoseconds)
}

fn field(path: &Path, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let value = text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    });
    value.unwrap_or_else(|| UNKNOWN.to_owned())
}

const UNKNOWN: &str = "unknown";
