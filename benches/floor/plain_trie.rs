//! The obvious implementation: a node for each word, each with a hash map of children, searched
//! recursively.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

#[derive(Default)]
pub struct PlainTrie {
    children: HashMap<String, PlainTrie, BuildHasherDefault<Fx>>,
    any_word: Option<Box<PlainTrie>>,
    any_words: Option<Box<PlainTrie>>,
    ends: Vec<u32>,
}

impl PlainTrie {
    pub fn insert(&mut self, pattern: &str, queue: u32) {
        let mut node = self;
        for word in pattern.split('.') {
            node = match word {
                "*" => node.any_word.get_or_insert_default(),
                "#" => node.any_words.get_or_insert_default(),
                _ => node.children.entry(word.to_owned()).or_default(),
            };
        }
        node.ends.push(queue);
    }

    /// The matching queues, without duplicates.
    pub fn route(&self, key: &str) -> Vec<u32> {
        let words: Vec<&str> = key.split('.').collect();
        let mut found = Vec::new();
        self.search(&words, &mut found);
        found.sort_unstable();
        found.dedup();
        found
    }

    fn search(&self, words: &[&str], found: &mut Vec<u32>) {
        if let Some(child) = &self.any_words {
            for skipped in 0..=words.len() {
                child.search(&words[skipped..], found);
            }
        }
        let [word, rest @ ..] = words else {
            found.extend(&self.ends);
            return;
        };
        if let Some(child) = self.children.get(*word) {
            child.search(rest, found);
        }
        if let Some(child) = &self.any_word {
            child.search(rest, found);
        }
    }
}

/// The hash function of the Rust compiler. It is fast, but an attacker can make its hashes collide.
#[derive(Default)]
pub struct Fx(u64);

impl Fx {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x51_7c_c1_b7_27_22_0a_95);
    }
}

impl Hasher for Fx {
    fn write(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first_chunk() {
            self.add(u64::from_le_bytes(*first));
            bytes = rest;
        }
        if let Some((first, rest)) = bytes.split_first_chunk() {
            self.add(u32::from_le_bytes(*first).into());
            bytes = rest;
        }
        bytes.iter().for_each(|byte| self.add((*byte).into()));
    }

    fn write_u8(&mut self, byte: u8) {
        self.add(byte.into());
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
