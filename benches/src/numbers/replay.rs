//! How fast an engine starts from its log.

use std::fs;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use portcullis_benches::{Organisation, Shape, engine_options};
use portcullis_log::{AppendError, EmbeddedLog, Entry, LogOptions, OrderedLog};
use portcullis_model::{Change, Event, EventId, Origin, Timestamp};
use portcullis_runtime::{AuditMode, Engine};

use crate::row::{Bound, Row};

/// Events in the log.
const EVENTS: usize = 200_000;
const REPLAY_PER_S_MIN: f64 = 200_000.0;

pub(crate) async fn measure(folder: &Path) -> Vec<Row> {
    let (first, again, log) = (folder.join("first"), folder.join("again"), folder.join("log"));
    write_log(&log);
    let reading = read(&log);
    copy(&log, &first.join("log"));
    // The first start also records every change in the audit log; a node that ran has done so before.
    let recording = start(&first).await;
    copy(&log, &again.join("log"));
    copy(&first.join("audit"), &again.join("audit"));
    let replaying = start(&again).await;
    let rate = |elapsed: Duration| EVENTS as f64 / elapsed.as_secs_f64();
    let row = |name, value, bound, how: &str| Row {
        name,
        how: format!("{EVENTS} events, half users, half grants: {how}"),
        value,
        unit: "/s",
        bound,
    };
    vec![
        row(
            "replay_per_s",
            rate(replaying),
            Bound::AtLeast(REPLAY_PER_S_MIN),
            "start of an engine, log opened and folded",
        ),
        row("replay_read_per_s", rate(reading), Bound::None, "of that: log opened, read, JSON decoded"),
        row("replay_unaudited_per_s", rate(recording), Bound::None, "start after the audit log was lost"),
    ]
}

async fn start(folder: &Path) -> Duration {
    let began = Instant::now();
    let engine = Engine::start(engine_options(folder, AuditMode::Off)).await.expect("the engine starts");
    let elapsed = began.elapsed();
    assert_eq!(engine.effective().seq, EVENTS as u64, "everything in the log is in the world");
    engine.stop().await;
    elapsed
}

fn read(folder: &Path) -> Duration {
    let began = Instant::now();
    let opened = EmbeddedLog::open(folder, LogOptions::default()).expect("the log opens");
    let mut count = 0;
    for entry in opened.replay {
        let entry = entry.expect("the log reads");
        let event: Event = serde_json::from_slice(&entry.payload).expect("an event is JSON");
        count += usize::from(matches!(event.change, Change::PutEntity(_) | Change::Grant(_)));
    }
    let elapsed = began.elapsed();
    assert_eq!(count, EVENTS);
    drop(opened.committed);
    opened.log.close().expect("the log closes");
    elapsed
}

fn write_log(folder: &Path) {
    let opened = EmbeddedLog::open(folder, LogOptions::default()).expect("the log opens");
    drop(opened.committed);
    // Groups, agents and documents are some of the events; users and grants are the rest.
    let organisation = Organisation::new(Shape { users: EVENTS / 2, policies: 100, ..Shape::default() });
    let (tell, told) = channel();
    for (number, change) in organisation.changes().take(EVENTS).enumerate() {
        let id = EventId::from_words([number as u64, 1]);
        let event = Event { id, at: Timestamp::from_millis(number as u64), by: Origin::Node, change };
        let payload = serde_json::to_vec(&event).expect("an event is JSON");
        loop {
            let tell = tell.clone();
            let entry = Entry { id, payload: payload.clone() };
            match opened.log.append(entry, Box::new(move |result| tell.send(result).unwrap_or_default())) {
                Ok(()) => break,
                Err(AppendError::Overloaded) => drop(told.recv().expect("the log answers").expect("it is written")),
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

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for file in fs::read_dir(from).expect("the folder can be read") {
        let file = file.expect("the folder can be read");
        fs::copy(file.path(), to.join(file.file_name())).expect("a file can be copied");
    }
}
