//! Rounds of opening, probing, revoking and restoring.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use portcullis_benches::Organisation;
use portcullis_client::Client;
use portcullis_model::{Change, EntityUid, SessionTerms};
use portcullis_wire::admin::{AdminReply, AdminRequest, PrincipalKind, RevokeTarget, Revoked};
use quinn::Endpoint;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::findings::{Findings, Headline};
use super::{nanoseconds, sessions};
use crate::arguments::{Arrivals, Settings};
use crate::error::LoadError;
use crate::load::{Frames, Lane, Link, Opening, Pacing, Probes, Recorder, Seen, endpoint_for, settle};
use crate::target::{Target, Workload};

/// Connections on which probes are sent.
const PROBING: usize = 4;
/// Probes in flight on each of them.
const PROBE_WINDOW: usize = 8;
/// How long probes run before a revocation.
const BEFORE: Duration = Duration::from_millis(20);
/// Longest that a change has been folding when a revocation comes.
const GROUP_CHANGE_AHEAD_MAX_MS: f64 = 20.0;
/// Longest wait for pushes, and for probes after the acknowledgement.
const AFTER_MAX: Duration = Duration::from_secs(10);
/// Decisions of other users a second, where no rate is given.
const BACKGROUND_PER_S: u64 = 2_000;
const BACKGROUND_SESSIONS: usize = 100;
/// No run is longer.
const BACKGROUND_MAX: Duration = Duration::from_secs(3_600);

/// What one round does.
#[derive(Clone, Copy)]
pub(super) struct Round {
    pub(super) sessions: usize,
    pub(super) probes: u64,
    pub(super) group_change: bool,
}

/// The connections of a run.
pub(super) struct Storm<'a> {
    target: &'a Target,
    operator: Client,
    links: Vec<Arc<Link>>,
    seen: Seen,
    /// One lane on each probing connection, and the numbers of the questions there.
    lanes: Vec<Lane>,
    names: Vec<Vec<(u32, u32)>>,
    workload: Workload,
    terms: SessionTerms,
    pub(super) user: EntityUid,
    background: Option<(Lane, Arc<Probes>)>,
    running: Option<(LaneTask, Arc<Probes>)>,
    random: StdRng,
    staff_in_company: bool,
    endpoint: Endpoint,
}

