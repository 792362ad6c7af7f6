//! The `portcullis` program as child processes: nodes that run, and commands that end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis::node::NodeRecord;

use crate::wait;

/// A program and the folder in which it is typed.
#[derive(Clone, Debug)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// The working directory.
    pub folder: PathBuf,
    /// Variables it is given.
    pub environment: Vec<(String, String)>,
}

/// What a command did.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Its data.
    pub stdout: String,
    /// All else.
    pub stderr: String,
}

impl Ended {
    /// Its data as one JSON document.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|cause| panic!("{cause}: {self:?}"))
    }
}

impl Program {
    /// A program in a folder, with no settings from outside.
    pub fn new(path: &Path, folder: &Path) -> Self {
        Self { path: path.to_owned(), folder: folder.to_owned(), environment: Vec::new() }
    }

    /// Adds a variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs a command to its end.
    pub fn run(&self, words: &[&str]) -> Ended {
        self.end(self.command(&self.path).args(words))
    }

    /// Runs a line as a shell would.
    pub fn run_line(&self, line: &str) -> Ended {
        self.end(self.command(Path::new("/bin/sh")).args(["-c", line]))
    }

    fn end(&self, command: &mut Command) -> Ended {
        let output = command.stdin(Stdio::null()).output().unwrap_or_else(|cause| panic!("{command:?}: {cause}"));
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    fn command(&self, path: &Path) -> Command {
        let mut command = Command::new(path);
        let ours = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PORTCULLIS_"));
        for (name, _) in ours {
            command.env_remove(name);
        }
        command.current_dir(&self.folder).env("NO_COLOR", "1").envs(self.environment.iter().cloned());
        command
    }

    /// Starts a node on `data_dir` and waits until it is ready; `Err` with its output if it ends before.
    ///
    /// # Errors
    /// What it said before it ended.
    pub fn start(&self, words: &[&str], data_dir: &Path) -> Result<NodeProcess, Ended> {
        let mut command = self.command(&self.path);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|cause| panic!("{command:?}: {cause}"));
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        let pid = child.id();
        let mut ended = None;
        let ready = wait::until(|| {
            ended = child.try_wait().unwrap();
            let record = NodeRecord::find(data_dir).filter(|record| record.pid == pid);
            let is_ready = |record: &NodeRecord| {
                get(record.admin, "/readyz", &record.admin.to_string()).is_some_and(|(code, _)| code == 200)
            };
            ended.map(|_| None).or_else(|| record.filter(is_ready).map(Some))
        });
        match ready {
            Some(Some(record)) => Ok(NodeProcess { child, record, stdout, stderr }),
            Some(None) => {
                // The readers end with the pipes.
                let text = |reader: Collected| reader.wait();
                Err(Ended { code: ended.and_then(|status| status.code()), stdout: text(stdout), stderr: text(stderr) })
            }
            None => {
                let _ = child.kill();
                panic!("not ready: {:?} {:?}", stdout.so_far(), stderr.so_far());
            }
        }
    }
}

/// A running node. Dropping it kills it.
pub struct NodeProcess {
    child: Child,
    record: NodeRecord,
    stdout: Collected,
    stderr: Collected,
}

impl NodeProcess {
    /// Where clients connect.
    pub fn quic(&self) -> SocketAddr {
        self.record.quic
    }

    /// Where health and metrics are.
    pub fn admin(&self) -> SocketAddr {
        self.record.admin
    }

    /// What it has said on stdout. The banner is whole when the node is ready.
    pub fn stdout(&self) -> String {
        self.stdout.so_far()
    }

    /// What it has said on stderr.
    pub fn stderr(&self) -> String {
        self.stderr.so_far()
    }

    /// The commands that it proposes, each as it is typed.
    pub fn try_list(&self) -> Vec<String> {
        let text = self.stdout();
        let lines = text.lines().skip_while(|line| line.trim() != "try:").skip(1);
        lines.take_while(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    /// Ends it without a word to it, as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        wait::until(|| self.child.try_wait().unwrap()).unwrap_or_else(|| panic!("still running: {}", self.stderr()))
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a pipe has brought so far.
#[derive(Clone)]
struct Collected {
    text: Arc<Mutex<String>>,
    reader: Arc<Mutex<Option<std::thread::JoinHandle<()>>>>,
}

impl Collected {
    fn so_far(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    fn wait(&self) -> String {
        if let Some(reader) = self.reader.lock().unwrap().take() {
            reader.join().unwrap();
        }
        self.so_far()
    }
}

fn collect(pipe: impl Read + Send + 'static) -> Collected {
    let text = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&text);
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut text = kept.lock().unwrap();
            text.push_str(&line);
            text.push('\n');
        }
    });
    Collected { text, reader: Arc::new(Mutex::new(Some(reader))) }
}

/// Asks over HTTP with a Host header; status and whole answer, `None` where nobody answers.
pub fn get(address: SocketAddr, path: &str, host: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let code = answer.split(' ').nth(1)?.parse().ok()?;
    Some((code, answer))
}
