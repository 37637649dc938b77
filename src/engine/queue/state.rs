//! A queue's operations, on the plain data behind its lock. The caller of an operation has
//! a `&mut QueueState`, and so holds the lock.
//!
//! This file has the operations to enqueue, deliver, settle and delete. `limits` has the ways in
//! which messages end without a consumer, and `timing` has the effects of the clock.

use std::{collections::vec_deque, sync::Arc};

use super::{
    account::Account,
    announced::Announced,
    consumer_state::DeliveryTarget,
    consumers::Consumers,
    effects::{Effect, Effects},
    idle::IdleWaiters,
    in_flight::InFlight,
    kind::Kind,
    line::Line,
    outcome::{DeleteRefused, Deleted, PushError, PushedBy},
    permit::Permit,
    ready::{Order, Ready},
    retired::AllRetired,
    storage::Storage,
    tally::Tally,
    timing::Timing,
};
use crate::model::message_totals::MessageTotals;
use crate::{
    engine::stream::Retention,
    message::envelope::{Envelope, NEVER},
    model::{
        arguments::{QueueArguments, QueueType},
        error::CancelReason,
    },
    runtime::waiter::{SeldomWaitList, WaitList},
};

/// Everything behind a queue's lock.
///
/// The order of the fields is that in memory. The fields that each publish uses are beside one
/// another, from `ready` to `consumers`: among very many queues each line of them is a cache miss.
/// The other fields come before, since a thread that waits for the lock takes the cache line of the
/// lock away.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct QueueState {
    /// The arguments in effect: the queue's own, and those of the policies that match it.
    pub(super) settings: Arc<QueueArguments>,
    /// The account with the budgets that cover the queue.
    pub(super) account: Option<Arc<Account>>,
    /// Counts the messages that leave for another queue.
    pub(super) in_flight: Arc<InFlight>,
    pub(super) kind: Kind,
    /// The store of a durable queue.
    pub(super) storage: Option<Box<Storage>>,
    /// Where the events of its consumers are told.
    pub(super) announced: Option<Announced>,
    pub(super) retired: AllRetired,
    /// Publishers that wait for room.
    pub(super) line: Line,
    pub(super) timing: Timing,
    pub(super) ready: Ready,
    pub(super) deleted: bool,
    /// Whether it may refuse a message, make its publisher wait, write it, or send a trigger. A
    /// deleted queue refuses all messages.
    pub(super) is_selective: bool,
    /// Whether one budget is the only reason for that.
    pub(super) only_pays: bool,
    /// Whether it has a length limit.
    pub(super) is_limited: bool,
    pub(super) had_consumer: bool,
    pub(super) is_trigger_armed: bool,
    pub(super) idle_waiters: IdleWaiters,
    /// Waiters that want a message and are not consumers.
    pub(super) get_waiters: SeldomWaitList,
    pub(super) next_position: u64,
    pub(super) tally: Tally,
    pub(super) consumers: Consumers,
}

impl QueueState {
    pub(crate) fn new(
        settings: Arc<QueueArguments>,
        account: Option<Arc<Account>>,
        in_flight: Arc<InFlight>,
    ) -> QueueState {
        let kind = Kind::of(&settings);
        let mut consumers = Consumers::new(kind.single_active(&settings));
        consumers.set_timeout(kind.consumer_timeout(&settings));
        if kind.is_quorum() {
            consumers.leave_at_once();
        }
        if kind.is_classic() && settings.max_priority.is_none() && settings.trigger.is_none() {
            consumers.allow_late(true);
        }
        let mut state = QueueState {
            account,
            in_flight,
            ready: kind.ready(&settings),
            consumers,
            kind,
            settings,
            next_position: 0,
            get_waiters: SeldomWaitList::default(),
            idle_waiters: IdleWaiters::default(),
            line: Line::default(),
            retired: AllRetired::default(),
            had_consumer: false,
            deleted: false,
            timing: Timing::default(),
            tally: Tally::default(),
            storage: None,
            announced: None,
            is_selective: false,
            is_limited: false,
            only_pays: false,
            is_trigger_armed: true,
        };
        state.note_selective();
        state
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted
    }

