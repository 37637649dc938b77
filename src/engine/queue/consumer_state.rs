//! One consumer of a queue: the target of its deliveries, its credit and the counts of its
//! deliveries.
//!
//! Plain data behind the queue's lock. Knows nothing of other consumers, ready messages, channels
//! or typed handles.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    consumer_sink::ConsumerSink,
    consumers::Turns,
    credit::Credit,
    effects::Effects,
    inbox::{Inbox, Pause, totals_of},
    overdue::Overdue,
    permit::{Commit, Slot, has_made_room},
};
use crate::{
    message::envelope::{Envelope, NEVER},
    model::{
        arguments, message_totals::MessageTotals, name::Name, slow_consumer::SlowConsumerPolicy,
    },
    runtime::waiter::{WaitList, Wake},
};

/// The id of a channel, whose consumers share a limit, or of a single consumer.
pub(crate) type Group = u64;

/// The target of a consumer's deliveries.
#[allow(
    clippy::large_enum_variant,
    reason = "most consumers have an inbox, and a box would cost each message another look"
)]
pub(crate) enum DeliveryTarget {
    /// Messages are collected here until the consumer takes them all as one run.
    Inbox(Inbox),
    Push(Arc<dyn ConsumerSink>),
}

impl DeliveryTarget {
    /// `None` for an inbox.
    pub(super) fn sink(&self) -> Option<&Arc<dyn ConsumerSink>> {
        match self {
            DeliveryTarget::Inbox(_) => None,
            DeliveryTarget::Push(sink) => Some(sink),
        }
    }
}

/// How many messages a sink takes at once. Nothing else happens on its channel meanwhile.
const RUN: u32 = 256;

/// The parameters of a new consumer.
pub(crate) struct SubscribeRequest {
    pub(crate) tag: Name,
    pub(crate) by: Arc<SubscribedBy>,
    pub(crate) group: Group,
    /// Consumers of a higher priority are served first.
    pub(crate) priority: i64,
    /// How many unsettled messages it may hold. 0 means no limit.
    pub(crate) prefetch: u32,
    /// Whether its deliveries count as acknowledged.
    pub(crate) auto_ack: bool,
    pub(crate) exclusive: bool,
    /// Whether a consumer with an inbox begins paused.
    pub(crate) paused: bool,
    /// How long a delivery may stay unsettled. `None` leaves it to the queue.
    pub(crate) timeout: Option<Duration>,
    /// What it reads of a stream.
    pub(crate) reading: arguments::StreamReading,
    pub(crate) credit: Arc<Credit>,
    pub(crate) on_slow: SlowConsumerPolicy,
}

/// Who has started a consumer.
#[derive(Debug, Default)]
pub(crate) struct SubscribedBy {
    pub(crate) user: Name,
    /// The number of the connection in the broker.
    pub(crate) connection: u64,
    /// The number of the channel in its connection; `None` for a typed consumer.
    pub(crate) channel: Option<u16>,
}

/// A consumer. Each delivery uses the first fields, which are the first in memory too.
#[repr(C)]
pub(crate) struct ConsumerState {
    pub(super) delivered: Delivered,
    /// 0 means no limit.
    pub(super) prefetch: u32,
    pub(super) auto_ack: bool,
    pub(crate) exclusive: bool,
    pub(super) on_slow: SlowConsumerPolicy,
    pub(crate) credit: Arc<Credit>,
    pub(crate) target: DeliveryTarget,
    pub(super) group: Group,
    pub(super) overdue: Overdue,
    pub(super) priority: i64,
    pub(crate) tag: Name,
    pub(crate) by: Arc<SubscribedBy>,
}

/// The counts of a consumer's deliveries so far.
pub(super) struct Delivered {
    pub(super) totals: MessageTotals,
    /// Credit left by the queue's own count. When it is used up, the settlements since then are
    /// added.
    pub(super) available: u32,
}

