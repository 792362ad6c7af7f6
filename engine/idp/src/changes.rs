//! Gathers changes, and puts them in the order in which they can be applied one by one.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_model::{Change, EntityRecord, EntityUid, SourceName};

/// Most members of one event. BOUND: an event of 100,000 names of 100 bytes is a log frame of 10 MB.
const MEMBERS_PER_EVENT_MAX: usize = 100_000;

/// Who joins and who leaves one group.
#[derive(Default)]
struct Members {
    add: Vec<EntityUid>,
    remove: Vec<EntityUid>,
}

pub(crate) struct Changes<'a> {
    source: &'a SourceName,
    restrictions: Vec<Change>,
    groups: BTreeSet<EntityUid>,
    principals: Vec<Change>,
    members: BTreeMap<EntityUid, Members>,
    deletions: Vec<Change>,
    reactivations: Vec<Change>,
}

impl<'a> Changes<'a> {
    pub(crate) fn new(source: &'a SourceName) -> Self {
        Self {
            source,
            restrictions: Vec::new(),
            groups: BTreeSet::new(),
            principals: Vec::new(),
            members: BTreeMap::new(),
            deletions: Vec::new(),
            reactivations: Vec::new(),
        }
    }

    pub(crate) fn suspend(&mut self, uid: &EntityUid) {
        self.restrictions.push(Change::Suspend { uid: uid.clone(), source: self.source.clone() });
    }

    pub(crate) fn deactivate(&mut self, uid: &EntityUid) {
        self.restrictions.push(Change::Deactivate { uid: uid.clone(), source: self.source.clone() });
    }

    pub(crate) fn reactivate(&mut self, uid: &EntityUid) {
        self.reactivations.push(Change::Reactivate { uid: uid.clone(), source: self.source.clone() });
    }

    pub(crate) fn delete(&mut self, group: &EntityUid) {
        self.deletions.push(Change::DeleteEntity(group.clone()));
    }

    pub(crate) fn put_group(&mut self, group: &EntityUid) {
        self.groups.insert(group.clone());
    }

    pub(crate) fn put(&mut self, principal: &EntityRecord) {
        self.principals.push(Change::PutEntity(principal.clone()));
    }

    /// Suspends a user or agent that has just been put: only what is stored can be suspended.
    pub(crate) fn suspend_new(&mut self, uid: &EntityUid) {
        self.principals.push(Change::Suspend { uid: uid.clone(), source: self.source.clone() });
    }

    /// A user or agent as it should be now. One group more or less is a change of members, which many can
    /// share; everything else stores it whole, so that nobody sees it between two groups.
    pub(crate) fn update(&mut self, before: &EntityRecord, now: &EntityRecord) {
        if before == now {
            return;
        }
        let joined = now.parents.iter().filter(|group| !before.parents.contains(group)).collect::<Vec<_>>();
        let left = before.parents.iter().filter(|group| !now.parents.contains(group)).collect::<Vec<_>>();
        let only_parents = EntityRecord { parents: now.parents.clone(), ..before.clone() } == *now;
        match (joined.as_slice(), left.as_slice()) {
            ([group], []) if only_parents => self.members_of(group).add.push(now.uid.clone()),
            ([], [group]) if only_parents => self.members_of(group).remove.push(now.uid.clone()),
            _ => self.put(now),
        }
    }

    /// Every change, in order: restrictions; groups, each after those it is in, so that no step makes a
    /// cycle; users and agents; members; groups that are gone; reactivations.
    pub(crate) fn into_order(self, entities: &BTreeMap<EntityUid, EntityRecord>) -> Vec<Change> {
        let mut changes = self.restrictions;
        changes.extend(top_down(&self.groups, entities).into_iter().cloned().map(Change::PutEntity));
        changes.extend(self.principals);
        for (group, members) in self.members {
            let change = |add: &[EntityUid], remove: &[EntityUid]| Change::ChangeMembers {
                group: group.clone(),
                add: add.to_vec(),
                remove: remove.to_vec(),
            };
            changes.extend(members.remove.chunks(MEMBERS_PER_EVENT_MAX).map(|remove| change(&[], remove)));
            changes.extend(members.add.chunks(MEMBERS_PER_EVENT_MAX).map(|add| change(add, &[])));
        }
        changes.extend(self.deletions);
        changes.extend(self.reactivations);
        changes
    }

    fn members_of(&mut self, group: &EntityUid) -> &mut Members {
        self.members.entry(group.clone()).or_default()
    }
}

/// The wanted groups, each after every wanted group above it, also through groups that are not wanted.
fn top_down<'a>(
    wanted: &BTreeSet<EntityUid>,
    entities: &'a BTreeMap<EntityUid, EntityRecord>,
) -> Vec<&'a EntityRecord> {
    if wanted.is_empty() {
        return Vec::new();
    }
    let mut waiting: BTreeMap<&EntityUid, usize> = BTreeMap::new();
    let mut children: BTreeMap<&EntityUid, Vec<&EntityUid>> = BTreeMap::new();
    let groups = entities.values().filter(|record| record.uid.entity_type().as_str() == "Group");
    for group in groups {
        let above = group.parents.iter().filter(|parent| entities.contains_key(parent));
        let above: Vec<_> = above.inspect(|parent| children.entry(parent).or_default().push(&group.uid)).collect();
        waiting.insert(&group.uid, above.len());
    }
    let mut free: Vec<&EntityUid> = waiting.iter().filter(|(_, count)| **count == 0).map(|(uid, _)| *uid).collect();
    let mut ordered = Vec::with_capacity(wanted.len());
    while let Some(group) = free.pop() {
        ordered.extend(entities.get(group).filter(|_| wanted.contains(group)));
        for child in children.get(group).into_iter().flatten() {
            if let Some(count) = waiting.get_mut(child) {
                *count -= 1;
                if *count == 0 {
                    free.push(child);
                }
            }
        }
    }
    ordered
}
