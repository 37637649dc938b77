//! The hasher of maps whose keys are numbers given out here.

use std::hash::Hasher;

/// One multiplication, its two halves folded together.
///
/// A lookup asks for several edges per word, and the standard hasher would cost more than all the rest. What it
/// protects from, keys chosen to collide, cannot happen: nodes and words are numbered here, densely, and whoever
/// binds chooses only the order.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NumberHasher(u64);

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
