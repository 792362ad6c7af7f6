//! Sessions: opened and closed at a rate, and many held idle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_model::SessionTerms;
use serde_json::json;
use tokio::task::JoinSet;

use super::progress::{bar, step};
use crate::arguments::{Audit, SessionsSettings, Settings};
use crate::error::LoadError;
use crate::load::{Link, Opening, Recorder, Reply, Seen, endpoint_for, settle};
use crate::process::Process;
use crate::report::{Report, arm, line};
use crate::target::{Target, Workload};

const RATE_PER_S: u64 = 1_000;
const IDLE: usize = 200_000;
const CONNECTIONS: usize = 4;
/// Sessions that are being opened or closed; when as many are, one that is due is skipped and counted.
const IN_FLIGHT_MAX: usize = 4_096;

/// What opening and closing at a rate has found.
struct Churn {
    opens: Recorder,
    closes: Recorder,
    elapsed: Duration,
    cpu: Option<Duration>,
    /// Whether the node signs a token for each session.
    has_token: bool,
}

/// What holding many has found.
struct Idle {
    count: usize,
    elapsed: Duration,
    cpu: Option<Duration>,
    bytes: Option<u64>,
}

/// Opens and closes for the duration, then opens many and looks at what they take.
pub(crate) fn run(settings: &SessionsSettings) -> Result<Report, LoadError> {
    let common = &settings.common;
    if common.window.is_some() {
        return Err(LoadError::Settings("sessions are opened at a rate: leave `--window` out"));
    }
    let bar = bar(3);
    step(&bar, "starting the node");
    let target = Target::open(common, common.shape(1_000), common.audit.unwrap_or(Audit::Buffered))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(LoadError::Thread)?;
    let (churn, idle) = runtime.block_on(async {
        let endpoint = endpoint_for(&target.platform)?;
        let workload = target.workload(1_000)?;
        let mut links = Vec::new();
        for _ in 0..common.connections.unwrap_or(CONNECTIONS) {
            links.push(Arc::new(Link::open(&endpoint, &target.platform, &Seen::default()).await?));
        }
        bar.inc(1);
        step(&bar, "opening and closing");
        let churn = churn(common, &links, &workload, target.process.as_ref()).await?;
        bar.inc(1);
        step(&bar, "holding many");
        let idle = hold(common, &links, &workload, target.process.as_ref()).await?;
        drop(links);
        settle(&endpoint).await;
        Ok::<_, LoadError>((churn, idle))
    })?;
    bar.finish_and_clear();
    Ok(report(common, churn, &idle))
}

fn report(settings: &Settings, churn: Churn, idle: &Idle) -> Report {
    let mut report = Report::new("sessions", settings);
    let per_s = |count: u64| count as f64 / churn.elapsed.as_secs_f64();
    let (opens, closes) = (per_s(churn.opens.count()), per_s(churn.closes.count()));
    report.set("audit", settings.audit.unwrap_or(Audit::Buffered).as_str());
    report.set("open", arm(&churn.opens, opens, churn.cpu));
    report.set("close", arm(&churn.closes, closes, None));
    report.set("errors", churn.opens.errors() + churn.closes.errors());
    let signed = if churn.has_token { "one is signed" } else { "none is signed" };
    report.say(format!("sessions of asserted names: no token is verified, and {signed}"));
    report.set("session_token", churn.has_token);
    report.say(line("open (and close)", &churn.opens, opens, churn.cpu));
    report.say(line("close", &churn.closes, closes, None));
    let count = idle.count as f64;
    let (cpu, bytes) =
        (idle.cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / count), idle.bytes.map(|bytes| bytes as f64 / count));
    report.set(
        "idle",
        json!({
            "sessions": idle.count, "opens_per_s": count / idle.elapsed.as_secs_f64(),
            "open_cpu_us": cpu, "session_bytes": bytes,
        }),
    );
    report.say(format!(
        "{} idle sessions: opened at {:.0}/s, {:.1} us of node CPU and {:.0} B of node memory each",
        idle.count,
        count / idle.elapsed.as_secs_f64(),
        cpu.unwrap_or_default(),
        bytes.unwrap_or_default(),
    ));
    report.check_errors("open", &churn.opens);
    report.check_errors("close", &churn.closes);
    report.plot("open", churn.opens);
    report.plot("close", churn.closes);
    report
}

