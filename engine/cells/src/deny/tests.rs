#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use super::{DENY_MAX, DenyEntry, DenyTable, TableFull};

fn entry(number: u64) -> DenyEntry {
    DenyEntry { key: [number, number], kind: number, target: [number, number] }
}

#[test]
fn an_entry_is_seen_from_set_to_clear() {
    let table = DenyTable::new();
    assert!(!table.any(|_| true));
    table.set(entry(1)).unwrap();
    table.set(entry(2)).unwrap();
    assert_eq!(table.pending(), 2);
    assert!(table.any(|seen| *seen == entry(1)) && table.any(|seen| *seen == entry(2)));
    assert!(!table.any(|seen| *seen == entry(3)));
    assert!(table.clear([1, 1]));
    assert_eq!(table.pending(), 1);
    assert!(!table.any(|seen| *seen == entry(1)) && table.any(|seen| *seen == entry(2)));
}

#[test]
fn setting_again_adds_nothing_but_counts_as_a_change() {
    let table = DenyTable::new();
    table.set(entry(1)).unwrap();
    table.set(entry(1)).unwrap();
    assert_eq!((table.pending(), table.changes()), (1, 2));
    assert!(table.clear([1, 1]));
    assert!(!table.clear([1, 1]));
    assert_eq!((table.pending(), table.changes()), (0, 2));
}

#[test]
fn entries_of_one_key_are_cleared_together() {
    let table = DenyTable::new();
    let other = DenyEntry { target: [9, 9], ..entry(1) };
    table.set(entry(1)).unwrap();
    table.set(other).unwrap();
    assert_eq!(table.pending(), 2);
    assert!(table.clear([1, 1]));
    assert_eq!(table.pending(), 0);
    assert!(!table.any(|_| true));
}

#[test]
fn the_key_zero_is_a_key_like_any_other() {
    let table = DenyTable::new();
    assert!(!table.clear([0, 0]));
    table.set(entry(0)).unwrap();
    assert!(table.any(|seen| *seen == entry(0)));
    assert!(table.clear([0, 0]));
}

#[test]
fn a_full_table_refuses_until_an_entry_is_cleared() {
    let table = DenyTable::new();
    let count = u64::try_from(DENY_MAX).unwrap();
    for number in 0..count {
        table.set(entry(number)).unwrap();
    }
    assert_eq!(table.set(entry(count)), Err(TableFull));
    assert_eq!(table.set(entry(7)), Ok(()), "it is there already");
    assert_eq!((table.pending(), table.changes()), (count, count + 1));
    assert!((0..count).all(|number| table.any(|seen| *seen == entry(number))));
    assert!(!table.any(|seen| *seen == entry(count)));
    assert!(table.clear([100, 100]));
    assert_eq!(table.set(entry(count)), Ok(()));
    assert!(table.any(|seen| *seen == entry(count)));
}

#[test]
fn readers_see_whole_entries_and_miss_none_that_stays() {
    let table = DenyTable::new();
    let done = AtomicBool::new(false);
    // The highest number that has been set and stays set.
    let kept = AtomicU64::new(0);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut scans = 0_u64;
            while !done.load(Ordering::Acquire) || scans == 0 {
                let expected = kept.load(Ordering::Acquire);
                let mut found = expected == 0;
                let stopped = table.any(|seen| {
                    assert_eq!(*seen, entry(seen.kind));
                    found |= seen.kind == expected;
                    false
                });
                assert!(table.pending() >= expected);
                // Stopped at an entry that could not be read whole: a match.
                assert!(found || stopped);
                scans += 1;
            }
            scans
        });
        for number in 1..=100 {
            table.set(entry(number)).unwrap();
            kept.store(number, Ordering::Release);
            for passing in 0..200 {
                let passing = 1_000 + passing;
                table.set(entry(passing)).unwrap();
                assert!(table.clear([passing, passing]));
            }
        }
        done.store(true, Ordering::Release);
        assert!(reader.join().unwrap() > 0);
    });
    assert_eq!(table.pending(), 100);
}

#[test]
fn setters_take_turns() {
    let table = DenyTable::new();
    thread::scope(|scope| {
        for thread in 0..4 {
            let table = &table;
            scope.spawn(move || {
                for round in 0..2_000 {
                    let number = thread * 10_000 + round;
                    table.set(entry(number)).unwrap();
                    assert!(table.any(|seen| *seen == entry(number)));
                    if round >= 10 {
                        assert!(table.clear([number, number]));
                    }
                }
            });
        }
    });
    assert_eq!((table.pending(), table.changes()), (40, 8_000));
}
