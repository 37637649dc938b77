//! The edges of the trie: one map for all nodes, and the hasher that makes it fast.
//!
//! A map in each node would cost more memory than all the rest, as most nodes have one child or none.

use std::{
    hash::{BuildHasherDefault, Hash, Hasher},
    num::NonZeroU32,
};

use hashbrown::HashMap;

/// From a node, along a word, to a child.
pub(super) type Edges = HashMap<Edge, NonZeroU32, BuildHasherDefault<NumberHasher>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) node: u32,
    pub(super) word: u32,
}

impl Hash for Edge {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from(self.node) << 32 | u64::from(self.word));
    }
}

/// One multiplication, its two halves folded together.
///
/// A lookup asks for several edges per word, and the standard hasher would cost more than all the rest. What it
/// protects from, keys chosen to collide, cannot happen: nodes and words are numbered here, densely, and whoever
/// binds chooses only the order.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::engine::exchange) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write_u64(&mut self, number: u64) {
        // 2^64 divided by the golden ratio: odd, and without pattern in its bits.
        let product = u128::from(self.0 ^ number) * 0x9e37_79b9_7f4a_7c15;
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, hash::BuildHasher};

    use super::*;

    #[test]
    fn dense_numbers_spread_over_the_bits_that_a_map_uses() {
        let hash = |node, word| {
            BuildHasherDefault::<NumberHasher>::default().hash_one(Edge { node, word })
        };
        let hashes: Vec<u64> = (0..256)
            .flat_map(|node| (0..256).map(move |word| hash(node, word)))
            .collect();
        // 65,536 balls into as many bins fill 63 % of them if thrown at random.
        let filled = |bits: fn(u64) -> u64| {
            hashes
                .iter()
                .map(|hash| bits(*hash))
                .collect::<HashSet<_>>()
                .len()
        };
        assert!(filled(|hash| hash & 0xffff) > 36_000);
        assert!(filled(|hash| hash >> 48) > 36_000);
    }
}
