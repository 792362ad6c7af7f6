//! The node, with a generated organisation.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use portcullis::node::{Clients, Mode, Node, NodeSettings};
use portcullis_benches::{Organisation, Shape, load};
use portcullis_cells::Handle;
use portcullis_identity::{Asserts, Role};
use portcullis_model::Request;
use portcullis_model::limits::SESSIONS_MAX;
use portcullis_runtime::{AuditMode, Detail, Engine};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::Running;
use super::credentials::{OPERATOR_FILE, PLATFORM_FILE, Pki};
use crate::arguments::ChildSettings;
use crate::error::LoadError;
use crate::process::{Evaluation, Ready};

/// Calls of which the evaluation's median is taken.
const EVALUATIONS: usize = 20_000;
/// Sleep before each of the spaced ones.
const SPACE: Duration = Duration::from_micros(20);
/// Longest that they take.
const EVALUATION_TIME_MAX: Duration = Duration::from_millis(500);

pub(super) struct RunningNode {
    node: Node,
    evaluation: Option<Evaluation>,
}

/// Starts a node whose clients are a platform, which may name every user and agent, and an operator.
pub(super) async fn start(settings: &ChildSettings) -> Result<RunningNode, LoadError> {
    let shape =
        Shape { users: settings.users, agents: settings.agents, policies: settings.policies, ..Shape::default() };
    let organisation = Organisation::new(shape);
    let pki = Pki::create(&settings.folder)?;
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut options = NodeSettings::new(Mode::Serve, settings.folder.join("data"), any, any, pki.tls()?);
    let ca = CertificateDer::from_pem_slice(pki.client_ca().as_bytes());
    options.client_ca = Some(vec![ca.map_err(|cause| failed(cause.to_string()))?]);
    options.audit_mode = settings.audit.mode();
    options.workers = settings.workers;
    options.sessions_max = SESSIONS_MAX;
    let asserts = Asserts {
        subject_types: vec![organisation.user(0).entity_type().clone()],
        agents: (0..shape.agents).map(|number| organisation.agent(number)).collect(),
        ..Asserts::default()
    };
    let platform = pki.register("platform", Role::Platform, asserts)?;
    let operator = pki.register("operator", Role::Operator, Asserts::default())?;
    options.clients = Clients::Listed(vec![platform, operator]);
    let node = Node::start(options).await.map_err(|cause| failed(cause.to_string()))?;
    node.announce();
    load(node.engine(), &organisation).await?;
    pki.write_client(PLATFORM_FILE, node.quic(), "platform")?;
    pki.write_client(OPERATOR_FILE, node.quic(), "operator")?;
    let evaluation = match settings.audit.mode() {
        AuditMode::Off => Some(evaluation(node.engine(), &organisation)?),
        _ => None,
    };
    Ok(RunningNode { node, evaluation })
}

/// What one decision takes on a thread of this process.
fn evaluation(engine: &Engine, organisation: &Organisation) -> Result<Evaluation, LoadError> {
    let mut handles = Vec::new();
    for number in 0..organisation.shape().users.min(1_000) {
        let opened = engine.open_session(&organisation.session(number), "evaluation");
        handles.push(opened.map_err(|cause| failed(cause.to_string()))?.handle);
    }
    let requests: Vec<_> = (0..1_000).map(|number| organisation.request(number)).collect();
    let p50_ns = median_ns(engine, &handles, &requests, Duration::ZERO)?;
    let spaced_p50_ns = median_ns(engine, &handles, &requests, SPACE)?;
    for handle in handles {
        engine.close_session(handle);
    }
    Ok(Evaluation { p50_ns, spaced_p50_ns })
}

/// Median time of one decision, each after a sleep of `space`.
fn median_ns(engine: &Engine, handles: &[Handle], requests: &[Request], space: Duration) -> Result<u64, LoadError> {
    let mut decider = engine.decider()?;
    let mut spans = Vec::with_capacity(EVALUATIONS);
    let began = Instant::now();
    for (number, handle) in handles.iter().cycle().take(EVALUATIONS).enumerate() {
        if !space.is_zero() {
            std::thread::sleep(space);
        }
        decider.begin();
        let asked = Instant::now();
        let _ = decider.decide(*handle, &requests[number % requests.len()], Detail::Brief)?;
        spans.push(asked.elapsed());
        decider.idle();
        if began.elapsed() > EVALUATION_TIME_MAX {
            break;
        }
    }
    spans.sort_unstable();
    let median = spans.get(spans.len() / 2).copied().unwrap_or_default();
    Ok(u64::try_from(median.as_nanos()).unwrap_or(u64::MAX))
}

fn failed(problem: String) -> LoadError {
    LoadError::Child { what: "node", problem: format!("does not start: {problem}") }
}

impl Running for RunningNode {
    fn ready(&self) -> Ready {
        Ready { address: self.node.quic().to_string(), evaluation: self.evaluation }
    }

    async fn stop(self) {
        self.node.stop().await;
    }
}
