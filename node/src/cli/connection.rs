//! Finds the node, connects with the right credentials, and says why that failed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_client::admin::{AdminReply, AdminRequest};
use portcullis_client::{Client, ConnectError, DecideError, OptionsError};
use portcullis_model::ErrorCode;
use tokio::runtime::{Builder, Runtime};

use crate::cli::arguments::Global;
use crate::cli::note;
use crate::dev::OPERATOR_FILE;
use crate::exit::Exit;
use crate::node::{Mode, NodeRecord};
use crate::output::Failure;
use crate::shell::Program;

/// A connection to a node, for one command.
pub(crate) struct Connection {
    runtime: Runtime,
    client: Option<Client>,
}

impl Connection {
    /// Connects with `--client`, or with the operator's credentials of the node in the data folder.
    pub(crate) fn open(global: &Global) -> Result<Self, Failure> {
        let (credentials, place) = match &global.client {
            Some(file) => (file.clone(), format!("`{}` names", file.display())),
            None => {
                let data_dir = global.data_dir();
                (find(global)?, format!("`{}` is of", data_dir.display()))
            }
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| {
            Failure::new(Exit::Failure, "internal", format!("no runtime could be started: {error}"), "look at limits")
        })?;
        let client = runtime.block_on(async {
            let mut connecting = std::pin::pin!(Client::from_file(&credentials));
            match tokio::time::timeout(QUIET_MAX, &mut connecting).await {
                Ok(client) => client,
                Err(_) => {
                    note("the node has not answered yet: waiting for it");
                    connecting.await
                }
            }
        });
        let client = client.map_err(|error| connect_failure(&error, &credentials, &place))?;
        Ok(Self { runtime, client: Some(client) })
    }

    /// Carries out one call. A refusal is a failure.
    pub(crate) fn call(&self, request: &AdminRequest) -> Result<AdminReply, Failure> {
        let Some(client) = &self.client else { return Err(decide_failure(&DecideError::Closed)) };
        self.runtime.block_on(client.admin(request)).map_err(|error| decide_failure(&error))
    }
}

/// Tells the node that the command is done, so that it need not wait for silence.
impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            let closing = async { tokio::time::timeout(CLOSE_WAIT, client.close()).await };
            // A node that does not hear it will notice the silence.
            let _ = self.runtime.block_on(closing);
        }
    }
}

/// The operator's credentials of the node that runs on a data folder.
fn find(global: &Global) -> Result<PathBuf, Failure> {
    let data_dir = global.data_dir();
    let shown = data_dir.display();
    if NodeRecord::find(&data_dir).is_none() {
        let start = start_line(global);
        let fix = format!("start one with `{start}`, or name another with `--data-dir DIR` or `--client FILE`");
        return Err(Failure::unreachable(format!("no node runs on `{shown}`"), fix));
    }
    let credentials = data_dir.join(OPERATOR_FILE);
    if credentials.is_file() {
        return Ok(credentials);
    }
    let message = format!("the node on `{shown}` leaves no operator's credentials there");
    Err(credentials_needed(message, "name a credentials file with `--client FILE`"))
}

/// The command that starts the node of the data folder.
pub(crate) fn start_line(global: &Global) -> String {
    if Mode::of_folder(&global.data_dir()) == Some(Mode::Serve) {
        return Program::of_process(None).line(&["serve", "--config", "FILE"]);
    }
    global.program_on_data_dir().line(&["dev"])
}

fn credentials_needed(message: String, fix: &str) -> Failure {
    Failure::new(Exit::CredentialsNeeded, ErrorCode::Unauthenticated.code(), message, fix)
}

fn connect_failure(error: &ConnectError, credentials: &Path, place: &str) -> Failure {
    let message = with_causes(error);
    let start = "look whether the node runs: `portcullis doctor`";
    match error {
        ConnectError::Options(OptionsError::Read { .. }) => {
            credentials_needed(message, "name a credentials file that you may read with `--client FILE`")
        }
        ConnectError::Options(_) | ConnectError::Tls(_) | ConnectError::Target(..) => {
            Failure::usage(message, format!("correct `{}`", credentials.display()))
        }
        ConnectError::Refused(refusal) => refusal.clone().into(),
        ConnectError::Handshake(cause) if is_distrust(cause) => {
            let message = format!("node and credentials do not trust each other: {message}");
            credentials_needed(message, "use credentials of the authority that made the node's")
        }
        ConnectError::Protocol(_) => broken_protocol(message),
        _ => Failure::unreachable(format!("the node that {place} cannot be reached: {message}"), start),
    }
}

/// Whether TLS itself refused, on either side.
fn is_distrust(error: &quinn::ConnectionError) -> bool {
    let code = match error {
        quinn::ConnectionError::TransportError(error) => error.code,
        quinn::ConnectionError::ConnectionClosed(close) => close.error_code,
        _ => return false,
    };
    // RFC 9001, section 4.8: a TLS alert is 0x100 and the alert's number.
    (0x100..0x200).contains(&u64::from(code))
}

