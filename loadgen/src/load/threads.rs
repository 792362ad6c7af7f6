//! Threads that send: each with a runtime, an endpoint and connections of its own.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portcullis_client::ClientOptions;
use quinn::{Connection, Endpoint};
use tokio::task::JoinSet;

use super::frames::Frames;
use super::lane::Lane;
use super::link::{Link, Opening};
use super::pace::Pacing;
use super::push::Seen;
use super::recorder::Recorder;
use super::transport;
use crate::error::LoadError;
use crate::target::Workload;

/// Something to measure.
#[derive(Clone)]
pub(crate) struct ArmSettings {
    pub(crate) options: ClientOptions,
    pub(crate) kind: ArmKind,
}

/// What is asked there.
#[derive(Clone)]
pub(crate) enum ArmKind {
    /// Blocks of these sizes, of an echo.
    Echo { request_bytes: usize, response_bytes: usize },
    /// Decisions, of a node.
    Decide(Arc<Workload>),
}

/// How the connections of a run are laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) threads: usize,
    /// Of all threads together.
    pub(crate) connections: usize,
    /// Of each connection.
    pub(crate) lanes: usize,
    pub(crate) seed: u64,
}

/// Which lanes take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    All,
    /// One lane of one thread.
    One,
}

/// What one slice of time gave.
pub(crate) struct Slice {
    pub(crate) recorder: Recorder,
    pub(crate) elapsed: Duration,
}

impl Slice {
    pub(crate) fn rate_per_s(&self) -> f64 {
        self.recorder.count() as f64 / self.elapsed.as_secs_f64()
    }
}

/// One slice to run.
#[derive(Clone, Copy, Debug)]
struct Command {
    arm: usize,
    pacing: Pacing,
    span: Duration,
    reach: Reach,
}

/// The threads of a run, connected to every arm.
pub(crate) struct LoadThreads {
    threads: Vec<LoadThread>,
}

struct LoadThread {
    commands: tokio::sync::mpsc::Sender<Command>,
    results: mpsc::Receiver<Result<Recorder, LoadError>>,
    thread: Option<JoinHandle<()>>,
}

impl LoadThreads {
    /// Starts the threads; every connection is open and every session too when this returns.
    pub(crate) fn start(arms: &[ArmSettings], layout: Layout) -> Result<Self, LoadError> {
        let count = layout.threads.min(layout.connections).max(1);
        let threads = (0..count).map(|place| {
            let connections = layout.connections / count + usize::from(place < layout.connections % count);
            LoadThread::start(place, arms.to_vec(), Layout { threads: count, connections, ..layout })
        });
        let threads = threads.collect::<Result<Vec<_>, _>>()?;
        threads.iter().try_for_each(|thread| thread.result().map(drop))?;
        Ok(Self { threads })
    }

    /// Runs one slice against one arm.
    pub(crate) fn run(&self, arm: usize, pacing: Pacing, span: Duration, reach: Reach) -> Result<Slice, LoadError> {
        let count = if reach == Reach::One { 1 } else { self.threads.len() };
        let command = Command { arm, pacing: pacing.part(count), span, reach };
        let began = Instant::now();
        let threads = || self.threads.iter().take(count);
        threads().try_for_each(|thread| thread.commands.blocking_send(command).map_err(|_| LoadError::ThreadGone))?;
        let mut recorder = Recorder::new();
        for thread in threads() {
            recorder.merge(&thread.result()?);
        }
        Ok(Slice { recorder, elapsed: began.elapsed() })
    }
}

impl LoadThread {
    fn start(place: usize, arms: Vec<ArmSettings>, layout: Layout) -> Result<Self, LoadError> {
        let (commands, orders) = tokio::sync::mpsc::channel(1);
        let (tell, results) = mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(LoadError::Thread)?;
        let work = move || runtime.block_on(serve(place, arms, layout, orders, &tell));
        let thread = std::thread::Builder::new().name(format!("load-{place}")).spawn(work);
        Ok(Self { commands, results, thread: Some(thread.map_err(LoadError::Thread)?) })
    }

    fn result(&self) -> Result<Recorder, LoadError> {
        self.results.recv().unwrap_or(Err(LoadError::ThreadGone))
    }
}

