//! A place in the ordered log.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Position in the ordered log. Within one epoch a larger revision has seen everything a smaller
/// one has; revisions of different epochs do not compare, because another epoch is another log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// Incarnation of the log, from 1.
    pub epoch: u32,
    /// Sequence number of an event, from 1; 0 is the empty log.
    pub seq: u64,
}

impl Revision {
    /// A revision from its parts.
    pub const fn new(epoch: u32, seq: u64) -> Self {
        Self { epoch, seq }
    }

    /// Whether this revision has seen all that `other` has; never across epochs.
    ///
    /// ```
    /// use portcullis_model::Revision;
    /// assert!(Revision::new(1, 9).covers(Revision::new(1, 9)));
    /// assert!(!Revision::new(2, 9).covers(Revision::new(1, 1)));
    /// ```
    pub fn covers(self, other: Self) -> bool {
        self.epoch == other.epoch && self.seq >= other.seq
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.seq)
    }
}
