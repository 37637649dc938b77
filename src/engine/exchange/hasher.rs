//! The hasher of maps whose keys are numbers assigned by the tables.

use std::hash::Hasher;

/// One multiplication whose two halves are combined.
///
/// A lookup asks for several edges per word, and the standard hasher would cost more than
/// everything else. It protects from keys that are chosen to collide. That cannot happen here:
/// nodes and words get dense numbers, and a client that binds determines only their order.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write_u64(&mut self, number: u64) {
        // 2^64 divided by the golden ratio: odd, and without a pattern in its bits.
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