impl Drop for LoadThread {
    fn drop(&mut self) {
        // A closed channel ends the thread.
        let (closed, _) = tokio::sync::mpsc::channel(1);
        self.commands = closed;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Connects, says so, then carries out one command after the other.
async fn serve(
    place: usize,
    arms: Vec<ArmSettings>,
    layout: Layout,
    mut orders: tokio::sync::mpsc::Receiver<Command>,
    tell: &mpsc::Sender<Result<Recorder, LoadError>>,
) {
    let mut open = Vec::new();
    for settings in &arms {
        match Arm::open(settings, layout, place).await {
            Ok(arm) => open.push(arm),
            Err(error) => {
                let _ = tell.send(Err(error));
                return;
            }
        }
    }
    let _ = tell.send(Ok(Recorder::new()));
    while let Some(command) = orders.recv().await {
        let result = match open.get_mut(command.arm) {
            Some(arm) => arm.run(command).await,
            None => Err(LoadError::Settings("there is no such arm")),
        };
        if tell.send(result).is_err() {
            break;
        }
    }
    for arm in open {
        arm.close().await;
    }
}

/// The lanes of one thread to one arm, and what keeps them open.
struct Arm {
    lanes: Vec<Lane>,
    seed: u64,
    links: Vec<Arc<Link>>,
    echoes: Vec<Connection>,
    endpoint: Endpoint,
}

impl Arm {
    async fn open(settings: &ArmSettings, layout: Layout, place: usize) -> Result<Self, LoadError> {
        let endpoint = endpoint_for(&settings.options)?;
        let seed = layout.seed.wrapping_add(u64::try_from(place << 32).unwrap_or(0));
        let mut arm = Self { lanes: Vec::new(), seed, links: Vec::new(), echoes: Vec::new(), endpoint };
        for number in 0..layout.connections {
            match &settings.kind {
                ArmKind::Echo { request_bytes, response_bytes } => {
                    arm.connect_echo(&settings.options, *request_bytes, *response_bytes, layout.lanes).await?;
                }
                ArmKind::Decide(workload) => {
                    let part = (place * layout.connections + number, layout.threads * layout.connections);
                    arm.connect_node(&settings.options, workload, part, layout.lanes).await?;
                }
            }
        }
        Ok(arm)
    }

    async fn connect_echo(
        &mut self,
        options: &ClientOptions,
        request_bytes: usize,
        response_bytes: usize,
        lanes: usize,
    ) -> Result<(), LoadError> {
        let connection = transport::connect(&self.endpoint, options).await?;
        let frames = Arc::new(Frames::blank(request_bytes));
        for _ in 0..lanes {
            let opened = connection.open_bi().await.map_err(|error| LoadError::Lost(error.to_string()))?;
            self.lanes.push(Lane::blocks(opened.0, opened.1, Arc::clone(&frames), response_bytes));
        }
        self.echoes.push(connection);
        Ok(())
    }

    /// Opens every `of`-th session of the workload, from `number` on.
    async fn connect_node(
        &mut self,
        options: &ClientOptions,
        workload: &Workload,
        (number, of): (usize, usize),
        lanes: usize,
    ) -> Result<(), LoadError> {
        let link = Arc::new(Link::open(&self.endpoint, options, &Seen::default()).await?);
        let names = workload.register(&link).await?;
        let sessions: Vec<_> = workload.sessions.iter().skip(number % workload.sessions.len()).step_by(of).collect();
        let handles = link.open_sessions(sessions.len(), |place| Opening::of(sessions[place])).await?;
        let frames = Arc::new(Frames::decide(&handles, &names)?);
        for _ in 0..lanes {
            let (send, receive) = link.lane().await?;
            self.lanes.push(Lane::decisions(send, receive, Arc::clone(&frames)));
        }
        self.links.push(link);
        Ok(())
    }

    /// Closes every connection, and waits until the other side was told.
    async fn close(self) {
        drop(self.links);
        self.echoes.iter().for_each(|connection| connection.close(0_u32.into(), b"done"));
        settle(&self.endpoint).await;
    }

    async fn run(&mut self, command: Command) -> Result<Recorder, LoadError> {
        let count = if command.reach == Reach::One { 1 } else { self.lanes.len() };
        let pacing = command.pacing.part(count);
        let base = Instant::now();
        let idle = self.lanes.split_off(count);
        let mut running = JoinSet::new();
        for (place, mut lane) in self.lanes.drain(..).enumerate() {
            self.seed = self.seed.wrapping_add(1);
            let seed = self.seed;
            running.spawn(async move { (place, lane.run(pacing, base, command.span, seed).await, lane) });
        }
        let mut total = Recorder::new();
        let mut failed = None;
        let mut back = Vec::new();
        while let Some(ended) = running.join_next().await {
            let (place, result, lane) = ended.map_err(|_| LoadError::ThreadGone)?;
            back.push((place, lane));
            match result {
                Ok(recorder) => total.merge(&recorder),
                Err(error) => failed = Some(error),
            }
        }
        back.sort_by_key(|(place, _)| *place);
        self.lanes = back.into_iter().map(|(_, lane)| lane).chain(idle).collect();
        failed.map_or(Ok(total), Err)
    }
}

/// Waits until the close frames of closed connections have left: a node waits for clients that just vanish.
pub(crate) async fn settle(endpoint: &Endpoint) {
    let _ = tokio::time::timeout(SETTLE_MAX, endpoint.wait_idle()).await;
}

/// Longest wait for close frames to leave.
const SETTLE_MAX: Duration = Duration::from_secs(1);

/// An endpoint that can reach the node of `options`.
pub(crate) fn endpoint_for(options: &ClientOptions) -> Result<Endpoint, LoadError> {
    let unreachable = |problem: String| LoadError::Unreachable { address: options.address.clone(), problem };
    let address: SocketAddr =
        options.address.parse().map_err(|_| unreachable("it is no address and port".to_owned()))?;
    transport::endpoint(address).map_err(|cause| unreachable(cause.to_string()))
}
