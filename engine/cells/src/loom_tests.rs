//! Every schedule, up to a few preemptions, of small runs of each cell. See the crate's documentation for the command.
//!
//! Loom never lets a load see a store that runs after it, so the pair by which a ring's consumer gives words back to the
//! producer is not proven here. Every other pair named in an `ORDERING` comment is: weaken it, and a model fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use loom::{
    model::Builder,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use crate::{Boundary, DenyEntry, DenyTable, Handle, Slots, Versioned, ring};

fn explore(preemptions_max: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions_max);
    builder.max_branches = 10_000;
    builder.check(model);
}

#[test]
fn a_read_at_the_effective_stamp_is_exact_or_late() {
    explore(3, || {
        let cell = Arc::new(Versioned::new(0, [0, 0]));
        let effective = Arc::new(AtomicU64::new(0));
        let reader = thread::spawn({
            let (cell, effective) = (Arc::clone(&cell), Arc::clone(&effective));
            move || {
                let at = effective.load(Ordering::Acquire);
                if let Ok(value) = cell.read(at) {
                    assert_eq!(value, [at, at]);
                }
            }
        });
        for stamp in 1..=3 {
            cell.write(stamp, [stamp, stamp]);
            effective.store(stamp, Ordering::Release);
        }
        assert_eq!(cell.read(3), Ok([3, 3]));
        reader.join().unwrap();
    });
}

#[test]
fn a_version_replaced_in_place_is_not_seen_before_it_is_effective() {
    explore(3, || {
        let cell = Arc::new(Versioned::new(0, [0, 0]));
        let effective = Arc::new(AtomicU64::new(0));
        let reader = thread::spawn({
            let (cell, effective) = (Arc::clone(&cell), Arc::clone(&effective));
            move || {
                let at = effective.load(Ordering::Acquire);
                let expected = if at == 0 { 0 } else { 12 };
                assert_eq!(cell.read(at), Ok([expected, expected]));
            }
        });
        cell.write(1, [11, 11]);
        cell.write(1, [12, 12]);
        effective.store(1, Ordering::Release);
        reader.join().unwrap();
    });
}

#[test]
fn a_read_at_any_stamp_is_never_a_mixture_nor_after_it() {
    explore(3, || {
        let cell = Arc::new(Versioned::new(0, [0, 0]));
        let reader = thread::spawn({
            let cell = Arc::clone(&cell);
            move || {
                if let Ok([first, second]) = cell.read(2) {
                    assert!(first == second && first <= 2);
                }
            }
        });
        for stamp in 1..=3 {
            cell.write(stamp, [stamp, stamp]);
        }
        reader.join().unwrap();
    });
}

fn entry(number: u64) -> DenyEntry {
    DenyEntry { key: [number, number], kind: number, target: [number, number] }
}

fn is_denied(table: &DenyTable) -> bool {
    table.pending() != 0 && table.any(|seen| *seen == entry(1))
}

#[test]
fn no_batch_allows_after_the_restriction_is_acknowledged() {
    explore(3, || {
        let table = Arc::new(DenyTable::new());
        let boundary = Boundary::new();
        let acknowledged = Arc::new(AtomicU64::new(0));
        let mut worker = boundary.join().unwrap();
        let decider = thread::spawn({
            let (table, acknowledged) = (Arc::clone(&table), Arc::clone(&acknowledged));
            move || {
                for _ in 0..2 {
                    worker.begin();
                    // Relaxed: only the boundary puts the restriction before the decision.
                    let must_deny = acknowledged.load(Ordering::Relaxed) == 1;
                    let denied = is_denied(&table);
                    assert!(denied || !must_deny);
                }
                worker.idle();
            }
        });
        table.set(entry(1)).unwrap();
        let mark = boundary.mark();
        if boundary.passed(&mark) {
            acknowledged.store(1, Ordering::Relaxed);
        }
        decider.join().unwrap();
        assert!(boundary.passed(&mark));
    });
}

