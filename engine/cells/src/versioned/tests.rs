#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use super::{ReadLate, Versioned};

#[test]
fn read_returns_the_newest_version_not_after_the_stamp() {
    let cell = Versioned::new(10, [1, 1]);
    cell.write(20, [2, 2]);
    for (at, expected) in
        [(9, Err(ReadLate)), (10, Ok([1, 1])), (19, Ok([1, 1])), (20, Ok([2, 2])), (u64::MAX, Ok([2, 2]))]
    {
        assert_eq!(cell.read(at), expected, "at {at}");
    }
}

#[test]
fn write_overwrites_the_older_version() {
    let cell = Versioned::new(0, [0]);
    for stamp in 1..=5 {
        cell.write(stamp * 10, [stamp]);
        assert_eq!(cell.newest(), (stamp * 10, [stamp]));
        assert_eq!(cell.read(stamp * 10), Ok([stamp]));
        assert_eq!(cell.read(stamp * 10 - 1), Ok([stamp - 1]));
        if stamp > 1 {
            assert_eq!(cell.read((stamp - 1) * 10 - 1), Err(ReadLate));
        }
    }
}

#[test]
fn write_with_the_newest_stamp_replaces_it_and_keeps_the_older() {
    let cell = Versioned::new(1, [1]);
    cell.write(1, [11]);
    assert_eq!(cell.read(1), Ok([11]));
    cell.write(2, [2]);
    cell.write(2, [22]);
    cell.write(2, [222]);
    assert_eq!((cell.read(1), cell.read(2)), (Ok([11]), Ok([222])));
}

#[test]
fn a_lower_stamp_counts_as_the_newest() {
    let cell = Versioned::new(1, [1]);
    cell.write(5, [5]);
    cell.write(3, [3]);
    assert_eq!(cell.newest(), (5, [3]));
    assert_eq!((cell.read(4), cell.read(5)), (Ok([1]), Ok([3])));
}

#[test]
fn a_cell_of_six_words_is_two_lines() {
    assert_eq!((size_of::<Versioned<6>>(), align_of::<Versioned<6>>()), (128, 128));
    assert_eq!(size_of::<Versioned<1>>(), 128);
}

#[test]
fn readers_at_the_effective_stamp_get_exactly_its_value() {
    const STAMPS: u64 = 50_000;
    let cell = Versioned::new(0, [0; 6]);
    let effective = AtomicU64::new(0);
    let reads = thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut reads = 0;
                    loop {
                        let at = effective.load(Ordering::Acquire);
                        if let Ok(value) = cell.read(at) {
                            assert_eq!(value, value_at(at));
                            reads += 1;
                        }
                        if at == STAMPS {
                            return reads;
                        }
                    }
                })
            })
            .collect();
        for stamp in 1..=STAMPS {
            // A batch may write a cell twice, or not at all.
            if stamp % 3 != 0 {
                cell.write(stamp, [u64::MAX; 6]);
                cell.write(stamp, value_at(stamp));
            }
            effective.store(stamp, Ordering::Release);
        }
        readers.into_iter().map(|reader| reader.join().unwrap()).sum::<u64>()
    });
    assert!(reads >= 2, "the last stamp can always be read");
}

/// What the stress test's cell holds at a stamp.
fn value_at(stamp: u64) -> [u64; 6] {
    let written = if stamp.is_multiple_of(3) { stamp.saturating_sub(1) } else { stamp };
    [written; 6]
}

#[test]
fn a_reader_without_a_promised_stamp_never_gets_a_mixture() {
    let cell = Versioned::new(0, [0; 6]);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                if let Ok([first, rest @ ..]) = cell.read(u64::MAX) {
                    assert!(rest.iter().all(|word| *word == first));
                }
            }
        });
        for stamp in 1..=100_000 {
            cell.write(stamp, [stamp; 6]);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(cell.newest(), (100_000, [100_000; 6]));
}
