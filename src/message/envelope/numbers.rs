//! The numbers and marks of an envelope, in two words.

use super::{Envelope, NEVER};

/// The position of a message, the time when it expires, the number of its exchange, the counts of
/// its deliveries and its marks, in two words. Each word is written at once: one that is written in
/// parts delays the move that follows.
///
/// The first word has 52 bits of the position and the two counts, the second one 44 bits of the
/// time, the number of the exchange and the marks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    place: u64,
    time: u64,
}

/// The numbers of deliveries of a message in its queue that ended without an acknowledgement: of
/// all, and of those that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Returns {
    pub(crate) acquired: u32,
    pub(crate) failed: u32,
}

impl Numbers {
    pub(super) const RETURNED: u64 = 1;
    pub(super) const DELIVERED_BEFORE: u64 = 1 << 1;
    /// The counts are not here, since they are too large.
    const MANY: u64 = 1 << 2;

    const POSITION: u32 = 12;
    const FAILED: u32 = 6;
    /// The largest count that fits.
    const MOST: u32 = (1 << Numbers::FAILED) - 1;

    const DEADLINE: u32 = 20;
    const ORIGIN: u32 = 4;
    /// The highest position. At 20 million messages a second a queue gets there after seven years.
    const LAST: u64 = u64::MAX >> Numbers::POSITION;
    /// The time that stands for [`NEVER`].
    const NO_TIME: u64 = u64::MAX >> Numbers::DEADLINE;
    /// The unit of a deadline, in nanoseconds. RabbitMQ's is a millisecond. The latest deadline is
    /// 139 years after the start of the clock.
    const UNIT: u64 = 250_000;

    /// The numbers of a new message.
    #[inline(always)]
    pub(super) fn new(origin: u16) -> Numbers {
        Numbers {
            place: 0,
            time: Numbers::NO_TIME << Numbers::DEADLINE | u64::from(origin) << Numbers::ORIGIN,
        }
    }

    #[inline(always)]
    pub(super) fn position(self) -> u64 {
        self.place >> Numbers::POSITION
    }

    #[inline(always)]
    pub(super) fn set_position(&mut self, position: u64) {
        let counts = self.place & ((1 << Numbers::POSITION) - 1);
        debug_assert!(position <= Numbers::LAST);
        self.place = position << Numbers::POSITION | counts;
    }

    #[inline]
    pub(super) fn deadline(self) -> u64 {
        match self.time >> Numbers::DEADLINE {
            Numbers::NO_TIME => NEVER,
            time => time * Numbers::UNIT,
        }
    }

    /// It never becomes earlier.
    #[inline]
    pub(super) fn set_deadline(&mut self, deadline: u64) {
        self.set_time(match deadline {
            NEVER => Numbers::NO_TIME,
            deadline => deadline.div_ceil(Numbers::UNIT).min(Numbers::NO_TIME - 1),
        });
    }

    /// Sets a deadline that is over at `now`.
    pub(super) fn set_past(&mut self, now: u64) {
        self.set_time((now / Numbers::UNIT).min(Numbers::NO_TIME - 1));
    }

    #[inline]
    fn set_time(&mut self, time: u64) {
        let others = self.time & ((1 << Numbers::DEADLINE) - 1);
        self.time = time << Numbers::DEADLINE | others;
    }

    pub(super) fn origin(self) -> u16 {
        (self.time >> Numbers::ORIGIN) as u16
    }

    pub(super) fn has(self, mark: u64) -> bool {
        self.time & mark != 0
    }

    pub(super) fn mark(&mut self, mark: u64) {
        self.time |= mark;
    }

    /// `None` if they are too large.
    fn returns(self) -> Option<Returns> {
        let count = |shift: u32| (self.place >> shift) as u32 & Numbers::MOST;
        (!self.has(Numbers::MANY)).then(|| Returns {
            acquired: count(0),
            failed: count(Numbers::FAILED),
        })
    }

    /// Returns whether they fit.
    fn set_returns(&mut self, Returns { acquired, failed }: Returns) -> bool {
        let fit = acquired.max(failed) <= Numbers::MOST;
        let counts = match fit {
            true => u64::from(acquired) | u64::from(failed) << Numbers::FAILED,
            false => 0,
        };
        self.place = self.position() << Numbers::POSITION | counts;
        self.time &= !Numbers::MANY;
        self.time |= if fit { 0 } else { Numbers::MANY };
        fit
    }
}

impl Envelope {
    /// How often the message came back to its queue.
    fn returns(&self) -> Returns {
        let many = || self.meta().map_or(Returns::default(), |meta| meta.returns);
        self.numbers.returns().unwrap_or_else(many)
    }

    fn set_returns(&mut self, returns: Returns) {
        if !self.numbers.set_returns(returns) {
            self.change_meta(|meta| meta.returns = returns);
        }
    }

    /// The number of deliveries of this message in its queue that ended without an acknowledgement.
    pub(crate) fn acquired_count(&self) -> u32 {
        self.returns().acquired
    }

    /// The number of deliveries of this message that failed, with those in queues that it was in
    /// before.
    pub(crate) fn delivery_count(&self) -> u32 {
        self.returns().failed
    }

    /// Counts one more delivery that ended without an acknowledgement.
    pub(crate) fn count_return(&mut self, failed: bool) {
        let before = self.returns();
        self.set_returns(Returns {
            acquired: before.acquired.saturating_add(1),
            failed: before.failed.saturating_add(u32::from(failed)),
        });
    }

