#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::sync::Arc;

use portcullis_model::{Attribute, Value};

use super::*;

fn uid(text: &str) -> EntityUid {
    text.parse().unwrap()
}

fn source() -> SourceName {
    "file".parse().unwrap()
}

fn record(name: &str, parents: &[&str]) -> EntityRecord {
    EntityRecord { parents: parents.iter().map(|name| uid(name)).collect(), ..EntityRecord::named(uid(name)) }
}

fn titled(name: &str, parents: &[&str], title: &str, owner: Owner) -> EntityRecord {
    let attribute = Attribute { value: Value::String(title.into()), owner };
    let name_of = Arc::<str>::from(if owner == Owner::Directory { "title" } else { "fact" });
    EntityRecord { attributes: BTreeMap::from([(name_of, attribute)]), ..record(name, parents) }
}

/// A state of these records, all users and agents active.
fn state(records: Vec<EntityRecord>) -> FullState {
    let status: Vec<_> = records.iter().map(|record| (record.uid.clone(), Status::Active)).collect();
    FullState::new(records, status.into_iter().filter(|(uid, _)| uid.entity_type().as_str() != "Group"))
}

fn but(state: &FullState, name: &str, status: Status) -> FullState {
    let told = state.status().iter().map(|(uid, status)| (uid.clone(), *status));
    FullState::new(state.entities().values().cloned(), told.chain([(uid(name), status)]))
}

fn suspend(name: &str) -> Change {
    Change::Suspend { uid: uid(name), source: source() }
}

fn deactivate(name: &str) -> Change {
    Change::Deactivate { uid: uid(name), source: source() }
}

fn reactivate(name: &str) -> Change {
    Change::Reactivate { uid: uid(name), source: source() }
}

fn members(group: &str, add: &[&str], remove: &[&str]) -> Change {
    let all = |names: &[&str]| names.iter().map(|name| uid(name)).collect();
    Change::ChangeMembers { group: uid(group), add: all(add), remove: all(remove) }
}

fn between(previous: &FullState, next: &FullState) -> Diff {
    diff(Some(previous), next, &source())
}

fn users(count: usize) -> Vec<EntityRecord> {
    (0..count).map(|number| record(&format!("User::u{number}"), &[])).collect()
}

#[test]
fn everything_is_new_at_first_and_nothing_the_second_time() {
    let next = state(vec![
        record("Agent::bot", &["Group::low"]),
        record("Group::a-low", &["Group::top"]),
        record("Group::top", &[]),
        record("User::ada", &["Group::a-low"]),
    ]);
    let next = but(&next, "User::ada", Status::Suspended);
    let first = diff(None, &next, &source());
    let put = |name: &str| Change::PutEntity(next.entities()[&uid(name)].clone());
    let expected = [put("Group::top"), put("Group::a-low"), put("Agent::bot"), put("User::ada"), suspend("User::ada")];
    assert_eq!(first.changes, expected);
    assert_eq!(first.baseline, next);
    assert_eq!(between(&first.baseline, &next).changes, []);
}

#[test]
fn inactive_suspends_and_active_again_reactivates() {
    let active = state(users(3));
    let suspended = but(&active, "User::u1", Status::Suspended);
    assert_eq!(between(&active, &suspended).changes, [suspend("User::u1")]);
    assert_eq!(between(&suspended, &suspended).changes, []);
    assert_eq!(between(&suspended, &active).changes, [reactivate("User::u1")]);
    let unknown = but(&active, "User::u1", Status::of(portcullis_model::Standing::Revoked));
    assert_eq!(between(&unknown, &active).changes, [reactivate("User::u1")]);
    assert_eq!(between(&unknown, &suspended).changes, [suspend("User::u1")]);
}

