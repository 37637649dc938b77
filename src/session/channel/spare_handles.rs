//! Handles to the origin of a channel's deliveries, which are made ahead.

use std::{
    iter, mem,
    ops::RangeInclusive,
    sync::{Arc, Weak},
};

use crate::session::unacked::DeliveryOrigin;

/// How many handles are made at a time, and how many are kept at most: few at first, and twice as
/// many each time, for a channel with many deliveries. Readers write their count, and to fetch its
/// cache line for each delivery would cost as much as the rest of it.
const HANDLES: RangeInclusive<usize> = 4..=256;

/// Handles to one origin, for the next deliveries from there. Most channels have one consumer.
///
/// Plain data behind the lock of the channel. They keep the queue, so that they go with the
/// consumer.
#[derive(Debug, Default)]
pub(super) struct SpareHandles(Vec<Arc<DeliveryOrigin>>);

impl SpareHandles {
    /// A handle to this origin. `None` if it is gone.
    #[inline]
    pub(super) fn take(&mut self, origin: &Weak<DeliveryOrigin>) -> Option<Arc<DeliveryOrigin>> {
        match &self.0[..] {
            [.., spare] if !is_of(spare, origin) => origin.upgrade(),
            [_, ..] if self.0.len() > 1 => self.0.pop(),
            _ => self.make(origin),
        }
    }

    /// Another handle to this origin.
    #[inline]
    pub(super) fn another(&mut self, origin: &Arc<DeliveryOrigin>) -> Arc<DeliveryOrigin> {
        match &self.0[..] {
            [_, .., spare] if Arc::ptr_eq(spare, origin) => self.0.pop(),
            _ => None,
        }
        .unwrap_or_else(|| Arc::clone(origin))
    }

    #[cold]
    fn make(&mut self, origin: &Weak<DeliveryOrigin>) -> Option<Arc<DeliveryOrigin>> {
        let handle = origin.upgrade()?;
        let wanted = (2 * self.0.capacity()).clamp(*HANDLES.start(), *HANDLES.end());
        let missing = wanted - self.0.len();
        self.0.reserve_exact(missing);
        self.0.extend(iter::repeat_n(&handle, missing).cloned());
        Some(handle)
    }

    /// Keeps the handle of a settled delivery. Gives back one that is not needed.
    #[inline]
    pub(super) fn keep(&mut self, handle: Arc<DeliveryOrigin>) -> Option<Arc<DeliveryOrigin>> {
        match self.0.last() {
            Some(spare) if Arc::ptr_eq(spare, &handle) && self.0.len() < self.0.capacity() => {
                self.0.push(handle);
                None
            }
            _ => Some(handle),
        }
    }

    /// Forgets the handles of a consumer that ends. They are dropped without a lock.
    #[must_use = "dropped without a lock"]
    pub(super) fn forget(&mut self, origin: &Arc<DeliveryOrigin>) -> Vec<Arc<DeliveryOrigin>> {
        match self.0.last() {
            Some(spare) if Arc::ptr_eq(spare, origin) => mem::take(&mut self.0),
            _ => Vec::new(),
        }
    }

    #[must_use = "dropped without a lock"]
    pub(super) fn forget_all(&mut self) -> Vec<Arc<DeliveryOrigin>> {
        mem::take(&mut self.0)
    }
}

fn is_of(handle: &Arc<DeliveryOrigin>, origin: &Weak<DeliveryOrigin>) -> bool {
    Arc::as_ptr(handle) == origin.as_ptr()
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use crate::{
        handles::broker::{Broker, Credentials},
        message::properties::Properties,
        model::descriptions::Queue,
        session::channel::{Channel, ConsumeOptions, IfEmpty, IfUnused, Multiple, PublishOptions},
    };

    use super::*;

    fn open(broker: &Broker) -> Channel {
        let connection = broker.connect("/", Credentials::guest()).unwrap();
        connection.open_channel().unwrap()
    }

    fn spare(channel: &Channel) -> usize {
        channel.core().lock().ledger.spare_handles.0.len()
    }

    /// The origin of the consumer, which has settled two deliveries.
    fn consume(ours: &Channel, theirs: &Channel) -> Weak<DeliveryOrigin> {
        theirs.queue_declare(&Queue::new("q")).unwrap();
        let options = ConsumeOptions::new().tag("c");
        theirs.basic_consume("q", options).unwrap();
        let events = theirs.events();
        for tag in 1..=2 {
            let (properties, options) = (Properties::new(), PublishOptions::new());
            ours.basic_publish("", "q", "m", properties, options)
                .unwrap();
            drop(events.recv().unwrap());
            theirs.basic_ack(tag, Multiple::No).unwrap();
        }
        assert!(spare(theirs) > 0);
        let state = theirs.core().lock();
        Arc::downgrade(state.ledger.spare_handles.0.last().unwrap())
    }

    #[test]
    fn a_consumer_that_ends_leaves_no_handle() {
        let broker = Broker::new();
        for how in 0..3 {
            let (ours, theirs) = (open(&broker), open(&broker));
            let origin = consume(&ours, &theirs);
            match how {
                0 => theirs.basic_cancel("c").unwrap(),
                1 => drop(ours.queue_delete("q", IfUnused::No, IfEmpty::No).unwrap()),
                _ => theirs.close().unwrap(),
            }
            assert_eq!(spare(&theirs), 0, "{how}");
            drop(theirs.events().try_recv());
            assert!(origin.upgrade().is_none(), "{how}");
        }
    }
}
