//! The consumers of one queue: the turn order, the consumers out of credit, and the counts of
//! deliveries.
//!
//! The consumers of the highest priority take turns. A consumer that cannot take a message leaves
//! the turn order. It joins the end again when it can, as in RabbitMQ's `rabbit_queue_consumers`.
//! So does a consumer that is paused.
//!
//! Plain data behind the queue's lock. Knows nothing of ready messages, channels or typed handles.

#[cfg(test)]
mod tests;

use std::{cmp::Reverse, collections::VecDeque, fmt, time::Duration};

use super::{
    consumer_id::ConsumerId,
    consumer_state::{ConsumerState, DeliveryTarget, Group, SubscribeRequest},
    effects::Effects,
    inbox::{Inbox, Pause},
    permit::Slot,
};
use crate::message::envelope::{Envelope, NEVER};
use crate::model::message_totals::MessageTotals;

/// The first consumer in the turn order that can take a message.
pub(crate) struct NextConsumer {
    id: ConsumerId,
    /// No other consumer takes turns with this one, so it may take a whole batch at once.
    pub(crate) alone: bool,
}

#[derive(Default)]
pub(crate) struct Consumers {
    slots: Vec<Option<(u32, ConsumerState)>>,
    count: usize,
    serial: u32,
    /// Highest priority first. Each priority has the consumers that can take a message, as far as
    /// is known, in turn order.
    turns: Vec<(i64, VecDeque<ConsumerId>)>,
    /// Consumers that are paused or without credit, in the order in which that began.
    blocked: Vec<ConsumerId>,
    /// Groups at their common limit.
    suspended: Vec<Group>,
    /// Whether only one consumer is served. The others wait to take over.
    single_active: SingleActive,
    active: Option<ConsumerId>,
    /// How long a delivery may stay unsettled where the consumer does not say.
    timeout: Option<Duration>,
    /// A delivery may be due at this time, and none before.
    next_overdue: u64,
}

/// Whether a queue serves one consumer at a time, and when another one takes over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SingleActive {
    /// It serves all consumers.
    #[default]
    No,
    /// Another consumer takes over when the active one is removed.
    UntilGone,
    /// A consumer of a higher priority also takes over once the active one holds nothing.
    ByPriority,
}