impl Delivered {
    #[inline]
    fn add(&mut self, delivered: MessageTotals) {
        self.totals += delivered;
        // Without a limit the value is not used.
        self.available = self.available.saturating_sub(delivered.messages as u32);
    }
}

/// Counts the messages that were put into an inbox.
pub(super) struct InboxCommit<'a> {
    waiting: &'a mut WaitList,
    credit: &'a Credit,
    delivered: &'a mut Delivered,
    /// The turn order, in which the turn of the consumer ends.
    turns: Option<&'a mut Turns>,
}

impl InboxCommit<'_> {
    /// Whether the consumer takes turns with others. It gets one message in a turn.
    pub(super) fn is_in_turn(&self) -> bool {
        !self.turns.as_ref().is_none_or(|it| it.is_first_alone())
    }

    /// As [`commit`](Self::commit), for one message or more. Each wakes a receiver.
    pub(super) fn commit_run(self, was_empty: bool, added: MessageTotals, effects: &mut Effects) {
        let InboxCommit { waiting, .. } = self;
        for _ in 1..added.messages {
            match waiting.take_one() {
                None => break,
                wake => effects.wake(wake),
            }
        }
        let commit = InboxCommit { waiting, ..self };
        effects.wake(commit.commit(was_empty, added));
    }

    /// Counts messages that were put into the inbox. Returns one receiver to be woken.
    #[inline(always)]
    #[must_use = "a receiver that was claimed must be woken"]
    pub(super) fn commit(self, was_empty: bool, added: MessageTotals) -> Option<Wake> {
        self.delivered.add(added);
        if was_empty {
            self.credit.set_filled(true);
        }
        if let Some(turns) = self.turns {
            turns.rotate();
        }
        match self.waiting.is_empty() {
            true => None,
            false => self.waiting.take_one(),
        }
    }
}

impl ConsumerState {
    pub(super) fn new(request: SubscribeRequest, mut target: DeliveryTarget) -> ConsumerState {
        if let (true, DeliveryTarget::Inbox(inbox)) = (request.paused, &mut target) {
            inbox.pause = Pause::UntilResume;
        }
        ConsumerState {
            tag: request.tag,
            by: request.by,
            group: request.group,
            priority: request.priority,
            prefetch: request.prefetch,
            auto_ack: request.auto_ack,
            exclusive: request.exclusive,
            target,
            credit: request.credit,
            delivered: Delivered {
                totals: MessageTotals::default(),
                available: request.prefetch,
            },
            overdue: Overdue::new(request.timeout),
            on_slow: request.on_slow,
        }
    }

    /// A lower limit takes no delivery back.
    pub(super) fn set_prefetch(&mut self, prefetch: u32) {
        self.prefetch = prefetch;
        self.delivered.available = 0;
    }

    /// Counts a message of `size` bytes as delivered to the sink, for
    /// [`deliver_assigned`](Self::deliver_assigned). Returns when it must be settled. `None` if
    /// there is no sink.
    pub(super) fn assign(&mut self, size: u64, now: u64) -> Option<u64> {
        let DeliveryTarget::Push(_) = &self.target else {
            return None;
        };
        let due = self.overdue.due(now);
        self.delivered.add(MessageTotals::new(1, size));
        self.overdue.expect(due);
        Some(due)
    }

    /// Delivers a message that was assigned. Gives it back if the sink is at its limit.
    pub(super) fn deliver_assigned(
        &mut self,
        envelope: Envelope,
        due: u64,
        effects: &mut Effects,
    ) -> Option<Envelope> {
        let size = envelope.size();
        let mut message = Some(envelope);
        if let DeliveryTarget::Push(sink) = &self.target
            && sink.try_deliver(&mut message, due, effects)
        {
            if self.auto_ack {
                let _ = self.credit.settle(1, size);
            }
            return None;
        }
        self.undeliver(MessageTotals::new(1, size));
        message
    }

