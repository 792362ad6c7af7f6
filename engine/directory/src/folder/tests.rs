#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

//! The folder against a reference that keeps plain maps and recomputes everything.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufReader;
use std::sync::Arc;

use portcullis_model::{
    Change, EntityRecord, EntityUid, EntityView, Event, EventId, GrantId, GrantRecord, Origin, PolicySetText,
    ResourceScope, Revision, RevokeScope, SessionId, SetHash, Standing, Timestamp,
};
use proptest::prelude::*;

use super::*;
use crate::grants::GrantState;

fn uid(number: u8) -> EntityUid {
    EntityUid::of("T", &format!("e{number}")).unwrap()
}

fn grant_id(number: u8) -> GrantId {
    GrantId::from_bytes([number; 16])
}

fn event(change: Change) -> Event {
    Event { id: EventId::from_bytes([0; 16]), at: Timestamp::from_millis(0), by: Origin::Node, change }
}

fn hash(text: &PolicySetText) -> SetHash {
    SetHash::from_bytes([u8::try_from(text.schema.text.len()).unwrap(); 32])
}

fn folder() -> Folder {
    Folder::new(Arc::new(World::new(1))).with_set_hash(hash)
}

fn fold(folder: &mut Folder, change: Change) -> FoldReport {
    let revision = Revision::new(1, folder.revision().seq + 1);
    let mut report = FoldReport::default();
    folder.fold(revision, &event(change), &mut report);
    folder.finish();
    folder.world().publish(revision.seq);
    report
}

fn put(number: u8, parents: &[u8]) -> Change {
    Change::PutEntity(EntityRecord {
        parents: parents.iter().map(|parent| uid(*parent)).collect(),
        ..EntityRecord::named(uid(number))
    })
}

fn grant(id: u8, subject: u8, agent: u8, parent: Option<u8>, depth_left: u8) -> Change {
    Change::Grant(GrantRecord {
        id: grant_id(id),
        grantor: uid(subject),
        subject: uid(subject),
        agent: uid(agent),
        parent: parent.map(grant_id),
        depth_left,
        actions: vec![uid(99)],
        resource: ResourceScope::Any,
        condition: None,
        not_before: None,
        expires: None,
    })
}

/// The obvious state: direct parents, standing flags, grant states.
#[derive(Clone, Default)]
struct Reference {
    parents: BTreeMap<EntityUid, BTreeSet<EntityUid>>,
    stored: BTreeSet<EntityUid>,
    revoked: BTreeSet<EntityUid>,
    suspended: BTreeSet<EntityUid>,
    deactivated: BTreeSet<EntityUid>,
    held: BTreeSet<EntityUid>,
    valid_after: BTreeMap<EntityUid, u64>,
}

impl Reference {
    fn ancestors(&self, uid: &EntityUid) -> BTreeSet<EntityUid> {
        let mut all = BTreeSet::new();
        let mut queue: Vec<_> = self.parents.get(uid).into_iter().flatten().cloned().collect();
        while let Some(next) = queue.pop() {
            if all.insert(next.clone()) {
                queue.extend(self.parents.get(&next).into_iter().flatten().cloned());
            }
        }
        all
    }

    fn standing(&self, uid: &EntityUid) -> Standing {
        [
            (&self.deactivated, Standing::Deactivated),
            (&self.revoked, Standing::Revoked),
            (&self.suspended, Standing::Suspended),
            (&self.held, Standing::Held),
        ]
        .into_iter()
        .find(|(set, _)| set.contains(uid))
        .map_or(Standing::Active, |(_, standing)| standing)
    }

    fn would_cycle(&self, child: &EntityUid, parent: &EntityUid) -> bool {
        child == parent || self.ancestors(parent).contains(child)
    }

