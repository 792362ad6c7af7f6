use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::support::*;
use crate::{
    AppendError, BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, EmbeddedLog, Entry, FEED_BATCHES_MAX, LogError, LogOptions,
    OrderedLog, PAYLOAD_BYTES_MAX, QUEUE_ENTRIES_MAX, Recovery, Revision,
};

#[test]
fn entries_come_back_in_order_from_feed_and_restart() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("made/here");
    let mut opened = EmbeddedLog::open(&path, LogOptions::default()).unwrap();
    assert_eq!(opened.log.tail(), Revision::new(1, 0));
    assert_eq!(replayed(&mut opened), []);
    fill(&opened.log, 1..=60);
    assert_eq!(opened.log.tail(), Revision::new(1, 60));
    opened.log.close().unwrap();
    assert_eq!(opened.committed.iter().flatten().collect::<Vec<_>>(), first_entries(60));

    let mut opened = EmbeddedLog::open(&path, LogOptions::default()).unwrap();
    assert_eq!(opened.recovered, Recovery { entries_to_replay: 60, ..Recovery::default() });
    assert_eq!(opened.replay.remaining(), 60);
    assert_eq!(replayed(&mut opened), first_entries(60));
    assert_eq!(append(&opened.log, 61), Ok(Revision::new(1, 61)));
}

#[test]
fn an_id_is_appended_once_in_a_batch_later_and_after_restart() {
    let folder = TempDir::new().unwrap();
    let gate = Arc::new(Gate::default());
    let opened = EmbeddedLog::open(folder.path(), options(gate.clone())).unwrap();
    let first = send(&opened.log, entry(1));
    gate.await_arrival();
    let again: Vec<_> = [1, 2, 2, 1].map(|number| send(&opened.log, entry(number))).into();
    assert!(first.try_recv().is_err(), "answered before the sync");
    gate.set(true);
    assert_eq!(first.recv().unwrap(), Ok(Revision::new(1, 1)));
    let places: Vec<u64> = again.iter().map(|told| told.recv().unwrap().unwrap().seq).collect();
    assert_eq!(places, [1, 2, 2, 1]);
    opened.log.close().unwrap();
    assert_eq!(opened.committed.iter().flatten().collect::<Vec<_>>(), first_entries(2));

    let mut opened = open(folder.path());
    assert_eq!(append(&opened.log, 2), Ok(Revision::new(1, 2)));
    assert_eq!(append(&opened.log, 3), Ok(Revision::new(1, 3)));
    assert_eq!(replayed(&mut opened), first_entries(2));
}

#[test]
fn what_arrives_during_a_sync_is_the_next_batch() {
    let folder = TempDir::new().unwrap();
    let gate = Arc::new(Gate::default());
    let opened = EmbeddedLog::open(folder.path(), LogOptions { disk: gate.clone(), ..LogOptions::default() }).unwrap();
    let answers = Arc::new(Mutex::new(Vec::new()));
    let send = |entry: Entry| {
        let answers = Arc::clone(&answers);
        opened.log.append(entry, Box::new(move |result| answers.lock().unwrap().push(result.unwrap().seq))).unwrap();
    };
    send(entry(1));
    gate.await_arrival();
    (2..=1_500).for_each(|number| send(entry(number)));
    let large = |number| Entry { id: id(number), payload: vec![7; BATCH_BYTES_MAX / 2] };
    (1_501..=1_503).for_each(|number| send(large(number)));
    send(Entry { id: id(1_504), payload: vec![8; BATCH_BYTES_MAX + 1] });
    gate.set(true);
    opened.log.close().unwrap();
    let batches: Vec<usize> = opened.committed.iter().map(|batch| batch.len()).collect();
    // The fourth: two halves and their headers exceed a batch together, so each goes alone.
    assert_eq!(batches, [1, BATCH_ENTRIES_MAX, 1_499 - BATCH_ENTRIES_MAX + 1, 1, 1, 1]);
    assert_eq!(*answers.lock().unwrap(), (1..=1_504).collect::<Vec<u64>>());
}

