//! The words of the bound patterns, each with a number while it is in use.
//!
//! A word of a message's key is looked up once. Then the walk compares its number at every node. A
//! word that is in no pattern has no number, and only wildcards match it.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::engine::exchange::dense::push_closely;

/// The number of a word, or a wildcard.
pub(super) type Word = u32;

/// In a pattern: any one word.
pub(super) const ANY_WORD: Word = u32::MAX;

/// In a pattern: any number of words.
pub(super) const ANY_WORDS: Word = u32::MAX - 1;

/// In a key: a word that is in no pattern.
pub(super) const UNKNOWN: Word = u32::MAX - 2;

/// The words of a key or a pattern. The empty key has no words, rather than one empty word.
pub(super) fn words_of(key: &str) -> impl Iterator<Item = &[u8]> + Clone {
    // Bytes, since the search for a character costs more for such short words.
    (!key.is_empty())
        .then(|| key.as_bytes().split(|byte| *byte == b'.'))
        .into_iter()
        .flatten()
}

/// The words of all patterns. Patterns share one copy of each word.
#[derive(Debug)]
pub(super) struct Words {
    texts: Vec<WordText>,
    /// Numbers of words that are not used any more, to be used again.
    free: Vec<Word>,
    numbers: HashTable<Word>,
    /// Seeded, because users choose these words.
    hasher: DefaultHashBuilder,
}

#[derive(Debug)]
struct WordText {
    text: Box<[u8]>,
    /// The number of edges and tails of the trie that have this word.
    uses: u32,
}

impl Words {
    pub(super) fn new() -> Self {
        Self {
            texts: Vec::new(),
            free: Vec::new(),
            numbers: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// The number of a word that is in some pattern.
    pub(super) fn find(&self, text: &[u8]) -> Option<Word> {
        let is_it = |word: &Word| *self.texts[*word as usize].text == *text;
        let hash = self.hasher.hash_one(text);
        self.numbers.find(hash, is_it).copied()
    }

    /// The word's number, with one more use. There are always fewer uses than numbers.
    pub(super) fn acquire(&mut self, text: &[u8]) -> Word {
        if let Some(word) = self.find(text) {
            self.acquire_again(word);
            return word;
        }
        let new = WordText {
            text: text.into(),
            uses: 1,
        };
        let word = match self.free.pop() {
            Some(word) => {
                self.texts[word as usize] = new;
                word
            }
            None => {
                push_closely(&mut self.texts, new);
                (self.texts.len() - 1) as Word
            }
        };
        let hash = |word: &Word| self.hasher.hash_one(&*self.texts[*word as usize].text);
        self.numbers.insert_unique(hash(&word), word, hash);
        word
    }

    /// Counts one more use of a word that is in use. A wildcard is always in use.
    pub(super) fn acquire_again(&mut self, word: Word) {
        if let Some(text) = self.texts.get_mut(word as usize) {
            text.uses += 1;
        }
    }

    /// Counts one use less. Removes the word after its last use.
    pub(super) fn release(&mut self, word: Word) {
        let Some(WordText { text, uses }) = self.texts.get_mut(word as usize) else {
            return;
        };
        *uses -= 1;
        if *uses == 0 {
            let hash = self.hasher.hash_one(&**text);
            *text = [].into();
            if let Ok(number) = self.numbers.find_entry(hash, |number| *number == word) {
                number.remove();
            }
            self.free.push(word);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_forgotten_with_its_last_use() {
        let mut words = Words::new();
        let (a, b) = (words.acquire(b"a"), words.acquire(b"b"));
        assert_ne!(a, b);
        assert_eq!(words.acquire(b"a"), a);
        words.acquire_again(a);
        words.release(a);
        words.release(a);
        assert_eq!(words.find(b"a"), Some(a));
        words.release(a);
        assert_eq!(words.find(b"a"), None);
        assert_eq!(words.find(b"b"), Some(b));
        assert_eq!(words.len(), 1);
    }

    #[test]
    fn wildcards_are_always_there() {
        let mut words = Words::new();
        for wildcard in [ANY_WORD, ANY_WORDS] {
            words.acquire_again(wildcard);
            words.release(wildcard);
            words.release(wildcard);
        }
        assert_eq!(words.len(), 0);
    }

    #[test]
    fn numbers_are_given_again() {
        let mut words = Words::new();
        for round in 0..1000 {
            let (word, other) = (format!("w{round}"), format!("v{round}"));
            let numbers = [
                words.acquire(word.as_bytes()),
                words.acquire(other.as_bytes()),
            ];
            assert!(numbers.contains(&0) && numbers.contains(&1), "{numbers:?}");
            numbers.into_iter().for_each(|number| words.release(number));
        }
    }
}
