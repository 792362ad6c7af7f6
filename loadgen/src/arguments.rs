//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use portcullis_benches::Shape;
use portcullis_runtime::AuditMode;
use serde_json::{Value, json};

/// Measures a Portcullis node.
#[derive(Debug, Parser)]
#[command(name = "portcullis-loadgen", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) mode: Mode,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Mode {
    /// Decides in this process, one call after the other, with 10 to 10,000 policies.
    Inproc(Settings),
    /// Decides over QUIC, beside a bare echo in the same run.
    Quic(Settings),
    /// Revokes a user with many sessions while they are used.
    Revoke(RevokeSettings),
    /// Opens and closes sessions at a rate, and holds many idle.
    Sessions(SessionsSettings),
    /// The node that the other modes measure.
    #[command(hide = true)]
    Node(ChildSettings),
    /// The echo that the other modes compare with.
    #[command(hide = true)]
    Echo(EchoSettings),
}

/// What every mode takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct Settings {
    /// Users of the generated organisation [default: 1000, with --group-change 100000].
    #[arg(long)]
    pub(crate) users: Option<usize>,
    /// Agents; every user has a grant for one of them.
    #[arg(long, default_value_t = 20, value_parser = bounded::<1, 4_000>)]
    pub(crate) agents: usize,
    /// Sessions [default: 1000; in revoke 100000; in sessions 200000].
    #[arg(long)]
    pub(crate) sessions: Option<usize>,
    /// Policies [default: 1000; in inproc 10, 100, 1000 and 10000].
    #[arg(long)]
    pub(crate) policies: Option<usize>,
    /// Requests a second, sent on a schedule.
    #[arg(long, conflicts_with = "window")]
    pub(crate) rate: Option<u64>,
    /// Requests in flight, sent as answers come [default: 256].
    #[arg(long, value_parser = bounded::<1, 16_384>)]
    pub(crate) window: Option<usize>,
    /// How requests at a rate are spaced.
    #[arg(long, value_enum, default_value_t = Arrivals::Constant)]
    pub(crate) arrivals: Arrivals,
    /// How long to measure: `10`, `10s`, `500ms` or `2m`.
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// What comes before and is not counted.
    #[arg(long, default_value = "1s", value_parser = duration)]
    pub(crate) warm_up: Duration,
    /// How the node records decisions [default: buffered; in inproc off].
    #[arg(long, value_enum)]
    pub(crate) audit: Option<Audit>,
    /// Writes the results as JSON there as well.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Writes one self-contained page.
    #[arg(long)]
    pub(crate) html: Option<PathBuf>,
    /// Seed of everything random.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Threads that send, each with connections of its own.
    #[arg(long, default_value_t = 1, value_parser = bounded::<1, 64>)]
    pub(crate) threads: usize,
    /// Lanes for decisions of each connection, besides the one for everything else.
    #[arg(long, default_value_t = 1, value_parser = bounded::<1, 3>)]
    pub(crate) lanes: usize,
    /// Connections [default: one for each thread; in revoke 64].
    #[arg(long, value_parser = bounded::<1, 1_024>)]
    pub(crate) connections: Option<usize>,
    /// A running node, for example 127.0.0.1:7443. It must hold the sample organisation.
    #[arg(long, requires = "client")]
    pub(crate) addr: Option<String>,
    /// Its `client.toml`. Revocations go by the `operator.toml` beside it, where there is one.
    #[arg(long, requires = "addr")]
    pub(crate) client: Option<PathBuf>,
    /// Where results always go, instead of `target/portcullis` in the workspace.
    #[arg(long, hide = true)]
    pub(crate) results: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RevokeSettings {
    #[command(flatten)]
    pub(crate) common: Settings,
    /// Most revocations; without it as many as the duration holds.
    #[arg(long)]
    pub(crate) revokes: Option<usize>,
    /// Probes that are sent after each of the first acknowledgements.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) probes: u64,
    /// Revokes while a change folds that touches every user.
    #[arg(long)]
    pub(crate) group_change: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct SessionsSettings {
    #[command(flatten)]
    pub(crate) common: Settings,
}

/// What a node child is started with.
#[derive(Clone, Debug, Args)]
pub(crate) struct ChildSettings {
    #[arg(long)]
    pub(crate) folder: PathBuf,
    #[arg(long)]
    pub(crate) users: usize,
    #[arg(long)]
    pub(crate) agents: usize,
    #[arg(long)]
    pub(crate) policies: usize,
    #[arg(long, value_enum)]
    pub(crate) audit: Audit,
    #[arg(long)]
    pub(crate) workers: usize,
}

/// What an echo child is started with.
#[derive(Clone, Debug, Args)]
pub(crate) struct EchoSettings {
    #[arg(long)]
    pub(crate) folder: PathBuf,
    #[arg(long)]
    pub(crate) request_bytes: usize,
    #[arg(long)]
    pub(crate) response_bytes: usize,
    #[arg(long)]
    pub(crate) workers: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Audit {
    Off,
    Buffered,
    Durable,
}

impl Audit {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Buffered => "buffered",
            Self::Durable => "durable",
        }
    }

    pub(crate) const fn mode(self) -> AuditMode {
        match self {
            Self::Off => AuditMode::Off,
            Self::Buffered => AuditMode::Buffered,
            Self::Durable => AuditMode::Durable,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arrivals {
    /// Evenly.
    Constant,
    /// As independent callers would.
    Poisson,
}

impl Settings {
    /// The organisation that the node gets.
    pub(crate) fn shape(&self, users_default: usize) -> Shape {
        Shape {
            users: self.users.unwrap_or(users_default).max(1),
            agents: self.agents,
            policies: self.policies.unwrap_or(POLICIES_DEFAULT).max(4),
            ..Shape::default()
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "users": self.users, "agents": self.agents, "sessions": self.sessions, "policies": self.policies,
            "rate": self.rate, "window": self.window,
            "arrivals": if self.arrivals == Arrivals::Constant { "constant" } else { "poisson" },
            "duration_s": self.duration.as_secs_f64(), "warm_up_s": self.warm_up.as_secs_f64(),
            "audit": self.audit.map(Audit::as_str), "seed": self.seed, "threads": self.threads,
            "lanes": self.lanes, "connections": self.connections, "addr": self.addr,
        })
    }
}

/// A span as people type it; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let scale = match text.get(digits.len()..) {
        Some("" | "s") => 1.0,
        Some("ms") => 1e-3,
        Some("m") => 60.0,
        _ => return Err("write a number and `ms`, `s` or `m`, for example `10s`".into()),
    };
    let seconds: f64 = digits.parse().map_err(|_| format!("`{digits}` is not a number"))?;
    let span = Duration::try_from_secs_f64(seconds * scale).map_err(|_| format!("`{text}` is not a span of time"))?;
    if span.is_zero() || span > DURATION_MAX {
        return Err("more than nothing, at most an hour".into());
    }
    Ok(span)
}

fn bounded<const MIN: usize, const MAX: usize>(text: &str) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if (MIN..=MAX).contains(&number) { Ok(number) } else { Err(format!("from {MIN} to {MAX}")) }
}

/// BOUND: intervals of the series are kept in memory.
const DURATION_MAX: Duration = Duration::from_secs(3_600);
/// What a middle-sized organisation has.
const POLICIES_DEFAULT: usize = 1_000;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn spans_are_read_as_people_type_them() {
        for (text, millis) in [("10", 10_000), ("10s", 10_000), ("500ms", 500), ("2m", 120_000), ("0.5", 500)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "0", "-1", "10h", "1e9", "61m", "NaN"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
        let parse = |line: &str| Arguments::try_parse_from(line.split(' ')).map(drop);
        parse("loadgen quic --duration 10 --rate 1000 --json x.json").unwrap();
        parse("loadgen revoke --sessions 100000 --duration 10s --group-change").unwrap();
        assert!(parse("loadgen quic --rate 1 --window 2").is_err());
        assert!(parse("loadgen quic --addr 127.0.0.1:1").is_err());
    }
}
