//! Random fractions, for jitter.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
};

/// The source of random fractions. It has no state, so that its owner can be shared and compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Randomness {
    /// Each call gives another number.
    #[default]
    System,
    /// The same number for the same seed and index, for tests.
    Seeded(u64),
}

impl Randomness {
    /// A fraction from 0 to less than 1.
    pub(crate) fn fraction(self, index: u64) -> f64 {
        let number = match self {
            Randomness::Seeded(seed) => mixed(seed ^ mixed(index)),
            // Interleaving tests repeat a test step by step.
            Randomness::System if cfg!(shuttle) => mixed(index),
            Randomness::System => RandomState::new().build_hasher().finish(),
        };
        // The upper 53 bits, which a float holds exactly.
        (number >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Spreads consecutive numbers (the step and the finaliser of SplitMix64).
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_below_one_and_spread_evenly() {
        for randomness in [Randomness::System, Randomness::Seeded(7)] {
            let mut tenths = [0_u32; 10];
            for index in 0..10_000 {
                let fraction = randomness.fraction(index);
                assert!((0.0..1.0).contains(&fraction));
                tenths[(fraction * 10.0) as usize] += 1;
            }
            assert!(tenths.iter().all(|count| (800..1_200).contains(count)));
        }
    }

    #[test]
    fn a_seed_repeats_its_numbers_and_another_seed_has_others() {
        let numbers = |seed| [0, 1, 2].map(|index| Randomness::Seeded(seed).fraction(index));
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
        assert_ne!(
            Randomness::System.fraction(0),
            Randomness::System.fraction(0)
        );
    }
}
