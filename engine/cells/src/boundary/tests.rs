#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use super::{Boundary, WORKERS_MAX, Worker};

#[test]
fn a_mark_passes_when_the_marked_batch_ends() {
    type End = fn(Worker) -> Option<Worker>;
    let ends: [(&str, End); 3] = [
        ("another batch", |mut worker| {
            worker.begin();
            Some(worker)
        }),
        ("idle", |mut worker| {
            worker.idle();
            Some(worker)
        }),
        ("left", |_| None),
    ];
    for (name, end) in ends {
        let boundary = Boundary::new();
        let mut worker = boundary.join().unwrap();
        worker.begin();
        let mark = boundary.mark();
        assert!(!boundary.passed(&mark), "{name}");
        let mut worker = end(worker);
        assert!(boundary.passed(&mark), "{name}");
        if let Some(worker) = &mut worker {
            worker.begin();
            assert!(boundary.passed(&mark), "{name}: a later batch is not in the mark");
        }
    }
}

#[test]
fn idle_and_absent_workers_are_not_waited_for() {
    let boundary = Boundary::new();
    assert!(boundary.passed(&boundary.mark()));
    let mut worker = boundary.join().unwrap();
    assert!(boundary.passed(&boundary.mark()));
    worker.begin();
    worker.idle();
    worker.idle();
    assert!(boundary.passed(&boundary.mark()));
}

#[test]
fn every_marked_worker_is_waited_for() {
    let boundary = Boundary::new();
    let mut first = boundary.join().unwrap();
    let mut second = boundary.join().unwrap();
    first.begin();
    second.begin();
    let mark = boundary.mark();
    first.begin();
    assert!(!boundary.passed(&mark));
    second.idle();
    assert!(boundary.passed(&mark));
}

#[test]
fn places_are_bounded_and_reused_without_reviving_a_mark() {
    let boundary = Boundary::new();
    let mut workers: Vec<_> = (0..WORKERS_MAX).map(|_| boundary.join().unwrap()).collect();
    assert!(boundary.join().is_none());
    let mut last = workers.pop().unwrap();
    last.begin();
    let mark = boundary.mark();
    drop(last);
    let mut next = boundary.join().unwrap();
    next.begin();
    assert!(boundary.passed(&mark));
    assert!(!boundary.passed(&boundary.mark()));
    assert!(boundary.join().is_none());
    drop((workers, next));
    assert_eq!(boundary.workers(), 0);
}

#[test]
fn no_worker_reads_the_old_value_after_the_mark_has_passed() {
    let boundary = Boundary::new();
    let (value, acknowledged, done) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..2 {
            let mut worker = boundary.join().unwrap();
            let (value, acknowledged, done) = (&value, &acknowledged, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    worker.begin();
                    for _ in 0..16 {
                        // Relaxed on purpose: only the boundary orders these two.
                        let least = acknowledged.load(Ordering::Relaxed);
                        assert!(value.load(Ordering::Relaxed) >= least);
                    }
                    worker.idle();
                }
            });
        }
        for number in 1..=2_000 {
            value.store(number, Ordering::Relaxed);
            let mark = boundary.mark();
            while !boundary.passed(&mark) {
                thread::yield_now();
            }
            acknowledged.store(number, Ordering::Relaxed);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(boundary.passed(&boundary.mark()));
}
