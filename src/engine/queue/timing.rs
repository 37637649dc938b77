//! The parts of a queue that depend on time: expiry at the head, delayed messages, the lease of an
//! unused queue.
//!
//! Times are nanoseconds of the virtual host's clock, read before the lock is taken. The time 0
//! means that the caller has not read the clock, because nothing in this queue depends on time.
//!
//! # The timer
//! A queue has at most one timer, for the next time at which anything happens in it without a
//! caller. Three rules keep it.
//! 1. [`Timing::timer`] is a timer that the timers have, or one whose call has begun. Only
//!    [`set_timer`](QueueState::set_timer) writes it, and it adds the timer under the same lock.
//! 2. An operation that leaves a due time before that of the timer has `set_timer` called as an
//!    effect, after the lock is released. `set_timer` does not get a time from the operation. It
//!    reads the due time that the queue has by then.
//! 3. Each call of a timer ends with `set_timer`, whatever the call has found.
//!
//! So if no `set_timer` is still to come, there is a timer for the next due time or an earlier one.
//! The order in which several threads call `set_timer` does not matter: the last of them reads a
//! state that has the messages of all. A needless call of a timer does no harm either.
//!
//! # Due messages without room
//! A delayed message of a publisher that is due takes no room from others in a queue with
//! `Overflow::Block`. It stays delayed until there is room, and the timer does not wait for it: the
//! operation that makes room admits it
//! ([`admit_waiting`](QueueState::admit_waiting)). It waits only while a message is ready. By
//! invariant 3 no consumer could take it then.

use std::time::Duration;

use super::{
    blocked::Place,
    consumer_id::ConsumerId,
    credit::Credit,
    delayed::{DelayedKey, DelayedStore},
    effects::{Effect, Effects},
    head::AgeMarks,
    outcome::{Cause, PushError, PushedBy},
    returns::credit_of,
    state::QueueState,
};
use crate::{
    message::envelope::{Envelope, NEVER},
    model::{error::Error, message_totals::MessageTotals},
    runtime::timers::{TimerKey, Timers},
};

/// The state of a queue that depends on time.
#[derive(Debug, Default)]
pub(super) struct Timing {
    /// Messages that become ready later.
    pub(super) delayed: DelayedStore,
    /// In a box, since most queues have none.
    dates: Option<Box<Dates>>,
    /// Whether the queue has ever had a message that expires.
    has_deadlines: bool,
}

/// The times at which something happens to a queue.
#[derive(Debug, Default)]
struct Dates {
    /// When the queue is deleted unless it is used before.
    lease_over: Option<u64>,
    /// The timer and its time.
    timer: Option<(u64, TimerKey)>,
    /// A message in an inbox may expire at this time, and none before.
    inboxes_due: Option<u64>,
    age_marks: Option<AgeMarks>,
}

impl Timing {
    /// When the queue is deleted unless it is used before.
    pub(super) fn lease_over(&self) -> Option<u64> {
        self.dates.as_ref()?.lease_over
    }

    fn set_lease_over(&mut self, over: Option<u64>) {
        if over != self.lease_over() {
            self.dates.get_or_insert_default().lease_over = over;
        }
    }

    /// When a message in an inbox may expire, and none before.
    pub(super) fn inboxes_due(&self) -> Option<u64> {
        self.dates.as_ref()?.inboxes_due
    }

    pub(super) fn set_inboxes_due(&mut self, due: Option<u64>) {
        if due != self.inboxes_due() {
            self.dates.get_or_insert_default().inboxes_due = due;
        }
    }

    fn timer(&self) -> Option<&(u64, TimerKey)> {
        self.dates.as_ref()?.timer.as_ref()
    }

    /// What looks at the head have noted.
    pub(super) fn age_marks(&mut self) -> &mut AgeMarks {
        let dates = self.dates.get_or_insert_default();
        dates.age_marks.get_or_insert_default()
    }

    pub(super) fn forget_age_marks(&mut self) {
        if let Some(dates) = &mut self.dates {
            dates.age_marks = None;
        }
    }

    /// Whether the queue has ever had a message that expires.
    pub(super) fn has_deadlines(&self) -> bool {
        self.has_deadlines
    }

    /// Records the deadline of a message that arrives.
    pub(super) fn note_deadline(&mut self, deadline: u64) {
        self.has_deadlines |= deadline != NEVER;
    }
}

/// `time` after `now`. A time too far away becomes [`NEVER`].
pub(crate) fn after(now: u64, time: Duration) -> u64 {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(NEVER);
    now.saturating_add(nanos)
}