#[test]
fn who_vanishes_is_deactivated_once_and_comes_back_whole() {
    let all = state(users(3));
    let fewer = state(users(2));
    let gone = between(&all, &fewer);
    assert_eq!((gone.changes, gone.held), (vec![deactivate("User::u2")], vec![]));
    assert_eq!(gone.baseline.status_of(&uid("User::u2")), Status::Removed);
    assert_eq!(between(&gone.baseline, &fewer).changes, []);

    let suspended = between(&gone.baseline, &but(&all, "User::u2", Status::Suspended));
    assert_eq!(suspended.changes, []);
    assert_eq!(between(&suspended.baseline, &all).changes, [reactivate("User::u2")]);

    let mut changed = users(2);
    changed.push(titled("User::u2", &[], "new", Owner::Directory));
    let changed = state(changed);
    let put = Change::PutEntity(changed.entities()[&uid("User::u2")].clone());
    assert_eq!(between(&gone.baseline, &changed).changes, [put, reactivate("User::u2")]);
}

#[test]
fn many_who_vanish_at_once_are_all_kept_until_they_return_or_leave_in_order() {
    for (of, left, held) in [(3, 0, false), (10, 5, false), (10, 4, true), (100, 80, false), (100, 79, true)] {
        let outcome = between(&state(users(of)), &state(users(left)));
        assert_eq!(outcome.held.len(), usize::from(held), "{of} {left}");
        assert_eq!(outcome.changes.len(), if held { 0 } else { of - left }, "{of} {left}");
    }
    let before = state(users(10));
    let few = but(&state(users(2)), "User::u0", Status::Suspended);
    let outcome = between(&before, &few);
    assert_eq!(outcome.held, [Held { kind: ResourceKind::User, vanished: 8, of: 10 }]);
    assert_eq!(outcome.held[0].to_string(), "8 of 10 users have vanished from the source: none was removed");
    // What is said of those who are still there counts.
    assert_eq!(outcome.changes, [suspend("User::u0")]);
    assert_eq!(outcome.baseline.entities().len(), 10);
    assert_eq!(between(&outcome.baseline, &few).held.len(), 1);
    assert_eq!(between(&outcome.baseline, &state(users(10))).changes, [reactivate("User::u0")]);
    let fewer_kept = between(&outcome.baseline, &state(users(6)));
    assert_eq!((fewer_kept.held.len(), fewer_kept.changes.len()), (0, 5));
}

#[test]
fn the_removed_do_not_count_as_vanishing_again() {
    let mut baseline = state(users(12));
    for left in [8, 4] {
        let outcome = between(&baseline, &state(users(left)));
        assert_eq!((outcome.held.len(), outcome.changes.len()), (0, 4));
        baseline = outcome.baseline;
    }
    assert_eq!(baseline.entities().len(), 12);
}

#[test]
fn one_group_more_or_less_is_a_change_of_members() {
    let groups = || vec![record("Group::a", &[]), record("Group::b", &[])];
    let placed = |one: &[&str], two: &[&str]| {
        let mut records = groups();
        records.extend([record("User::one", one), record("User::two", two)]);
        state(records)
    };
    let apart = placed(&["Group::a"], &[]);
    assert_eq!(
        between(&apart, &placed(&["Group::a"], &["Group::a"])).changes,
        [members("Group::a", &["User::two"], &[])]
    );
    let swapped = between(&apart, &placed(&[], &["Group::a"]));
    assert_eq!(swapped.changes, [members("Group::a", &[], &["User::one"]), members("Group::a", &["User::two"], &[])]);
    // From one group to another: one event, so that no decision sees neither or both.
    let moved = placed(&["Group::b"], &[]);
    let put = Change::PutEntity(moved.entities()[&uid("User::one")].clone());
    assert_eq!(between(&apart, &moved).changes, [put]);
}

