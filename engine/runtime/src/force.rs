//! The policy set in force, as decisions read it.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use portcullis_audit::Durability;
use portcullis_directory::Versions;
use portcullis_model::{EntityUid, SetHash};
use portcullis_policy::{ActionNumber, Snapshot};

/// A compiled set with what configuration says of its actions.
pub(crate) struct InForce {
    pub(crate) snapshot: Arc<Snapshot>,
    /// Short number that audit records carry in the place of the hash, unique in this process.
    pub(crate) tag: u32,
    durability: Vec<Durability>,
}

impl InForce {
    pub(crate) fn new(snapshot: Arc<Snapshot>, tag: u32, classes: &Classes) -> Self {
        let durability = snapshot.actions().iter().map(|action| classes.durability_of(&snapshot, action)).collect();
        Self { snapshot, tag, durability }
    }

    pub(crate) fn hash(&self) -> SetHash {
        self.snapshot.hash()
    }

    /// What an allow of this action waits for.
    pub(crate) fn durability(&self, action: ActionNumber) -> Durability {
        self.durability.get(action.index()).copied().unwrap_or_default()
    }
}

/// The slot that decisions read it from.
pub(crate) type InForceSlot = ArcSwapOption<Versions<Arc<InForce>>>;

/// Action classes of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Classes {
    /// Action groups, each with what an allow of their actions waits for.
    pub named: Vec<(EntityUid, Durability)>,
    /// For actions in no named class.
    pub default: Durability,
}

impl Classes {
    /// The strictest class of an action wins: `durable` over `buffered`.
    fn durability_of(&self, snapshot: &Snapshot, action: &EntityUid) -> Durability {
        let Some(number) = snapshot.action(action) else { return Durability::Durable };
        let mut classes = self.named.iter().filter(|(group, _)| snapshot.action_is_in(number, group)).peekable();
        if classes.peek().is_none() {
            return self.default;
        }
        if classes.any(|(_, durability)| *durability == Durability::Durable) {
            Durability::Durable
        } else {
            Durability::Buffered
        }
    }
}