    pub(super) fn next_position(&mut self) -> u64 {
        let position = self.next_position;
        self.next_position += 1;
        position
    }

    /// Puts other arguments into effect. Limits apply at once, a new time to live only to later
    /// messages.
    pub(crate) fn reconfigure(
        &mut self,
        settings: Arc<QueueArguments>,
        now: u64,
        effects: &mut Effects,
    ) {
        if self.deleted {
            return;
        }
        self.serve_late_channel(now, effects);
        let lease_changed = self.settings.expires != settings.expires;
        self.settings = settings;
        if let Some(stream) = self.kind.stream_mut() {
            stream.log.set_retention(Retention::of(&self.settings));
        }
        self.note_selective();
        let timeout = self.kind.consumer_timeout(&self.settings);
        self.consumers.set_timeout(timeout);
        self.ready.count_overhead(self.settings.max_length_bytes);
        self.drop_unkept(effects);
        if lease_changed {
            self.renew_lease(now, effects);
        }
        self.settle_ready(now, effects);
    }

    /// Takes a new message out of `message`. It goes to a consumer if one can take it, else to the
    /// ready messages.
    ///
    /// Most messages go through here, and an envelope is large. So it is passed by reference and
    /// moved only once.
    #[inline]
    pub(crate) fn enqueue(
        &mut self,
        message: &mut Option<Envelope>,
        by: PushedBy,
        now: u64,
        effects: &mut Effects,
    ) -> Result<(), PushError> {
        let Some(envelope) = message else {
            return Ok(());
        };
        let (size, deadline) = (envelope.size(), envelope.deadline());
        let failed_before = by == PushedBy::Broker && self.note_failures(envelope);
        if deadline == NEVER
            && !failed_before
            && let Some(permit) = self.reserve(size, |order| order.level(envelope))
        {
            if let Some(envelope) = message.take() {
                effects.wake(permit.send(size, |position| envelope.at(position)));
            }
            return Ok(());
        }
        if self.deleted {
            return Err(PushError::Deleted);
        }
        if self.is_selective {
            self.check_shareable(message)?;
            self.admit(size, by, None, now, effects)?;
            self.take_in_selectively(message, by, now, effects);
        } else {
            self.take_in(message, by, now, effects);
        }
        Ok(())
    }

    /// Whether a dead letter has failed deliveries in queues that it was in before. A quorum queue
    /// takes them for its own, and the message for one that was delivered.
    fn note_failures(&self, envelope: &mut Envelope) -> bool {
        let failures = envelope.delivery_count();
        if failures > 0 && self.settings.queue_type == QueueType::Quorum {
            envelope.mark_delivered_before();
        }
        failures > 0
    }

    /// Takes in a message that is admitted.
    #[inline]
    pub(super) fn take_in(
        &mut self,
        message: &mut Option<Envelope>,
        by: PushedBy,
        now: u64,
        effects: &mut Effects,
    ) {
        let Some(envelope) = message else { return };
        if self.kind.is_stream() {
            if let Some(envelope) = message.take() {
                self.append_to_log(envelope, now, effects);
            }
            return;
        }
        let (size, deadline) = (envelope.size(), envelope.deadline());
        envelope.set_position(self.next_position());
        self.tally.taken_in += MessageTotals::new(1, size);
        self.timing.note_deadline(deadline);
        // If it is stored, it is shown as delivered before. So no channel is late for it.
        let shows_storage = by == PushedBy::Broker && envelope.delivery_count() > 0;
        let was_late = shows_storage.then(|| {
            self.serve_late_channel(now, effects);
            self.consumers.allow_late(false)
        });
        // Invariant 3: if a message is ready, no consumer in the turn order could take this one.
        let is_delivered = self.ready.is_empty() && self.deliver(message, size, now, effects);
        if let Some(was_late) = was_late {
            self.consumers.allow_late(was_late);
        }
        if is_delivered {
            self.delivered_in_advance(deadline, effects);
            self.schedule_overdue(effects);
            // The message needs no room among the ready messages any more.
            self.admit_publishers(effects);
            if !self.idle_waiters.is_empty() {
                self.wake_idle_waiters(effects);
            }
        } else if let Some(envelope) = message.take() {
            self.make_ready(envelope, by, now, effects);
        }
    }