fn decide_failure(error: &DecideError) -> Failure {
    let message = with_causes(error);
    match error {
        DecideError::Refused { refusal, .. } => refusal.clone().into(),
        DecideError::Overloaded | DecideError::LeaseExpired | DecideError::OutOfSync => Failure {
            retryable: true,
            ..Failure::new(Exit::CannotDecide, ErrorCode::Overloaded.code(), message, "ask again after a pause")
        },
        DecideError::Timeout(_) | DecideError::ConnectionLost => {
            let message = format!("{message}: the call may have had its effect");
            Failure::unreachable(message, "look at the node's state before asking again")
        }
        DecideError::Unreachable | DecideError::SessionLost | DecideError::Closed => {
            Failure::unreachable(message, "ask again")
        }
        _ => broken_protocol(message),
    }
}

fn broken_protocol(message: String) -> Failure {
    let fix = "use the command line of the node's version: `portcullis --version`";
    Failure::new(Exit::Failure, "protocol", message, fix)
}

/// A reply of another kind than the call has.
pub(crate) fn unexpected() -> Failure {
    broken_protocol("the node's answer is not one to this call".to_owned())
}

/// An error with all its causes, on one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !message.contains(&said) {
            message = format!("{message}: {said}");
        }
        cause = error.source();
    }
    message
}

/// Longest wait of which nothing is said.
const QUIET_MAX: Duration = Duration::from_secs(1);
/// How long a command stays for the sake of a tidy end.
const CLOSE_WAIT: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use portcullis_model::Refusal;

    use super::*;

    #[test]
    fn every_refusal_exits_as_its_code_says() {
        for code in ErrorCode::ALL {
            let failure =
                decide_failure(&DecideError::Refused { refusal: Refusal::new(*code, "no"), retry_after: None });
            assert_eq!((failure.exit, failure.code.as_ref()), (Exit::from(*code), code.code()));
            assert_eq!(failure.retryable, code.is_retryable());
        }
    }

    #[test]
    fn no_answer_is_unreachable_and_no_certainty_is_cannot_decide() {
        for (error, exit) in [
            (DecideError::Unreachable, Exit::Unreachable),
            (DecideError::Timeout(Duration::from_secs(1)), Exit::Unreachable),
            (DecideError::ConnectionLost, Exit::Unreachable),
            (DecideError::LeaseExpired, Exit::CannotDecide),
            (DecideError::Overloaded, Exit::CannotDecide),
        ] {
            let failure = decide_failure(&error);
            assert_eq!((failure.exit, failure.retryable), (exit, true), "{error}");
        }
    }

    #[test]
    fn nothing_running_is_unreachable_and_says_what_to_type() {
        let folder = tempfile::tempdir().unwrap();
        let global = Global { data_dir: Some(folder.path().to_owned()), ..Global::default() };
        let failure = Connection::open(&global).err().unwrap();
        assert_eq!(failure.exit, Exit::Unreachable);
        assert!(failure.fix.contains(" dev --data-dir "), "{}", failure.fix);
    }

    #[test]
    fn a_served_folder_is_started_by_its_configuration() {
        let folder = tempfile::tempdir().unwrap();
        drop(crate::node::data_dir::DataDir::open(folder.path(), Mode::Serve).unwrap());
        let global = Global { data_dir: Some(folder.path().to_owned()), ..Global::default() };
        let failure = Connection::open(&global).err().unwrap();
        assert!(failure.fix.contains(" serve --config FILE`"), "{}", failure.fix);
    }

    #[test]
    fn a_record_of_a_killed_node_is_unreachable_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let address = "127.0.0.1:7443".parse().unwrap();
        let record = NodeRecord::of_process(crate::node::Mode::Dev, address, address);
        std::fs::write(folder.path().join("node.json"), serde_json::to_vec(&record).unwrap()).unwrap();
        std::fs::write(folder.path().join(OPERATOR_FILE), "").unwrap();
        let global = Global { data_dir: Some(folder.path().to_owned()), ..Global::default() };
        let failure = find(&global).err().unwrap();
        assert_eq!((failure.exit, failure.retryable), (Exit::Unreachable, true));
    }

    #[test]
    fn credentials_that_cannot_be_read_are_needed() {
        let folder = tempfile::tempdir().unwrap();
        let client = folder.path().join("operator.toml");
        let global = Global { client: Some(client.clone()), ..Global::default() };
        assert_eq!(Connection::open(&global).err().unwrap().exit, Exit::CredentialsNeeded);
        std::fs::write(&client, "address = 7\n").unwrap();
        assert_eq!(Connection::open(&global).err().unwrap().exit, Exit::Usage);
    }
}