#[test]
fn a_passed_mark_leaves_no_batch_that_allowed_unseen() {
    explore(3, || {
        let table = Arc::new(DenyTable::new());
        let boundary = Boundary::new();
        let mut worker = boundary.join().unwrap();
        // Where the worker writes its allow: it must be there before the acknowledgement, or never.
        let allowed = Arc::new(AtomicU64::new(0));
        let decider = thread::spawn({
            let (table, allowed) = (Arc::clone(&table), Arc::clone(&allowed));
            move || {
                worker.begin();
                if !is_denied(&table) {
                    allowed.store(1, Ordering::Relaxed);
                }
            }
        });
        table.set(entry(1)).unwrap();
        let mark = boundary.mark();
        let at_acknowledgement = boundary.passed(&mark).then(|| allowed.load(Ordering::Relaxed));
        decider.join().unwrap();
        if let Some(before) = at_acknowledgement {
            assert_eq!(allowed.load(Ordering::Relaxed), before);
        }
    });
}

#[test]
fn unchanged_changes_mean_that_no_restriction_was_missed() {
    explore(3, || {
        let table = Arc::new(DenyTable::new());
        let decider = thread::spawn({
            let table = Arc::clone(&table);
            move || {
                let before = table.changes();
                let denied = is_denied(&table);
                // Seen whole before this point, or counted after it.
                before == 0 || denied
            }
        });
        table.set(entry(1)).unwrap();
        assert!(is_denied(&table));
        assert!(decider.join().unwrap());
    });
}

#[test]
fn a_counted_entry_is_found_whole() {
    explore(3, || {
        let table = Arc::new(DenyTable::new());
        let decider = thread::spawn({
            let table = Arc::clone(&table);
            move || {
                let counted = table.pending() == 1;
                let mut found = false;
                let unreadable = table.any(|seen| {
                    found = *seen == entry(1);
                    false
                });
                assert!(!unreadable);
                assert!(found || !counted);
            }
        });
        table.set(entry(1)).unwrap();
        decider.join().unwrap();
    });
}

#[test]
fn an_entry_cleared_behind_a_boundary_leaves_no_gap_before_its_effect() {
    explore(3, || {
        let table = Arc::new(DenyTable::new());
        table.set(entry(1)).unwrap();
        let boundary = Boundary::new();
        let effective = Arc::new(AtomicU64::new(0));
        let mut worker = boundary.join().unwrap();
        let decider = thread::spawn({
            let (table, effective) = (Arc::clone(&table), Arc::clone(&effective));
            move || {
                for _ in 0..2 {
                    worker.begin();
                    let state_denies = effective.load(Ordering::Relaxed) == 1;
                    assert!(state_denies || is_denied(&table));
                }
            }
        });
        effective.store(1, Ordering::Relaxed);
        let mark = boundary.mark();
        if boundary.passed(&mark) {
            assert!(table.clear([1, 1]));
        }
        decider.join().unwrap();
    });
}

#[test]
fn a_scan_during_changes_sees_whole_entries_and_the_one_that_stays() {
    explore(2, || {
        let table = Arc::new(DenyTable::new());
        table.set(entry(2)).unwrap();
        table.set(entry(1)).unwrap();
        let scanner = thread::spawn({
            let table = Arc::clone(&table);
            move || {
                let found = table.any(|seen| {
                    assert!((1..=3).contains(&seen.kind));
                    assert_eq!(*seen, entry(seen.kind));
                    *seen == entry(1)
                });
                assert!(found);
                assert!(table.pending() >= 1);
            }
        });
        assert!(table.clear([2, 2]));
        table.set(entry(3)).unwrap();
        scanner.join().unwrap();
        assert!(!table.any(|seen| *seen == entry(2)));
    });
}

