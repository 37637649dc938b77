//! The edges of the trie: one map for all nodes.
//!
//! One map in each node would take more memory than everything else, since most nodes have one
//! child or none.

use std::{
    hash::{BuildHasherDefault, Hash, Hasher},
    num::NonZeroU32,
};

use hashbrown::HashMap;

use crate::engine::exchange::hasher::NumberHasher;

/// From a node and a word to a child.
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
        // 65,536 random values fill 63 % of 65,536 buckets.
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