    fn apply(&mut self, seq: u64, change: &Change) {
        match change {
            Change::PutEntity(record) => {
                if record.parents.iter().any(|parent| self.would_cycle(&record.uid, parent)) {
                    return self.quarantine(&record.uid);
                }
                self.stored.insert(record.uid.clone());
                self.parents.insert(record.uid.clone(), record.parents.iter().cloned().collect());
            }
            Change::DeleteEntity(uid) if self.stored.remove(uid) => {
                self.parents.remove(uid);
                for set in [&mut self.suspended, &mut self.deactivated, &mut self.held] {
                    set.remove(uid);
                }
                self.valid_after.insert(uid.clone(), seq);
            }
            Change::ChangeMembers { group, add, remove } => {
                if add.iter().any(|member| !self.stored.contains(member) || self.would_cycle(member, group)) {
                    add.iter().chain(remove).for_each(|member| self.quarantine(member));
                    return;
                }
                for member in remove {
                    self.parents.entry(member.clone()).or_default().remove(group);
                }
                for member in add {
                    self.parents.entry(member.clone()).or_default().insert(group.clone());
                }
            }
            Change::Hold { uid, .. } if self.stored.contains(uid) => drop(self.held.insert(uid.clone())),
            Change::Release { uid, .. } if self.stored.contains(uid) => drop(self.held.remove(uid)),
            Change::Suspend { uid, .. } if self.stored.contains(uid) => {
                self.suspended.insert(uid.clone());
                self.valid_after.insert(uid.clone(), seq);
            }
            Change::Deactivate { uid, .. } if self.stored.contains(uid) => {
                self.deactivated.insert(uid.clone());
                self.valid_after.insert(uid.clone(), seq);
            }
            Change::Reactivate { uid, .. } if self.stored.contains(uid) => {
                self.suspended.remove(uid);
                self.deactivated.remove(uid);
            }
            Change::Revoke(RevokeScope::User(uid)) if self.stored.contains(uid) => {
                self.revoked.insert(uid.clone());
                self.valid_after.insert(uid.clone(), seq);
            }
            Change::Restore(uid) if self.stored.contains(uid) => drop(self.revoked.remove(uid)),
            _ => {}
        }
    }

    /// The generator's only source of claims is `s`, so a quarantine hold shows as a hold of its own.
    fn quarantine(&mut self, uid: &EntityUid) {
        if self.stored.contains(uid) {
            self.held.insert(uid.clone());
        }
    }
}

fn changes() -> impl Strategy<Value = Change> {
    let one = 0_u8..12;
    let some = prop::collection::vec(0_u8..12, 0..4);
    let source = || "s".parse().unwrap();
    let members = |numbers: Vec<u8>| numbers.into_iter().map(uid).collect::<Vec<_>>();
    prop_oneof![
        4 => (one.clone(), some.clone()).prop_map(|(number, parents)| put(number, &parents)),
        1 => one.clone().prop_map(|number| Change::DeleteEntity(uid(number))),
        4 => (one.clone(), some.clone(), some).prop_map(move |(group, add, remove)| Change::ChangeMembers {
            group: uid(group), add: members(add), remove: members(remove)
        }),
        1 => one.clone().prop_map(move |number| Change::Suspend { uid: uid(number), source: source() }),
        1 => one.clone().prop_map(move |number| Change::Deactivate { uid: uid(number), source: source() }),
        1 => one.clone().prop_map(move |number| Change::Reactivate { uid: uid(number), source: source() }),
        1 => one.clone().prop_map(|number| Change::Revoke(RevokeScope::User(uid(number)))),
        1 => one.prop_map(|number| Change::Restore(uid(number))),
    ]
}

