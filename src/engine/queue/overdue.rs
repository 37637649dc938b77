//! Deliveries that their consumers do not settle in time: the queue takes them back, as returned
//! and not failed.
//!
//! A late consumer gets nothing until it has settled what was taken back. What it has in advance
//! and has not shown returns unchanged. The deliveries of a consumer that was removed return too.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    consumer_id::ConsumerId,
    consumer_state::{ConsumerState, DeliveryTarget},
    credit::Credit,
    effects::{Effect, Effects},
    inbox::Pause,
    outcome::Cause,
    state::QueueState,
    timeout::Timeout,
    timing::after,
};
use crate::message::envelope::{Envelope, NEVER};

impl QueueState {
    /// Has the timer set for the next delivery that may not be settled in time.
    #[inline]
    pub(super) fn schedule_overdue(&self, effects: &mut Effects) {
        if self.consumers.next_overdue() != NEVER {
            self.schedule(effects);
        }
    }

    /// Records that a typed consumer has shown a message that is due at `due`. The consumer may be
    /// removed by now.
    pub(crate) fn expect_overdue(&mut self, due: u64, effects: &mut Effects) {
        self.consumers.expect_overdue(due);
        self.schedule(effects);
    }

    /// Takes back the deliveries that were not settled in time.
    pub(super) fn return_overdue(&mut self, now: u64, effects: &mut Effects) {
        if self.consumers.next_overdue() > now {
            return;
        }
        for (id, taken) in self.consumers.take_overdue(now, effects) {
            if let Some(inbox) = self.consumers.inbox(id) {
                // It has a run besides, which only the consumer can return.
                if let Some(owner) = inbox.owner() {
                    effects.add(Effect::Late(owner));
                }
                self.return_inbox(id, &mut VecDeque::new(), effects);
            }
            if let Some(consumer) = self.consumers.get_mut(id) {
                let credit = Arc::clone(&consumer.credit);
                self.return_late(taken, &credit, now, effects);
            }
        }
        let mut place = 0;
        while let Some(retired) = self.retired.get_mut(place) {
            place += 1;
            let taken = retired.take_overdue(now, effects);
            self.consumers.expect_overdue(retired.next_overdue);
            let credit = Arc::clone(&retired.credit);
            self.return_late(taken, &credit, now, effects);
        }
        self.consumers.reconsider(None);
    }

    fn return_late(
        &mut self,
        taken: Vec<Envelope>,
        credit: &Credit,
        now: u64,
        effects: &mut Effects,
    ) {
        for envelope in taken {
            self.withdraw(Some(credit), envelope.size());
            self.give_back(envelope, Cause::Returned, Duration::ZERO, now, effects);
        }
    }

    /// Returns what a typed consumer has in advance if it is late: its inbox, and `run`.
    pub(crate) fn return_if_late(
        &mut self,
        id: ConsumerId,
        run: &mut VecDeque<Envelope>,
        now: u64,
        effects: &mut Effects,
    ) {
        let consumer = self.consumers.get_mut(id);
        if consumer.is_some_and(|one| one.pause() == Pause::UntilSettled) {
            self.take_back(id, run, now, effects);
        }
    }

    /// Records that a consumer has settled deliveries after they were taken back. Once it has
    /// settled all of them, it is served again.
    pub(crate) fn settled_late(
        &mut self,
        id: ConsumerId,
        deliveries: u64,
        now: u64,
        effects: &mut Effects,
    ) {
        if self.consumers.settled_late(id, deliveries) {
            self.consumers.reconsider(None);
            self.settle_ready(now, effects);
        }
    }
}

/// The deliveries of a consumer that were not settled in time, and its time for them. In a box,
/// since most consumers have all the time.
#[derive(Debug)]
pub(super) struct Overdue(Option<Box<Late>>);

#[derive(Clone, Copy, Debug)]
struct Late {
    /// The consumer's own time for a delivery. `None` leaves it to the queue.
    own_timeout: Option<Duration>,
    /// How long a delivery to a sink may stay unsettled. An inbox has it with its deadlines.
    timeout: Option<Duration>,
    /// A delivery of a sink may be due at this time, and none before.
    next: u64,
    /// The deliveries that were taken back and that the consumer has not settled since.
    taken_back: u64,
}

impl Late {
    const NONE: Late = Late {
        own_timeout: None,
        timeout: None,
        next: NEVER,
        taken_back: 0,
    };
}

impl Overdue {
    pub(super) fn new(own_timeout: Option<Duration>) -> Overdue {
        let late = Late {
            own_timeout,
            ..Late::NONE
        };
        Overdue(own_timeout.map(|_| Box::new(late)))
    }

    #[inline]
    fn late(&self) -> &Late {
        self.0.as_deref().unwrap_or(&Late::NONE)
    }

    fn late_mut(&mut self) -> &mut Late {
        self.0.get_or_insert_with(|| Box::new(Late::NONE))
    }

    /// When a delivery to a sink is due that is made now, or [`NEVER`].
    #[inline]
    pub(super) fn due(&self, now: u64) -> u64 {
        let timeout = self.late().timeout;
        timeout.map_or(NEVER, |timeout| after(now, timeout))
    }

    /// Records that a delivery of a sink may be due at `due`.
    #[inline]
    pub(super) fn expect(&mut self, due: u64) {
        if due < self.next() {
            self.late_mut().next = due;
        }
    }

    /// A delivery of a sink may be due at this time, and none before.
    #[inline]
    pub(super) fn next(&self) -> u64 {
        self.late().next
    }

    /// The deliveries that were taken back and that the consumer has not settled since.
    #[inline]
    pub(super) fn taken_back(&self) -> u64 {
        self.late().taken_back
    }

    /// The consumer has settled deliveries that were taken back. Returns how many are left.
    pub(super) fn settle(&mut self, deliveries: u64) -> u64 {
        let left = self.taken_back().saturating_sub(deliveries);
        if left != self.taken_back() {
            self.late_mut().taken_back = left;
        }
        left
    }
}

/// The deliveries of one consumer that have to be settled in time.
impl ConsumerState {
    /// Sets how long a delivery may stay unsettled from now on, unless the consumer has a time of
    /// its own.
    pub(super) fn set_timeout(&mut self, timeout: Timeout) {
        let own = self.overdue.late().own_timeout;
        match &self.target {
            DeliveryTarget::Inbox(_) => {
                let timeout = own.or(timeout.asked);
                self.credit.deadlines.set_timeout(timeout);
                if timeout.is_some() {
                    self.credit.show_specially();
                }
            }
            DeliveryTarget::Push(_) => {
                let timeout = own.or(timeout.asked).or(timeout.built_in);
                if timeout != self.overdue.late().timeout {
                    self.overdue.late_mut().timeout = timeout;
                }
            }
        }
    }

    /// Takes back the deliveries that were not settled in time.
    pub(super) fn take_overdue(&mut self, now: u64, effects: &mut Effects) -> Vec<Envelope> {
        let (taken, next) = match &self.target {
            DeliveryTarget::Push(_) if self.overdue.next() > now => return Vec::new(),
            DeliveryTarget::Push(sink) => sink.take_overdue(now, effects),
            DeliveryTarget::Inbox(_) => self.credit.deadlines.take_overdue(now),
        };
        if next != self.overdue.next() || !taken.is_empty() {
            let late = self.overdue.late_mut();
            late.next = next;
            late.taken_back += taken.len() as u64;
        }
        taken
    }
}
