//! Decisions over QUIC, beside a bare echo in the same run.

use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use portcullis_wire::FrameWriter;
use portcullis_wire::frames::{DecideV1, DecisionV1, DetailsV1, RevisionV1};
use serde_json::json;

use super::progress::{bar, step};
use crate::arguments::{Audit, Settings};
use crate::error::LoadError;
use crate::load::{ArmKind, ArmSettings, Layout, LoadThreads, Pacing, Reach, Recorder, Slice};
use crate::process::{Process, receive_buffer_errors};
use crate::report::{Report, arm, latency, line};
use crate::target::{Target, Workload, echo_options};

/// Fewest slices of each arm.
const SLICES_MIN: usize = 5;
/// Longest slice.
const SLICE_MAX: Duration = Duration::from_secs(1);
/// Requests in flight where neither rate nor window is given.
const WINDOW: usize = 256;
const SESSIONS: usize = 1_000;
/// Places of the arms.
const ECHO: usize = 0;
const DECIDE: usize = 1;
const AUDIT: usize = 2;

/// Echo and decide take turns, slice by slice, first pipelined and then one in flight; each arm has half
/// the duration, and half of that for one in flight. Then decisions with audit have the whole duration.
pub(crate) fn run(settings: &Settings) -> Result<Report, LoadError> {
    let mode = settings.audit.unwrap_or(Audit::Buffered);
    let bar = bar(5);
    step(&bar, "starting the node");
    let plain = Target::open(settings, settings.shape(1_000), Audit::Off)?;
    let workload = Arc::new(plain.workload(settings.sessions.unwrap_or(SESSIONS))?);
    let audited = match mode {
        Audit::Off => None,
        // What a node that was there does about audit is its own affair: it is measured once more.
        _ if plain.process.is_none() => None,
        _ => Some(Target::open(settings, settings.shape(1_000), mode)?),
    };
    let sizes = frame_sizes()?;
    let echo = Process::echo(sizes.0, sizes.1)?;
    let mut run = Run::start(settings, &plain, audited.as_ref(), &echo, &workload, sizes)?;
    run.bar = bar;
    let report = run.measure(settings, mode)?;
    run.bar.finish_and_clear();
    Ok(report)
}

/// What is measured.
struct Run<'a> {
    threads: LoadThreads,
    processes: [Option<&'a Process>; 3],
    bar: ProgressBar,
}

/// The slices of one arm, put together.
struct Arm {
    recorder: Recorder,
    elapsed: Duration,
    cpu: Option<Duration>,
    rates: Vec<f64>,
}

impl<'a> Run<'a> {
    fn start(
        settings: &Settings,
        plain: &'a Target,
        audited: Option<&'a Target>,
        echo: &'a Process,
        workload: &Arc<Workload>,
        (request_bytes, response_bytes): (usize, usize),
    ) -> Result<Self, LoadError> {
        let decide = |target: &Target| ArmSettings {
            options: target.platform.clone(),
            kind: ArmKind::Decide(Arc::clone(workload)),
        };
        let blocks =
            ArmSettings { options: echo_options(echo)?, kind: ArmKind::Echo { request_bytes, response_bytes } };
        let arms = [blocks, decide(plain), decide(audited.unwrap_or(plain))];
        let connections = settings.connections.unwrap_or(settings.threads);
        let layout = Layout { threads: settings.threads, connections, lanes: settings.lanes, seed: settings.seed };
        let threads = LoadThreads::start(&arms, layout)?;
        let plain = plain.process.as_ref();
        let processes = [Some(echo), plain, audited.map_or(plain, |audited| audited.process.as_ref())];
        Ok(Self { threads, processes, bar: ProgressBar::hidden() })
    }

    fn measure(&self, settings: &Settings, mode: Audit) -> Result<Report, LoadError> {
        let dropped = receive_buffer_errors();
        let pacing = Pacing::of(settings, WINDOW);
        self.next("warming up");
        for place in [ECHO, DECIDE, AUDIT] {
            self.threads.run(place, pacing, settings.warm_up / 2, Reach::All)?;
        }
        self.next("echo and decide, in turns");
        let (echo, decide) = self.in_turns(pacing, settings.duration / 2, Reach::All)?;
        self.next("echo and decide, one in flight, in turns");
        let (echo_one, decide_one) = self.in_turns(Pacing::Window(1), settings.duration / 4, Reach::One)?;
        self.next(&format!("decide with audit {}", mode.as_str()));
        let mut audit = Arm::new();
        audit.add(self.slice(AUDIT, pacing, settings.duration, Reach::All)?);
        self.next("done");

        let mut report = Report::new("quic", settings);
        report.set("udp_receive_buffer_errors", receive_buffer_errors().saturating_sub(dropped));
        report.set("pacing", pacing.describe());
        report.say(format!("pacing: {}; slices: {} of each arm, in turns", pacing.describe(), echo.rates.len()));
        echo.report(&mut report, "echo", "echo");
        let [plain, recorded] = match self.processes[DECIDE] {
            Some(_) => ["off", mode.as_str()],
            None => ["of the node", "of the node"],
        };
        decide.report(&mut report, "decide", &format!("decide, audit {plain}"));
        audit.report(&mut report, "audit", &format!("decide, audit {recorded}"));
        if let Some(audit) = report.result_mut("audit") {
            audit["mode"] = json!(recorded);
        }
        let ratio = median(decide.rates.iter().zip(&echo.rates).map(|(decide, echo)| decide / echo).collect());
        report.set("ratio", ratio);
        report.say(format!("ratio: {ratio:.3} of the echo's rate, median of {} slices", echo.rates.len()));
        report_cpu(&mut report, &echo, &decide);
        self.report_one(&mut report, &echo_one, &decide_one);
        for (name, arm) in [("echo", echo), ("decide", decide), ("audit", audit)] {
            report.check_errors(name, &arm.recorder);
            report.plot(name, arm.recorder);
        }
        for (name, arm) in [("echo, one in flight", echo_one), ("decide, one in flight", decide_one)] {
            report.check_errors(name, &arm.recorder);
            report.plot(name, arm.recorder);
        }
        Ok(report)
    }

