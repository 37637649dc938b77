//! The consumers of one queue: the turn order, the consumers out of credit, and the counts of
//! deliveries.
//!
//! The consumers of the highest priority take turns. A consumer that cannot take a message leaves
//! the turn order. It joins the end again when it can, as in RabbitMQ's `rabbit_queue_consumers`.
//! So does a consumer that is paused.
//!
//! Plain data behind the queue's lock. Knows nothing of ready messages, channels or typed handles.

mod assigned;
mod late;
mod listed;
mod overdue;
mod paused;
mod readers;
mod single_active;
mod slow;
mod suspended;
#[cfg(test)]
mod tests;
mod turns;

pub(crate) use self::listed::ListedConsumer;
pub(super) use self::{single_active::SingleActive, turns::Turns};

use std::fmt;

use self::suspended::Suspended;
use super::{
    consumer_id::ConsumerId,
    consumer_state::{ConsumerState, DeliveryTarget, Group, SubscribeRequest},
    effects::Effects,
    inbox::{Inbox, Pause},
    permit::Slot,
    timeout::Timeout,
};
use crate::message::envelope::{Envelope, NEVER};
use crate::model::message_totals::MessageTotals;

/// The first consumer in the turn order that can take a message.
pub(crate) struct NextConsumer {
    pub(super) id: ConsumerId,
    /// No other consumer takes turns with this one, so it may take a whole batch at once.
    pub(crate) alone: bool,
}

/// Each publish reads the consumer whose turn it is, the slots, and two of the marks. They lie
/// beside one another.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Consumers {
    turns: Turns,
    slots: Vec<Option<(u32, ConsumerState)>>,
    /// Whether only one consumer is served. The others wait to take over.
    single_active: SingleActive,
    /// Whether a consumer leaves the turn order with the delivery that uses up its credit, as in
    /// RabbitMQ's quorum queues, and not only at the next one.
    leaves_at_once: bool,
    /// Whether a channel may be served late: messages leave the queue in the order in which they
    /// came.
    is_late_allowed: bool,
    /// Whether the queue is paused, so that all consumers are blocked.
    is_queue_paused: bool,
    count: u32,
    serial: u32,
    /// Consumers that are paused or without credit, in the order in which that began.
    blocked: Vec<ConsumerId>,
    suspended: Suspended,
    /// The consumer that is served, if only one is.
    active: Option<ConsumerId>,
    /// How many consumers have a policy for being slow.
    slow_policies: u32,
    /// How long a delivery may stay unsettled where the consumer does not say. In a box, since only
    /// quorum queues have it.
    timeout: Option<Box<Timeout>>,
    /// A delivery may be due at this time, and none before.
    next_overdue: u64,
}

impl Consumers {
    pub(crate) fn new(single_active: SingleActive) -> Consumers {
        Consumers {
            single_active,
            next_overdue: NEVER,
            ..Consumers::default()
        }
    }

    /// Has consumers leave the turn order with the delivery that uses up their credit.
    pub(super) fn leave_at_once(&mut self) {
        self.leaves_at_once = true;
    }

