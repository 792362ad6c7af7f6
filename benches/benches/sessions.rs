//! What does a session cost to open and close, and how long does a revocation take to be acknowledged?
//! In process, real change log with real syncs, decisions not recorded.
#![allow(missing_docs, clippy::expect_used, reason = "a bench fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis_benches::{Organisation, Shape, results_folder, start};
use portcullis_model::{Origin, RevokeScope};
use portcullis_runtime::{AuditMode, Detail, Engine};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Sessions of the user that is revoked.
const SESSIONS: usize = 1_000;

fn engine(organisation: &Organisation) -> (Runtime, TempDir, Engine) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("the runtime starts");
    let folder = TempDir::new_in(results_folder().expect("a folder")).expect("a folder");
    let engine = runtime.block_on(start(folder.path(), AuditMode::Off, organisation)).expect("the engine starts");
    (runtime, folder, engine)
}

fn open_and_close(criterion: &mut Criterion) {
    let organisation = Organisation::new(Shape::default());
    let (runtime, _folder, engine) = engine(&organisation);
    let terms: Vec<_> = (0..1_000).map(|number| organisation.session(number)).collect();
    let mut number = 0;
    criterion.bench_function("session/open_and_close", |bench| {
        bench.iter(|| {
            number += 1;
            let opened = engine.open_session(&terms[number % terms.len()], "bench").expect("a session opens");
            assert!(engine.close_session(opened.handle));
        });
    });
    runtime.block_on(engine.stop());
}

/// From the call to the acknowledgement: committed with a sync, and every worker past a batch boundary,
/// while one worker decides all the time.
fn revoke(criterion: &mut Criterion) {
    let organisation = Organisation::new(Shape::default());
    let (runtime, _folder, engine) = engine(&organisation);
    let stop = Arc::new(AtomicBool::new(false));
    let deciding = decide_until(&stop, &engine, &organisation);
    let mut group = criterion.benchmark_group("revoke");
    group.sample_size(20);
    group.bench_function("user_with_1000_sessions", |bench| {
        bench.iter_custom(|iterations| {
            (0..iterations).map(|_| runtime.block_on(revoke_user(&engine, &organisation))).sum()
        });
    });
    group.finish();
    stop.store(true, Ordering::Release);
    deciding.join().expect("the worker ends");
    runtime.block_on(engine.stop());
}

async fn revoke_user(engine: &Engine, organisation: &Organisation) -> Duration {
    let terms = organisation.session(0);
    let opened: Vec<_> =
        (0..SESSIONS).map(|_| engine.open_session(&terms, "bench").expect("a session opens").handle).collect();
    let began = Instant::now();
    let revoked = engine.revoke(RevokeScope::User(terms.subject.clone()), Origin::Node).await.expect("it is revoked");
    let elapsed = began.elapsed();
    assert_eq!(revoked.sessions, SESSIONS as u64);
    let restored = engine.restore(terms.subject.clone(), Origin::Node).await.expect("it is restored");
    engine.wait_effective(restored).await.expect("it is effective");
    for handle in opened {
        engine.close_session(handle);
    }
    elapsed
}

fn decide_until(stop: &Arc<AtomicBool>, engine: &Engine, organisation: &Organisation) -> std::thread::JoinHandle<()> {
    let handle = engine.open_session(&organisation.session(1), "bench").expect("a session opens").handle;
    let (stop, request) = (Arc::clone(stop), organisation.request(0));
    let mut decider = engine.decider().expect("a decider");
    std::thread::spawn(move || {
        while !stop.load(Ordering::Acquire) {
            decider.begin();
            drop(decider.decide(handle, &request, Detail::Brief).expect("a decision"));
        }
        decider.idle();
    })
}

criterion_group!(benches, open_and_close, revoke);
criterion_main!(benches);
