//! The counts of the allocator.

use stats_alloc::Region;

use super::ALLOCATOR;

/// The changes since its creation.
pub struct Count(Region<'static, std::alloc::System>);

impl Count {
    pub fn begin() -> Count {
        Count(Region::new(&ALLOCATOR))
    }

    /// The growth of the bytes in use. It is negative if more bytes were freed than allocated.
    pub fn bytes(&self) -> f64 {
        let change = self.0.change();
        change.bytes_allocated as f64 - change.bytes_deallocated as f64
    }

    /// The number of allocations.
    pub fn allocations(&self) -> f64 {
        let change = self.0.change();
        (change.allocations + change.reallocations) as f64
    }
}