    /// Carries the failed deliveries of a message over to the copy of it that another queue gets.
    pub(crate) fn carry_failures(&mut self, failed: u32) {
        self.restore_counts(0, failed);
    }

    /// Gives it the counts that it had before the broker ended.
    pub(crate) fn restore_counts(&mut self, acquired: u32, failed: u32) {
        self.set_returns(Returns { acquired, failed });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        message::{
            envelope::{Address, ExchangeId},
            payload::Body,
        },
        model::name::Name,
    };

    fn envelope(origin: u16) -> Envelope {
        let address = Address::new(&ExchangeId::Interned(origin), &Name::empty());
        Envelope::new(Body::new(1_u8), &address, None)
    }

    #[derive(Clone, Copy, Debug)]
    enum Change {
        Position(u64),
        Deadline(u64),
        Counts(u32, u32),
        Return(bool),
        Mark(bool),
    }

    fn changes() -> impl Strategy<Value = Change> {
        let count = || prop_oneof![0..70_u32, any::<u32>(), Just(u32::MAX)];
        let deadline = prop_oneof![0..u64::MAX >> 3, Just(NEVER), 0..1_000_000_u64];
        prop_oneof![
            (0..=Numbers::LAST).prop_map(Change::Position),
            deadline.prop_map(Change::Deadline),
            (count(), count()).prop_map(|(acquired, failed)| Change::Counts(acquired, failed)),
            any::<bool>().prop_map(Change::Return),
            any::<bool>().prop_map(Change::Mark),
        ]
    }

    proptest! {

        #![proptest_config(crate::model::test_cases::cases())]

        #[test]
        fn each_number_is_kept_beside_the_others(
            origin in 0..u16::MAX,
            changes in proptest::collection::vec(changes(), 1..20),
        ) {
            let mut envelope = envelope(origin);
            let (mut position, mut deadline) = (0, NEVER);
            let (mut acquired, mut failed) = (0_u32, 0_u32);
            let (mut returned, mut before) = (false, false);
            for change in changes {
                match change {
                    Change::Position(at) => {
                        position = at;
                        envelope.set_position(at);
                    }
                    Change::Deadline(at) => {
                        deadline = at;
                        envelope.set_deadline(at);
                    }
                    Change::Counts(all, of_them) => {
                        (acquired, failed) = (all, of_them);
                        envelope.restore_counts(all, of_them);
                    }
                    Change::Return(has_failed) => {
                        acquired = acquired.saturating_add(1);
                        failed = failed.saturating_add(u32::from(has_failed));
                        envelope.count_return(has_failed);
                    }
                    Change::Mark(true) => {
                        returned = true;
                        envelope.mark_returned();
                    }
                    Change::Mark(false) => {
                        before = true;
                        envelope.mark_delivered_before();
                    }
                }
                prop_assert_eq!(envelope.position(), position);
                let kept = envelope.deadline();
                match deadline {
                    NEVER => prop_assert_eq!(kept, NEVER),
                    deadline => {
                        prop_assert!(kept >= deadline && kept - deadline < Numbers::UNIT);
                    }
                }
                prop_assert_eq!(envelope.acquired_count(), acquired);
                prop_assert_eq!(envelope.delivery_count(), failed);
                prop_assert_eq!(envelope.is_returned(), returned);
                prop_assert_eq!(envelope.redelivered(), before || acquired > 0);
                let kept = envelope.origin();
                prop_assert!(matches!(kept, ExchangeId::Interned(kept) if kept == origin));
                prop_assert_eq!(envelope.routing_key(), "");
            }
        }
    }

    #[test]
    fn a_time_in_whole_milliseconds_is_exact_and_the_latest_is_not_never() {
        let mut envelope = envelope(0);
        for millis in [0, 1, 7, 1_000, 4_294_967_295] {
            envelope.set_deadline(millis * 1_000_000);
            assert_eq!(envelope.deadline(), millis * 1_000_000);
        }
        envelope.set_deadline(NEVER - 1);
        let years = envelope.deadline() / 1_000_000_000 / 3_600 / 24 / 365;
        assert_eq!(years, 139);
    }

    #[test]
    fn a_message_that_may_not_wait_has_expired_at_once_and_any_other_waits_its_time() {
        for now in [1_000_000, 1_000_001, 1_249_999] {
            let mut envelope = envelope(0);
            envelope.expire_after(now, 0);
            assert!((1_000_000..=now).contains(&envelope.deadline()));
            envelope.expire_after(now, 1);
            assert!((now + 1..=1_250_000).contains(&envelope.deadline()));
            envelope.expire_after(now, NEVER);
            assert_eq!(envelope.deadline(), NEVER);
        }
    }

    #[test]
    fn counts_of_a_copy_that_shares_its_properties_are_its_own() {
        let mut first = envelope(0);
        first.add_header("k", 1);
        let mut second = first.share().unwrap();
        second.restore_counts(1_000, 70);
        assert_eq!((first.acquired_count(), first.delivery_count()), (0, 0));
        let counts = (second.acquired_count(), second.delivery_count());
        assert_eq!(counts, (1_000, 70));
        assert!(second.properties().header_value("k").is_some());
        second.restore_counts(2, 1);
        assert_eq!((second.acquired_count(), second.delivery_count()), (2, 1));
    }
}
