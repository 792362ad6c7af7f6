//! What does one decision cost in process, with 10 to 10,000 policies? No audit, one thread; sessions of
//! a user through one agent, 1,000 of them, round robin over up to 200 actions and 1,000 documents.
#![allow(missing_docs, clippy::expect_used, reason = "a bench fails by panicking")]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use portcullis_benches::{Organisation, Shape, results_folder, start};
use portcullis_model::Verdict;
use portcullis_runtime::{AuditMode, Detail};

const SESSIONS: usize = 1_000;
/// Questions that are put round robin.
const QUESTIONS: usize = 1_000;

fn decide(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("the runtime starts");
    let mut group = criterion.benchmark_group("decide");
    for policies in [10, 100, 1_000, 10_000] {
        let organisation = Organisation::new(Shape { policies, ..Shape::default() });
        let folder = tempfile::TempDir::new_in(results_folder().expect("a folder")).expect("a folder");
        let engine = runtime.block_on(start(folder.path(), AuditMode::Off, &organisation)).expect("the engine starts");
        let open =
            |number| engine.open_session(&organisation.session(number), "bench").expect("a session opens").handle;
        let sessions: Vec<_> = (0..SESSIONS).map(open).collect();
        let requests: Vec<_> = (0..QUESTIONS).map(|number| organisation.request(number)).collect();
        let mut decider = engine.decider().expect("a decider");
        let mut number = 0;
        group.bench_function(BenchmarkId::new("policies", policies), |bench| {
            bench.iter(|| {
                number += 1;
                decider.begin();
                let (session, request) = (sessions[number * 7 % SESSIONS], &requests[number % QUESTIONS]);
                let answer = decider.decide(session, request, Detail::Brief).expect("a decision");
                assert_eq!(answer.decision.verdict, Verdict::Allow);
            });
        });
        decider.idle();
        runtime.block_on(engine.stop());
    }
    group.finish();
}

criterion_group!(benches, decide);
criterion_main!(benches);
