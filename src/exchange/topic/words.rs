//! The words of the bound patterns, each known by a number while it is in use.
//!
//! A word of a message's key is looked up once and then compared as a number at every node of the walk; a word that
//! stands in no pattern has no number, and only wildcards take it.

use std::collections::HashMap;

/// Patterns over the same words share one copy of each. The map has the standard hasher: these are users' words.
#[derive(Debug)]
pub(super) struct Words {
    in_use: HashMap<Box<str>, Word>,
    /// Numbers of words that went out of use, to be given again.
    free: Vec<u32>,
}

#[derive(Debug)]
struct Word {
    number: u32,
    /// The edges of the trie that bear this word.
    edges: u32,
}

impl Words {
    pub(super) fn new() -> Self {
        Self {
            in_use: HashMap::new(),
            free: Vec::new(),
        }
    }

    /// The number of a word that stands in some pattern.
    pub(super) fn find(&self, word: &str) -> Option<u32> {
        self.in_use.get(word).map(|word| word.number)
    }

    /// The word's number, for one more edge. There are never more than `u32::MAX` edges.
    pub(super) fn acquire(&mut self, word: &str) -> u32 {
        if let Some(word) = self.in_use.get_mut(word) {
            word.edges += 1;
            return word.number;
        }
        // Every number below the count of both is either in use or free.
        let number = self.free.pop().unwrap_or(self.in_use.len() as u32);
        self.in_use.insert(word.into(), Word { number, edges: 1 });
        number
    }

    /// Gives up one edge; the word is forgotten with its last one.
    pub(super) fn release(&mut self, word: &str) {
        if let Some(Word { number, edges }) = self.in_use.get_mut(word) {
            *edges -= 1;
            if *edges == 0 {
                self.free.push(*number);
                self.in_use.remove(word);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.in_use.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_forgotten_with_its_last_edge() {
        let mut words = Words::new();
        let (a, b) = (words.acquire("a"), words.acquire("b"));
        assert_ne!(a, b);
        assert_eq!(words.acquire("a"), a);
        words.release("a");
        assert_eq!(words.find("a"), Some(a));
        words.release("a");
        assert_eq!(words.find("a"), None);
        assert_eq!(words.len(), 1);
    }

    #[test]
    fn numbers_are_given_again() {
        let mut words = Words::new();
        for round in 0..1000 {
            let (word, other) = (format!("w{round}"), format!("v{round}"));
            let numbers = [words.acquire(&word), words.acquire(&other)];
            assert!(numbers.contains(&0) && numbers.contains(&1), "{numbers:?}");
            words.release(&word);
            words.release(&other);
        }
    }
}