fn check(folder: &Folder, reference: &Reference) {
    let view = folder.world().view();
    for number in 0..12 {
        let uid = uid(number);
        let Some(index) = view.find(&uid) else {
            assert!(!reference.stored.contains(&uid));
            continue;
        };
        let cell = view.entity(index);
        assert_eq!(cell.exists, reference.stored.contains(&uid), "{uid} stored");
        let mut ancestors = BTreeSet::new();
        view.ancestors(index, &mut |ancestor| {
            ancestors.insert(view.uid(ancestor).unwrap().clone());
        });
        assert_eq!(ancestors, reference.ancestors(&uid), "{uid} ancestors");
        for ancestor in &ancestors {
            assert!(view.is_in(index, view.find(ancestor).unwrap()));
        }
        assert_eq!(cell.valid_after, reference.valid_after.get(&uid).copied().unwrap_or(0), "{uid} valid_after");
        assert_eq!(cell.standing, reference.standing(&uid), "{uid} standing");
    }
    assert!(!view.is_late());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_revision_equals_the_reference(changes in prop::collection::vec(changes(), 1..60)) {
        let (mut folder, mut reference) = (folder(), Reference::default());
        for (seq, change) in (1..).zip(&changes) {
            reference.apply(seq, change);
            fold(&mut folder, change.clone());
            check(&folder, &reference);
        }
        let mut bytes = Vec::new();
        folder.write_snapshot(&mut bytes).unwrap();
        let mut copy = self::folder();
        copy.read_snapshot(&mut BufReader::new(&*bytes), &mut FoldReport::default(), &mut |_| {}).unwrap();
        copy.world().publish(copy.revision().seq);
        prop_assert_eq!(copy.revision(), folder.revision());
        check(&copy, &reference);
    }

    #[test]
    fn a_view_answers_for_its_own_revision_or_says_that_it_is_late(changes in prop::collection::vec(changes(), 2..40)) {
        let (mut folder, mut reference) = (folder(), Reference::default());
        let world = Arc::clone(folder.world());
        for (seq, change) in (1..).zip(&changes) {
            let view = world.view();
            let before = reference.clone();
            // Written but not published: readers must still see the state before, whole.
            let mut report = FoldReport::default();
            folder.fold(Revision::new(1, seq), &event(change.clone()), &mut report);
            folder.finish();
            reference.apply(seq, change);
            for uid in &before.stored {
                let index = view.find(uid).unwrap();
                prop_assert!(view.exists(index));
                let mut ancestors = BTreeSet::new();
                view.ancestors(index, &mut |ancestor| {
            ancestors.insert(view.uid(ancestor).unwrap().clone());
        });
                prop_assert_eq!(ancestors, before.ancestors(uid));
            }
            prop_assert!(!view.is_late());
            world.publish(seq);
        }
    }
}

#[test]
fn more_ancestors_than_fit_the_cell_are_all_found() {
    let mut folder = folder();
    for number in 1..=20 {
        fold(&mut folder, put(number, &[]));
    }
    let parents: Vec<u8> = (1..=20).collect();
    fold(&mut folder, put(0, &parents));
    let view = folder.world().view();
    let child = view.find(&uid(0)).unwrap();
    for number in 1..=20 {
        assert!(view.is_in(child, view.find(&uid(number)).unwrap()));
    }
    fold(&mut folder, put(0, &[3]));
    let view = folder.world().view();
    assert!(view.is_in(child, view.find(&uid(3)).unwrap()));
    assert!(!view.is_in(child, view.find(&uid(4)).unwrap()));
}

#[test]
fn a_subtree_ends_whole_and_a_deactivated_subject_takes_its_grants_along() {
    let mut folder = folder();
    for number in 0..5 {
        fold(&mut folder, put(number, &[]));
    }
    fold(&mut folder, grant(1, 0, 1, None, 3));
    fold(&mut folder, grant(2, 0, 2, Some(1), 2));
    fold(&mut folder, grant(3, 0, 3, Some(2), 1));
    fold(&mut folder, grant(4, 0, 4, None, 0));
    let state =
        |folder: &Folder, id| folder.world().view().grant_state(folder.world().find_grant(grant_id(id)).unwrap());
    let report = fold(&mut folder, Change::Revoke(RevokeScope::Subtree(grant_id(2))));
    assert_eq!(report.ended.len(), 2);
    assert_eq!(
        [1, 2, 3, 4].map(|id| state(&folder, id)),
        [GrantState::Live, GrantState::Revoked, GrantState::Revoked, GrantState::Live]
    );
    fold(&mut folder, Change::Deactivate { uid: uid(0), source: "s".parse().unwrap() });
    assert_eq!(
        [1, 2, 3, 4].map(|id| state(&folder, id)),
        [GrantState::Tombstone, GrantState::Revoked, GrantState::Revoked, GrantState::Tombstone]
    );
    fold(&mut folder, Change::Reactivate { uid: uid(0), source: "s".parse().unwrap() });
    assert_eq!(state(&folder, 1), GrantState::Tombstone, "reactivation revives no grant");
}

#[test]
fn grants_that_contradict_what_is_stored_are_quarantined() {
    let mut folder = folder();
    for number in 0..4 {
        fold(&mut folder, put(number, &[]));
    }
    fold(&mut folder, grant(1, 0, 1, None, 1));
    for bad in [
        grant(1, 0, 1, None, 1),
        grant(2, 0, 2, Some(9), 0),
        grant(2, 3, 2, Some(1), 0),
        grant(2, 0, 2, Some(1), 1),
        grant(2, 0, 2, None, 9),
    ] {
        assert_eq!(fold(&mut folder, bad).quarantined.len(), 1);
    }
    assert!(folder.world().find_grant(grant_id(2)).is_none());
    assert!(fold(&mut folder, grant(2, 0, 2, Some(1), 0)).quarantined.is_empty());
}