#[test]
fn threads_get_distinct_places_in_their_own_order() {
    let folder = TempDir::new().unwrap();
    let opened = open(folder.path());
    let log = Arc::new(opened.log);
    let threads: Vec<_> = (0..4_u64)
        .map(|thread| {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                let told: Vec<_> = (0..250).map(|number| send(&log, entry(thread * 1_000 + number))).collect();
                told.iter().map(|told| told.recv().unwrap().unwrap().seq).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut read = Vec::new();
    while read.len() < 1_000 {
        read.extend(opened.committed.recv().unwrap());
    }
    for (thread, places) in threads.into_iter().enumerate() {
        let places = places.join().unwrap();
        assert!(places.is_sorted());
        for (number, seq) in (thread as u64 * 1_000..).zip(places) {
            assert_eq!(read[usize::try_from(seq).unwrap() - 1], committed(seq, number));
        }
    }
}

#[test]
fn a_full_queue_refuses_and_calls_nobody_back() {
    let folder = TempDir::new().unwrap();
    let gate = Arc::new(Gate::default());
    let opened = EmbeddedLog::open(folder.path(), LogOptions { disk: gate.clone(), ..LogOptions::default() }).unwrap();
    let called = Arc::new(AtomicUsize::new(0));
    let send = |number| {
        let called = Arc::clone(&called);
        let done = Box::new(move |_| {
            called.fetch_add(1, Ordering::SeqCst);
        });
        opened.log.append(Entry { id: id(number), payload: Vec::new() }, done)
    };
    send(0).unwrap();
    gate.await_arrival();
    let waiting = QUEUE_ENTRIES_MAX as u64;
    (1..=waiting).for_each(|number| send(number).unwrap());
    assert_eq!(send(waiting + 1), Err(AppendError::Overloaded));
    gate.set(true);
    let reader = std::thread::spawn(move || opened.committed.iter().flatten().count());
    opened.log.close().unwrap();
    assert_eq!(reader.join().unwrap(), QUEUE_ENTRIES_MAX + 1);
    assert_eq!(called.load(Ordering::SeqCst), QUEUE_ENTRIES_MAX + 1);
}

#[test]
fn the_log_waits_for_its_reader_and_goes_on_without_one() {
    let folder = TempDir::new().unwrap();
    let opened = open(folder.path());
    fill(&opened.log, 1..=FEED_BATCHES_MAX as u64 + 1);
    let waiting = send(&opened.log, entry(1_000));
    assert!(waiting.try_recv().is_err(), "a full feed did not hold the log up");
    assert_eq!(opened.committed.recv().unwrap(), [committed(1, 1)]);
    assert!(waiting.recv().unwrap().is_ok());
    drop(opened.committed);
    fill(&opened.log, 2_000..2_100);
}

#[test]
fn a_panicking_callback_stops_nothing() {
    let folder = TempDir::new().unwrap();
    let log = open_unread(folder.path());
    log.append(entry(1), Box::new(|_| panic!("a caller's mistake"))).unwrap();
    assert_eq!(append(&log, 2), Ok(Revision::new(1, 2)));
}

#[test]
fn a_callback_may_drop_the_last_handle() {
    let folder = TempDir::new().unwrap();
    let log = Arc::new(open_unread(folder.path()));
    let (tell, told) = channel();
    let (go, started) = channel::<()>();
    let last = Arc::clone(&log);
    let done = move |result| {
        started.recv().unwrap_or_default();
        drop(last);
        tell.send(result).unwrap_or_default();
    };
    log.append(entry(1), Box::new(done)).unwrap();
    drop(log);
    go.send(()).unwrap();
    assert_eq!(told.recv().unwrap(), Ok(Revision::new(1, 1)));
}

#[test]
fn the_longest_payload_fits_and_a_longer_one_is_refused() {
    let folder = TempDir::new().unwrap();
    let log = open_unread(folder.path());
    let bytes = PAYLOAD_BYTES_MAX + 1;
    let refused = log.append(Entry { id: id(1), payload: vec![1; bytes] }, Box::new(|_| panic!("called")));
    assert_eq!(refused, Err(AppendError::TooLarge { bytes, limit: PAYLOAD_BYTES_MAX }));
    fill(&log, 2..4);
    assert!(send(&log, Entry { id: id(1), payload: vec![1; PAYLOAD_BYTES_MAX] }).recv().unwrap().is_ok());
    fill(&log, 4..6);
    log.close().unwrap();
    let mut opened = open(folder.path());
    let lengths: Vec<usize> = replayed(&mut opened).iter().map(|entry| entry.payload.len()).collect();
    assert_eq!(lengths, [2, 3, PAYLOAD_BYTES_MAX, 4, 5]);
}

#[test]
fn a_second_opener_is_refused_until_the_first_has_closed() {
    let folder = TempDir::new().unwrap();
    let first = open(folder.path());
    let refused = try_open(folder.path()).err().unwrap();
    assert!(matches!(&refused, LogError::Locked { folder: named } if named == folder.path()));
    assert!(refused.to_string().starts_with("another node holds `/"), "{refused}");
    first.log.close().unwrap();
    assert!(try_open(folder.path()).is_ok());
}
