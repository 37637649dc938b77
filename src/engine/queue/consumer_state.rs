//! One consumer as its queue sees it: where its messages go, its credit, what it was handed.
//!
//! Plain data behind the queue's lock; knows nothing of other consumers, ready messages, channels or typed handles.

use std::{collections::VecDeque, sync::Arc};

use super::{
    consumer_id::ConsumerId,
    credit::Credit,
    effects::Effects,
    permit::{Commit, Slot},
};
use crate::model::message_totals::MessageTotals;
use crate::{
    message::envelope::Envelope,
    model::{error::CancelReason, name::Name},
    runtime::waiter::{WaitList, Wake},
};

/// Consumers that share a limit on the whole (a channel), or a single one.
pub(crate) type Group = u64;

/// Takes messages the moment the queue hands them over: an AMQP channel.
///
/// Both methods are called under the queue's lock: they may take a leaf lock, and run no user code.
pub(crate) trait ConsumerSink: Send + Sync {
    /// Takes the message out, or leaves it if the channel is at its limit: `false`. Then the queue keeps all consumers of this
    /// group aside until [`QueueState::resume`](super::QueueState::resume).
    fn try_deliver(&self, message: &mut Option<Envelope>, effects: &mut Effects) -> bool;

    /// The queue ends the consumer.
    fn cancelled(&self, reason: CancelReason, effects: &mut Effects);
}

/// Where a consumer's messages go.
pub(crate) enum DeliveryTarget {
    /// Collected here until the consumer takes them all as one run.
    Inbox(Inbox),
    Push(Arc<dyn ConsumerSink>),
}

#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// In the order in which they came. Only filled here, never taken from: that is what the simplest of all lists is for.
    pub(crate) run: Vec<Envelope>,
    /// Receivers that found the inbox empty.
    pub(crate) waiting: WaitList,
    /// A receiver has come for more and found nothing since the last run was taken.
    pub(crate) wants_more: bool,
}

/// What a consumer asks for when it subscribes.
pub(crate) struct SubscribeRequest {
    pub(crate) tag: Name,
    pub(crate) group: Group,
    /// Consumers of a higher priority are served first.
    pub(crate) priority: i64,
    /// How many unsettled messages it may hold; 0 is no limit.
    pub(crate) prefetch: u32,
    /// What it is handed counts as acknowledged.
    pub(crate) auto_ack: bool,
    pub(crate) exclusive: bool,
    pub(crate) credit: Arc<Credit>,
}

pub(crate) struct ConsumerState {
    pub(crate) tag: Name,
    pub(super) group: Group,
    pub(super) priority: i64,
    /// 0 is no limit.
    prefetch: u32,
    auto_ack: bool,
    pub(crate) exclusive: bool,
    pub(crate) target: DeliveryTarget,
    pub(crate) credit: Arc<Credit>,
    pub(super) delivered: Delivered,
}

/// What a consumer was handed so far.
pub(super) struct Delivered {
    pub(super) totals: MessageTotals,
    /// Credit left by the queue's own count; what was settled since is added when this is used up.
    available: u32,
}

impl Delivered {
    #[inline]
    fn add(&mut self, delivered: MessageTotals) {
        self.totals += delivered;
        // Without a limit there is nothing to count down.
        self.available = self.available.saturating_sub(delivered.messages as u32);
    }
}

/// Counts what was put into an inbox.
pub(super) struct InboxCommit<'a> {
    waiting: &'a mut WaitList,
    credit: &'a Credit,
    delivered: &'a mut Delivered,
    /// The turns of the consumers, if there are several.
    turn: Option<&'a mut VecDeque<ConsumerId>>,
}

impl InboxCommit<'_> {
    /// Counts messages that were put into the inbox. Returns one receiver to be woken.
    #[inline(always)]
    #[must_use = "a receiver that was claimed must be woken"]
    pub(super) fn commit(self, was_empty: bool, added: MessageTotals) -> Option<Wake> {
        self.delivered.add(added);
        if was_empty {
            self.credit.set_filled(true);
        }
        if let Some(turn) = self.turn {
            turn.rotate_left(1);
        }
        match self.waiting.is_empty() {
            true => None,
            false => self.waiting.take_one(),
        }
    }
}

impl ConsumerState {
    pub(super) fn new(ask: SubscribeRequest, sink: DeliveryTarget) -> ConsumerState {
        ConsumerState {
            tag: ask.tag,
            group: ask.group,
            priority: ask.priority,
            prefetch: ask.prefetch,
            auto_ack: ask.auto_ack,
            exclusive: ask.exclusive,
            target: sink,
            credit: ask.credit,
            delivered: Delivered {
                totals: MessageTotals::default(),
                available: ask.prefetch,
            },
        }
    }

