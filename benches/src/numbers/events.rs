//! Events folded and effective, and what a change of a large group costs.

use std::path::Path;
use std::time::{Duration, Instant};

use portcullis_benches::{Organisation, Shape, start};
use portcullis_model::{Change, Origin};
use portcullis_runtime::{AuditMode, Engine};

use crate::row::{Bound, Row};

/// Users in the directory, and members of the group that changes.
const USERS: usize = 100_000;
/// Events that are measured.
const EVENTS: usize = 300_000;
/// Pipelines that apply at the same time, each a batch after the other.
const PIPELINES: usize = 8;
/// Changes in one batch of a pipeline.
const BATCH: usize = 1_000;
/// How often a group is changed.
const GROUP_CHANGES: usize = 10;
const EVENTS_PER_S_MIN: f64 = 50_000.0;
const GROUP_CHANGE_MS_MAX: f64 = 100.0;

pub(crate) async fn measure(folder: &Path) -> Vec<Row> {
    let organisation = Organisation::new(Shape { users: USERS, policies: 100, ..Shape::default() });
    let engine = start(folder, AuditMode::Off, &organisation).await.expect("the engine starts");
    let elapsed = pipelines(&engine, &organisation).await;
    let mut rows = vec![Row {
        name: "events_per_s",
        how: format!(
            "{EVENTS} puts, moves, memberships and holds among {USERS} users, {PIPELINES} pipelines of {BATCH}"
        ),
        value: EVENTS as f64 / elapsed.as_secs_f64(),
        unit: "/s",
        bound: Bound::AtLeast(EVENTS_PER_S_MIN),
    }];
    let staff = |number: usize| Change::PutEntity(organisation.staff_record(number.is_multiple_of(2)));
    let how = format!("a group above all {USERS} users gets or loses a parent, worst of {GROUP_CHANGES}");
    rows.push(group_changes(&engine, "group_change_parent_ms", how, staff).await);
    let members = |number: usize| {
        let everyone = (0..USERS).map(|user| organisation.user(user)).collect();
        let (add, remove) = if number.is_multiple_of(2) { (everyone, Vec::new()) } else { (Vec::new(), everyone) };
        Change::ChangeMembers { group: organisation.group("company"), add, remove }
    };
    let how = format!("{USERS} users join or leave a group in one event, worst of {GROUP_CHANGES}");
    rows.push(group_changes(&engine, "group_change_members_ms", how, members).await);
    engine.stop().await;
    rows
}

/// Applies all events from several tasks; done when the last is effective.
async fn pipelines(engine: &Engine, organisation: &Organisation) -> Duration {
    let mut work: Vec<Vec<Vec<Change>>> = (0..PIPELINES).map(|_| Vec::new()).collect();
    for batch in 0..EVENTS / BATCH {
        let changes = (batch * BATCH..(batch + 1) * BATCH).map(|number| change(organisation, number)).collect();
        work[batch % PIPELINES].push(changes);
    }
    let began = Instant::now();
    let tasks: Vec<_> = work
        .into_iter()
        .map(|batches| {
            let engine = engine.clone();
            tokio::spawn(async move {
                for batch in batches {
                    engine.apply(batch, Origin::Node).await.expect("every change applies");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no pipeline panics");
    }
    began.elapsed()
}

/// Event `number` of the mix: in ten, five puts of what is known, a move to another group, somebody who
/// joins a group and leaves it, a hold and its release.
fn change(organisation: &Organisation, number: usize) -> Change {
    // The second event of a pair is about whom the first was about.
    let pair = if matches!(number % 10, 7 | 9) { number - 1 } else { number };
    let user = pair.wrapping_mul(7_919) % USERS;
    let source = || "numbers".parse().expect("a plain word is a source name");
    match number % 10 {
        5 => Change::PutEntity(organisation.moved_record(user, number / 10)),
        6 => Change::ChangeMembers {
            group: organisation.group("barred-0"),
            add: vec![organisation.user(user)],
            remove: Vec::new(),
        },
        7 => Change::ChangeMembers {
            group: organisation.group("barred-0"),
            add: Vec::new(),
            remove: vec![organisation.user(user)],
        },
        8 => Change::Hold { uid: organisation.user(user), source: source() },
        9 => Change::Release { uid: organisation.user(user), source: source() },
        _ => Change::PutEntity(organisation.user_record(user)),
    }
}

async fn group_changes(engine: &Engine, name: &'static str, how: String, change: impl Fn(usize) -> Change) -> Row {
    let mut worst = Duration::ZERO;
    for number in 0..GROUP_CHANGES {
        let changes = vec![change(number)];
        let began = Instant::now();
        engine.apply(changes, Origin::Node).await.expect("the group changes");
        worst = worst.max(began.elapsed());
    }
    Row { name, how, value: worst.as_secs_f64() * 1e3, unit: "ms", bound: Bound::AtMost(GROUP_CHANGE_MS_MAX) }
}