async fn churn(
    settings: &Settings,
    links: &[Arc<Link>],
    workload: &Workload,
    process: Option<&Process>,
) -> Result<Churn, LoadError> {
    let gap = Duration::from_secs_f64(1.0 / settings.rate.unwrap_or(RATE_PER_S).max(1) as f64);
    let has_token = has_token(&links[0], &workload.sessions[0]).await?;
    let before = process.map(Process::cpu);
    let (mut opens, mut closes) = (Recorder::new(), Recorder::new());
    let mut tasks = JoinSet::new();
    let base = Instant::now();
    let (mut due, mut number) = (Duration::ZERO, 0);
    while base.elapsed() < settings.duration {
        while due <= base.elapsed() && due < settings.duration {
            if tasks.len() < IN_FLIGHT_MAX {
                let link = Arc::clone(&links[number % links.len()]);
                let opening = Opening::of(&workload.sessions[number % workload.sessions.len()]);
                tasks.spawn(open_and_close(link, opening, base, due));
            } else {
                opens.skipped += 1;
            }
            number += 1;
            due += gap;
        }
        while let Some(ended) = tasks.try_join_next() {
            note(ended, &mut opens, &mut closes)?;
        }
        // A turn of the runtime: timers are a thousand times coarser.
        tokio::task::yield_now().await;
    }
    while let Some(ended) = tasks.join_next().await {
        note(ended, &mut opens, &mut closes)?;
    }
    let cpu = process.zip(before).map(|(process, before)| process.cpu().saturating_sub(before));
    Ok(Churn { opens, closes, elapsed: base.elapsed(), cpu, has_token })
}

async fn has_token(link: &Link, terms: &SessionTerms) -> Result<bool, LoadError> {
    let Reply::Opened(opened) = link.open_session(&Opening::of(terms)).await? else {
        return Err(LoadError::Lost("no session opens".into()));
    };
    link.close_session(opened.handle).await?;
    Ok(!opened.token.is_empty())
}

/// When an open was due and answered, and when its close was.
struct Pair {
    due: Duration,
    opened: Option<Duration>,
    closed: Option<Duration>,
}

async fn open_and_close(link: Arc<Link>, opening: Opening, base: Instant, due: Duration) -> Result<Pair, LoadError> {
    let Reply::Opened(session) = link.open_session(&opening).await? else {
        return Ok(Pair { due, opened: None, closed: None });
    };
    let opened = base.elapsed();
    let closed = matches!(link.close_session(session.handle).await?, Reply::Closed).then(|| base.elapsed());
    Ok(Pair { due, opened: Some(opened), closed })
}

fn note(
    ended: Result<Result<Pair, LoadError>, tokio::task::JoinError>,
    opens: &mut Recorder,
    closes: &mut Recorder,
) -> Result<(), LoadError> {
    let pair = ended.map_err(|_| LoadError::ThreadGone)??;
    let nanoseconds = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    let Some(opened) = pair.opened else {
        opens.refused += 1;
        return Ok(());
    };
    let took = nanoseconds(opened.saturating_sub(pair.due));
    opens.record(took, took, opened);
    match pair.closed {
        None => closes.refused += 1,
        Some(closed) => {
            let took = nanoseconds(closed.saturating_sub(opened));
            closes.record(took, took, closed);
        }
    }
    Ok(())
}

/// Opens many sessions of all users, on all connections, and leaves them alone.
async fn hold(
    settings: &Settings,
    links: &[Arc<Link>],
    workload: &Workload,
    process: Option<&Process>,
) -> Result<Idle, LoadError> {
    let count = settings.sessions.unwrap_or(IDLE).max(links.len());
    let before = process.map(|process| (process.cpu(), process.resident_bytes()));
    let began = Instant::now();
    let terms = Arc::new(workload.sessions.clone());
    let mut tasks = JoinSet::new();
    for (place, link) in links.iter().enumerate() {
        let some = count / links.len() + usize::from(place < count % links.len());
        let (link, terms) = (Arc::clone(link), Arc::clone(&terms));
        tasks.spawn(async move { link.open_sessions(some, |number| Opening::of(&terms[number % terms.len()])).await });
    }
    while let Some(ended) = tasks.join_next().await {
        let _handles: Vec<u64> = ended.map_err(|_| LoadError::ThreadGone)??;
    }
    let elapsed = began.elapsed();
    let after = process.map(|process| (process.cpu(), process.resident_bytes()));
    let used = before.zip(after);
    Ok(Idle {
        count,
        elapsed,
        cpu: used.map(|(before, after)| after.0.saturating_sub(before.0)),
        bytes: used.map(|(before, after)| after.1.saturating_sub(before.1)),
    })
}