    pub(crate) fn len(&self) -> usize {
        self.count as usize
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many consumers there ever were.
    pub(super) fn added(&self) -> u64 {
        self.serial.into()
    }

    pub(crate) fn get_mut(&mut self, id: ConsumerId) -> Option<&mut ConsumerState> {
        match self.slots.get_mut(id.slot as usize) {
            Some(Some((serial, subscriber))) if *serial == id.serial => Some(subscriber),
            _ => None,
        }
    }

    pub(crate) fn inbox(&mut self, id: ConsumerId) -> Option<&mut Inbox> {
        match &mut self.get_mut(id)?.target {
            DeliveryTarget::Inbox(inbox) => Some(inbox),
            DeliveryTarget::Push(_) => None,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &ConsumerState> {
        self.slots
            .iter()
            .flatten()
            .map(|(_, subscriber)| subscriber)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut ConsumerState> {
        let slots = self.slots.iter_mut().flatten();
        slots.map(|(_, subscriber)| subscriber)
    }

    /// The ids of all consumers, in the order of their subscriptions.
    pub(super) fn ids(&self) -> Vec<ConsumerId> {
        let slots = self.slots.iter().zip(0..);
        let id = |(slot, index): (&Option<(u32, _)>, u32)| {
            slot.as_ref().map(|(serial, _)| ConsumerId {
                slot: index,
                serial: *serial,
            })
        };
        let mut ids: Vec<_> = slots.filter_map(id).collect();
        ids.sort_unstable();
        ids
    }

    /// Delivers nothing to a typed consumer until its next receive, unless a receiver waits.
    pub(super) fn pause_until_receive(&mut self, id: ConsumerId) {
        let waits = |inbox: &mut Inbox| !inbox.waiting.is_empty();
        if !self.inbox(id).is_some_and(waits) {
            self.pause(id, Pause::UntilReceive);
        }
    }

    /// Delivers nothing to a typed consumer. A pause is never shortened by this.
    ///
    /// A user who pauses the single active consumer makes the next one active.
    pub(super) fn pause(&mut self, id: ConsumerId, pause: Pause) {
        let Some(inbox) = self.inbox(id) else {
            return;
        };
        inbox.pause = inbox.pause.max(pause);
        self.blocked.retain(|blocked| *blocked != id);
        self.block(id);
        if pause == Pause::UntilResume && self.active == Some(id) {
            self.activate_next();
        }
    }

    /// Whether a consumer is here that its user has not paused, in a queue that is not paused. It
    /// may be late: its deliveries are with their handlers, and then it is served again.
    pub(super) fn is_attended(&self) -> bool {
        if self.is_queue_paused {
            return false;
        }
        let mut consumers = self.iter();
        consumers.any(|consumer| consumer.pause() != Pause::UntilResume)
    }

    pub(crate) fn has_exclusive(&self) -> bool {
        self.iter().any(|subscriber| subscriber.exclusive)
    }

    /// Adds a consumer. `target` gets its id before its first message.
    pub(crate) fn add(
        &mut self,
        request: SubscribeRequest,
        target: impl FnOnce(ConsumerId) -> DeliveryTarget,
    ) -> ConsumerId {
        self.serial = self.serial.wrapping_add(1);
        let slot = match self.slots.iter().position(Option::is_none) {
            Some(free) => free,
            None => {
                // Most queues have one consumer, and there may be very many queues.
                self.slots.reserve_exact(usize::from(self.slots.is_empty()));
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        let id = ConsumerId {
            slot: slot as u32,
            serial: self.serial,
        };
        self.count_slow_policy(request.on_slow, true);
        let mut subscriber = ConsumerState::new(request, target(id));
        subscriber.set_timeout(self.timeout.as_deref().copied().unwrap_or_default());
        match subscriber.pause() {
            Pause::None if self.is_queue_paused => {
                self.blocked.push(id);
                self.active.get_or_insert(id);
            }
            Pause::None => {
                self.turns.join(id, subscriber.priority);
                self.active.get_or_insert(id);
            }
            _ => self.blocked.push(id),
        }
        self.slots[slot] = Some((id.serial, subscriber));
        self.count += 1;
        id
    }

    pub(crate) fn remove(&mut self, id: ConsumerId) -> Option<ConsumerState> {
        self.get_mut(id)?;
        let (_, subscriber) = self.slots.get_mut(id.slot as usize)?.take()?;
        self.count -= 1;
        self.count_slow_policy(subscriber.on_slow, false);
        self.blocked.retain(|blocked| *blocked != id);
        self.turns.remove(id);
        self.turns.forget_empty();
        if self.active == Some(id) {
            self.activate_next();
        }
        if !self.iter().any(|other| other.group == subscriber.group) {
            self.suspended.remove(subscriber.group);
        }
        Some(subscriber)
    }

    /// Removes all consumers and returns them in no particular order.
    pub(crate) fn drain(&mut self) -> Vec<ConsumerState> {
        let all = std::mem::replace(self, Consumers::new(self.single_active));
        self.serial = all.serial;
        all.slots
            .into_iter()
            .flatten()
            .map(|(_, subscriber)| subscriber)
            .collect()
    }

    /// The first consumer in the turn order that can take a message. Those before it that cannot
    /// are moved to `blocked`.
    pub(crate) fn next_consumer(&mut self) -> Option<NextConsumer> {
        if self.single_active != SingleActive::No {
            let id = self.active_consumer()?;
            if self.can_take(id) {
                return Some(NextConsumer { id, alone: true });
            }
            self.block(id);
            return None;
        }
        while let Some(id) = self.turns.first() {
            if self.can_take(id) {
                let alone = self.turns.is_first_alone();
                return Some(NextConsumer { id, alone });
            }
            self.turns.leave();
            self.blocked.push(id);
        }
        None
    }

    /// Reserves a slot in the inbox of the next consumer. `None` if finding the consumer takes a
    /// search, or if it has no capacity or credit.
    #[inline(always)]
    pub(super) fn reserve(&mut self) -> Option<Slot<'_>> {
        if self.single_active != SingleActive::No {
            return None;
        }
        // The delivery that uses up the credit may end the turn.
        let last = u32::from(self.leaves_at_once);
        let id = self.turns.first()?;
        let (_, subscriber) = self.slots.get_mut(id.slot as usize)?.as_mut()?;
        subscriber.reserve(&mut self.turns, last)
    }

    /// Delivers a message of `size` bytes to the next consumer. `false` if no consumer can take it;
    /// the message then stays in `message`.
    #[inline]
    pub(crate) fn deliver(
        &mut self,
        message: &mut Option<Envelope>,
        size: u64,
        now: u64,
        effects: &mut Effects,
    ) -> bool {
        if self.single_active != SingleActive::No {
            return self.deliver_to_active(message, size, now, effects);
        }
        while let Some(id) = self.turns.first() {
            if self.try_deliver(id, message, size, now, effects) {
                self.end_turn(id);
                return true;
            }
            self.turns.leave();
            self.blocked.push(id);
        }
        false
    }

    /// Ends the turn of the first consumer, which has got a message.
    #[inline]
    fn end_turn(&mut self, id: ConsumerId) {
        if self.leaves_at_once && !self.can_take(id) {
            self.turns.leave();
            self.blocked.push(id);
        } else {
            self.turns.rotate();
        }
    }

    /// Delivers to the active consumer only. If that one is blocked, no other is served.
    fn deliver_to_active(
        &mut self,
        message: &mut Option<Envelope>,
        size: u64,
        now: u64,
        effects: &mut Effects,
    ) -> bool {
        let Some(NextConsumer { id, .. }) = self.next_consumer() else {
            return false;
        };
        let offered = self.try_deliver(id, message, size, now, effects);
        if !offered {
            self.block(id);
        }
        offered
    }

    /// Delivers as many messages at once as the consumer's credit allows. `fill` puts at most the
    /// given number into the inbox and returns their totals. `false` if it took none, because this
    /// consumer takes messages one by one.
    pub(crate) fn deliver_batch(
        &mut self,
        consumer: &NextConsumer,
        effects: &mut Effects,
        fill: impl FnOnce(&mut Vec<Envelope>, usize) -> MessageTotals,
    ) -> bool {
        match self.get_mut(consumer.id) {
            Some(subscriber) => subscriber.deliver_batch(effects, fill),
            None => false,
        }
    }

    /// Delivers as many messages as the consumer's credit allows. `false` if it took none, because
    /// its channel is at its limit or it takes messages in another way.
    pub(crate) fn deliver_run(
        &mut self,
        consumer: &NextConsumer,
        effects: &mut Effects,
        fill: &mut dyn FnMut(&mut Vec<Envelope>, usize) -> MessageTotals,
    ) -> bool {
        match self.get_mut(consumer.id) {
            Some(subscriber) => subscriber.deliver_run(effects, fill),
            None => false,
        }
    }

    fn block(&mut self, id: ConsumerId) {
        self.turns.remove(id);
        self.blocked.push(id);
    }

    /// Whether the consumer has credit and its group is not suspended.
    #[inline]
    fn can_take(&mut self, id: ConsumerId) -> bool {
        let may_be_late = self.may_be_late();
        match self.slots.get_mut(id.slot as usize) {
            Some(Some((_, subscriber))) => {
                !self.suspended.contains(subscriber.group) && subscriber.has_credit(may_be_late)
            }
            _ => false,
        }
    }

    /// Delivers the message to a consumer. `false` if the consumer has no credit, its group is
    /// suspended, or its sink refuses.
    #[inline]
    fn try_deliver(
        &mut self,
        id: ConsumerId,
        message: &mut Option<Envelope>,
        size: u64,
        now: u64,
        effects: &mut Effects,
    ) -> bool {
        let may_be_late = self.may_be_late();
        let Consumers {
            slots,
            suspended,
            next_overdue,
            ..
        } = self;
        let Some(Some((_, subscriber))) = slots.get_mut(id.slot as usize) else {
            return false;
        };
        if suspended.contains(subscriber.group) || !subscriber.has_credit(may_be_late) {
            return false;
        }
        let taken = subscriber.deliver(message, size, now, effects);
        *next_overdue = subscriber.overdue.next().min(*next_overdue);
        if !taken && message.is_some() {
            suspended.add(subscriber.group);
        }
        taken
    }

    /// Checks the credit of blocked consumers again, of one group or of all. `true` if one joined
    /// the turn order again.
    pub(crate) fn reconsider(&mut self, group: Option<Group>) -> bool {
        if self.is_queue_paused {
            return false;
        }
        let mut has_returned = false;
        let may_be_late = self.may_be_late();
        let Consumers {
            turns,
            slots,
            blocked,
            suspended,
            ..
        } = self;
        blocked.retain(|id| {
            let Some(Some((_, subscriber))) = slots.get_mut(id.slot as usize) else {
                return false;
            };
            let asked = match group {
                Some(group) => group == subscriber.group,
                None => !suspended.contains(subscriber.group),
            };
            let is_served = asked && subscriber.pause() == Pause::None;
            let returns = is_served && subscriber.has_credit(may_be_late);
            if returns {
                turns.join(*id, subscriber.priority);
                has_returned = true;
            }
            !returns
        });
        if self.active.is_none() {
            self.activate_next();
        }
        has_returned
    }

    /// Resumes a group that is below its limit again or has no limit any more.
    pub(crate) fn resume(&mut self, group: Group) -> bool {
        self.suspended.remove(group);
        self.reconsider(Some(group))
    }

    /// Whether the group is at its common limit, as far as is known.
    pub(crate) fn is_suspended(&self, group: Group) -> bool {
        self.suspended.contains(group)
    }

    pub(crate) fn group_of(&self, id: ConsumerId) -> Option<Group> {
        match self.slots.get(id.slot as usize) {
            Some(Some((serial, subscriber))) if *serial == id.serial => Some(subscriber.group),
            _ => None,
        }
    }

    /// Sets how many unsettled messages the consumer may hold. A lower limit takes no delivery
    /// back.
    pub(crate) fn set_prefetch(&mut self, id: ConsumerId, prefetch: u32) {
        let Some(subscriber) = self.get_mut(id) else {
            return;
        };
        subscriber.set_prefetch(prefetch);
        self.reconsider(None);
    }
}

impl fmt::Debug for Consumers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|subscriber| &subscriber.tag))
            .finish()
    }
}
