#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use portcullis_model::{Reason, Verdict};
use portcullis_runtime::{AuditMode, Detail};

use crate::{Grid, Organisation, Shape, start};

#[test]
fn a_grid_has_exactly_as_many_policies_as_asked() {
    for policies in [4, 5, 10, 99, 100, 1_000, 10_000, 50_000] {
        let grid = Grid::new(policies);
        assert_eq!(grid.policies(), policies);
        let text = Organisation::new(Shape { policies, ..Shape::default() }).policy_set();
        let count: usize = text.files.iter().map(|file| file.text.matches("@id(").count()).sum();
        assert_eq!(count, policies);
    }
}

#[test]
fn every_session_is_permitted_every_request_and_a_stranger_none() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for policies in [4, 10, 137] {
        let organisation = Organisation::new(Shape { users: 23, agents: 7, documents: 11, policies });
        let folder = tempfile::TempDir::new().unwrap();
        let engine = runtime.block_on(start(folder.path(), AuditMode::Off, &organisation)).unwrap();
        let mut decider = engine.decider().unwrap();
        let mut decide = |handle, request| decider.decide(handle, &request, Detail::Brief).unwrap().decision;
        for session in 0..23 {
            let handle = engine.open_session(&organisation.session(session), "bench").unwrap().handle;
            for request in 0..organisation.actions().max(11) {
                let decision = decide(handle, organisation.request(request));
                assert_eq!((decision.verdict, decision.reason), (Verdict::Allow, Reason::Permitted));
            }
        }
        let mut terms = organisation.session(0);
        terms.agents = vec![organisation.agent(1)];
        assert!(engine.open_session(&terms, "bench").is_err());
        runtime.block_on(engine.stop());
    }
}
