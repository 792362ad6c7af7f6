//! What this program is when it runs as its own child.

mod credentials;
mod echo;
mod node;

use std::io::Read;
use std::process::ExitCode;

use crate::arguments::{ChildSettings, EchoSettings};
use crate::error::LoadError;
use crate::process::Ready;

pub(crate) use credentials::{ECHO_FILE, OPERATOR_FILE, PLATFORM_FILE};

/// Runs as a node until stdin is closed.
pub(crate) fn run_node(settings: &ChildSettings) -> ExitCode {
    ended(run(node::start(settings)))
}

/// Runs as an echo until stdin is closed.
pub(crate) fn run_echo(settings: &EchoSettings) -> ExitCode {
    ended(run(echo::start(settings)))
}

/// Something that runs beside this thread, and can be stopped.
trait Running {
    fn ready(&self) -> Ready;
    async fn stop(self);
}

fn run<R: Running>(start: impl Future<Output = Result<R, LoadError>>) -> Result<(), LoadError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(LoadError::Thread)?;
    let running = runtime.block_on(start)?;
    let line = serde_json::to_string(&running.ready())
        .map_err(|cause| LoadError::Child { what: "child", problem: cause.to_string() })?;
    println!("{line}");
    // The parent writes nothing and closes it when it is done, or has died.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    runtime.block_on(running.stop());
    Ok(())
}

fn ended(result: Result<(), LoadError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", error.chain());
            ExitCode::FAILURE
        }
    }
}
