//! What the allocator has counted.

use stats_alloc::Region;

use super::ALLOCATOR;

/// What has changed since it began.
pub struct Count(Region<'static, std::alloc::System>);

impl Count {
    pub fn begin() -> Count {
        Count(Region::new(&ALLOCATOR))
    }

    /// The bytes in use that were not then; less than none if more were freed.
    pub fn bytes(&self) -> f64 {
        let change = self.0.change();
        change.bytes_allocated as f64 - change.bytes_deallocated as f64
    }

    /// How often memory was asked for.
    pub fn allocations(&self) -> f64 {
        let change = self.0.change();
        (change.allocations + change.reallocations) as f64
    }
}