impl Consumers {
    pub(crate) fn new(single_active: SingleActive) -> Consumers {
        Consumers {
            single_active,
            next_overdue: NEVER,
            ..Consumers::default()
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
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

    /// The ids of all consumers.
    pub(super) fn ids(&self) -> Vec<ConsumerId> {
        let slots = self.slots.iter().zip(0..);
        let id = |(slot, index): (&Option<(u32, _)>, u32)| {
            slot.as_ref().map(|(serial, _)| ConsumerId {
                slot: index,
                serial: *serial,
            })
        };
        slots.filter_map(id).collect()
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

    /// Whether a consumer is here that its user has not paused.
    pub(super) fn is_attended(&self) -> bool {
        let mut consumers = self.iter();
        consumers.any(|consumer| !consumer.pause().is_absence())
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
        let subscriber = ConsumerState::new(request, target(id));
        match subscriber.pause() {
            Pause::None => {
                self.join_turns(id, subscriber.priority);
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
        self.blocked.retain(|blocked| *blocked != id);
        for (_, turn) in &mut self.turns {
            turn.retain(|waiting| *waiting != id);
        }
        self.turns.retain(|(_, turn)| !turn.is_empty());
        if self.active == Some(id) {
            self.activate_next();
        }
        if !self.iter().any(|other| other.group == subscriber.group) {
            self.suspended.retain(|group| *group != subscriber.group);
        }
        Some(subscriber)
    }

    /// The consumer of the highest priority becomes active, and among equals the one that has
    /// waited longest, or in a quorum queue first the one of the largest prefetch. None does if all
    /// are paused.
    fn activate_next(&mut self) {
        self.active = match self.single_active {
            SingleActive::ByPriority => self.first_in_line().map(|(id, _)| id),
            _ => {
                let mut turns = self.turns.iter();
                turns.find_map(|(_, turn)| turn.front().copied())
            }
        };
    }

    /// The consumer that a quorum queue would make active, with its priority. Its user has not
    /// paused it.
    fn first_in_line(&self) -> Option<(ConsumerId, i64)> {
        let slots = (0..).zip(&self.slots);
        let all = slots.filter_map(|(slot, entry)| {
            let (serial, consumer) = entry.as_ref()?;
            let id = ConsumerId {
                slot,
                serial: *serial,
            };
            (!consumer.pause().is_absence()).then_some((id, consumer))
        });
        let first = all.max_by_key(|(id, consumer)| {
            (consumer.priority, consumer.capacity(), Reverse(id.serial))
        })?;
        Some((first.0, first.1.priority))
    }

    /// The active consumer, if it may be served. A consumer of a higher priority takes over once it
    /// holds nothing; until then none is served.
    fn active_consumer(&mut self) -> Option<ConsumerId> {
        let active = self.active?;
        if self.single_active == SingleActive::ByPriority {
            let (first, priority) = self.first_in_line()?;
            let holder = self.get_mut(active)?;
            if first != active && priority > holder.priority {
                if !holder.is_settled() {
                    return None;
                }
                self.active = Some(first);
            }
        }
        self.active.filter(|id| !self.blocked.contains(id))
    }

    /// The number of consumers as a declaration tells it. A quorum queue does not count those that
    /// wait to be active.
    pub(super) fn counted(&self) -> usize {
        match self.single_active {
            SingleActive::ByPriority => {
                let overdue = |consumer: &&ConsumerState| consumer.overdue.taken_back > 0;
                usize::from(self.active.is_some()) + self.iter().filter(overdue).count()
            }
            _ => self.count,
        }
    }

    /// When a delivery may be due next, and none before.
    #[inline]
    pub(super) fn next_overdue(&self) -> u64 {
        self.next_overdue
    }

    /// Sets how long a delivery may stay unsettled where the consumer does not say.
    pub(super) fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout;
    }

    /// Takes back the deliveries that the consumers have not settled in time. Those consumers get
    /// nothing until they have settled them.
    pub(super) fn take_overdue(
        &mut self,
        now: u64,
        effects: &mut Effects,
    ) -> Vec<(ConsumerId, Vec<Envelope>)> {
        let mut overdue = Vec::new();
        self.next_overdue = NEVER;
        for id in self.ids() {
            let Some(consumer) = self.get_mut(id) else {
                continue;
            };
            let taken = consumer.take_overdue(now, effects);
            let next = consumer.overdue.next;
            self.next_overdue = self.next_overdue.min(next);
            if taken.is_empty() {
                continue;
            }
            self.blocked.retain(|blocked| *blocked != id);
            self.block(id);
            if self.active == Some(id) {
                self.activate_next();
            }
            overdue.push((id, taken));
        }
        overdue
    }

    /// Records that a consumer has settled deliveries that were taken back. Whether it has settled
    /// all of them.
    pub(super) fn settled_late(&mut self, id: ConsumerId, deliveries: u64) -> bool {
        let Some(consumer) = self.get_mut(id) else {
            return false;
        };
        let left = consumer.overdue.taken_back.saturating_sub(deliveries);
        consumer.overdue.taken_back = left;
        left == 0
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

    fn join_turns(&mut self, id: ConsumerId, priority: i64) {
        let at = self.turns.partition_point(|(level, _)| *level > priority);
        match self.turns.get_mut(at) {
            Some((level, turn)) if *level == priority => turn.push_back(id),
            _ => self.turns.insert(at, (priority, VecDeque::from([id]))),
        }
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
        let mut level = 0;
        while let Some((_, turn)) = self.turns.get(level) {
            let Some(&id) = turn.front() else {
                level += 1;
                continue;
            };
            let alone = turn.len() == 1;
            if self.can_take(id) {
                return Some(NextConsumer { id, alone });
            }
            self.turns[level].1.pop_front();
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
        let (_, turn) = self.turns.first_mut()?;
        let id = *turn.front()?;
        let (_, subscriber) = self.slots.get_mut(id.slot as usize)?.as_mut()?;
        subscriber.reserve((turn.len() > 1).then_some(turn))
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
        let mut level = 0;
        while let Some((_, turn)) = self.turns.get(level) {
            let Some(&id) = turn.front() else {
                level += 1;
                continue;
            };
            let alone = turn.len() == 1;
            if self.try_deliver(id, message, size, now, effects) {
                if !alone {
                    self.turns[level].1.rotate_left(1);
                }
                return true;
            }
            self.turns[level].1.pop_front();
            self.blocked.push(id);
        }
        false
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

    fn block(&mut self, id: ConsumerId) {
        for (_, turn) in &mut self.turns {
            turn.retain(|waiting| *waiting != id);
        }
        self.blocked.push(id);
    }

    /// Whether the consumer has credit and its group is not suspended.
    #[inline]
    fn can_take(&mut self, id: ConsumerId) -> bool {
        match self.slots.get_mut(id.slot as usize) {
            Some(Some((_, subscriber))) => {
                !self.suspended.contains(&subscriber.group) && subscriber.has_credit()
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
        let Consumers {
            slots,
            suspended,
            timeout,
            next_overdue,
            ..
        } = self;
        let Some(Some((_, subscriber))) = slots.get_mut(id.slot as usize) else {
            return false;
        };
        if suspended.contains(&subscriber.group) || !subscriber.has_credit() {
            return false;
        }
        let taken = subscriber.deliver(message, size, *timeout, now, effects);
        *next_overdue = subscriber.overdue.next.min(*next_overdue);
        if !taken && message.is_some() {
            suspended.push(subscriber.group);
        }
        taken
    }

    /// Checks the credit of blocked consumers again, of one group or of all. `true` if one joined
    /// the turn order again.
    pub(crate) fn reconsider(&mut self, group: Option<Group>) -> bool {
        let mut back = Vec::new();
        let Consumers {
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
                None => !suspended.contains(&subscriber.group),
            };
            let returns = asked && subscriber.pause() == Pause::None && subscriber.has_credit();
            if returns {
                back.push((*id, subscriber.priority));
            }
            !returns
        });
        for (id, priority) in &back {
            self.join_turns(*id, *priority);
        }
        if self.active.is_none() {
            self.activate_next();
        }
        !back.is_empty()
    }

    /// Resumes a group that is below its limit again or has no limit any more.
    pub(crate) fn resume(&mut self, group: Group) -> bool {
        self.suspended.retain(|suspended| *suspended != group);
        self.reconsider(Some(group))
    }

    /// Whether the group is at its common limit, as far as is known.
    pub(crate) fn is_suspended(&self, group: Group) -> bool {
        self.suspended.contains(&group)
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
