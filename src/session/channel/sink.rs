//! The sinks of a channel, which queues deliver messages to.

use std::sync::{Arc, Weak};

use super::{ChannelCore, ChannelDelivery, ChannelState, Event, Window, ledger::Ledger};
use crate::{
    engine::{
        queue::{ConsumerSink, Effects, QueueCore},
        vhost::Requester,
    },
    message::envelope::{Envelope, NEVER},
    model::{error::CancelReason, message_totals::MessageTotals, name::Name},
    runtime::waiter::Wake,
    session::{
        events::{DeliveredFrom, ReplyOrigin},
        unacked::DeliveryOrigin,
    },
};

/// The sink of one consumer of a channel.
///
/// Both references are weak. The queue holds the sink, and the sink must keep neither the channel
/// nor the queue alive.
pub(super) struct ChannelSink {
    pub(super) core: Weak<ChannelCore>,
    pub(super) origin: Weak<DeliveryOrigin>,
}

impl ConsumerSink for ChannelSink {
    fn try_deliver(&self, message: &mut Option<Envelope>, due: u64, effects: &mut Effects) -> bool {
        let Some(core) = self.core.upgrade() else {
            return false;
        };
        let mut state = core.lock();
        // A closing channel accepts no message, since its consumers are about to be removed.
        if state.closed.is_some() {
            return false;
        }
        let Some(origin) = state.ledger.spare_handles.take(&self.origin) else {
            return false;
        };
        if core.room(&mut state.ledger, &origin.queue) == 0 {
            let unneeded = state.ledger.spare_handles.keep(origin);
            drop(state);
            drop(unneeded);
            return false;
        }
        let Some(envelope) = message.take() else {
            return false;
        };
        let mut refund = None;
        if origin.auto_ack {
            // The delivery is acknowledged now. The message was charged to the account before.
            origin.forget(&envelope);
            let size = envelope.size();
            let account = origin.account.as_ref();
            refund = account.map(|account| (Arc::clone(account), size));
        }
        if let Some(window) = &core.reading.window {
            window.add(1);
        }
        let ChannelState { ledger, outlet, .. } = &mut *state;
        let handle = || ledger.spare_handles.another(&origin);
        if outlet.send_deliveries(1, handle, |wake| effects.wake(Some(wake))) {
            origin.serve_at_once();
        }
        ledger.arrive(origin, envelope, due);
        drop(state);
        if let Some((account, bytes)) = refund {
            let wakes = account.refund(bytes);
            wakes.into_iter().for_each(|wake| effects.wake(Some(wake)));
        }
        true
    }

    fn deliver_run(
        &self,
        most: usize,
        fill: &mut dyn FnMut(&mut Vec<Envelope>, usize) -> MessageTotals,
        effects: &mut Effects,
    ) -> MessageTotals {
        let none = MessageTotals::default();
        let Some(core) = self.core.upgrade() else {
            return none;
        };
        let mut state = core.lock();
        let ChannelState {
            closed,
            ledger,
            outlet,
            ..
        } = &mut *state;
        if closed.is_some() {
            return none;
        }
        let Some(origin) = ledger.spare_handles.take(&self.origin) else {
            return none;
        };
        let room = core.room(ledger, &origin.queue).min(most);
        let mut taken = none;
        let count = ledger.arrive_together(&origin, |run| {
            taken = fill(run, room);
        });
        if count > 0 {
            if let Some(window) = &core.reading.window {
                window.add(count as u64);
            }
            let handle = || ledger.spare_handles.another(&origin);
            if outlet.send_deliveries(count, handle, |wake| effects.wake(Some(wake))) {
                origin.serve_at_once();
            }
        }
        let unneeded = ledger.spare_handles.keep(origin);
        drop(state);
        drop(unneeded);
        taken
    }

    fn take_overdue(&self, now: u64, effects: &mut Effects) -> (Vec<Envelope>, u64) {
        let (Some(core), Some(origin)) = (self.core.upgrade(), self.origin.upgrade()) else {
            return (Vec::new(), NEVER);
        };
        let mut state = core.lock();
        let (taken, next) = state.take_overdue(&origin, now);
        let is_cancelled = !state.ledger.has_consumer(&origin);
        if !taken.is_empty() && !is_cancelled {
            effects.wake(state.send(Event::Cancelled {
                consumer_tag: origin.consumer_tag.clone(),
                reason: CancelReason::TimedOut,
            }));
        }
        (taken, next)
    }

    fn cancelled(&self, reason: CancelReason, effects: &mut Effects) {
        let (Some(core), Some(origin)) = (self.core.upgrade(), self.origin.upgrade()) else {
            return;
        };
        let consumer_tag = origin.consumer_tag.clone();
        let mut state = core.lock();
        // This is not the last handle.
        drop(state.ledger.spare_handles.forget(&origin));
        if state.ledger.consumers.remove(&consumer_tag).is_some() {
            effects.wake(state.send(Event::Cancelled {
                consumer_tag,
                reason,
            }));
        }
    }
}

impl ChannelCore {
    /// How many more deliveries of a queue the channel may take. If none, the queue is told when it
    /// may.
    fn room(&self, ledger: &mut Ledger, queue: &Arc<QueueCore>) -> usize {
        let window = self.reading.window.as_ref();
        let room = window.map_or(usize::MAX, Window::room);
        let room = room.min(ledger.room(queue));
        if room == 0 {
            ledger.limit_queue(queue);
        }
        room
    }
}

/// Accepts direct replies for the reply consumer of the channel.
impl Requester for ChannelCore {
    fn reply(&self, address: &Name, envelope: Envelope) -> Result<Option<Wake>, Envelope> {
        let mut state = self.lock();
        let consumer_tag = match &state.replies_to {
            Some((consumer_tag, own)) if own == address => consumer_tag.clone(),
            _ => return Err(envelope),
        };
        let delivery = ChannelDelivery {
            from: DeliveredFrom::Reply(Box::new(ReplyOrigin {
                vhost: Arc::clone(self.vhost()),
                consumer_tag,
            })),
            delivery_tag: state.ledger.next_tag(),
            envelope: Some(envelope),
        };
        Ok(state.send(Event::Delivery(delivery)))
    }
}