impl<'a> Storm<'a> {
    pub(super) async fn open(target: &'a Target, settings: &Settings, connections: usize) -> Result<Self, LoadError> {
        let operator = Client::connect(target.operator.clone()).await?;
        let endpoint = endpoint_for(&target.platform)?;
        let seen = Seen::default();
        let workload = target.workload(BACKGROUND_SESSIONS + 1)?;
        let (mut links, mut lanes, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for place in 0..connections {
            let link = Arc::new(Link::open(&endpoint, &target.platform, &seen).await?);
            if place < PROBING {
                names.push(workload.register(&link).await?);
                let (send, receive) = link.lane().await?;
                lanes.push(Lane::decisions(send, receive, Arc::new(Frames::blank(1))));
            }
            links.push(link);
        }
        let terms = workload.sessions.first().cloned().ok_or(LoadError::Settings("there is no session to open"))?;
        let mut storm = Self {
            target,
            operator,
            links,
            seen,
            lanes,
            names,
            user: terms.subject.clone(),
            terms,
            workload,
            background: None,
            running: None,
            random: StdRng::seed_from_u64(settings.seed),
            staff_in_company: false,
            endpoint,
        };
        storm.background = storm.open_background().await?;
        Ok(storm)
    }

    /// A lane on which users decide who are not revoked; none where there are no others.
    async fn open_background(&self) -> Result<Option<(Lane, Arc<Probes>)>, LoadError> {
        let others: Vec<_> = self.workload.sessions.iter().filter(|terms| terms.subject != self.user).collect();
        let (Some(link), Some(names)) = (self.links.first(), self.names.first()) else { return Ok(None) };
        if others.is_empty() {
            return Ok(None);
        }
        let handles = link.open_sessions(others.len(), |place| Opening::of(others[place])).await?;
        let frames = Arc::new(Frames::decide(&handles, names)?);
        let (send, receive) = link.lane().await?;
        let mut lane = Lane::decisions(send, receive, frames);
        let probes = Arc::new(Probes::default());
        lane.probes = Some(Arc::clone(&probes));
        Ok(Some((lane, probes)))
    }

    /// Other users begin to decide, at the settings' rate.
    pub(super) fn start_background(&mut self, settings: &Settings) -> Result<(), LoadError> {
        let Some((mut lane, probes)) = self.background.take() else { return Ok(()) };
        let per_s = settings.rate.unwrap_or(BACKGROUND_PER_S).max(1) as f64;
        let (pacing, seed) = (Pacing::Rate { per_s, arrivals: Arrivals::Constant }, settings.seed);
        let task = tokio::spawn(async move { lane.run(pacing, Instant::now(), BACKGROUND_MAX, seed).await });
        self.running = Some((task, probes));
        Ok(())
    }

    pub(super) async fn stop_background(&mut self) -> Result<Recorder, LoadError> {
        let Some((task, probes)) = self.running.take() else { return Ok(Recorder::new()) };
        probes.enough.store(true, Ordering::Release);
        task.await.map_err(|_| LoadError::ThreadGone)?
    }

    /// Closes every connection, and waits until the node was told.
    pub(super) async fn close(self) {
        drop(self.links);
        self.operator.close().await;
        settle(&self.endpoint).await;
    }

    /// Opens, probes, revokes, waits for everybody to know, and restores.
    pub(super) async fn round(&mut self, round: Round, findings: &mut Findings) -> Result<Headline, LoadError> {
        let process = self.target.process.as_ref();
        let before = process.map(|process| (process.cpu(), process.resident_bytes()));
        let began = Instant::now();
        let handles = sessions::open(&self.links, round.sessions, &self.terms).await?;
        let opening = began.elapsed();
        let after = process.map(|process| (process.cpu(), process.resident_bytes()));
        let used = before.zip(after);

        let probes = Arc::new(Probes::default());
        let probing = Instant::now();
        let running = self.start_probes(&handles, &probes)?;
        sleep(BEFORE).await;
        let change = if round.group_change { Some(self.start_group_change().await?) } else { None };
        let began = Instant::now();
        let revoked = self.revoke().await?;
        let ack = began.elapsed();
        // ORDERING: Release, with the Acquire of lanes that send.
        probes.acknowledged.store(true, Ordering::Release);
        let push_max = self.wait_for_pushes(began, &revoked, findings).await;
        let enough = || probes.after_ack.load(Ordering::Relaxed) >= round.probes;
        // What is missing then is counted by the report.
        let _ = timeout(AFTER_MAX, wait_until(enough)).await;
        probes.enough.store(true, Ordering::Release);
        findings.probes.merge(&self.stop_probes(running).await?);
        findings.probing += probing.elapsed();
        if let Some(change) = change {
            let took = change.await.map_err(|_| LoadError::ThreadGone)??;
            findings.group_change_max = findings.group_change_max.max(took);
        }
        findings.note(&probes, &revoked, ack);
        self.restore().await?;
        sessions::close(&self.links, handles).await?;
        Ok(Headline {
            sessions: round.sessions,
            connections: self.links.len(),
            ack,
            node_elapsed: Duration::from_micros(revoked.elapsed_us),
            push_max,
            opening,
            open_cpu: used.map(|(before, after)| after.0.saturating_sub(before.0)),
            bytes: used.map(|(before, after)| after.1.saturating_sub(before.1)),
            ended: revoked.sessions,
        })
    }

    fn start_probes(&mut self, handles: &[Vec<u64>], probes: &Arc<Probes>) -> Result<Running, LoadError> {
        let mut running = JoinSet::new();
        for (place, (mut lane, names)) in self.lanes.drain(..).zip(&self.names).enumerate() {
            lane.frames = Arc::new(Frames::decide(&handles[place], names)?);
            lane.probes = Some(Arc::clone(probes));
            let pacing = Pacing::Window(PROBE_WINDOW);
            running.spawn(async move {
                let result = lane.run(pacing, Instant::now(), BEFORE + 3 * AFTER_MAX, 0).await;
                (place, lane, result)
            });
        }
        Ok(running)
    }

    async fn stop_probes(&mut self, mut running: Running) -> Result<Recorder, LoadError> {
        let mut total = Recorder::new();
        let mut back = Vec::new();
        while let Some(ended) = running.join_next().await {
            let (place, lane, result) = ended.map_err(|_| LoadError::ThreadGone)?;
            back.push((place, lane));
            total.merge(&result?);
        }
        back.sort_by_key(|(place, _)| *place);
        self.lanes = back.into_iter().map(|(_, lane)| lane).collect();
        Ok(total)
    }

    /// Lets a change begin that touches every user, and a random while pass.
    async fn start_group_change(&mut self) -> Result<JoinHandle<Result<Duration, LoadError>>, LoadError> {
        let organisation: &Organisation =
            self.target.organisation.as_ref().ok_or(LoadError::Settings("no generated organisation"))?;
        self.staff_in_company = !self.staff_in_company;
        let changes = vec![Change::PutEntity(organisation.staff_record(self.staff_in_company))];
        let operator = self.operator.clone();
        let task = tokio::spawn(async move {
            let began = Instant::now();
            operator.admin(&AdminRequest::Events { changes }).await?;
            Ok(began.elapsed())
        });
        let ahead = self.random.random::<f64>() * GROUP_CHANGE_AHEAD_MAX_MS / 1e3;
        sleep(Duration::from_secs_f64(ahead)).await;
        Ok(task)
    }

    async fn revoke(&self) -> Result<Revoked, LoadError> {
        let target = RevokeTarget::User { uid: self.user.clone() };
        match self.operator.admin(&AdminRequest::Revoke { target }).await? {
            AdminReply::Revoked(revoked) => Ok(revoked),
            _ => Err(LoadError::Lost("an answer to something else".into())),
        }
    }

    async fn restore(&self) -> Result<(), LoadError> {
        let request = AdminRequest::Restore { kind: PrincipalKind::User, uid: self.user.clone() };
        self.operator.admin(&request).await?;
        Ok(())
    }

    /// Waits until every connection was told, and returns how long the last one took.
    async fn wait_for_pushes(&self, began: Instant, revoked: &Revoked, findings: &mut Findings) -> Duration {
        let told = || -> Vec<Duration> {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let of_this = seen.iter().rev().take_while(|push| push.at >= began);
            of_this
                .filter(|push| push.seq == revoked.revision.seq && push.sessions > 0)
                .map(|push| push.at.saturating_duration_since(began))
                .collect()
        };
        let _ = timeout(AFTER_MAX, wait_until(|| told().len() >= self.links.len())).await;
        let told = told();
        findings.pushes_missed += u64::try_from(self.links.len().saturating_sub(told.len())).unwrap_or(0);
        for push in &told {
            findings.pushes.record(nanoseconds(*push), nanoseconds(*push), findings.began.elapsed());
        }
        told.into_iter().max().unwrap_or_default()
    }
}

/// Looks every millisecond.
async fn wait_until(is_so: impl Fn() -> bool) {
    while !is_so() {
        sleep(Duration::from_millis(1)).await;
    }
}

/// A lane that runs until its probes are enough.
type LaneTask = JoinHandle<Result<Recorder, LoadError>>;
type Running = JoinSet<(usize, Lane, Result<Recorder, LoadError>)>;