    /// Reserves the slot for the next message of `size` bytes, if one is free, and pays a budget
    /// for it. `None` if its place depends on a limit, a full budget or a waiter other than a
    /// receiver. The message must not expire. `level` tells its lane among the ready messages.
    #[inline(always)]
    pub(super) fn reserve(
        &mut self,
        size: u64,
        level: impl FnOnce(Order) -> usize,
    ) -> Option<Permit<'_>> {
        let is_selective = self.is_selective && !self.only_pays;
        if is_selective || !self.idle_waiters.is_empty() {
            return None;
        }
        let slot = match self.ready.is_empty() {
            true => self.consumers.reserve()?,
            // Invariant 3: no consumer in the turn order could take it.
            false if self.is_limited || !self.get_waiters.is_empty() => return None,
            false => self.ready.reserve(level)?,
        };
        if self.is_selective && !Account::try_pay(self.account.as_deref(), size) {
            return None;
        }
        Some(Permit {
            slot,
            taken_in: &mut self.tally.taken_in,
            next_position: &mut self.next_position,
        })
    }

    /// Enqueues plain messages one after the other. `make` makes each from a payload and its
    /// position, and runs no user code.
    ///
    /// Stops at a message that is refused and returns it. The payloads behind it stay in
    /// `payloads`. A queue that is deleted or may refuse messages takes none.
    pub(super) fn enqueue_batch<P>(
        &mut self,
        payloads: &mut vec_deque::Drain<'_, P>,
        size: impl Fn(&P) -> u64,
        make: impl Fn(P, u64) -> Envelope,
        effects: &mut Effects,
    ) -> Option<Envelope> {
        if self.is_selective {
            return None;
        }
        while payloads.len() > 0 {
            if let Some(permit) = self.reserve(0, |order| order.level_of(None)) {
                permit.send_run(payloads, &size, &make, effects);
                continue;
            }
            let payload = payloads.next()?;
            let mut message = Some(make(payload, 0));
            let enqueued = self.enqueue(&mut message, PushedBy::Publisher, 0, effects);
            if enqueued.is_err() {
                return message;
            }
        }
        None
    }

    /// Adds a new message to the ready messages, for a consumer to take later.
    ///
    /// As in RabbitMQ 4.3, a dead letter with a failed delivery counts as delivered before if it is
    /// stored, and not if a consumer gets it at once.
    fn make_ready(
        &mut self,
        mut envelope: Envelope,
        by: PushedBy,
        now: u64,
        effects: &mut Effects,
    ) {
        if by == PushedBy::Broker && envelope.delivery_count() > 0 {
            envelope.mark_delivered_before();
        }
        let timed = envelope.deadline() != NEVER;
        self.ready.push_back(envelope);
        if timed || self.is_limited {
            self.note_limits();
            if timed || self.is_over() {
                self.apply_settlements(now, effects);
            }
            self.trim(by, effects);
            self.expire(now, effects);
            self.admit_waiting(now, effects);
        }
        self.relieve(now, effects);
        effects.wake(self.get_waiters.take_one());
    }

    /// Takes the next ready message out, to be settled by [`settle_gets`](Self::settle_gets). Also
    /// returns the number of messages that are still ready.
    pub(crate) fn get(&mut self, now: u64, effects: &mut Effects) -> Option<(Envelope, usize)> {
        self.apply_settlements(now, effects);
        self.expire(now, effects);
        let envelope = match self.is_paused() {
            true => None,
            false => self.ready.pop(),
        };
        self.expire(now, effects);
        self.note_limits();
        self.admit_waiting(now, effects);
        let envelope = envelope?;
        Storage::write_out(&self.storage, std::slice::from_ref(&envelope));
        let rare = self.tally.rare();
        rare.got.add_message(envelope.size());
        rare.gets.taken += 1;
        Some((envelope, self.ready.len()))
    }

    /// The number of messages behind the one that a get would take. Some of them may expire when
    /// that one is out.
    pub(crate) fn ready_behind_first(&mut self, now: u64, effects: &mut Effects) -> usize {
        self.apply_settlements(now, effects);
        self.expire(now, effects);
        self.ready.len().saturating_sub(1)
    }

    /// The waiters for a ready message. They register when [`get`](Self::get) returned none and the
    /// queue is not deleted.
    pub(crate) fn get_waiters(&mut self) -> &mut WaitList {
        self.get_waiters.list()
    }

    /// Deletes the queue: drops its messages and cancels its consumers. Nothing is dead-lettered.
    pub(crate) fn delete(
        &mut self,
        if_unused: bool,
        if_empty: bool,
        reason: CancelReason,
        now: u64,
    ) -> Result<Deleted, DeleteRefused> {
        let mut effects = Effects::none();
        let refused = match () {
            () if self.deleted => Some(DeleteRefused::Deleted),
            () if if_unused && !self.consumers.is_empty() => Some(DeleteRefused::InUse),
            () if if_empty && !self.ready.is_empty() => Some(DeleteRefused::NotEmpty),
            () => None,
        };
        if let Some(refused) = refused {
            return Err(refused);
        }
        self.serve_late_channel(now, &mut effects);
        let counts = self.counts_as_they_are();
        // From here on every other operation finds the queue deleted.
        self.deleted = true;
        self.is_selective = true;
        self.only_pays = false;
        if !reason.is_end_of_broker() {
            self.forget_all();
        }
        self.unschedule(&mut effects);
        let messages = self.ready.len() as u64;
        let in_transit: Vec<_> = match &mut self.kind {
            Kind::Classic | Kind::Stream(_) => Vec::new(),
            Kind::Quorum(quorum) => quorum.in_transit.drain().map(|(it, _)| it).collect(),
        };
        for envelope in self
            .ready
            .drain()
            .into_iter()
            .chain(self.timing.delayed.drain())
            .chain(in_transit)
        {
            self.tally.rare().deleted.add_message(envelope.size());
            effects.add(Effect::Drop(envelope));
        }
        self.end_stream(&mut effects);
        for mut subscriber in self.consumers.drain() {
            subscriber.credit.end();
            if let DeliveryTarget::Push(sink) = &subscriber.target {
                sink.cancelled(reason, &mut effects);
            }
            self.retire(&mut subscriber, std::iter::empty(), &mut effects);
        }
        let payers = self.account.as_ref().map(|account| account.close());
        for wake in self
            .get_waiters
            .take_all()
            .into_iter()
            .chain(self.line.release(None))
            .chain(self.idle_waiters.take_all())
            .chain(payers.unwrap_or_default())
        {
            effects.wake(Some(wake));
        }
        Ok(Deleted {
            messages,
            counts,
            effects,
        })
    }

    /// Whether an auto-delete queue has to be deleted.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.had_consumer && self.consumers.is_empty()
    }

    pub(crate) fn had_consumer(&self) -> bool {
        self.had_consumer
    }

    pub(crate) fn ready_len(&self) -> usize {
        self.ready.len()
    }

    pub(crate) fn consumer_count(&self) -> usize {
        self.consumers.len()
    }

    /// Runs after messages became ready or consumers became able to take some: applies limits and
    /// expiry, serves consumers, wakes waiters.
    pub(super) fn settle_ready(&mut self, now: u64, effects: &mut Effects) {
        // Before the limits apply: if the queue does not block any more, all due messages come in.
        self.admit_overdue(now, effects);
        if self.ready.is_empty() {
            self.serve_readings(now, effects);
            self.note_limits();
            self.admit_publishers(effects);
            self.wake_idle_waiters(effects);
            return;
        }
        self.note_limits();
        // RabbitMQ's quorum queues deliver before they look at their limits.
        if !self.kind.is_quorum() {
            self.trim(PushedBy::Publisher, effects);
        }
        self.expire(now, effects);
        self.serve(now, effects);
        self.trim(PushedBy::Publisher, effects);
        self.relieve(now, effects);
        self.note_limits();
        for _ in 0..self.ready.len() {
            match self.get_waiters.take_one() {
                Some(wake) => effects.wake(Some(wake)),
                None => break,
            }
        }
        // A message that expires may have come since the queue was found to be without time.
        if now != 0 || self.timing.has_deadlines() {
            self.schedule(effects);
        }
        self.admit_publishers(effects);
        self.wake_idle_waiters(effects);
    }
}