    fn next(&self, what: &str) {
        self.bar.inc(1);
        step(&self.bar, what);
    }

    /// Slices of echo and decide, one after the other, `span` for each arm.
    fn in_turns(&self, pacing: Pacing, span: Duration, reach: Reach) -> Result<(Arm, Arm), LoadError> {
        let wanted = span.as_millis().div_ceil(SLICE_MAX.as_millis());
        let count = usize::try_from(wanted).unwrap_or(SLICES_MIN).max(SLICES_MIN);
        let slice = span.div_f64(count as f64);
        let (mut echo, mut decide) = (Arm::new(), Arm::new());
        for _ in 0..count {
            echo.add(self.slice(ECHO, pacing, slice, reach)?);
            decide.add(self.slice(DECIDE, pacing, slice, reach)?);
        }
        Ok((echo, decide))
    }

    fn slice(
        &self,
        place: usize,
        pacing: Pacing,
        span: Duration,
        reach: Reach,
    ) -> Result<(Slice, Option<Duration>), LoadError> {
        let before = self.processes[place].map(Process::cpu);
        let slice = self.threads.run(place, pacing, span, reach)?;
        let cpu = self.processes[place].zip(before).map(|(process, before)| process.cpu().saturating_sub(before));
        Ok((slice, cpu))
    }

    fn report_one(&self, report: &mut Report, echo: &Arm, decide: &Arm) {
        let p50 = |arm: &Arm| arm.recorder.response.value_at_quantile(0.5);
        let evaluation = self.processes[DECIDE].and_then(|process| process.ready.evaluation);
        let added = p50(decide) as f64 - p50(echo) as f64;
        report.set(
            "one_in_flight",
            json!({
                "echo": latency(&echo.recorder.response),
                "decide": latency(&decide.recorder.response),
                "added_p50_ns": added,
                "evaluation_p50_ns": evaluation.map(|evaluation| evaluation.p50_ns),
                "evaluation_spaced_p50_ns": evaluation.map(|evaluation| evaluation.spaced_p50_ns),
                "added_beyond_evaluation_p50_ns": evaluation.map(|evaluation| added - evaluation.spaced_p50_ns as f64),
            }),
        );
        report.say(line("echo, one in flight", &echo.recorder, echo.rate(), echo.cpu));
        report.say(line("decide, one in flight", &decide.recorder, decide.rate(), decide.cpu));
        report.say(format!("one in flight, p50: decide takes {:.1} us more than the echo", added / 1e3));
        if let Some(evaluation) = evaluation {
            let (hot, spaced) = (evaluation.p50_ns as f64 / 1e3, evaluation.spaced_p50_ns as f64 / 1e3);
            let beyond = added / 1e3 - spaced;
            report.say(format!(
                "of that {spaced:.1} us of evaluation ({hot:.1} us with hot caches), {beyond:.1} us beyond"
            ));
        }
    }
}

impl Arm {
    fn new() -> Self {
        Self { recorder: Recorder::new(), elapsed: Duration::ZERO, cpu: None, rates: Vec::new() }
    }

    fn add(&mut self, (slice, cpu): (Slice, Option<Duration>)) {
        self.rates.push(slice.rate_per_s());
        self.recorder.append(&slice.recorder);
        self.elapsed += slice.elapsed;
        self.cpu = cpu.map(|cpu| self.cpu.unwrap_or_default() + cpu);
    }

    fn rate(&self) -> f64 {
        self.recorder.count() as f64 / self.elapsed.as_secs_f64()
    }

    fn cpu_ns_per_frame(&self) -> Option<f64> {
        self.cpu.map(|cpu| cpu.as_nanos() as f64 / self.recorder.count().max(1) as f64)
    }

    fn report(&self, report: &mut Report, name: &str, shown: &str) {
        report.set(name, arm(&self.recorder, self.rate(), self.cpu));
        report.say(line(shown, &self.recorder, self.rate(), self.cpu));
    }
}

fn report_cpu(report: &mut Report, echo: &Arm, decide: &Arm) {
    let Some((decide, echo)) = decide.cpu_ns_per_frame().zip(echo.cpu_ns_per_frame()) else { return };
    report.set("cpu_ns_per_frame_above_echo", decide - echo);
    report.say(format!("node CPU per frame: {:.0} ns above the echo's {echo:.0} ns", decide - echo));
}

/// Bytes of a question's and an answer's frame.
pub(super) fn frame_sizes() -> Result<(usize, usize), LoadError> {
    let mut writer = FrameWriter::default();
    let details = DetailsV1 { intent: 1, ..DetailsV1::default() };
    writer.append(1, &DecideV1 { session: 1, at_least: RevisionV1::default(), action: 0, resource: 0, details })?;
    let request = writer.len();
    writer.clear();
    writer.append(1, &DecisionV1 { verdict: 1, reason: 1, epoch: 1, ..DecisionV1::default() })?;
    Ok((request, writer.len()))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
