//! The line of words that a decision reads of an entity.

use portcullis_model::{EntityIndex, Standing};

/// Words of an entity's cell, sequence and stamp apart.
pub(crate) const CELL_WORDS: usize = 6;
/// Ancestors that fit the cell; with more, the body holds all of them.
pub(crate) const ANCESTORS_INLINE: usize = 8;

const EXISTS: u64 = 1 << 8;
const OVERFLOW: u64 = 1 << 9;
const KILLED_SHIFT: u32 = 16;
const GENERATION_SHIFT: u32 = 32;
const NONE: u32 = u32::MAX;

/// What a decision reads of an entity, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityCell {
    /// Whether an entity of the name is stored.
    pub exists: bool,
    /// How it stands now.
    pub standing: Standing,
    /// What ended the sessions from before `valid_after`.
    pub killed_by: Standing,
    /// Another entity of the same name has another generation.
    pub generation: u32,
    /// Sessions born before this sequence number are dead.
    pub valid_after: u64,
    pub(crate) overflow: bool,
    ancestors: [u32; ANCESTORS_INLINE],
}

impl EntityCell {
    /// A cell; `ancestors` beyond what fits only set the overflow mark.
    pub(crate) fn new(
        exists: bool,
        standing: Standing,
        killed_by: Standing,
        generation: u32,
        valid_after: u64,
        ancestors: &[EntityIndex],
    ) -> Self {
        let overflow = ancestors.len() > ANCESTORS_INLINE;
        let mut inline = [NONE; ANCESTORS_INLINE];
        if !overflow {
            for (slot, ancestor) in inline.iter_mut().zip(ancestors) {
                *slot = ancestor.number();
            }
        }
        Self { exists, standing, killed_by, generation, valid_after, overflow, ancestors: inline }
    }

    /// Ancestors held in the cell itself.
    pub(crate) fn ancestors(&self) -> impl Iterator<Item = EntityIndex> + '_ {
        self.ancestors.iter().take_while(|number| **number != NONE).map(|number| EntityIndex::new(*number))
    }

    #[inline]
    pub(crate) fn holds_ancestor(&self, ancestor: EntityIndex) -> bool {
        self.ancestors.contains(&ancestor.number())
    }

    pub(crate) fn to_words(self) -> [u64; CELL_WORDS] {
        let status = encode(self.standing)
            | (encode(self.killed_by) << KILLED_SHIFT)
            | if self.exists { EXISTS } else { 0 }
            | if self.overflow { OVERFLOW } else { 0 }
            | (u64::from(self.generation) << GENERATION_SHIFT);
        let [a, b, c, d, e, f, g, h] = self.ancestors;
        [status, self.valid_after, pair(a, b), pair(c, d), pair(e, f), pair(g, h)]
    }

    #[inline]
    pub(crate) fn from_words(words: [u64; CELL_WORDS]) -> Self {
        let [status, valid_after, ab, cd, ef, gh] = words;
        let ((a, b), (c, d), (e, f), (g, h)) = (halves(ab), halves(cd), halves(ef), halves(gh));
        Self {
            exists: status & EXISTS != 0,
            standing: decode(status),
            killed_by: decode(status >> KILLED_SHIFT),
            generation: halves(status).1,
            valid_after,
            overflow: status & OVERFLOW != 0,
            ancestors: [a, b, c, d, e, f, g, h],
        }
    }
}

/// The words of a name that nothing was ever stored under.
pub(crate) fn absent() -> [u64; CELL_WORDS] {
    EntityCell::new(false, Standing::Active, Standing::Active, 0, 0, &[]).to_words()
}

fn pair(low: u32, high: u32) -> u64 {
    u64::from(low) | (u64::from(high) << 32)
}

#[inline]
fn halves(word: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = word.to_le_bytes();
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
}

fn encode(standing: Standing) -> u64 {
    match standing {
        Standing::Active => 0,
        Standing::Held => 1,
        Standing::Suspended => 2,
        Standing::Revoked => 3,
        Standing::Deactivated => 4,
    }
}

/// Fails closed: a code that nobody writes reads as deactivated.
#[inline]
fn decode(code: u64) -> Standing {
    match code & 0xff {
        0 => Standing::Active,
        1 => Standing::Held,
        2 => Standing::Suspended,
        3 => Standing::Revoked,
        _ => Standing::Deactivated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip() {
        for standing in
            [Standing::Active, Standing::Held, Standing::Suspended, Standing::Revoked, Standing::Deactivated]
        {
            for count in [0, 1, 7, 8, 9] {
                let ancestors: Vec<_> = (10..10 + count).map(EntityIndex::new).collect();
                let cell = EntityCell::new(true, standing, Standing::Revoked, u32::MAX, u64::MAX, &ancestors);
                assert_eq!(EntityCell::from_words(cell.to_words()), cell);
                assert_eq!(cell.overflow, count > 8);
                let inline: Vec<_> = cell.ancestors().collect();
                assert_eq!(inline, if count > 8 { Vec::new() } else { ancestors });
            }
        }
        assert!(!EntityCell::from_words(absent()).exists);
    }
}