impl QueueState {
    /// Takes the new message out of `message` and keeps it until it is due. A publisher with a
    /// place waits for room in the budgets if there is none.
    ///
    /// The limits of a classic queue count it when it is due, and do not refuse it then. Those of a
    /// quorum queue count it from now on.
    pub(crate) fn enqueue_delayed(
        &mut self,
        message: &mut Option<Envelope>,
        due: u64,
        by: PushedBy,
        place: Option<&mut Place>,
        now: u64,
        effects: &mut Effects,
    ) -> Result<(), PushError> {
        if self.is_deleted() {
            return Err(PushError::Deleted);
        }
        if self.kind.is_stream() {
            let error = Error::not_implemented("a stream does not delay messages");
            return Err(PushError::NotStored(Box::new(error)));
        }
        let size = message.as_ref().map_or(0, Envelope::size);
        if self.kind.is_quorum() {
            self.check_limits(size, now, effects)?;
        }
        self.pay(size, by, place, effects)?;
        if let Some(mut envelope) = message.take() {
            if self.storage.is_some() {
                // Its store knows it by a position too.
                self.write_incoming();
                envelope.set_position(self.next_position());
            }
            self.tally.taken_in += MessageTotals::new(1, size);
            self.timing.note_deadline(envelope.deadline());
            self.delay(envelope, due, false, effects);
            if self.kind.is_quorum() {
                self.trim(by, effects);
                self.note_limits();
            }
        }
        Ok(())
    }

    /// Takes messages back from a consumer that has seen them, and redelivers them after `delay`.
    pub(crate) fn requeue_after(
        &mut self,
        consumer: Option<(ConsumerId, &Credit)>,
        batch: impl IntoIterator<Item = Envelope>,
        delay: Duration,
        cause: Cause,
        now: u64,
        effects: &mut Effects,
    ) {
        for envelope in batch {
            self.withdraw(credit_of(consumer), envelope.size());
            self.give_back(envelope, cause, delay, now, effects);
        }
        if let Some((consumer, _)) = consumer {
            self.restore_credit(consumer, now, effects);
        }
    }

    pub(super) fn delay(
        &mut self,
        envelope: Envelope,
        due: u64,
        returning: bool,
        effects: &mut Effects,
    ) {
        if returning {
            self.write_delay(&envelope, due);
        }
        let overhead = self.ready.order().overhead(&envelope);
        self.timing
            .delayed
            .insert(envelope, due, returning, overhead);
        self.schedule(effects);
    }

    pub(crate) fn delayed(&self) -> MessageTotals {
        self.timing.delayed.amount()
    }

    /// Calls `look` with up to `most` delayed messages behind `key`, in the order in which they are
    /// due.
    pub(crate) fn map_delayed<R>(
        &self,
        key: Option<DelayedKey>,
        most: usize,
        look: impl FnMut((DelayedKey, &Envelope)) -> R,
    ) -> Vec<R> {
        let delayed = self.timing.delayed.after(key);
        delayed.take(most).map(look).collect()
    }

    /// Cancels delayed messages and returns how many. Keys of messages that are not delayed any
    /// more have no effect.
    pub(crate) fn cancel_delayed(
        &mut self,
        keys: impl IntoIterator<Item = DelayedKey>,
        now: u64,
        effects: &mut Effects,
    ) -> u64 {
        let mut cancelled = 0;
        for key in keys {
            if let Some(envelope) = self.timing.delayed.remove(key) {
                cancelled += 1;
                self.drop_purged(envelope, effects);
            }
        }
        // A smaller message behind a cancelled one may have room.
        self.admit_waiting(now, effects);
        self.wake_idle_waiters(effects);
        cancelled
    }

    /// Cancels all delayed messages and returns how many.
    pub(crate) fn cancel_all_delayed(&mut self, effects: &mut Effects) -> u64 {
        let cancelled = self.delayed().messages;
        for envelope in self.timing.delayed.drain() {
            self.drop_purged(envelope, effects);
        }
        self.admit_publishers(effects);
        self.wake_idle_waiters(effects);
        cancelled
    }

    /// Takes out up to `most` due messages, to be published to other queues. They count as got
    /// until [`settle_moved`](Self::settle_moved). The timer must be set afterwards.
    pub(crate) fn take_due(&mut self, most: usize, now: u64) -> Vec<Envelope> {
        let delayed = &mut self.timing.delayed;
        let due = std::iter::from_fn(|| delayed.pop_due(now)).take(most);
        let due: Vec<_> = due.map(|(_, waiting)| waiting.envelope).collect();
        for envelope in &due {
            self.tally.rare().got.add_message(envelope.size());
        }
        due
    }

