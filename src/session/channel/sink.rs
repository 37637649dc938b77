//! The end of a channel that a queue sees: takes each message in the moment the queue hands it over.

use std::sync::{Arc, Weak};

use super::{
    ChannelCore,
    events::{ChannelDelivery, Event},
};
use crate::{
    engine::{
        queue::{ConsumerSink, Effects},
        vhost::Requester,
    },
    message::envelope::Envelope,
    model::error::CancelReason,
    session::unacked::{DeliveryOrigin, Unacked},
};

/// One consumer of a channel.
///
/// Both references are weak: the queue holds the outlet, and must not keep channel or itself alive by it.
pub(super) struct ChannelSink {
    pub(super) core: Weak<ChannelCore>,
    pub(super) source: Weak<DeliveryOrigin>,
}

impl ConsumerSink for ChannelSink {
    fn try_deliver(&self, message: &mut Option<Envelope>, effects: &mut Effects) -> bool {
        let (Some(core), Some(source)) = (self.core.upgrade(), self.source.upgrade()) else {
            return false;
        };
        let mut state = core.lock();
        // A closing channel takes nothing more: its consumers are about to leave.
        if state.closed.is_some() || !state.ledger.has_room(&source.queue) {
            return false;
        }
        let Some(mut envelope) = message.take() else {
            return false;
        };
        let bytes = envelope.size();
        let delivery_tag = state.ledger.next_tag();
        let mut shown = match source.auto_ack {
            true => Some(envelope),
            false => {
                let copy = envelope.share().ok();
                state
                    .ledger
                    .enter(delivery_tag, Unacked::new(Arc::clone(&source), envelope));
                copy
            }
        };
        if let Some(envelope) = shown
            .as_mut()
            .filter(|_| source.queue.shows_delivery_count())
        {
            // As RabbitMQ's quorum queues do, for what comes again only.
            if envelope.redelivered() {
                envelope.show_delivery_count();
            }
        }
        let delivery = ChannelDelivery {
            consumer_tag: source.consumer_tag.clone(),
            vhost: Arc::clone(core.vhost()),
            delivery_tag,
            envelope: shown,
            message_count: 0,
        };
        effects.wake(state.send(Event::Delivery(delivery)));
        drop(state);
        // Acknowledged by that; and it was paid for before it came here.
        if let Some(account) = source.account.as_ref().filter(|_| source.auto_ack) {
            for wake in account.refund(bytes) {
                effects.wake(Some(wake));
            }
        }
        true
    }

    fn cancelled(&self, reason: CancelReason, effects: &mut Effects) {
        let (Some(core), Some(source)) = (self.core.upgrade(), self.source.upgrade()) else {
            return;
        };
        let consumer_tag = source.consumer_tag.clone();
        let mut state = core.lock();
        if state.ledger.consumers.remove(&consumer_tag).is_some() {
            effects.wake(state.send(Event::Cancelled {
                consumer_tag,
                reason,
            }));
        }
    }
}

/// Takes direct replies for the channel's reply consumer.
impl Requester for ChannelCore {
    fn reply(&self, envelope: Envelope) {
        let mut state = self.lock();
        let Some((consumer_tag, _)) = state.replies_to.clone() else {
            return;
        };
        let delivery = ChannelDelivery {
            consumer_tag,
            vhost: Arc::clone(self.vhost()),
            // It cannot be settled, and does not count.
            delivery_tag: state.ledger.peek_tag(),
            envelope: Some(envelope),
            message_count: 0,
        };
        let wake = state.send(Event::Delivery(delivery));
        drop(state);
        if let Some(wake) = wake {
            wake.wake();
        }
    }
}
