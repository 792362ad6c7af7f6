//! What is measured, and what is asked there.

use std::path::Path;

use portcullis_benches::{Organisation, Shape};
use portcullis_client::ClientOptions;
use portcullis_model::{EntityUid, SessionTerms, Timestamp};

use crate::arguments::{Audit, Settings};
use crate::child::{ECHO_FILE, OPERATOR_FILE, PLATFORM_FILE};
use crate::error::LoadError;
use crate::load::Link;
use crate::process::Process;

/// Questions that are put round robin.
const QUESTIONS: usize = 1_000;

/// A node, and how to reach it.
pub(crate) struct Target {
    /// The node's process; `None` for a node that was there before.
    pub(crate) process: Option<Process>,
    /// As who sessions are opened and decisions asked.
    pub(crate) platform: ClientOptions,
    /// As who revocations and changes are made.
    pub(crate) operator: ClientOptions,
    /// `None` for a node that was there before.
    pub(crate) organisation: Option<Organisation>,
}

impl Target {
    /// The node that the settings name, or one started for them.
    pub(crate) fn open(settings: &Settings, shape: Shape, audit: Audit) -> Result<Self, LoadError> {
        let (Some(address), Some(file)) = (&settings.addr, &settings.client) else {
            let process = Process::node(shape, audit)?;
            let platform = options(&process.file(PLATFORM_FILE))?;
            let operator = options(&process.file(OPERATOR_FILE))?;
            let organisation = Some(Organisation::new(shape));
            return Ok(Self { process: Some(process), platform, operator, organisation });
        };
        let (mut platform, beside) = (options(file)?, file.with_file_name(OPERATOR_FILE));
        let mut operator = if beside.is_file() { options(&beside)? } else { platform.clone() };
        platform.address.clone_from(address);
        operator.address.clone_from(address);
        Ok(Self { process: None, platform, operator, organisation: None })
    }

    /// What to ask, in `sessions` sessions.
    pub(crate) fn workload(&self, sessions: usize) -> Result<Workload, LoadError> {
        match &self.organisation {
            Some(organisation) => Ok(Workload::generated(organisation, sessions)),
            None => Workload::sample(sessions),
        }
    }
}

/// How to reach an echo.
pub(crate) fn echo_options(process: &Process) -> Result<ClientOptions, LoadError> {
    options(&process.file(ECHO_FILE))
}

fn options(file: &Path) -> Result<ClientOptions, LoadError> {
    Ok(ClientOptions::from_file(file)?)
}

/// Who asks, and what.
pub(crate) struct Workload {
    /// At least one.
    pub(crate) sessions: Vec<SessionTerms>,
    /// Actions and resources, at least one pair.
    pub(crate) questions: Vec<(EntityUid, EntityUid)>,
}

impl Workload {
    /// Sessions of the generated users, each through the agent of its grant; everything is permitted.
    pub(crate) fn generated(organisation: &Organisation, sessions: usize) -> Self {
        let questions = (0..QUESTIONS).map(|number| (organisation.action(number), organisation.document(number)));
        Self {
            sessions: (0..sessions.max(1)).map(|number| organisation.session(number)).collect(),
            questions: questions.collect(),
        }
    }

    /// The sample's people, each through each chain of agents that may act for them; some questions are
    /// permitted and some are not.
    fn sample(sessions: usize) -> Result<Self, LoadError> {
        let rows = portcullis_sample::matrix()?;
        let grants = portcullis_sample::grants()?;
        let is_possible = |subject: &EntityUid, chain: &[EntityUid]| {
            chain.len() == 1 && grants.iter().any(|grant| grant.subject == *subject && grant.agent == chain[0])
        };
        let mut different: Vec<SessionTerms> = Vec::new();
        let mut questions = Vec::new();
        for row in rows {
            if is_possible(&row.subject, &row.chain) {
                let terms = SessionTerms { subject: row.subject, agents: row.chain, expires: Timestamp::MAX };
                if !different.contains(&terms) {
                    different.push(terms);
                }
            }
            let question = (row.action, row.resource);
            if !questions.contains(&question) {
                questions.push(question);
            }
        }
        if different.is_empty() {
            return Err(LoadError::Settings("the sample has no grant to act on"));
        }
        Ok(Self { sessions: different.into_iter().cycle().take(sessions.max(1)).collect(), questions })
    }

    /// Registers the names of all questions on a connection.
    pub(crate) async fn register(&self, link: &Link) -> Result<Vec<(u32, u32)>, LoadError> {
        let mut names: Vec<EntityUid> =
            self.questions.iter().flat_map(|(action, resource)| [action.clone(), resource.clone()]).collect();
        names.sort_unstable();
        names.dedup();
        let numbers = link.register(&names).await?;
        let number = |uid: &EntityUid| names.binary_search(uid).ok().and_then(|place| numbers.get(place).copied());
        let pairs = self.questions.iter().map(|(action, resource)| Some((number(action)?, number(resource)?)));
        pairs.collect::<Option<Vec<_>>>().ok_or_else(|| LoadError::Lost("it left names out".into()))
    }
}
