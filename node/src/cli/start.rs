//! `dev`, `init` and `serve`.

use std::future::Future;
use std::io;

use portcullis_policy::PolicyErrors;
use portcullis_runtime::AuditMode;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tracing_subscriber::EnvFilter;

use crate::cli::arguments::{DevOrder, Global, InitOrder};
use crate::cli::diagnostics::render_errors;
use crate::cli::{SCHEMA_VERSION, note, print, print_text, style};
use crate::config::Config;
use crate::dev::{self, DevOptions};
use crate::exit::Exit;
use crate::node::policy_folder::read_policies;
use crate::node::{Kept, Node, NodeError};
use crate::output::Failure;
use crate::shell::Program;
use crate::{init, serve};

/// Runs a node on the sample organisation until it is told to stop.
pub(crate) fn dev(global: &Global, order: &DevOrder) -> Result<Exit, Failure> {
    let mut sources = global.sources();
    sources.flags.extend(order.quic.map(|address| ("node.quic".to_owned(), address.to_string())));
    sources.flags.extend(order.admin.map(|address| ("node.admin".to_owned(), address.to_string())));
    let config = Config::load(&sources).map_err(|mistakes| Global::misconfigured(&mistakes))?;
    let options = DevOptions {
        data_dir: global.data_dir(),
        quic: config.node.quic,
        admin: config.node.admin,
        kept: if order.fresh { Kept::Removed } else { Kept::Used },
        audit_mode: AuditMode::ByClass,
        program: global.program_on_data_dir(),
    };
    run(async {
        let started = dev::start(options).await?;
        Ok((started.node, started.banner))
    })
}

/// Runs a node as the configuration says until it is told to stop.
pub(crate) fn serve(global: &Global) -> Result<Exit, Failure> {
    let config = global.load_config()?;
    run(async {
        let node = serve::start(&config, Program::of_process(None)).await?;
        let banner = serve::banner(&node);
        Ok((node, banner))
    })
}

/// Writes what `serve` needs.
pub(crate) fn init(global: &Global, order: &InitOrder) -> Result<Exit, Failure> {
    let written = init::init(&order.folder, &Program::of_process(None)).map_err(failure)?;
    let document = json!({ "schema_version": SCHEMA_VERSION, "files": written.files, "next": written.next });
    print(global.output, &document, |_| {
        let files: String = written.files.iter().map(|file| format!("  {}\n", file.display())).collect();
        format!("{}\n{files}next:\n{}\n", style::good("✔ written"), written.next.join("\n"))
    })?;
    Ok(Exit::Ok)
}

/// Starts a node, tells its banner, says that it is ready, and waits for the signal to stop.
fn run(start: impl Future<Output = Result<(Node, String), NodeError>>) -> Result<Exit, Failure> {
    log_to_stderr();
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let (node, banner) = start.await.map_err(failure)?;
        let told = print_text(&banner);
        if told.is_err() {
            node.stop().await;
            return told;
        }
        node.announce();
        node.run_until_signal().await;
        Ok(())
    });
    // The node has stopped in order; what is left waits for nothing.
    runtime.shutdown_background();
    ended.map(|()| Exit::Ok)
}

fn runtime() -> Result<Runtime, Failure> {
    Builder::new_multi_thread().enable_all().thread_name("portcullis").build().map_err(|error| {
        let message = format!("no runtime could be started: {error}");
        Failure::new(Exit::Failure, "internal", message, "look at the limits on threads and files: `ulimit -a`")
    })
}

/// What the node says besides its data; `PORTCULLIS_LOG` chooses how much.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new(LOG_DEFAULT));
    let is_coloured = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(is_coloured).with_writer(io::stderr);
    // A process that has a subscriber keeps it.
    let _ = subscriber.try_init();
}

/// A start that failed; invalid policies are shown where they stand.
fn failure(error: NodeError) -> Failure {
    if let NodeError::Policy { folder, errors } = &error
        && let Ok(set) = read_policies(folder)
    {
        note(&render_errors(&set, errors));
        let message =
            format!("no policy set is in force, and that of `{}` is not valid: {}", folder.display(), count(errors));
        return Failure { message, ..Failure::from(error) };
    }
    error.into()
}

fn count(errors: &PolicyErrors) -> String {
    match errors.diagnostics.len() + errors.omitted {
        1 => "1 error".to_owned(),
        count => format!("{count} errors"),
    }
}

/// Says how much is logged, as `tracing` filters are written.
const LOG_VARIABLE: &str = "PORTCULLIS_LOG";
const LOG_DEFAULT: &str = "warn,portcullis=info";
