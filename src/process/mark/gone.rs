//! Which messages behind an id have gone for good.

/// So many ids are known.
const SPAN: i64 = (WORDS as i64) * BITS;
const WORDS: usize = 64;
const BITS: i64 = u64::BITS as i64;

/// A bit for each id from `base` on, `SPAN` of them, in a ring: an id has the same place wherever the base is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gone {
    base: i64,
    ring: [u64; WORDS],
}

impl Gone {
    pub const NONE: Gone = Gone { base: 1, ring: [0; WORDS] };

    /// Takes note of one. Nothing changes where it lies elsewhere.
    pub fn note(&mut self, id: i64) {
        if (self.base..self.base.saturating_add(SPAN)).contains(&id) {
            let (word, bit) = place(id);
            self.ring[word] |= 1 << bit;
        }
    }

    /// Forgets what lies before `base`; it never moves back.
    pub fn begin_at(&mut self, base: i64) {
        if base >= self.base.saturating_add(SPAN) {
            self.ring = [0; WORDS];
            self.base = base;
        }
        while self.base < base {
            let (word, bit) = place(self.base);
            let upto = (BITS - bit).min(base - self.base);
            // Of the word, `upto` bits from this one on.
            self.ring[word] &= !((u64::MAX >> (BITS - upto)) << bit);
            self.base += upto;
        }
    }

    /// The first id from the base on that may be there.
    pub fn first_left(&self) -> i64 {
        let (mut id, end) = (self.base, self.base.saturating_add(SPAN));
        while id < end {
            let (word, bit) = place(id);
            let gone = i64::from((self.ring[word] >> bit).trailing_ones());
            id += gone;
            if gone < BITS - bit {
                break;
            }
        }
        id.min(end)
    }
}

fn place(id: i64) -> (usize, i64) {
    let place = id.rem_euclid(SPAN);
    ((place / BITS) as usize, place % BITS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_has_gone_in_a_row_is_passed_by() {
        let mut gone = Gone::NONE;
        assert_eq!(gone.first_left(), 1);
        (1..=200).for_each(|id| gone.note(id));
        (202..=300).for_each(|id| gone.note(id));
        assert_eq!(gone.first_left(), 201);
        gone.note(201);
        assert_eq!(gone.first_left(), 301);
    }

    #[test]
    fn no_more_is_known_than_there_are_places() {
        let mut gone = Gone::NONE;
        (1..=2 * SPAN).for_each(|id| gone.note(id));
        assert_eq!(gone.first_left(), SPAN + 1);
        gone.begin_at(SPAN);
        assert_eq!(gone.first_left(), SPAN + 1);
        gone.note(i64::MAX);
        gone.begin_at(i64::MAX);
        assert_eq!(gone.first_left(), i64::MAX);
    }

    #[derive(Debug, Clone)]
    enum Act {
        Note(i64),
        Begin(i64),
    }

    proptest! {
        /// The same as a set of ids.
        #[test]
        fn an_id_is_gone_only_if_noted(acts in proptest::collection::vec(
            prop_oneof![
                8 => (0..9_i64, 0..700_i64).prop_map(|(run, at)| Act::Note(run * SPAN / 8 + at % 70)),
                2 => (0..3 * SPAN).prop_map(Act::Begin),
            ],
            0..400,
        )) {
            let (mut gone, mut base, mut noted) = (Gone::NONE, 1, BTreeSet::new());
            for act in acts {
                match act {
                    Act::Note(id) => {
                        gone.note(id);
                        noted.extend((base..base + SPAN).contains(&id).then_some(id));
                    }
                    Act::Begin(id) => {
                        gone.begin_at(id);
                        base = base.max(id);
                        noted.retain(|id| *id >= base);
                    }
                }
                let left = (base..).find(|id| !noted.contains(id));
                prop_assert_eq!(Some(gone.first_left()), left);
            }
        }
    }
}
