//! The table of a topic exchange: a trie over the dot-separated words of the bound patterns.
//!
//! `*` stands for exactly one word and `#` for any number, both only as whole words of a pattern; in a message's key
//! they are ordinary. The empty key has no words; an empty word between, before or after dots is a word like any
//! other.
//!
//! A lookup follows all patterns at once, word by word, and visits only nodes whose path fits the words so far. A
//! node that is reached by `#` stays reached whatever follows, so it is entered once, and its patterns match then and
//! there if `#` is their end: no backtracking, no duplicates, and at most one visit of a node for each word.

mod edge;
#[cfg(test)]
mod tests;
mod words;

use std::{hash::BuildHasherDefault, mem, num::NonZeroU32};

use self::{
    edge::{Edge, Edges, NumberHasher},
    words::Words,
};
use super::{Destination, Matches, dense::DenseMap, destinations::Destinations};
use crate::error::{Error, Result};

const ANY_WORD: &str = "*";
const ANY_WORDS: &str = "#";

const ROOT: u32 = 0;

/// A pattern is a short string, so it adds at most this many nodes.
const MAX_WORDS: usize = 256;

#[derive(Debug)]
pub(super) struct Topic<D> {
    /// The root first; the numbers of the others are their places here, and are given again (`free`) when a node is
    /// not needed any more.
    nodes: Vec<Node<D>>,
    free: Vec<NonZeroU32>,
    /// The edges that bear ordinary words; those that bear wildcards are in the nodes, as every visit asks for them.
    edges: Edges,
    words: Words,
}

#[derive(Debug)]
struct Node<D> {
    any_word: Option<NonZeroU32>,
    any_words: Option<NonZeroU32>,
    /// How many of `edges` lead away from here: most nodes have none, and are not looked up.
    literals: u32,
    /// Those bound with the pattern that ends here.
    destinations: Destinations<D>,
}

impl<D> Node<D> {
    fn new() -> Self {
        Self {
            any_word: None,
            any_words: None,
            literals: 0,
            destinations: Destinations::None,
        }
    }
}

impl<D: Destination> Node<D> {
    fn is_needed(&self) -> bool {
        self.any_word.is_some()
            || self.any_words.is_some()
            || self.literals > 0
            || !self.destinations.is_empty()
    }
}

