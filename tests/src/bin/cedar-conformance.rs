//! Asks a running node, over QUIC, the questions of Cedar's published integration tests.
//!
//! `cedar-conformance DIR`: DIR holds `tests/` and what they name. Each test's policies, schema and
//! entities are loaded into a node of its own by an operator; then a client that is registered
//! `direct` opens a session for each principal and asks. Verdict, reasons and errors are compared.
#![allow(clippy::panic, reason = "a runner that cannot set itself up fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

use portcullis_client::admin::{AdminReply, AdminRequest, DecisionReport, Question};
use portcullis_client::{Client, DecideError, OpenRequest, Session};
use portcullis_identity::{Asserts, Registration, Role};
use portcullis_model::{EntityUid, ErrorCode};
use portcullis_policy::{CompileOptions, OnError, Validation};
use portcullis_tests::arguments::Arguments;
use portcullis_tests::conformance::{Answer, Case, Conformance};
use portcullis_tests::nodes::{OPERATOR, Plan, TestNode, registration};
use portcullis_tests::report::Tally;

const USAGE: &str = "cedar-conformance DIR";
const DIRECT: &str = "direct";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse(&[], USAGE);
    let [folder] = arguments.free() else {
        eprintln!("usage: {USAGE}");
        return ExitCode::from(2);
    };
    let tests = match Conformance::all(Path::new(folder)) {
        Ok(tests) => tests,
        Err(cause) => {
            eprintln!("{cause}");
            return ExitCode::FAILURE;
        }
    };
    let mut tally = Tally::default();
    for test in &tests {
        match Asked::start(test).await {
            Ok(mut asked) => {
                for case in &test.requests {
                    let outcome = asked.ask(case).await.and_then(|found| case.expected.compare(&found));
                    tally.count(&format!("{}: {}", test.file.display(), case.description), outcome);
                }
                asked.stop().await;
            }
            Err(cause) => {
                for case in &test.requests {
                    tally.count(&format!("{}: {}", test.file.display(), case.description), Err(cause.clone()));
                }
            }
        }
    }
    tally.close()
}

/// A node that holds one test.
struct Asked {
    node: TestNode,
    operator: Client,
    direct: Client,
    sessions: BTreeMap<EntityUid, Session>,
}

impl Asked {
    /// Loads a test into a node that validates, and where Cedar's strict validation does not accept it,
    /// into one that does not.
    async fn start(test: &Conformance) -> Result<Self, String> {
        if test.should_validate {
            match Self::load(test, Validation::Strict).await {
                Ok(asked) => return Ok(asked),
                Err(cause) => println!("{}: without validation: {cause}", test.file.display()),
            }
        }
        Self::load(test, Validation::Off).await.map_err(|cause| cause.to_string())
    }

    async fn load(test: &Conformance, validation: Validation) -> Result<Self, DecideError> {
        let node = TestNode::start(Plan {
            compile: CompileOptions { validation, on_error: OnError::Skip },
            clients: vec![direct(test)],
            ..Plan::default()
        })
        .await;
        let operator = node.client(OPERATOR).await;
        let loading = async {
            operator.admin(&AdminRequest::PolicyPush { set: test.set.clone() }).await?;
            operator.admin(&AdminRequest::EntityPut { entities: test.entities.clone() }).await
        };
        if let Err(cause) = loading.await {
            node.stop().await;
            return Err(cause);
        }
        let direct = node.client(DIRECT).await;
        Ok(Self { node, operator, direct, sessions: BTreeMap::new() })
    }

    async fn ask(&mut self, case: &Case) -> Result<Answer, String> {
        if !self.sessions.contains_key(&case.principal) {
            let request = OpenRequest::asserted(case.principal.clone(), []);
            let session = self.direct.open(&request).await.map_err(|cause| format!("no session: {cause}"))?;
            self.sessions.insert(case.principal.clone(), session);
        }
        let Some(session) = self.sessions.get(&case.principal) else { return Err("no session".to_owned()) };
        let decided = session.decide_detailed(&case.request).await.map_err(|cause| format!("no decision: {cause}"))?;
        let explained = self.explain(case).await.map_err(|cause| format!("no explanation: {cause}"))?;
        let pass = explained.principals.first().ok_or("the explanation names no principal")?;
        let found = Answer {
            verdict: decided.verdict,
            reasons: pass.policies.iter().map(|policy| policy.id.to_string()).collect(),
            errors: pass.errors.iter().map(|fault| fault.policy.to_string()).collect(),
        };
        let sufficient: BTreeSet<_> = decided.policies.iter().map(|policy| policy.id.to_string()).collect();
        if explained.verdict != decided.verdict || !sufficient.is_subset(&found.reasons) {
            return Err(format!("decided {decided:?}, but explained {explained:?}"));
        }
        Ok(found)
    }

    async fn explain(&self, case: &Case) -> Result<DecisionReport, DecideError> {
        let question = Question {
            agents: Vec::new(),
            subject: case.principal.clone(),
            action: case.request.action.clone(),
            resource: case.request.resource.clone(),
            input: None,
            context: case.request.context.clone(),
            at_least: None,
        };
        match self.operator.admin(&AdminRequest::Explain(question)).await? {
            AdminReply::Report(report) => Ok(*report),
            other => Err(DecideError::Refused {
                refusal: portcullis_model::Refusal::new(ErrorCode::Internal, format!("{other:?}")),
                retry_after: None,
            }),
        }
    }

    async fn stop(self) {
        drop(self.sessions);
        self.direct.close().await;
        self.operator.close().await;
        self.node.stop().await;
    }
}

/// A client for whom a subject may be of every type that the test asks about.
fn direct(test: &Conformance) -> Registration {
    let types: BTreeSet<_> = test.requests.iter().map(|case| case.principal.entity_type().clone()).collect();
    let asserts = Asserts { subject_types: types.into_iter().collect(), ..Asserts::default() };
    Registration { asserts, direct: true, ..registration(DIRECT, Role::Platform) }
}
