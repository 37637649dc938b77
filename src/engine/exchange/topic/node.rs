//! A node of the trie: a branch, at which patterns continue, or a leaf, which has the rest of a
//! single pattern.
//!
//! Most patterns share their first words with other patterns and not the last ones. As nodes, the
//! rest of such a pattern would be a chain. Each node of it would be read from memory and its child
//! looked up. In a leaf the rest is compared at once.

use std::num::NonZeroU32;

use super::words::{ANY_WORD, ANY_WORDS, Word};
use crate::engine::exchange::destinations::Destinations;

/// A node takes half a cache line.
#[derive(Debug)]
#[repr(align(32))]
pub(super) struct Node {
    pub(super) shape: Shape,
    /// The destinations bound with the pattern that ends here.
    pub(super) destinations: Destinations,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Branch(Branch),
    Leaf(Tail),
}

/// A node at which patterns continue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Branch {
    pub(super) any_word: Option<NonZeroU32>,
    pub(super) any_words: Option<NonZeroU32>,
    pub(super) literals: Literals,
}

/// The children by ordinary words.
#[derive(Clone, Copy, Debug)]
pub(super) enum Literals {
    None,
    One {
        word: Word,
        child: NonZeroU32,
    },
    /// The children are in the trie's edges.
    Many {
        count: u32,
        /// A bit for each word that may be present, so that most other words need no lookup.
        hints: u32,
    },
}

impl Node {
    pub(super) const fn branch() -> Node {
        Node {
            shape: Shape::Branch(Branch::NEW),
            destinations: Destinations::NONE,
        }
    }

    pub(super) const fn leaf(tail: Tail) -> Node {
        Node {
            shape: Shape::Leaf(tail),
            destinations: Destinations::NONE,
        }
    }

    /// Whether a pattern ends here or continues from here.
    pub(super) fn is_needed(&self) -> bool {
        let goes_on = match &self.shape {
            Shape::Leaf(_) => false,
            Shape::Branch(branch) => {
                branch.any_word.is_some()
                    || branch.any_words.is_some()
                    || !matches!(branch.literals, Literals::None)
            }
        };
        goes_on || !self.destinations.is_empty()
    }
}

impl Branch {
    pub(super) const NEW: Branch = Branch {
        any_word: None,
        any_words: None,
        literals: Literals::None,
    };
}

impl Literals {
    pub(super) const fn hint(word: Word) -> u32 {
        1 << (word % u32::BITS)
    }
}

/// The rest of a pattern: up to five words, which may be `*`, with an optional `#` before and after
/// them. A longer rest begins with branches that have one child each, and so does a rest with a `#`
/// between words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    length: u8,
    /// Whether a `#` comes first. Not set if the `#` is the whole rest, which sets only `open`.
    floating: bool,
    /// Whether a `#` comes last.
    open: bool,
    /// Words from `length` on are [`ANY_WORD`].
    words: [Word; Tail::WORDS],
}

impl Tail {
    const WORDS: usize = 5;

    /// `None` if these words of a pattern do not fit.
    pub(super) fn new(words: &[Word]) -> Option<Tail> {
        let (words, floating) = match words {
            [ANY_WORDS, rest @ ..] if !rest.is_empty() => (rest, true),
            _ => (words, false),
        };
        let (words, open) = match words {
            [rest @ .., ANY_WORDS] => (rest, true),
            _ => (words, false),
        };
        let mut tail = Tail {
            length: words.len().try_into().ok()?,
            floating,
            open,
            words: [ANY_WORD; Tail::WORDS],
        };
        tail.words.get_mut(..words.len())?.copy_from_slice(words);
        (!words.contains(&ANY_WORDS)).then_some(tail)
    }

    /// The first word of the pattern, wildcards included, and the rest.
    pub(super) fn split_first(&self) -> Option<(Word, Tail)> {
        let mut rest = *self;
        if self.floating {
            rest.floating = false;
            return Some((ANY_WORDS, rest));
        }
        if let [first, ..] = *self.fixed() {
            rest.words.rotate_left(1);
            rest.words[Tail::WORDS - 1] = ANY_WORD;
            rest.length -= 1;
            return Some((first, rest));
        }
        rest.open = false;
        self.open.then_some((ANY_WORDS, rest))
    }

    fn fixed(&self) -> &[Word] {
        &self.words[..usize::from(self.length)]
    }

    pub(super) fn has_leading_hash(&self) -> bool {
        self.floating
    }

    /// The words in the order of the pattern.
    pub(super) fn pattern(&self) -> impl Iterator<Item = Word> {
        let before = self.floating.then_some(ANY_WORDS);
        let behind = self.open.then_some(ANY_WORDS);
        let fixed = self.words.into_iter().take(usize::from(self.length));
        before.into_iter().chain(fixed).chain(behind)
    }

    /// Whether it matches all these words of a key. `floating` is set if a `#` came before it.
    pub(super) fn fits(&self, key: &[Word], floating: bool) -> bool {
        let Some(spare) = key.len().checked_sub(usize::from(self.length)) else {
            return false;
        };
        match (floating || self.floating, self.open) {
            (false, false) => spare == 0 && self.fits_at(key),
            (false, true) => self.fits_at(key),
            (true, false) => self.fits_at(&key[spare..]),
            (true, true) => (0..=spare).any(|skipped| self.fits_at(&key[skipped..])),
        }
    }

    /// Whether the key begins with these words. The key must not be shorter.
    fn fits_at(&self, key: &[Word]) -> bool {
        let words = self.fixed().iter().zip(key);
        words
            .into_iter()
            .all(|(wanted, word)| *wanted == ANY_WORD || wanted == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_nodes_fit_into_a_cache_line() {
        assert_eq!(size_of::<Node>(), 32);
    }

    #[test]
    fn a_tail_is_the_pattern_that_it_was_made_of() {
        const A: Word = ANY_WORD;
        const H: Word = ANY_WORDS;
        let patterns: [&[Word]; 9] = [
            &[],
            &[H],
            &[1],
            &[H, 1],
            &[1, H],
            &[H, A, H],
            &[1, 2, 3, 4, 5],
            &[H, 1, 2, A, 4, A, H],
            &[H, A],
        ];
        for pattern in patterns {
            let tail = Tail::new(pattern).unwrap();
            assert!(tail.pattern().eq(pattern.iter().copied()), "{pattern:?}");
            let parts = tail.split_first();
            let expected = pattern.split_first();
            assert_eq!(
                parts,
                expected.map(|(first, rest)| (*first, Tail::new(rest).unwrap()))
            );
        }
        let too_much: [&[Word]; 4] = [&[1, 2, 3, 4, 5, 6], &[1, H, 2], &[H, H, 1], &[1, H, H]];
        for pattern in too_much {
            assert_eq!(Tail::new(pattern), None, "{pattern:?}");
        }
    }
}