impl<D: Destination> Topic<D> {
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![Node::new()],
            free: Vec::new(),
            edges: Edges::default(),
            words: Words::new(),
        }
    }

    /// # Errors
    /// [`Error::ResourceError`] if the trie has no numbers left (near 2^32 nodes); nothing is changed.
    pub(super) fn insert(&mut self, destination: &D, pattern: &str) -> Result {
        if self.nodes.len() + MAX_WORDS > u32::MAX as usize {
            return Err(Error::ResourceError(
                "topic exchange has too many bindings".into(),
            ));
        }
        let mut at = ROOT;
        for word in words_of(pattern) {
            at = match self.child(at, word) {
                Some(child) => child.get(),
                None => self.add_child(at, word).get(),
            };
        }
        self.nodes[at as usize].destinations.add(destination);
        Ok(())
    }

    pub(super) fn remove(&mut self, destination: &D, pattern: &str) {
        let mut path = Vec::new();
        let mut at = ROOT;
        for word in words_of(pattern) {
            let Some(child) = self.child(at, word) else {
                return;
            };
            path.push((at, word, child));
            at = child.get();
        }
        self.nodes[at as usize].destinations.remove(destination);
        for (parent, word, child) in path.into_iter().rev() {
            if self.nodes[child.get() as usize].is_needed() {
                break;
            }
            self.remove_child(parent, word, child);
        }
    }

    pub(super) fn route(&self, routing_key: &str, matches: &mut Matches<D>) {
        let mut walk = Walk::new();
        self.enter(ROOT, &mut walk, matches);
        for word in words_of(routing_key) {
            let word = self.words.find(word);
            // What a `#` reaches with this word must not take the same word again.
            let staying = walk.staying.len();
            mem::swap(&mut walk.here, &mut walk.reached);
            walk.reached.clear();
            for at in 0..walk.here.len() {
                self.step(walk.here[at], word, &mut walk, matches);
            }
            for at in 0..staying {
                let (node, ()) = walk.staying.entries()[at];
                self.step(node.get(), word, &mut walk, matches);
            }
            if walk.is_over() {
                return;
            }
        }
        for node in walk.reached {
            self.nodes[node as usize].destinations.collect(matches);
        }
    }

    /// Takes one word from a node.
    fn step(&self, from: u32, word: Option<u32>, walk: &mut Walk, matches: &mut Matches<D>) {
        let node = &self.nodes[from as usize];
        if let Some(word) = word.filter(|_| node.literals > 0) {
            if let Some(child) = self.edges.get(&Edge { node: from, word }) {
                self.enter(child.get(), walk, matches);
            }
        }
        if let Some(child) = node.any_word {
            self.enter(child.get(), walk, matches);
        }
    }

    /// Arrives at a node, and so, by no words at all, at the `#` behind it and at any `#` behind that.
    fn enter(&self, node: u32, walk: &mut Walk, matches: &mut Matches<D>) {
        walk.reached.push(node);
        let mut next = self.nodes[node as usize].any_words;
        while let Some(child) = next {
            if walk.staying.contains(&child) {
                break;
            }
            walk.staying.insert_new(child, ());
            let node = &self.nodes[child.get() as usize];
            node.destinations.collect(matches);
            next = node.any_words;
        }
    }

    fn child(&self, node: u32, word: &str) -> Option<NonZeroU32> {
        match word {
            ANY_WORD => self.nodes[node as usize].any_word,
            ANY_WORDS => self.nodes[node as usize].any_words,
            _ => self
                .edges
                .get(&Edge {
                    node,
                    word: self.words.find(word)?,
                })
                .copied(),
        }
    }

    fn add_child(&mut self, parent: u32, word: &str) -> NonZeroU32 {
        let child = self.free.pop().unwrap_or_else(|| {
            // The root is always there, and `insert` has made sure of the room.
            let number = NonZeroU32::MIN.saturating_add(self.nodes.len() as u32 - 1);
            // By a quarter and not to the double: nodes are most of a large table's memory.
            if self.nodes.len() == self.nodes.capacity() {
                self.nodes.reserve_exact(self.nodes.len().div_ceil(4));
            }
            self.nodes.push(Node::new());
            number
        });
        let node = &mut self.nodes[parent as usize];
        match word {
            ANY_WORD => node.any_word = Some(child),
            ANY_WORDS => node.any_words = Some(child),
            _ => {
                node.literals += 1;
                self.edges.insert(
                    Edge {
                        node: parent,
                        word: self.words.acquire(word),
                    },
                    child,
                );
            }
        }
        child
    }

    fn remove_child(&mut self, parent: u32, word: &str, child: NonZeroU32) {
        let node = &mut self.nodes[parent as usize];
        match word {
            ANY_WORD => node.any_word = None,
            ANY_WORDS => node.any_words = None,
            _ => {
                node.literals -= 1;
                if let Some(number) = self.words.find(word) {
                    self.edges.remove(&Edge {
                        node: parent,
                        word: number,
                    });
                }
                self.words.release(word);
            }
        }
        self.free.push(child);
    }
}

/// Where a lookup stands.
struct Walk {
    /// The nodes reached by exactly the words so far. Each has one parent, and is reached from it once, so none
    /// stands here twice.
    reached: Vec<u32>,
    /// The same one word earlier; a second list only to be reused.
    here: Vec<u32>,
    /// The nodes reached by a `#`: they take any word and stay.
    staying: DenseMap<NonZeroU32, (), BuildHasherDefault<NumberHasher>>,
}

impl Walk {
    fn new() -> Self {
        // Enough for most walks, so that neither list grows step by step.
        Self {
            reached: Vec::with_capacity(16),
            here: Vec::with_capacity(16),
            staying: DenseMap::new(),
        }
    }

    /// Whether no further word can lead anywhere.
    fn is_over(&self) -> bool {
        self.reached.is_empty() && self.staying.is_empty()
    }
}

fn words_of(key: &str) -> impl Iterator<Item = &str> {
    (!key.is_empty())
        .then(|| key.split('.'))
        .into_iter()
        .flatten()
}
