//! What can be typed about grants, sessions and entities.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use portcullis_model::{EntityType, EntityUid, GrantId, ResourceScope, SessionId};

use crate::cli::{names, time};

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
    /// User for whom the agent acts, `ada`; or a group of them, `Group::staff`
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
    pub(crate) ttl: Option<Duration>,
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
    /// Store entities from a JSON file with one or a list, each in place of all that was stored of it; `-` is stdin
    Put {
        /// `{"uid": "Channel::x", "parents": [...], "attributes": {"name": {"value": 1}}}`, or a list of such
        file: PathBuf,
    },
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