#[test]
fn a_ring_gives_whole_records_in_order_while_it_wraps() {
    const RECORDS: [&[u8]; 3] = [b"one", b"twice eight here", b"three"];
    explore(3, || {
        // Four words: the second record needs three of them.
        let (mut producer, mut consumer) = ring(0);
        let pusher = thread::spawn(move || {
            let mut pushed = 0;
            for bytes in RECORDS {
                let (head, tail) = bytes.split_at(2);
                if producer.push(&[head, tail]).is_err() {
                    break;
                }
                pushed += 1;
            }
            pushed
        });
        let mut popped = 0;
        let mut out = Vec::new();
        for _ in 0..3 {
            if consumer.pop(&mut out) {
                assert_eq!(out, RECORDS[popped]);
                popped += 1;
            }
        }
        let pushed = pusher.join().unwrap();
        assert!(consumer.is_closed());
        while consumer.pop(&mut out) {
            assert_eq!(out, RECORDS[popped]);
            popped += 1;
        }
        assert_eq!(popped, pushed);
    });
}

#[test]
fn a_closed_ring_has_nothing_more_to_come() {
    explore(3, || {
        let (mut producer, mut consumer) = ring(0);
        let pusher = thread::spawn(move || producer.push(&[b"last"]).unwrap());
        let closed = consumer.is_closed();
        let mut out = Vec::new();
        let found = consumer.pop(&mut out);
        assert!(found || !closed);
        assert_eq!(pusher.join().unwrap(), 1);
    });
}

#[test]
fn a_delayed_read_never_returns_the_next_claims_words() {
    explore(3, || {
        let slots = Arc::new(Slots::with_capacity_max(1));
        let old = slots.claim([1, 1]).unwrap();
        let reader = thread::spawn({
            let slots = Arc::clone(&slots);
            move || {
                if let Some(value) = slots.read(old) {
                    assert_eq!(value, [1, 1]);
                }
            }
        });
        assert!(slots.release(old));
        let new = slots.claim([2, 2]).unwrap();
        assert_eq!((slots.read(old), slots.read(new)), (None, Some([2, 2])));
        reader.join().unwrap();
    });
}

#[test]
fn a_delayed_store_never_changes_the_next_claim() {
    explore(3, || {
        let slots = Arc::new(Slots::with_capacity_max(1));
        let old = slots.claim([1, 1]).unwrap();
        let storer = thread::spawn({
            let slots = Arc::clone(&slots);
            move || slots.store_word(old, 0, 9) | slots.release(old)
        });
        let released_here = slots.release(old);
        let new = slots.claim([2, 2]);
        let did_something = storer.join().unwrap();
        assert!(released_here || did_something);
        if let Some(new) = new {
            assert_eq!(slots.read(new), Some([2, 2]));
        }
        assert_eq!(slots.read(old), None);
    });
}

#[test]
fn a_stored_word_comes_with_the_one_stored_before_it() {
    explore(3, || {
        let slots = Arc::new(Slots::with_capacity_max(1));
        let handle = slots.claim([1, 1]).unwrap();
        let reader = thread::spawn({
            let slots = Arc::clone(&slots);
            move || {
                let [_, second] = slots.read(handle).unwrap();
                let [first, _] = slots.read(handle).unwrap();
                assert!(first == 2 || second == 1);
            }
        });
        assert!(slots.store_word(handle, 0, 2));
        assert!(slots.store_word(handle, 1, 2));
        reader.join().unwrap();
    });
}

#[test]
fn a_claim_is_published_with_its_words() {
    explore(3, || {
        let slots = Arc::new(Slots::with_capacity_max(1));
        let old = slots.claim([1, 1]).unwrap();
        assert!(slots.release(old));
        let reader = thread::spawn({
            let slots = Arc::clone(&slots);
            move || {
                // A guessed handle, so that nothing but the slot itself puts the claim before the read.
                let guessed = Handle { generation: old.generation + 1, ..old };
                assert!(slots.read(guessed).is_none_or(|value| value == [2, 2]));
            }
        });
        slots.claim([2, 2]).unwrap();
        reader.join().unwrap();
    });
}
