#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::thread;

use super::{RECORD_BYTES_MAX, RingConsumer, RingFull, RingProducer, ring};

/// Deterministic bytes of record `number`; lengths vary over more than two words' worth of remainders.
fn record(number: u64) -> Vec<u8> {
    let length = (number * 37) % 301;
    (0..length).map(|position| u8::try_from((number * 31 + position * 7) % 251).unwrap()).collect()
}

fn push_whole(producer: &mut RingProducer, bytes: &[u8]) -> Result<u64, RingFull> {
    producer.push(&[bytes])
}

fn pop_whole(consumer: &mut RingConsumer) -> Option<Vec<u8>> {
    let mut out = b"left over from before".to_vec();
    consumer.pop(&mut out).then_some(out)
}

#[test]
fn records_come_out_whole_and_in_order() {
    let (mut producer, mut consumer) = ring(0);
    for number in 0..5_000 {
        assert_eq!(push_whole(&mut producer, &record(number)), Ok(number + 1));
        if number >= 20 {
            assert_eq!(pop_whole(&mut consumer), Some(record(number - 20)));
        }
        assert_eq!(producer.len_records(), (number + 1).min(20));
        assert_eq!(consumer.len_records(), (number + 1).min(20));
    }
}

#[test]
fn parts_of_any_length_are_joined() {
    let source: Vec<u8> = (0..=255).collect();
    let (mut producer, mut consumer) = ring(0);
    for first in 0..=17 {
        for second in 0..=17 {
            for third in [0, 1, 7, 8, 9, 64, 65] {
                let parts = [&source[..first], &source[first..first + second], &[], &source[100..100 + third]];
                producer.push(&parts).unwrap();
                assert_eq!(pop_whole(&mut consumer), Some(parts.concat()), "{first} {second} {third}");
            }
        }
    }
}

#[test]
fn an_empty_record_is_a_record() {
    let (mut producer, mut consumer) = ring(0);
    assert_eq!(producer.push(&[]), Ok(1));
    assert_eq!(producer.push(&[b""]), Ok(2));
    assert_eq!(pop_whole(&mut consumer), Some(Vec::new()));
    assert_eq!(pop_whole(&mut consumer), Some(Vec::new()));
    assert_eq!(pop_whole(&mut consumer), None);
}

#[test]
fn the_longest_record_fits_the_smallest_ring_and_a_longer_one_no_ring() {
    for capacity in [0, 1 << 20] {
        let (mut producer, mut consumer) = ring(capacity);
        let longest = vec![7; RECORD_BYTES_MAX];
        for _ in 0..3 {
            push_whole(&mut producer, &longest).unwrap();
            assert_eq!(pop_whole(&mut consumer), Some(longest.clone()));
        }
        assert_eq!(producer.push(&[&longest, &[1]]), Err(RingFull));
        assert_eq!((producer.len_records(), pop_whole(&mut consumer)), (0, None));
    }
}

#[test]
fn a_full_ring_refuses_and_keeps_what_it_has() {
    let (mut producer, mut consumer) = ring(0);
    let mut pushed = 0;
    while push_whole(&mut producer, &record(pushed)).is_ok() {
        pushed += 1;
    }
    // 2,048 words, 19.75 on average for each record.
    assert!((90..=115).contains(&pushed), "{pushed} records fitted");
    assert_eq!(producer.len_records(), pushed);
    assert_eq!(pop_whole(&mut consumer), Some(record(0)));
    assert_eq!(pop_whole(&mut consumer), Some(record(1)));
    assert_eq!(pop_whole(&mut consumer), Some(record(2)));
    assert_eq!(push_whole(&mut producer, b"fits again"), Ok(pushed + 1), "a refused record has no number");
    for number in 3..pushed {
        assert_eq!(pop_whole(&mut consumer), Some(record(number)));
    }
    assert_eq!(pop_whole(&mut consumer).as_deref(), Some(b"fits again".as_slice()));
}

#[test]
fn a_pop_that_finds_nothing_leaves_the_buffer_alone() {
    let (_producer, mut consumer) = ring(0);
    let mut out = vec![1, 2, 3];
    assert!(!consumer.pop(&mut out));
    assert_eq!(out, [1, 2, 3]);
}

#[test]
fn a_closed_ring_still_gives_its_records() {
    let (mut producer, mut consumer) = ring(0);
    push_whole(&mut producer, b"last").unwrap();
    assert!(!consumer.is_closed());
    drop(producer);
    assert!(consumer.is_closed());
    assert_eq!(pop_whole(&mut consumer).as_deref(), Some(b"last".as_slice()));
    assert_eq!(pop_whole(&mut consumer), None);
}

#[test]
fn a_consumer_with_room_allocates_nothing() {
    let (mut producer, mut consumer) = ring(0);
    let mut out = Vec::with_capacity(RECORD_BYTES_MAX);
    let (pointer, capacity) = (out.as_ptr(), out.capacity());
    for length in [RECORD_BYTES_MAX, 1, RECORD_BYTES_MAX - 1] {
        push_whole(&mut producer, &vec![9; length]).unwrap();
        assert!(consumer.pop(&mut out));
        assert_eq!((out.len(), out.as_ptr(), out.capacity()), (length, pointer, capacity));
    }
}

#[test]
fn two_threads_lose_nothing() {
    const RECORDS: u64 = 50_000;
    let (mut producer, mut consumer) = ring(0);
    thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..RECORDS {
                let bytes = record(number);
                let (head, tail) = bytes.split_at(bytes.len() / 3);
                while producer.push(&[head, tail]).is_err() {
                    thread::yield_now();
                }
            }
        });
        let mut out = Vec::new();
        let mut popped = 0;
        loop {
            let closed = consumer.is_closed();
            while consumer.pop(&mut out) {
                assert_eq!(out, record(popped));
                popped += 1;
            }
            if closed {
                break;
            }
            thread::yield_now();
        }
        assert_eq!(popped, RECORDS);
    });
}