    /// Makes due messages ready, expires messages and checks the lease. The timer has fired.
    pub(crate) fn tick(&mut self, now: u64, effects: &mut Effects) {
        effects.set_timer();
        if self.is_deleted() {
            return;
        }
        self.serve_late_channel(now, effects);
        while let Some((key, first)) = self.timing.delayed.pop_due(now) {
            self.tally.rare().again_ready += 1;
            match first.returning {
                // It needs no room, as without a delay.
                true => self.make_returned_ready(first.envelope),
                false => self.timing.delayed.await_room(key, first),
            }
        }
        if !self.expire_inboxes(now, effects) {
            return;
        }
        self.return_overdue(now, effects);
        self.retry_dead_letters(now, effects);
        self.settle_ready(now, effects);
        if self.is_lease_over(now) {
            effects.add(Effect::LeaseOver(now));
        }
    }

    /// Makes due messages ready, in the order in which they were due, as far as there is room. Room
    /// that a blocked publisher has been given and has not used yet counts as free.
    #[inline]
    pub(super) fn admit_overdue(&mut self, now: u64, effects: &mut Effects) {
        if self.timing.delayed.has_overdue() {
            self.admit_those_overdue(now, effects);
        }
    }

    #[cold]
    fn admit_those_overdue(&mut self, now: u64, effects: &mut Effects) {
        while let Some(size) = self.timing.delayed.overdue_size() {
            if !self.has_room_beside(MessageTotals::default(), size) {
                return;
            }
            let Some(mut envelope) = self.timing.delayed.pop_overdue() else {
                return;
            };
            let from = envelope.position();
            envelope.set_position(self.next_position());
            self.write_move(from, &envelope);
            let before = self.ready.len();
            self.ready.push_back(envelope);
            effects.wake(self.get_waiters.take_one());
            self.expire(now, effects);
            self.trigger_by_arrival(before, effects);
        }
    }

    /// Records that a consumer may have a message in advance that expires at `deadline`.
    pub(super) fn delivered_in_advance(&mut self, deadline: u64, effects: &mut Effects) {
        if deadline == NEVER {
            return;
        }
        let due = self.timing.inboxes_due().unwrap_or(NEVER);
        if deadline < due {
            self.timing.set_inboxes_due(Some(deadline));
            self.schedule(effects);
        }
    }

    /// Renews the lease after a use of the queue: an unused queue stays for the whole lease again.
    pub(crate) fn renew_lease(&mut self, now: u64, effects: &mut Effects) {
        let lease_over = self.timing.lease_over();
        if self.settings.expires.is_none() && lease_over.is_none() {
            return;
        }
        self.timing.set_lease_over(match self.settings.expires {
            Some(expires) if self.consumer_count() == 0 => Some(after(now, expires)),
            Some(_) => lease_over,
            None => None,
        });
        self.schedule(effects);
    }

    /// Whether the lease is over. Checked again under the topology lock.
    pub(crate) fn is_lease_over(&self, now: u64) -> bool {
        !self.is_in_use() && self.lease_ends().is_some_and(|over| over <= now)
    }

    /// When the first delayed message is due.
    pub(super) fn first_due(&self) -> u64 {
        self.timing.delayed.first_due()
    }

    /// When anything next happens in the queue without a caller. [`NEVER`] means not at all.
    fn next_due(&self) -> u64 {
        if self.is_deleted() {
            return NEVER;
        }
        let head = match self.timing.has_deadlines {
            true => self.ready.next_deadline(),
            false => NEVER,
        };
        let delayed = self.timing.delayed.next_due();
        let lease = match self.timing.lease_over() {
            Some(_) if !self.is_in_use() => self.lease_ends().unwrap_or(NEVER),
            _ => NEVER,
        };
        let inboxes = self.timing.inboxes_due().unwrap_or(NEVER);
        let overdue = self.consumers.next_overdue();
        let transit = self.next_dead_letter();
        let due = [head, delayed, lease, inboxes, overdue, transit];
        due.into_iter().min().unwrap_or(NEVER)
    }

    /// Has the timer set if it is later than the next due time.
    pub(super) fn schedule(&self, effects: &mut Effects) {
        let timer = self.timing.timer().map_or(NEVER, |(at, _)| *at);
        if self.next_due() < timer {
            effects.set_timer();
        }
    }

    /// Has the timer of a deleted queue cancelled.
    pub(super) fn unschedule(&self, effects: &mut Effects) {
        if self.timing.timer().is_some() {
            effects.set_timer();
        }
    }

    /// Replaces the timer by one for the next due time. `add` adds a timer to `timers`, and may add
    /// none.
    pub(crate) fn set_timer(&mut self, timers: &Timers, add: impl FnOnce(u64) -> Option<TimerKey>) {
        let dates = self.timing.dates.as_mut();
        if let Some((_, timer)) = dates.and_then(|dates| dates.timer.take()) {
            timers.cancel(&timer);
        }
        let due = self.next_due();
        if due != NEVER {
            let dates = self.timing.dates.get_or_insert_default();
            dates.timer = add(due).map(|timer| (due, timer));
        }
    }
}
