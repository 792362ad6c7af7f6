//! What can be typed about the record.

use clap::{Args, Subcommand};
use portcullis_audit::EntryKind;
use portcullis_model::{EntityUid, SessionId, Timestamp, Verdict};

use crate::cli::{names, time};

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// The newest records, oldest first
    Tail {
        #[command(flatten)]
        filter: RecordFilter,
        /// Go on with what comes; the record of following itself is left out, except under `--kind admin`
        #[arg(long, short)]
        follow: bool,
        /// How many to begin with
        #[arg(long, short = 'n', alias = "limit", value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1_000))]
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
    pub(crate) kind: Option<EntryKind>,
}