    /// Whether the consumer may take one more message.
    #[inline]
    pub(super) fn has_credit(&mut self) -> bool {
        self.prefetch == 0 || self.delivered.available > 0 || self.refresh()
    }

    /// Counts what was settled since the last time; if that gives no credit, asks to be told.
    fn refresh(&mut self) -> bool {
        let (handed, prefetch) = (self.delivered.totals.messages, u64::from(self.prefetch));
        let settled = self
            .credit
            .arm_notify((handed + self.notify_interval()).saturating_sub(prefetch));
        self.delivered.available = prefetch.saturating_sub(handed.saturating_sub(settled)) as u32;
        if self.delivered.available > 0 {
            self.credit.disarm_notify();
        }
        self.delivered.available > 0
    }

    /// A lower limit takes nothing back.
    pub(super) fn set_prefetch(&mut self, prefetch: u32) {
        self.prefetch = prefetch;
        self.delivered.available = 0;
    }

    /// Takes the message; `false`, and it stays, if the sink is at its limit. There must be credit.
    #[inline]
    pub(super) fn deliver(
        &mut self,
        message: &mut Option<Envelope>,
        size: u64,
        effects: &mut Effects,
    ) -> bool {
        let totals = MessageTotals::new(1, size);
        if let DeliveryTarget::Push(sink) = &self.target {
            if !sink.try_deliver(message, effects) {
                return false;
            }
            self.delivered.add(totals);
        } else if let Some((run, commit)) = self.inbox(None) {
            let Some(envelope) = message.take() else {
                return false;
            };
            let was_empty = run.is_empty();
            run.push(envelope);
            effects.wake(commit.commit(was_empty, totals));
        }
        if self.auto_ack {
            // Credit that is not limited is not waited for.
            let _ = self.credit.settle(1, size);
        }
        true
    }

    /// Takes as many messages as the credit allows: `fill` puts up to so many into the inbox, and
    /// returns their totals. `false` if it took none, since it takes them one by one.
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
        effects.wake(commit.commit(was_empty, taken));
        if let DeliveryTarget::Inbox(inbox) = &mut self.target {
            for _ in 1..taken.messages {
                match inbox.waiting.take_one() {
                    None => break,
                    wake => effects.wake(wake),
                }
            }
        }
        true
    }

    /// A slot in the inbox, if it has capacity, and credit that was counted before.
    #[inline(always)]
    pub(super) fn reserve<'a>(
        &'a mut self,
        turn: Option<&'a mut VecDeque<ConsumerId>>,
    ) -> Option<Slot<'a>> {
        let has_credit = self.prefetch == 0 || self.delivered.available > 0;
        if !has_credit || self.auto_ack {
            return None;
        }
        let (list, commit) = self.inbox(turn)?;
        (list.len() < list.capacity()).then_some(Slot {
            list,
            commit: Commit::Inbox(commit),
        })
    }

    /// The list of messages in the inbox, and the way to count what is added to it.
    #[inline(always)]
    fn inbox<'a>(
        &'a mut self,
        turn: Option<&'a mut VecDeque<ConsumerId>>,
    ) -> Option<(&'a mut Vec<Envelope>, InboxCommit<'a>)> {
        let DeliveryTarget::Inbox(Inbox { run, waiting, .. }) = &mut self.target else {
            return None;
        };
        let commit = InboxCommit {
            waiting,
            credit: &self.credit,
            delivered: &mut self.delivered,
            turn,
        };
        Some((run, commit))
    }

    /// Gives the receiver all that is in the inbox; `false`, and it is hungry from now on, if that is nothing.
    pub(super) fn drain_inbox(&mut self, run: &mut VecDeque<Envelope>) -> bool {
        let DeliveryTarget::Inbox(inbox) = &mut self.target else {
            return false;
        };
        inbox.wants_more = inbox.run.is_empty();
        if !inbox.wants_more {
            let room = std::mem::take(run).into();
            *run = std::mem::replace(&mut inbox.run, room).into();
            self.credit.set_filled(false);
        }
        !inbox.wants_more
    }

    /// How many settlements are worth one look at the queue. A channel is told of each, as AMQP has it, and so is a
    /// receiver that waits. One that still has a run to work through comes by itself when that is done, and then takes what is ready
    /// as one run; whoever asks the queue for anything else has it look first.
    fn notify_interval(&self) -> u64 {
        match &self.target {
            DeliveryTarget::Inbox(inbox) if !inbox.wants_more && inbox.waiting.is_empty() => {
                u64::from(self.prefetch)
            }
            _ => 1,
        }
    }
}