#[test]
fn a_large_group_change_is_cut_into_events() {
    let count = 100_001;
    let in_group = |parents: &[&str]| {
        let mut records: Vec<_> = (0..count).map(|number| record(&format!("User::u{number}"), parents)).collect();
        records.push(record("Group::all", &[]));
        state(records)
    };
    let changes = between(&in_group(&[]), &in_group(&["Group::all"])).changes;
    let sizes: Vec<usize> = changes
        .iter()
        .map(|change| match change {
            Change::ChangeMembers { add, remove, .. } if remove.is_empty() => add.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sizes, [100_000, 1]);
}

#[test]
fn a_group_hierarchy_turned_round_has_no_cycle_on_the_way() {
    let before = state(vec![
        record("Group::a", &[]),
        record("Group::b", &["Group::a"]),
        record("Group::c", &["Group::b"]),
        record("Group::z", &[]),
    ]);
    let after = state(vec![
        record("Group::a", &["Group::b", "Group::z"]),
        record("Group::b", &["Group::c"]),
        record("Group::c", &[]),
        record("Group::z", &["Group::c"]),
    ]);
    let mut parents: BTreeMap<EntityUid, Vec<EntityUid>> =
        before.entities().iter().map(|(uid, record)| (uid.clone(), record.parents.clone())).collect();
    let changes = between(&before, &after).changes;
    assert_eq!(changes.len(), 4);
    for change in changes {
        let Change::PutEntity(record) = change else { panic!("{change:?}") };
        parents.insert(record.uid.clone(), record.parents.clone());
        let mut above = record.parents;
        while let Some(group) = above.pop() {
            assert_ne!(group, record.uid);
            above.extend(parents[&group].iter().cloned());
        }
    }
    assert!(after.entities().iter().all(|(uid, record)| parents[uid] == record.parents));
}

#[test]
fn a_vanished_group_loses_its_members_and_is_deleted() {
    let before = state(vec![record("Group::a", &[]), record("User::one", &["Group::a"])]);
    let after = state(vec![record("User::one", &[])]);
    let outcome = between(&before, &after);
    assert_eq!(outcome.changes, [members("Group::a", &[], &["User::one"]), Change::DeleteEntity(uid("Group::a"))]);
    assert_eq!(outcome.baseline, after);
}

#[test]
fn many_vanished_groups_freeze_memberships() {
    let names: Vec<String> = (0..10).map(|number| format!("Group::g{number}")).collect();
    let mut before: Vec<_> = names.iter().map(|name| record(name, &[])).collect();
    before.push(record("User::one", &["Group::g0", "Group::g1"]));
    before.push(record("Agent::bot", &["Group::g2"]));
    let before = state(before);
    let after = state(vec![record("User::one", &[]), titled("Agent::bot", &[], "new", Owner::Directory)]);
    let outcome = between(&before, &after);
    assert_eq!(outcome.held, [Held { kind: ResourceKind::Group, vanished: 10, of: 10 }]);
    assert_eq!(outcome.changes, [Change::PutEntity(titled("Agent::bot", &["Group::g2"], "new", Owner::Directory))]);
    assert_eq!(outcome.baseline.entities()[&uid("User::one")], before.entities()[&uid("User::one")]);
}

#[test]
fn what_others_own_is_left_alone() {
    let mut before = titled("User::one", &["Group::elsewhere"], "3", Owner::Fact);
    before.tags.insert("tag".into(), Value::Long(1));
    before.sponsor = Some(uid("User::two"));
    let next = titled("User::one", &[], "boss", Owner::Directory);
    let outcome = between(&state(vec![before.clone()]), &state(vec![next.clone()]));
    let mut expected = before;
    expected.attributes.extend(next.attributes);
    assert_eq!(outcome.changes, [Change::PutEntity(expected.clone())]);
    assert_eq!(outcome.baseline.entities()[&uid("User::one")], expected);
    // Resources are not a source's to remove.
    let with_channel = state(vec![record("Channel::general", &[]), expected.clone()]);
    assert_eq!(between(&with_channel, &state(vec![expected])).changes, []);
}
