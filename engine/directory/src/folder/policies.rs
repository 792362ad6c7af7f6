//! Staged policy texts and which one is in force.

use std::collections::VecDeque;
use std::sync::Arc;

use portcullis_model::{PolicySetText, SetHash};

use super::{FoldError, Folder};

/// Staged sets that are remembered beside the one in force, for rollback.
const STAGED_MAX: usize = 4;

/// Policy texts by hash.
#[derive(Debug, Default)]
pub(super) struct Policies {
    pub(super) staged: VecDeque<(SetHash, Arc<PolicySetText>)>,
    pub(super) active: Option<SetHash>,
    hash: Option<fn(&PolicySetText) -> SetHash>,
}

impl Policies {
    pub(super) fn stage(&mut self, text: &PolicySetText) -> Result<(), FoldError> {
        let Some(hash) = self.hash.map(|hash| hash(text)) else { return Err(FoldError::Unknown) };
        if self.staged.iter().any(|(staged, _)| *staged == hash) {
            return Ok(());
        }
        if self.staged.len() > STAGED_MAX {
            let active = self.active;
            if let Some(oldest) = self.staged.iter().position(|(staged, _)| Some(*staged) != active) {
                self.staged.remove(oldest);
            }
        }
        self.staged.push_back((hash, Arc::new(text.clone())));
        Ok(())
    }

    pub(super) fn activate(&mut self, hash: SetHash) -> Result<(), FoldError> {
        if !self.staged.iter().any(|(staged, _)| *staged == hash) {
            return Err(FoldError::NotStaged(hash));
        }
        self.active = Some(hash);
        Ok(())
    }
}

impl Folder {
    /// Sets how policy texts are hashed. The policy room owns the function; without it no set can be staged.
    #[must_use]
    pub fn with_set_hash(mut self, hash: fn(&PolicySetText) -> SetHash) -> Self {
        self.policies.hash = Some(hash);
        self
    }

    /// The policy set in force.
    pub fn active_policy(&self) -> Option<(SetHash, Arc<PolicySetText>)> {
        self.policies.active.and_then(|hash| self.staged_policy(hash).map(|text| (hash, text)))
    }

    /// A staged set.
    pub fn staged_policy(&self, hash: SetHash) -> Option<Arc<PolicySetText>> {
        self.policies.staged.iter().find(|(staged, _)| *staged == hash).map(|(_, text)| Arc::clone(text))
    }
}
