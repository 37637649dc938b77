//! The table of a topic exchange: a trie over the dot-separated words of the bound patterns.
//!
//! In a pattern, the word `*` stands for exactly one word and `#` for any number of words. In a
//! message's key they are ordinary words. The empty key has no words. An empty word between, before
//! or after dots is a word like any other.
//!
//! Words and nodes are numbers, so a lookup compares only numbers. `walk` has the lookup, `node`
//! the nodes.

mod edge;
mod fit;
mod node;
#[cfg(test)]
mod tests;
mod walk;
mod words;

use std::{mem, num::NonZeroU32};

pub(crate) use self::fit::fits;
use self::{
    edge::{Edge, Edges},
    node::{Branch, Literals, Node, Shape, Tail},
    words::{ANY_WORD, ANY_WORDS, UNKNOWN, Word, Words, words_of},
};
use super::{
    Matches,
    dense::push_closely,
    destinations::{Destinations, SetPool},
    full,
    numbered::Number,
};
use crate::model::error::{Error, Result};

const ROOT: u32 = 0;

/// How many words of a pattern may be `#`, as in RabbitMQ 4.3.
const MOST_HASHES: usize = 2;

/// With this limit the words and their uses, at most six per node, can be counted in a `u32` too.
const MAX_NODES: usize = 1 << 29;

#[derive(Debug)]
pub(super) struct Topic {
    /// The root comes first. The numbers of the other nodes are their positions here. Numbers of
    /// removed nodes are in `free` and are used again.
    nodes: Vec<Node>,
    free: Vec<NonZeroU32>,
    /// The edges of ordinary words from nodes that have several. A single one is in its node.
    edges: Edges,
    words: Words,
    pool: SetPool,
}