#[test]
fn an_event_that_cannot_be_applied_holds_whom_it_names() {
    let mut folder = folder();
    fold(&mut folder, put(0, &[]));
    let report = fold(&mut folder, put(0, &[0]));
    assert_eq!(
        report.quarantined.first().map(|found| (found.why.clone(), found.held.clone())),
        Some((FoldError::Cycle(uid(0)), Some(uid(0))))
    );
    let view = folder.world().view();
    assert_eq!(view.entity(view.find(&uid(0)).unwrap()).standing, Standing::Held);
}

#[test]
fn restore_lifts_the_revocation_but_revives_no_session() {
    let mut folder = folder();
    fold(&mut folder, put(0, &[]));
    fold(&mut folder, Change::Revoke(RevokeScope::Agent(uid(0))));
    fold(&mut folder, Change::Restore(uid(0)));
    let view = folder.world().view();
    let cell = view.entity(view.find(&uid(0)).unwrap());
    assert_eq!((cell.standing, cell.valid_after, cell.killed_by), (Standing::Active, 2, Standing::Revoked));
}

#[test]
fn a_snapshot_keeps_grants_tombstones_policies_and_refuses_damage() {
    let mut folder = folder();
    fold(&mut folder, put(0, &[]));
    fold(&mut folder, put(1, &[]));
    fold(&mut folder, grant(1, 0, 1, None, 1));
    fold(&mut folder, Change::Revoke(RevokeScope::Grant(grant_id(1))));
    fold(
        &mut folder,
        Change::Revoke(RevokeScope::Session { id: SessionId::from_bytes([3; 16]), until: Timestamp::from_millis(9) }),
    );
    let text =
        PolicySetText { schema: portcullis_model::PolicyFile { name: "s".into(), text: "abc".into() }, files: vec![] };
    fold(&mut folder, Change::StagePolicy(text.clone()));
    assert_eq!(fold(&mut folder, Change::ActivatePolicy(SetHash::from_bytes([9; 32]))).quarantined.len(), 1);
    assert_eq!(fold(&mut folder, Change::ActivatePolicy(hash(&text))).activated.len(), 1);
    fold(&mut folder, Change::Revoke(RevokeScope::Everything));
    fold(&mut folder, Change::DeleteEntity(uid(1)));
    let mut bytes = Vec::new();
    folder.write_snapshot(&mut bytes).unwrap();

    let read = |bytes: &[u8]| {
        let mut copy = self::folder();
        copy.read_snapshot(&mut BufReader::new(bytes), &mut FoldReport::default(), &mut |_| {}).map(|()| copy)
    };
    let copy = read(&bytes).unwrap();
    copy.world().publish(copy.revision().seq);
    assert_eq!(copy.tombstones(), folder.tombstones());
    assert_eq!(copy.active_policy().map(|(hash, _)| hash), Some(hash(&text)));
    let view = copy.world().view();
    assert_eq!(view.everything_valid_after(), 9);
    assert_eq!(view.grant_state(copy.world().find_grant(grant_id(1)).unwrap()), GrantState::Revoked);
    let gone = view.entity(view.find(&uid(1)).unwrap());
    assert_eq!((gone.exists, gone.generation, gone.valid_after), (false, 1, 10));

    for cut in 0..bytes.len() {
        assert!(read(&bytes[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn an_agent_under_a_recycled_name_inherits_no_grant() {
    let mut folder = folder();
    for number in 0..3 {
        fold(&mut folder, put(number, &[]));
    }
    fold(&mut folder, grant(1, 0, 1, None, 0));
    fold(&mut folder, grant(2, 0, 2, None, 0));
    fold(&mut folder, Change::DeleteEntity(uid(1)));
    fold(&mut folder, put(1, &[]));
    let state = |id| folder.world().view().grant_state(folder.world().find_grant(grant_id(id)).unwrap());
    assert_eq!([1, 2].map(state), [GrantState::Tombstone, GrantState::Live]);
}
