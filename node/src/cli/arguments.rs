//! What can be typed.

mod audit;
mod policy;
mod state;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use portcullis_model::EntityUid;

use crate::cli::names;
use crate::output::{Color, Format};

pub(crate) use audit::{AuditCommand, RecordFilter};
pub(crate) use policy::{PolicyCommand, PolicyTestOrder};
pub(crate) use state::{
    EntityCommand, GrantArguments, GrantCommand, IssueOrder, ListFilter, RestoreOrder, RevokeOrder, SessionCommand,
};

/// Decides, on every action, whether this agent may do this for this user.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 allow or ok, 1 failure, 2 usage, 3 policy invalid, 4 policy tests failed, \
    5 deny, 6 cannot decide, 7 credentials needed, 8 unreachable, 9 needs approval.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Global {
    /// Data folder, by which commands find a running `dev` node [env: PORTCULLIS_DATA_DIR] [default: ./.portcullis]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Configuration file, `portcullis.toml`
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub(crate) config: Option<PathBuf>,
    /// Credentials file that says which node and who asks, for example `operator.toml`
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub(crate) client: Option<PathBuf>,
    /// How data is written to stdout
    #[arg(long, short, global = true, value_enum, default_value_t, help_heading = "Global options")]
    pub(crate) output: Format,
    /// When to colour; NO_COLOR and CLICOLOR_FORCE decide under `auto`
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN", help_heading = "Global options")]
    pub(crate) color: Color,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a node on the sample organisation, for development
    Dev(DevOrder),
    /// Write a configuration, certificates and keys for `serve`
    Init(InitOrder),
    /// Start a node as `--config` says
    Serve,
    /// Ask for a decision, and why
    Check(AskOrder),
    /// Ask for a decision with every policy and error
    Explain(AskOrder),
    /// Withdraw a session or grant for good, or a user or agent until `restore`
    Revoke {
        #[command(subcommand)]
        target: RevokeOrder,
    },
    /// Lift the revocation of a user or agent; sessions stay ended
    Restore {
        #[command(subcommand)]
        target: RestoreOrder,
    },
    /// Issue a grant or delegation, or list them
    Grant(GrantArguments),
    /// List or show sessions
    Session {
        #[command(subcommand)]
        command: SessionCommand,
    },
    /// Store, list or show users, groups, agents and resources
    Entity {
        #[command(subcommand)]
        command: EntityCommand,
    },
    /// Validate, test or push a folder of policies
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Follow or search the record; reads a stopped node's files too
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Examine configuration, files and the running node
    Doctor,
    /// Ask a node whether it is ready, for containers
    Healthcheck(HealthcheckOrder),
    /// Show the configuration or its schema
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Write a completion script for a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
}

#[derive(Args, Clone, Debug)]
pub(crate) struct DevOrder {
    /// UDP address on which clients connect
    #[arg(long, value_name = "ADDR")]
    pub(crate) quic: Option<SocketAddr>,
    /// TCP address of health and metrics
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<SocketAddr>,
    /// Delete what an earlier `dev` left in the data folder
    #[arg(long)]
    pub(crate) fresh: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct InitOrder {
    /// Folder to write to
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct AskOrder {
    /// Agent that acts, outermost first; one that acts through another implies its chain
    #[arg(long = "agent", value_name = "AGENT", value_parser = names::agent)]
    pub(crate) agents: Vec<EntityUid>,
    /// User for whom it acts
    #[arg(long = "for", value_name = "USER", value_parser = names::user)]
    pub(crate) subject: EntityUid,
    /// Action, for example `slack/post_message`
    #[arg(value_parser = names::action)]
    pub(crate) action: EntityUid,
    /// Resource, `Type::id` or `Type::"id"`
    #[arg(value_parser = names::entity)]
    pub(crate) resource: EntityUid,
    /// The tool's input, a JSON object
    #[arg(long, value_name = "JSON", value_parser = names::input)]
    pub(crate) input: Option<serde_json::Value>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct HealthcheckOrder {
    /// Address of the admin listener [default: the running node's, else the configured one]
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<SocketAddr>,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show every value in force: from a flag, a variable such as PORTCULLIS_NODE__QUIC, the file, or the default
    Show {
        /// With where each came from
        #[arg(long)]
        origin: bool,
    },
    /// Write the JSON Schema of `portcullis.toml`
    Schema,
}
