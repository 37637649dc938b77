//! A lookup: follows all patterns at once, word by word, through the nodes whose path matches the
//! words so far.
//!
//! From a node that ends in `#` the walk continues at every later word. It does not repeat the part
//! that it visited from that node before. So each node is visited at most once for each word,
//! whatever the patterns are. There is no backtracking.

use std::{hash::BuildHasherDefault, num::NonZeroU32};

use super::{
    ROOT, Topic,
    node::{Branch, Shape},
    words::{UNKNOWN, Word, words_of},
};
use crate::engine::exchange::{Matches, dense::DenseMap, hasher::NumberHasher};

/// The number of words that fit on the stack. A longer key needs an allocation.
const INLINE_WORDS: usize = 16;

/// Adds the destinations whose patterns match this key.
pub(super) fn route(topic: &Topic, key: &str, matches: &mut Matches) {
    let mut few = [UNKNOWN; INLINE_WORDS];
    let mut many = Vec::new();
    let mut length = 0;
    for word in words_of(key) {
        let word = topic.words.find(word).unwrap_or(UNKNOWN);
        match few.get_mut(length) {
            Some(place) => *place = word,
            None if length == INLINE_WORDS => many = [few.as_slice(), &[word]].concat(),
            None => many.push(word),
        }
        length += 1;
    }
    let key = match length {
        0..=INLINE_WORDS => &few[..length],
        _ => &many,
    };
    let mut walk = Walk {
        topic,
        key,
        matches,
        visited: DenseMap::new(),
    };
    walk.visit(ROOT, 0, Ancestors::Words);
}

/// The wildcards in the pattern above a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ancestors {
    /// No `#`: there is one way to the node.
    Words,
    /// A `#`: there may be several ways, each with other words left.
    AnyWords,
}

struct Walk<'a> {
    topic: &'a Topic,
    key: &'a [Word],
    matches: &'a mut Matches,
    /// The nodes of a `#` that are below another `#`, each with the word from which it was visited.
    /// A visit covers all visits from later words.
    visited: DenseMap<u32, usize, BuildHasherDefault<NumberHasher>>,
}

impl Walk<'_> {
    /// Visits a node after all words before the one at `at`.
    fn visit(&mut self, number: u32, at: usize, above: Ancestors) {
        let node = &self.topic.nodes[number as usize];
        match &node.shape {
            Shape::Leaf(tail) => {
                if tail.has_leading_hash() && self.mark_visited(number, at, above).is_none() {
                    return;
                }
                if tail.fits(&self.key[at..], false) {
                    node.destinations.collect(&self.topic.pool, self.matches);
                }
            }
            Shape::Branch(branch) => {
                if let Some(child) = branch.any_words {
                    self.visit_any_words(child, at, above);
                }
                match self.key.get(at) {
                    None => node.destinations.collect(&self.topic.pool, self.matches),
                    Some(word) => self.step(number, branch, *word, at, above),
                }
            }
        }
    }

    /// Matches one word from a node.
    fn step(&mut self, number: u32, branch: &Branch, word: Word, at: usize, above: Ancestors) {
        if let Some(child) = self.topic.literal(number, branch, word) {
            self.visit(child.get(), at + 1, above);
        }
        if let Some(child) = branch.any_word {
            self.visit(child.get(), at + 1, above);
        }
    }

    /// Visits a `#`, which matches no word, one word or any number of them.
    fn visit_any_words(&mut self, number: NonZeroU32, at: usize, above: Ancestors) {
        let number = number.get();
        let Some(until) = self.mark_visited(number, at, above) else {
            return;
        };
        let node = &self.topic.nodes[number as usize];
        match &node.shape {
            Shape::Leaf(tail) => {
                if tail.fits(&self.key[at..], true) {
                    node.destinations.collect(&self.topic.pool, self.matches);
                }
            }
            Shape::Branch(branch) => {
                node.destinations.collect(&self.topic.pool, self.matches);
                for at in at..until {
                    self.step(number, branch, self.key[at], at, Ancestors::AnyWords);
                }
            }
        }
    }

    /// Records a visit from `at` on. Returns the word up to which the visit is new, or `None` if no
    /// part of it is.
    fn mark_visited(&mut self, number: u32, at: usize, above: Ancestors) -> Option<usize> {
        if above == Ancestors::Words {
            return Some(self.key.len());
        }
        match self.visited.get_mut(&number) {
            None => {
                self.visited.insert_new(number, at);
                Some(self.key.len())
            }
            Some(from) if *from <= at => None,
            Some(from) => Some(std::mem::replace(from, at)),
        }
    }
}
