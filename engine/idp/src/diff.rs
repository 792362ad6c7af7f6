//! What has to change in the directory so that it says what a source says.

use std::collections::BTreeMap;
use std::fmt;

use portcullis_model::{Change, EntityRecord, EntityUid, Owner, SourceName};

use crate::changes::Changes;
use crate::scim::ResourceKind;
use crate::state::{FullState, Status};

/// How many of a kind may always vanish in one read.
const VANISHED_MIN: usize = 5;
/// How many percent of a kind may vanish in one read, where that is more. BOUND: a departure, even of a
/// team, is below it; a truncated export or a wrong filter is above it.
const VANISHED_PERCENT: usize = 20;

/// The outcome of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// The changes, in the order in which they must be appended: restrictions first.
    pub changes: Vec<Change>,
    /// What the guard against mass removal held back. Someone must look: say it aloud.
    pub held: Vec<Held>,
    /// What the directory says of this source once the changes are applied: the `previous` of the
    /// next comparison.
    pub baseline: FullState,
}

/// Too many of a kind have vanished in one read: none of them was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The kind.
    pub kind: ResourceKind,
    /// How many have vanished.
    pub vanished: usize,
    /// Of how many.
    pub of: usize,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ResourceKind::User => "users",
            ResourceKind::Group => "groups",
            ResourceKind::Agent => "agents",
        };
        write!(f, "{} of {} {kind} have vanished from the source: none was removed", self.vanished, self.of)
    }
}

/// Compares what a source said before with what it says now.
///
/// - A user or agent whose `active` is false is suspended, and reactivated when it is true again.
/// - One that has vanished is deactivated, one that comes back is reactivated; a group that has vanished
///   is deleted. If more than 5 and more than 20 % of a kind vanish in one read, none of that kind is
///   removed; with groups, memberships of what exists stay as they are as well.
/// - A user or agent that changes places between groups does so in one event, never in none or both.
/// - Attributes that requests or fact providers own, tags, sponsors, and memberships in groups that this
///   source does not know are left alone.
///
/// Pure. `previous` is [`Diff::baseline`], or what the directory holds of this source; with `None`
/// everything is new.
pub fn diff(previous: Option<&FullState>, next: &FullState, source: &SourceName) -> Diff {
    let nothing = FullState::default();
    let previous = previous.unwrap_or(&nothing);
    let held: Vec<Held> = ResourceKind::ALL.into_iter().filter_map(|kind| guard(kind, previous, next)).collect();
    let mut comparison = Comparison {
        previous,
        next,
        frozen: is_held(&held, ResourceKind::Group),
        changes: Changes::new(source),
        entities: BTreeMap::new(),
        status: BTreeMap::new(),
    };
    comparison.present();
    comparison.vanished(&held);
    let changes = comparison.changes.into_order(&comparison.entities);
    Diff { changes, held, baseline: FullState::new(comparison.entities.into_values(), comparison.status) }
}

struct Comparison<'a> {
    previous: &'a FullState,
    next: &'a FullState,
    /// Whether memberships stay as they are.
    frozen: bool,
    changes: Changes<'a>,
    entities: BTreeMap<EntityUid, EntityRecord>,
    status: BTreeMap<EntityUid, Status>,
}

impl Comparison<'_> {
    fn present(&mut self) {
        for (uid, record) in self.next.entities() {
            let before = self.previous.entities().get(uid);
            let record = self.merged(before, record);
            if kind_of(uid) == Some(ResourceKind::Group) {
                if before != Some(&record) {
                    self.changes.put_group(uid);
                }
            } else {
                self.principal(before, &record);
            }
            self.entities.insert(uid.clone(), record);
        }
    }

    fn principal(&mut self, before: Option<&EntityRecord>, record: &EntityRecord) {
        let uid = &record.uid;
        let was = before.map(|_| self.previous.status_of(uid));
        match before {
            // One that comes back is stored whole: groups that it was in may be gone.
            Some(before) if was != Some(Status::Removed) || before == record => self.changes.update(before, record),
            _ => self.changes.put(record),
        }
        let mut status = self.next.status_of(uid);
        match (was, status) {
            (None, Status::Suspended) => self.changes.suspend_new(uid),
            // Deactivated is stricter; lifting that first would let it act for a moment.
            (Some(Status::Removed), Status::Suspended) => status = Status::Removed,
            (Some(Status::Active | Status::Unknown), Status::Suspended) => self.changes.suspend(uid),
            (Some(Status::Suspended | Status::Removed | Status::Unknown), Status::Active) => {
                self.changes.reactivate(uid)
            }
            _ => {}
        }
        self.status.insert(uid.clone(), status);
    }

    fn vanished(&mut self, held: &[Held]) {
        for (uid, record) in self.previous.entities() {
            let Some(kind) = kind_of(uid).filter(|_| !self.next.entities().contains_key(uid)) else { continue };
            let mut status = self.previous.status_of(uid);
            if !is_held(held, kind) {
                if kind == ResourceKind::Group {
                    self.changes.delete(uid);
                    continue;
                }
                if status != Status::Removed {
                    self.changes.deactivate(uid);
                    status = Status::Removed;
                }
            }
            self.entities.insert(uid.clone(), record.clone());
            if kind != ResourceKind::Group {
                self.status.insert(uid.clone(), status);
            }
        }
    }

    /// What the directory should hold: the source's word, and what is not the source's to change.
    fn merged(&self, before: Option<&EntityRecord>, next: &EntityRecord) -> EntityRecord {
        let Some(before) = before else { return next.clone() };
        let mut record = EntityRecord { tags: before.tags.clone(), sponsor: before.sponsor.clone(), ..next.clone() };
        for (name, attribute) in before.attributes.iter().filter(|(_, attribute)| attribute.owner != Owner::Directory) {
            record.attributes.insert(name.clone(), attribute.clone());
        }
        if self.frozen {
            record.parents.clone_from(&before.parents);
        } else {
            let known =
                |uid: &EntityUid| self.previous.entities().contains_key(uid) || self.next.entities().contains_key(uid);
            record.parents.extend(before.parents.iter().filter(|uid| !known(uid)).cloned());
            record.parents.sort_unstable();
            record.parents.dedup();
        }
        record
    }
}

fn guard(kind: ResourceKind, previous: &FullState, next: &FullState) -> Option<Held> {
    let mut held = Held { kind, vanished: 0, of: 0 };
    for uid in previous.entities().keys() {
        if kind_of(uid) == Some(kind) && previous.status_of(uid) != Status::Removed {
            held.of += 1;
            held.vanished += usize::from(!next.entities().contains_key(uid));
        }
    }
    (held.vanished > VANISHED_MIN.max(held.of * VANISHED_PERCENT / 100)).then_some(held)
}

fn is_held(held: &[Held], kind: ResourceKind) -> bool {
    held.iter().any(|held| held.kind == kind)
}

/// The kind of an entity; `None` for resources, which no identity source tells of.
fn kind_of(uid: &EntityUid) -> Option<ResourceKind> {
    ResourceKind::ALL.into_iter().find(|kind| kind.entity_type() == uid.entity_type().as_str())
}

#[cfg(test)]
mod tests;
