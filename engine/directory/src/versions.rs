//! A large value in the two newest versions that readers may still ask for.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

/// The newest value and the one before it, each with the sequence number from which it holds.
#[derive(Debug)]
pub struct Versions<T> {
    stamp: u64,
    value: T,
    previous: Option<(u64, T)>,
}

impl<T: Clone> Versions<T> {
    /// Puts `value` into `slot` as the newest from `stamp` on. One writer only.
    ///
    /// A second write with the stamp of the newest replaces it: no reader can be at that stamp yet.
    pub fn push(slot: &ArcSwapOption<Self>, stamp: u64, value: T) {
        let previous = slot.load_full().and_then(|versions| {
            if versions.stamp == stamp {
                versions.previous.clone()
            } else {
                Some((versions.stamp, versions.value.clone()))
            }
        });
        slot.store(Some(Arc::new(Self { stamp, value, previous })));
    }

    /// The value as of `at`; `Ok(None)` if there was none yet, `Err` if both versions are newer.
    ///
    /// # Errors
    /// `Late` when the reader must load the effective revision anew.
    pub fn at(&self, at: u64) -> Result<Option<&T>, Late> {
        if self.stamp <= at {
            return Ok(Some(&self.value));
        }
        match &self.previous {
            None => Ok(None),
            Some((stamp, value)) if *stamp <= at => Ok(Some(value)),
            Some(_) => Err(Late),
        }
    }
}

/// Both versions are newer than what the reader asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Late;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_get_the_value_of_their_revision_or_are_told_to_start_again() {
        let slot = ArcSwapOption::empty();
        Versions::push(&slot, 5, "five");
        let read =
            |at| slot.load_full().map(|versions: Arc<Versions<&str>>| versions.at(at).map(Option::<&&str>::copied));
        assert_eq!(read(4), Some(Ok(None)));
        Versions::push(&slot, 7, "seven");
        Versions::push(&slot, 7, "seven again");
        assert_eq!(read(6), Some(Ok(Some("five"))));
        assert_eq!(read(9), Some(Ok(Some("seven again"))));
        Versions::push(&slot, 8, "eight");
        assert_eq!(read(6), Some(Err(Late)));
    }
}
