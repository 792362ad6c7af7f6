//! What can be typed.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use portcullis_model::{EntityType, EntityUid, GrantId, ResourceScope, SessionId, Timestamp, Verdict};

use crate::cli::{names, time};
use crate::output::{Color, Format};

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

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum RevokeOrder {
    /// One session, for good
    Session {
        /// `s_` and 32 digits
        id: SessionId,
    },
    /// Every session of a user, and new ones until `restore user`
    User {
        #[arg(value_name = "ID", value_parser = names::user)]
        uid: EntityUid,
    },
    /// Every session with the agent in its chain, and new ones until `restore agent`
    Agent {
        #[arg(value_name = "ID", value_parser = names::agent)]
        uid: EntityUid,
    },
    /// A grant, for good; what was delegated from it covers nothing any more
    Grant {
        /// `g_` and 32 digits
        id: GrantId,
    },
    /// A grant and every delegation below it, for good
    Subtree {
        /// `g_` and 32 digits
        id: GrantId,
    },
    /// Every session of every user
    Everything,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum RestoreOrder {
    /// A user
    User {
        #[arg(value_name = "ID", value_parser = names::user)]
        uid: EntityUid,
    },
    /// An agent
    Agent {
        #[arg(value_name = "ID", value_parser = names::agent)]
        uid: EntityUid,
    },
}

#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, arg_required_else_help = true)]
pub(crate) struct GrantArguments {
    #[command(subcommand)]
    pub(crate) command: Option<GrantCommand>,
    #[command(flatten)]
    pub(crate) issue: Option<IssueOrder>,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum GrantCommand {
    /// Issue a grant, as `grant` with the same options does
    Issue(IssueOrder),
    /// List grants
    List(ListFilter),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct IssueOrder {
    /// User, or group, for whom the agent acts
    #[arg(long = "for", value_name = "USER", value_parser = names::user)]
    pub(crate) subject: EntityUid,
    /// Agent that may act
    #[arg(long, value_name = "AGENT", value_parser = names::agent)]
    pub(crate) agent: EntityUid,
    /// Grant that this one passes on
    #[arg(long, value_name = "GRANT")]
    pub(crate) parent: Option<GrantId>,
    /// Action or action group; may be repeated
    #[arg(long = "action", required = true, value_name = "ACTION", value_parser = names::action)]
    pub(crate) actions: Vec<EntityUid>,
    /// `any`, `Type::id`, `in:Type::id` with all that is in it, or `type:Type`
    #[arg(long, value_name = "RESOURCE", value_parser = names::scope)]
    pub(crate) resource: ResourceScope,
    /// Cedar condition, for example `when { context.input.size_bytes < 1000 }`
    #[arg(long, value_name = "CEDAR")]
    pub(crate) condition: Option<String>,
    /// How long it lasts, for example `10m`; for ever where left out
    #[arg(long, value_name = "DURATION", value_parser = time::duration)]
    pub(crate) ttl: Option<std::time::Duration>,
    /// How often it may be passed on
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=8))]
    pub(crate) depth: u8,
}

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ListFilter {
    /// Only those for this subject
    #[arg(long = "for", value_name = "USER", value_parser = names::user)]
    pub(crate) subject: Option<EntityUid>,
    /// Only those with this agent
    #[arg(long, value_name = "AGENT", value_parser = names::agent)]
    pub(crate) agent: Option<EntityUid>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: u32,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// List live sessions
    List(ListFilter),
    /// Show one session
    Show {
        /// `s_` and 32 digits
        id: SessionId,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum EntityCommand {
    /// Store entities whole, from a JSON file with one or a list; `-` is stdin
    Put { file: PathBuf },
    /// List entities
    List {
        /// Only those of this type
        #[arg(long = "type", value_name = "TYPE")]
        entity_type: Option<EntityType>,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
    /// Show one entity
    Show {
        /// `Type::id` or `Type::"id"`
        #[arg(value_parser = names::entity)]
        uid: EntityUid,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Parse and validate a folder with `schema.cedarschema` and `*.cedar`, without a node
    Validate {
        #[arg(value_name = "PATH")]
        folder: PathBuf,
    },
    /// Run the folder's `tests.json`, without a node
    Test(PolicyTestOrder),
    /// Validate a folder and put it in force on the node
    Push {
        #[arg(value_name = "PATH")]
        folder: PathBuf,
    },
}

#[derive(Args, Clone, Debug)]
pub(crate) struct PolicyTestOrder {
    /// Folder of the policies
    #[arg(value_name = "PATH")]
    pub(crate) folder: PathBuf,
    /// Only cases whose name, subject, agents, action or resource contain this
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,
    /// The cases [default: PATH/tests.json]
    #[arg(long, value_name = "FILE")]
    pub(crate) tests: Option<PathBuf>,
    /// Users, groups and agents as a SCIM list response [default: PATH/../directory.json]
    #[arg(long, value_name = "FILE")]
    pub(crate) directory: Option<PathBuf>,
    /// Resources [default: PATH/../resources.json]
    #[arg(long, value_name = "FILE")]
    pub(crate) resources: Option<PathBuf>,
    /// Grants; without them, cases are about policy alone [default: PATH/../grants.json where it is there]
    #[arg(long, value_name = "FILE")]
    pub(crate) grants: Option<PathBuf>,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// The newest records, oldest first
    Tail {
        #[command(flatten)]
        filter: RecordFilter,
        /// Go on with what comes
        #[arg(long, short)]
        follow: bool,
        /// How many to begin with
        #[arg(long, short = 'n', value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        lines: u32,
    },
    /// Records that match, newest first
    Search {
        #[command(flatten)]
        filter: RecordFilter,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: u32,
        /// Only records before this number: where the page before ended
        #[arg(long, value_name = "NUMBER")]
        before: Option<u64>,
    },
}

/// Which records; all that are named must match.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct RecordFilter {
    /// About this subject
    #[arg(long, value_name = "USER", value_parser = names::user)]
    pub(crate) subject: Option<EntityUid>,
    /// With this agent in the chain
    #[arg(long, value_name = "AGENT", value_parser = names::agent)]
    pub(crate) agent: Option<EntityUid>,
    /// Of this session
    #[arg(long, value_name = "SESSION")]
    pub(crate) session: Option<SessionId>,
    /// With this action
    #[arg(long, value_name = "ACTION", value_parser = names::action)]
    pub(crate) action: Option<EntityUid>,
    /// On this resource
    #[arg(long, value_name = "RESOURCE", value_parser = names::entity)]
    pub(crate) resource: Option<EntityUid>,
    /// allow, deny or suspend
    #[arg(long, value_name = "VERDICT", value_parser = names::verdict)]
    pub(crate) verdict: Option<Verdict>,
    /// With this code of a reason or error, for example `agent_revoked`
    #[arg(long, value_name = "CODE", value_parser = names::reason)]
    pub(crate) reason: Option<String>,
    /// Not before this time: `2026-11-23T18:40:05Z`, `2026-11-23`, or `10m` ago
    #[arg(long, value_name = "TIME", value_parser = time::moment)]
    pub(crate) since: Option<Timestamp>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = time::moment)]
    pub(crate) until: Option<Timestamp>,
    /// decision, error, open, end, change, admin, refused, gap, refusal_summary, start or stop
    #[arg(long, value_name = "KIND", value_parser = names::kind)]
    pub(crate) kind: Option<portcullis_audit::EntryKind>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct HealthcheckOrder {
    /// Address of the admin listener [default: the running node's, else the configured one]
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<SocketAddr>,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show every value in force
    Show {
        /// With where each came from
        #[arg(long)]
        origin: bool,
    },
    /// Write the JSON Schema of `portcullis.toml`
    Schema,
}
