//! The small numbers and marks of an envelope, in one word.

use std::num::NonZero;

/// The number of the exchange, the counts of deliveries and two marks, in one word. If it were
/// written in parts directly before the message is moved, it would delay the move. It is never
/// zero, which makes room for the `None` of an `Option<Envelope>`.
///
/// A count stays at the largest number that it can hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct PackedIds(NonZero<u64>);

impl PackedIds {
    pub(super) const RETURNED: u64 = 1 << 1;
    pub(super) const DELIVERED_BEFORE: u64 = 1 << 2;
    pub(super) const FAILED: u32 = 3;
    pub(super) const FAILED_MOST: u64 = (1 << 21) - 1;
    pub(super) const ORIGIN: u32 = 24;
    pub(super) const ACQUIRED: u32 = 40;
    pub(super) const ACQUIRED_MOST: u64 = (1 << 24) - 1;

    pub(super) fn new(origin: u16) -> PackedIds {
        PackedIds(NonZero::<u64>::MIN | u64::from(origin) << PackedIds::ORIGIN)
    }

    pub(super) fn origin(self) -> u16 {
        (self.0.get() >> PackedIds::ORIGIN) as u16
    }

    pub(super) fn acquired_count(self) -> u32 {
        (self.0.get() >> PackedIds::ACQUIRED) as u32
    }

    pub(super) fn delivery_count(self) -> u32 {
        (self.0.get() >> PackedIds::FAILED & PackedIds::FAILED_MOST) as u32
    }

    pub(super) fn has(self, mark: u64) -> bool {
        self.0.get() & mark != 0
    }

    pub(super) fn with(self, mark: u64) -> PackedIds {
        PackedIds(self.0 | mark)
    }

    pub(super) fn with_return(self, failed: bool) -> PackedIds {
        self.with_counts(
            self.acquired_count() + 1,
            self.delivery_count() + u32::from(failed),
        )
    }

    pub(super) fn with_counts(self, acquired: u32, failed: u32) -> PackedIds {
        let (acquired, failed) = (u64::from(acquired), u64::from(failed));
        let marks = self.0.get() & (PackedIds::RETURNED | PackedIds::DELIVERED_BEFORE);
        PackedIds(
            NonZero::<u64>::MIN
                | marks
                | u64::from(self.origin()) << PackedIds::ORIGIN
                | acquired.min(PackedIds::ACQUIRED_MOST) << PackedIds::ACQUIRED
                | failed.min(PackedIds::FAILED_MOST) << PackedIds::FAILED,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_are_counted_beside_the_origin_and_never_into_it() {
        for origin in [0, 1, u16::MAX] {
            let mut marks = PackedIds::new(origin).with(PackedIds::RETURNED);
            for returns in 1..=6 {
                marks = marks.with_return(returns % 2 == 0);
                let counts = (marks.acquired_count(), marks.delivery_count());
                assert_eq!((marks.origin(), counts), (origin, (returns, returns / 2)));
                assert!(marks.has(PackedIds::RETURNED) && !marks.has(PackedIds::DELIVERED_BEFORE));
            }
            let full = marks.with_counts(u32::MAX, u32::MAX).with_return(true);
            let most = (
                PackedIds::ACQUIRED_MOST as u32,
                PackedIds::FAILED_MOST as u32,
            );
            assert_eq!((full.acquired_count(), full.delivery_count()), most);
            assert_eq!(full.origin(), origin);
        }
    }
}
