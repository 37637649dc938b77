//! The deliveries of a channel that no reader has taken over.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    message::envelope::Envelope,
    session::{events::ChannelDelivery, unacked::DeliveryOrigin},
};

/// The capacity that is kept when nothing is left.
const IDLE: usize = 256;

/// A message as its queue delivered it. It has its tag, but neither its entry in the ledger nor its
/// event: a reader makes both, so that the queue writes two cache lines and not seven.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) tag: u64,
    pub(super) origin: Arc<DeliveryOrigin>,
    /// When the queue takes it back. [`NEVER`](crate::message::envelope::NEVER) means not at all.
    pub(super) due: u64,
    pub(super) envelope: Envelope,
}

/// The deliveries of a channel that no reader has taken over, in the order of their tags. The
/// stream of events has their number.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// The first ones, if they have their entries already.
    entered: VecDeque<ChannelDelivery>,
    arriving: VecDeque<Arrival>,
    /// How many of those that arrive will have an entry.
    unsettled: usize,
}

impl Arrivals {
    #[inline]
    pub(super) fn push(&mut self, arrival: Arrival) {
        self.unsettled += usize::from(!arrival.origin.auto_ack);
        self.arriving.push_back(arrival);
    }

    /// How many of them will have an entry and have none yet.
    pub(super) fn unsettled(&self) -> usize {
        self.unsettled
    }

    /// Whether the delivery with this tag has no entry yet, if it is there.
    #[inline]
    pub(super) fn may_have(&self, tag: u64) -> bool {
        self.arriving.front().is_some_and(|first| first.tag <= tag)
    }

    /// Takes the next one that has its entry.
    #[inline]
    pub(super) fn pop_entered(&mut self) -> Option<ChannelDelivery> {
        let entered = self.entered.pop_front()?;
        if self.entered.is_empty() {
            self.entered = VecDeque::new();
        }
        Some(entered)
    }

    /// Takes the next one that has no entry.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Arrival> {
        let arrival = self.arriving.pop_front()?;
        self.unsettled -= usize::from(!arrival.origin.auto_ack);
        if self.arriving.is_empty() && self.arriving.capacity() > IDLE {
            self.arriving.shrink_to(IDLE);
        }
        Some(arrival)
    }

    /// Keeps one that has its entry now. A reader may still take it over.
    pub(super) fn keep_entered(&mut self, delivery: ChannelDelivery) {
        self.entered.push_back(delivery);
    }
}
