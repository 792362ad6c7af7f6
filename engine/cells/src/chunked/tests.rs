#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::{
    ptr,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use super::{CHUNK_LEN, Chunked};

#[test]
fn items_exist_from_ensure_on_a_chunk_at_a_time() {
    let array = Chunked::with_capacity_max(3 * CHUNK_LEN);
    assert_eq!(array.get(0), None);
    assert_eq!(array.ensure(CHUNK_LEN + 5, || 7), Some(&7));
    for (index, expected) in
        [(0, None), (CHUNK_LEN - 1, None), (CHUNK_LEN, Some(&7)), (2 * CHUNK_LEN - 1, Some(&7)), (2 * CHUNK_LEN, None)]
    {
        assert_eq!(array.get(index), expected, "index {index}");
    }
}

#[test]
fn nothing_exists_beyond_the_maximum() {
    let array = Chunked::with_capacity_max(CHUNK_LEN + 1);
    assert_eq!(array.capacity_max(), CHUNK_LEN + 1);
    assert_eq!(array.ensure(CHUNK_LEN, || 1), Some(&1));
    for index in [CHUNK_LEN + 1, 2 * CHUNK_LEN, usize::MAX] {
        assert_eq!((array.ensure(index, || 1), array.get(index)), (None, None), "index {index}");
    }
    let empty = Chunked::with_capacity_max(0);
    assert_eq!((empty.ensure(0, || 1), empty.get(0)), (None, None));
}

#[test]
fn items_keep_their_address_while_the_array_grows() {
    let array = Chunked::with_capacity_max(8 * CHUNK_LEN);
    let first: *const usize = array.ensure(3, || 0).unwrap();
    for chunk in 0..8 {
        array.ensure(chunk * CHUNK_LEN, || 0).unwrap();
    }
    assert!(ptr::eq(first, array.get(3).unwrap()));
}

#[test]
fn threads_that_build_one_chunk_share_its_items() {
    let array = Chunked::with_capacity_max(4 * CHUNK_LEN);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for index in 0..4 * CHUNK_LEN {
                    array.ensure(index, || AtomicUsize::new(0)).unwrap().fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert!((0..4 * CHUNK_LEN).all(|index| array.get(index).unwrap().load(Ordering::Relaxed) == 4));
}