    /// Delivers the message. `false` if the sink is at its limit; the message then stays in
    /// `message`. The consumer must have credit.
    #[inline]
    pub(super) fn deliver(
        &mut self,
        message: &mut Option<Envelope>,
        size: u64,
        now: u64,
        effects: &mut Effects,
    ) -> bool {
        let totals = MessageTotals::new(1, size);
        if let DeliveryTarget::Push(sink) = &self.target {
            let due = self.overdue.due(now);
            if !sink.try_deliver(message, due, effects) {
                return false;
            }
            self.delivered.add(totals);
            self.overdue.expect(due);
        } else if let Some((run, commit)) = self.inbox(None) {
            let Some(envelope) = message.take() else {
                return false;
            };
            let (position, deadline) = (envelope.position(), envelope.deadline());
            let was_empty = run.is_empty();
            if run.capacity() == 0 {
                has_made_room(run);
            }
            run.push(envelope);
            let wake = commit.commit(was_empty, totals);
            let is_over = deadline <= now;
            if deadline != NEVER
                && (wake.is_some() || is_over)
                && let DeliveryTarget::Inbox(inbox) = &mut self.target
            {
                inbox.keep(position, !is_over);
            }
            effects.wake(wake);
        }
        if self.auto_ack {
            // The queue looks at the credit after this delivery, so no notification is needed.
            let _ = self.credit.settle(1, size);
        }
        true
    }

    /// Delivers as many messages as the credit allows. `fill` puts at most the given number into
    /// the inbox and returns their totals. `false` if it took none, because this consumer takes
    /// messages one by one.
    pub(super) fn deliver_batch(
        &mut self,
        effects: &mut Effects,
        fill: impl FnOnce(&mut Vec<Envelope>, usize) -> MessageTotals,
    ) -> bool {
        if self.auto_ack {
            return false;
        }
        let most = match self.prefetch {
            0 => usize::MAX,
            _ => self.delivered.available as usize,
        };
        let Some((run, commit)) = self.inbox(None) else {
            return false;
        };
        let was_empty = run.is_empty();
        let taken = fill(run, most);
        if taken.messages == 0 {
            return false;
        }
        commit.commit_run(was_empty, taken, effects);
        true
    }

    /// Delivers as many messages as the credit allows, to a sink that takes some at once. `fill` is
    /// that of the sink. `false` if it took none.
    pub(super) fn deliver_run(
        &mut self,
        effects: &mut Effects,
        fill: &mut dyn FnMut(&mut Vec<Envelope>, usize) -> MessageTotals,
    ) -> bool {
        let DeliveryTarget::Push(sink) = &self.target else {
            return false;
        };
        if self.auto_ack || self.overdue.due(0) != NEVER {
            return false;
        }
        let most = match self.prefetch {
            0 => RUN,
            _ => self.delivered.available.min(RUN),
        };
        let taken = sink.deliver_run(most as usize, fill, effects);
        self.delivered.add(taken);
        taken.messages > 0
    }

    /// Reserves a slot in the inbox, if it has capacity and more than `last` of the credit counted
    /// before is left.
    #[inline(always)]
    pub(super) fn reserve<'a>(&'a mut self, turns: &'a mut Turns, last: u32) -> Option<Slot<'a>> {
        let credit = match self.prefetch {
            0 => usize::MAX,
            _ => self.delivered.available.saturating_sub(last) as usize,
        };
        if credit == 0 || self.auto_ack {
            return None;
        }
        let (list, commit) = self.inbox(Some(turns))?;
        let room = match list.capacity() - list.len() {
            0 if has_made_room(list) => 1,
            0 => return None,
            free => free.min(credit),
        };
        Some(Slot {
            list,
            room,
            commit: Commit::Inbox(commit),
        })
    }