impl Topic {
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![Node::branch()],
            free: Vec::new(),
            edges: Edges::default(),
            words: Words::new(),
            pool: SetPool::default(),
        }
    }

    /// # Errors
    /// [`Error::ResourceError`] if there are too many nodes. Nothing is changed then.
    pub(super) fn insert(&mut self, destination: Number, pattern: &str) -> Result {
        if self.nodes.len() > MAX_NODES {
            return Err(full());
        }
        // Each word has one use during this call. The uses that remain are counted where the words
        // are stored.
        let pattern = read(pattern, |word| Some(self.words.acquire(word))).unwrap_or_default();
        self.add(destination, &pattern);
        pattern
            .into_iter()
            .for_each(|word| self.words.release(word));
        Ok(())
    }

    fn add(&mut self, destination: Number, pattern: &[Word]) {
        let mut at = ROOT;
        let mut rest = pattern;
        while let [word, behind @ ..] = rest {
            rest = behind;
            match self.child(at, *word) {
                None => {
                    let tail = Tail::new(behind);
                    if tail.is_some() {
                        behind
                            .iter()
                            .for_each(|word| self.words.acquire_again(*word));
                        rest = &[];
                    }
                    at = self.add_child(at, *word, tail.map_or(Node::branch(), Node::leaf));
                }
                Some(child) => {
                    at = child.get();
                    match self.nodes[at as usize].shape {
                        Shape::Leaf(tail) if tail.pattern().eq(behind.iter().copied()) => {
                            rest = &[]
                        }
                        Shape::Leaf(tail) => self.unfold(at, tail),
                        Shape::Branch(_) => {}
                    }
                }
            }
        }
        self.nodes[at as usize]
            .destinations
            .add(destination, &mut self.pool);
    }

    pub(super) fn remove(&mut self, destination: Number, pattern: &str) {
        // A word that is in no pattern: the pattern is not bound.
        let Some(pattern) = read(pattern, |word| self.words.find(word)) else {
            return;
        };
        let mut path = Vec::with_capacity(pattern.len());
        let mut at = ROOT;
        let mut rest = pattern.as_slice();
        while let [word, behind @ ..] = rest {
            let Some(child) = self.child(at, *word) else {
                return;
            };
            path.push((at, *word, child));
            at = child.get();
            rest = behind;
            if let Shape::Leaf(tail) = &self.nodes[at as usize].shape {
                if !tail.pattern().eq(behind.iter().copied()) {
                    return;
                }
                rest = &[];
            }
        }
        self.nodes[at as usize]
            .destinations
            .remove(destination, &mut self.pool);
        for (parent, word, child) in path.into_iter().rev() {
            if self.nodes[child.get() as usize].is_needed() {
                break;
            }
            self.remove_child(parent, word, child);
        }
    }

    pub(super) fn route(&self, routing_key: &str, matches: &mut Matches) {
        walk::route(self, routing_key, matches);
    }

    fn child(&self, node: u32, word: Word) -> Option<NonZeroU32> {
        match &self.nodes[node as usize].shape {
            Shape::Leaf(_) => None,
            Shape::Branch(branch) => match word {
                ANY_WORD => branch.any_word,
                ANY_WORDS => branch.any_words,
                _ => self.literal(node, branch, word),
            },
        }
    }

    /// The child by an ordinary word.
    fn literal(&self, node: u32, branch: &Branch, word: Word) -> Option<NonZeroU32> {
        match branch.literals {
            Literals::One { word: only, child } if only == word => Some(child),
            Literals::Many { hints, .. }
                if word != UNKNOWN && hints & Literals::hint(word) != 0 =>
            {
                self.edges.get(&Edge { node, word }).copied()
            }
            _ => None,
        }
    }

    /// Makes a branch of a leaf, so that another pattern can continue there.
    fn unfold(&mut self, leaf: u32, tail: Tail) {
        let Some((word, rest)) = tail.split_first() else {
            self.nodes[leaf as usize].shape = Shape::Branch(Branch::NEW);
            return;
        };
        let node = &mut self.nodes[leaf as usize];
        node.shape = Shape::Branch(Branch::NEW);
        let destinations = mem::replace(&mut node.destinations, Destinations::NONE);
        let child = Node {
            shape: Shape::Leaf(rest),
            destinations,
        };
        self.add_child(leaf, word, child);
        // The word is in the edge now and no longer in the tail.
        self.words.release(word);
    }

    fn add_child(&mut self, parent: u32, word: Word, node: Node) -> u32 {
        let child = match self.free.pop() {
            Some(number) => {
                self.nodes[number.get() as usize] = node;
                number
            }
            None => {
                push_closely(&mut self.nodes, node);
                // The list has the root, and `insert` has checked the limit.
                NonZeroU32::MIN.saturating_add(self.nodes.len() as u32 - 2)
            }
        };
        self.words.acquire_again(word);
        let Shape::Branch(branch) = &mut self.nodes[parent as usize].shape else {
            return child.get();
        };
        match word {
            ANY_WORD => branch.any_word = Some(child),
            ANY_WORDS => branch.any_words = Some(child),
            _ => {
                let edge = |word| Edge { node: parent, word };
                branch.literals = match branch.literals {
                    Literals::None => Literals::One { word, child },
                    Literals::One {
                        word: first,
                        child: sibling,
                    } => {
                        self.edges.insert(edge(first), sibling);
                        self.edges.insert(edge(word), child);
                        Literals::Many {
                            count: 2,
                            hints: Literals::hint(first) | Literals::hint(word),
                        }
                    }
                    Literals::Many { count, hints } => {
                        self.edges.insert(edge(word), child);
                        Literals::Many {
                            count: count + 1,
                            hints: hints | Literals::hint(word),
                        }
                    }
                };
            }
        }
        child.get()
    }

    fn remove_child(&mut self, parent: u32, word: Word, child: NonZeroU32) {
        if let Shape::Leaf(tail) = self.nodes[child.get() as usize].shape {
            tail.pattern().for_each(|word| self.words.release(word));
        }
        self.words.release(word);
        self.free.push(child);
        let Shape::Branch(branch) = &mut self.nodes[parent as usize].shape else {
            return;
        };
        match word {
            ANY_WORD => branch.any_word = None,
            ANY_WORDS => branch.any_words = None,
            _ => {
                branch.literals = match branch.literals {
                    Literals::None | Literals::One { .. } => Literals::None,
                    Literals::Many { count, hints } => {
                        self.edges.remove(&Edge { node: parent, word });
                        match count {
                            1 => Literals::None,
                            _ => Literals::Many {
                                count: count - 1,
                                hints,
                            },
                        }
                    }
                };
            }
        }
    }
}

/// The numbers of a pattern's words, including wildcards. `None` if a word has no number. Several
/// `#` in a row become one.
fn read(pattern: &str, mut number: impl FnMut(&[u8]) -> Option<Word>) -> Option<Vec<Word>> {
    let mut words = Vec::with_capacity(8);
    for word in words_of(pattern) {
        let word = match word {
            b"*" => ANY_WORD,
            b"#" => ANY_WORDS,
            _ => number(word)?,
        };
        if (word, words.last()) != (ANY_WORDS, Some(&ANY_WORDS)) {
            words.push(word);
        }
    }
    Some(words)
}

/// Checks the pattern of a new binding.
///
/// # Errors
/// [`Error::PreconditionFailed`] if more than two of its words are `#`.
pub(super) fn validate(pattern: &str) -> Result {
    match words_of(pattern).filter(|word| word == b"#").count() {
        0..=MOST_HASHES => Ok(()),
        hashes => Err(Error::too_many_hashes(pattern, hashes, MOST_HASHES)),
    }
}
