//! How fast does one folder turn events into worlds, and what does making a world the current one cost?
//! One thread, no disk but for the replay, which reads a real log.
#![allow(missing_docs, clippy::expect_used, clippy::panic, reason = "a bench fails by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use portcullis_benches::{Organisation, Shape, results_folder};
use portcullis_directory::{FoldReport, Folder, World};
use portcullis_log::{AppendError, EmbeddedLog, Entry, LogOptions, OrderedLog};
use portcullis_model::{Change, Event, EventId, Origin, Revision, Timestamp};

const USERS: usize = 100_000;
const REPLAYED: usize = 200_000;
/// Events that become effective together.
const BATCH: usize = 1_024;

/// A folder and the place of its last event.
struct Folding {
    folder: Folder,
    seq: u64,
}

impl Folding {
    fn new() -> Self {
        Self { folder: Folder::new(Arc::new(World::new(1))), seq: 0 }
    }

    fn with_everybody(organisation: &Organisation) -> Self {
        let mut folding = Self::new();
        organisation.changes().for_each(|change| folding.fold(&event(0, change)));
        folding.publish();
        folding
    }

    fn fold(&mut self, event: &Event) {
        self.seq += 1;
        let mut report = FoldReport::default();
        self.folder.fold(Revision::new(1, self.seq), event, &mut report);
        assert!(report.quarantined.is_empty(), "every event applies");
    }

    fn publish(&mut self) {
        self.folder.finish();
        self.folder.world().publish(self.seq);
    }
}

fn event(number: usize, change: Change) -> Event {
    let id = EventId::from_words([number as u64, 1]);
    Event { id, at: Timestamp::from_millis(1), by: Origin::Node, change }
}

/// How many events a second, their JSON decoded, in batches of 1,024?
fn fold(criterion: &mut Criterion) {
    let organisation = Organisation::new(Shape { users: USERS, ..Shape::default() });
    let mut folding = Folding::with_everybody(&organisation);
    let put = |number: usize| Change::PutEntity(organisation.user_record(number * 7_919));
    let payloads: Vec<_> =
        (0..BATCH).map(|number| serde_json::to_vec(&event(number, put(number))).expect("an event is JSON")).collect();
    let mut group = criterion.benchmark_group("fold");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("puts_among_100000_users", |bench| {
        bench.iter(|| {
            for payload in &payloads {
                let event: Event = serde_json::from_slice(payload).expect("an event");
                folding.fold(&event);
            }
            folding.publish();
        });
    });
    group.finish();
}

/// How long does a change take that touches 100,000 users?
fn group_change(criterion: &mut Criterion) {
    let organisation = Organisation::new(Shape { users: USERS, ..Shape::default() });
    let mut folding = Folding::with_everybody(&organisation);
    let mut group = criterion.benchmark_group("group_change");
    group.sample_size(10);
    let mut inside = false;
    group.bench_function("parent_of_100000_users", |bench| {
        bench.iter(|| {
            inside = !inside;
            folding.fold(&event(0, Change::PutEntity(organisation.staff_record(inside))));
            folding.publish();
        });
    });
    let everyone: Vec<_> = (0..USERS).map(|number| organisation.user(number)).collect();
    let mut joined = false;
    group.bench_function("members_100000", |bench| {
        bench.iter_batched(
            || {
                joined = !joined;
                let (add, remove) = if joined { (everyone.clone(), vec![]) } else { (vec![], everyone.clone()) };
                event(0, Change::ChangeMembers { group: organisation.group("company"), add, remove })
            },
            |event| {
                folding.fold(&event);
                folding.publish();
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// How long does it take to read 200,000 events from a log folder and fold them?
fn replay(criterion: &mut Criterion) {
    let folder = tempfile::TempDir::new_in(results_folder().expect("a folder")).expect("a folder");
    write_log(folder.path());
    let mut group = criterion.benchmark_group("replay");
    group.sample_size(10).throughput(Throughput::Elements(REPLAYED as u64));
    group.bench_function("events_200000", |bench| {
        bench.iter_custom(|iterations| (0..iterations).map(|_| replay_once(folder.path())).sum());
    });
    group.finish();
}

fn replay_once(folder: &Path) -> Duration {
    let began = Instant::now();
    let opened = EmbeddedLog::open(folder, LogOptions::default()).expect("the log opens");
    let mut folding = Folding::new();
    for entry in opened.replay {
        let event: Event = serde_json::from_slice(&entry.expect("it reads").payload).expect("an event");
        folding.fold(&event);
    }
    folding.publish();
    let elapsed = began.elapsed();
    assert_eq!(folding.seq, REPLAYED as u64);
    drop(opened.committed);
    opened.log.close().expect("the log closes");
    elapsed
}

fn write_log(folder: &Path) {
    let opened = EmbeddedLog::open(folder, LogOptions::default()).expect("the log opens");
    drop(opened.committed);
    let organisation = Organisation::new(Shape { users: REPLAYED / 2, ..Shape::default() });
    let (tell, told) = channel();
    for (number, change) in organisation.changes().take(REPLAYED).enumerate() {
        let event = event(number, change);
        let payload = serde_json::to_vec(&event).expect("an event is JSON");
        loop {
            let tell = tell.clone();
            let entry = Entry { id: event.id, payload: payload.clone() };
            match opened.log.append(entry, Box::new(move |result| tell.send(result).unwrap_or_default())) {
                Ok(()) => break,
                Err(AppendError::Overloaded) => {
                    told.recv().expect("an answer").expect("it is written");
                }
                Err(cause) => panic!("the log refuses: {cause}"),
            }
        }
    }
    drop(tell);
    for result in told {
        result.expect("it is written");
    }
    opened.log.close().expect("the log closes");
}

/// What does it cost to make the next world the current one, once its cells are written?
fn publish(criterion: &mut Criterion) {
    let organisation = Organisation::new(Shape::default());
    let mut folding = Folding::with_everybody(&organisation);
    let change = event(0, Change::PutEntity(organisation.user_record(1)));
    let mut group = criterion.benchmark_group("world");
    group.bench_function("publish", |bench| bench.iter(|| folding.publish()));
    group.bench_function("fold_one_and_publish", |bench| {
        bench.iter(|| {
            folding.fold(&change);
            folding.publish();
        });
    });
    group.finish();
}

criterion_group!(benches, fold, group_change, replay, publish);
criterion_main!(benches);