    /// The list of messages in the inbox, and the counter for messages added to it.
    #[inline(always)]
    fn inbox<'a>(
        &'a mut self,
        turns: Option<&'a mut Turns>,
    ) -> Option<(&'a mut Vec<Envelope>, InboxCommit<'a>)> {
        let DeliveryTarget::Inbox(Inbox { run, waiting, .. }) = &mut self.target else {
            return None;
        };
        let commit = InboxCommit {
            waiting,
            credit: &self.credit,
            delivered: &mut self.delivered,
            turns,
        };
        Some((run, commit))
    }

    /// Moves the messages of the inbox into `run`: all of them, or the first one. If there are
    /// none, returns `false` and sets `wants_more`.
    pub(super) fn take_inbox(&mut self, run: &mut VecDeque<Envelope>, one_by_one: bool) -> bool {
        let DeliveryTarget::Inbox(inbox) = &mut self.target else {
            return false;
        };
        inbox.wants_more = inbox.is_empty();
        match one_by_one {
            _ if inbox.wants_more => return false,
            true => inbox.take_first(run),
            false => inbox.take_run(run),
        }
        self.credit.set_filled(!inbox.is_empty());
        true
    }

    /// Takes back all messages of the inbox, and those of `run`, which the consumer took from there
    /// before. They count as not delivered.
    pub(super) fn take_back(&mut self, run: impl Iterator<Item = Envelope>) -> Vec<Envelope> {
        let mut unseen: Vec<_> = run.collect();
        if let DeliveryTarget::Inbox(inbox) = &mut self.target {
            unseen.extend(inbox.drain());
        }
        self.undeliver(totals_of(&unseen));
        unseen
    }

    /// Takes messages out of the inbox. `remove` adds them to `removed`. They count as not
    /// delivered.
    pub(super) fn remove_from_inbox(
        &mut self,
        removed: &mut Vec<Envelope>,
        remove: impl FnOnce(&mut Inbox, &mut Vec<Envelope>),
    ) {
        let before = removed.len();
        if let DeliveryTarget::Inbox(inbox) = &mut self.target {
            remove(inbox, removed);
            if removed.len() > before {
                self.undeliver(totals_of(&removed[before..]));
            }
        }
    }

    /// Counts messages as not delivered.
    fn undeliver(&mut self, messages: MessageTotals) {
        self.delivered.totals -= messages;
        // The credit is computed at the next delivery.
        self.delivered.available = 0;
        if let DeliveryTarget::Inbox(inbox) = &self.target {
            self.credit.set_filled(!inbox.is_empty());
        }
    }

    /// How long it gets nothing.
    pub(super) fn pause(&self) -> Pause {
        match &self.target {
            _ if self.overdue.taken_back() > 0 => Pause::UntilSettled,
            DeliveryTarget::Inbox(inbox) => inbox.pause,
            DeliveryTarget::Push(_) => Pause::None,
        }
    }

    /// The prefetch, if it holds as many unsettled messages.
    pub(super) fn reached_prefetch(&self) -> Option<u32> {
        let settled = self.credit.settled().messages;
        let unsettled = self.delivered.totals.messages.saturating_sub(settled);
        let reached = self.prefetch > 0 && unsettled >= u64::from(self.prefetch);
        reached.then_some(self.prefetch)
    }

    /// How many messages it may hold, for the order of the consumers that wait to be active.
    pub(super) fn capacity(&self) -> u32 {
        match self.prefetch {
            0 => u32::MAX,
            prefetch => prefetch,
        }
    }

    /// Whether every delivery is settled. If not, the last settlement notifies the queue.
    pub(super) fn is_settled(&self) -> bool {
        let delivered = self.delivered.totals.messages;
        self.credit.notify_no_later_than(delivered);
        self.credit.settled().messages >= delivered
    }

    /// The number of messages in the inbox.
    pub(super) fn inbox_len(&self) -> u64 {
        match &self.target {
            DeliveryTarget::Inbox(inbox) => inbox.len() as u64,
            DeliveryTarget::Push(_) => 0,
        }
    }
}
