//! The ledger of a channel: its unsettled deliveries by tag, its consumers, and its common limit.
//!
//! These are plain data behind the lock of the channel. It is a leaf lock, since queues deliver
//! messages while they hold their own lock. A delivery gets its tag at the moment of the delivery,
//! and its entry when a reader takes it over or the entries are asked for.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    arrivals::{Arrival, Arrivals},
    by_tag::ByTag,
    spare_handles::SpareHandles,
};
use crate::{
    engine::queue::QueueCore,
    message::envelope::{Envelope, NEVER},
    model::{
        arguments::QueueType,
        error::{Error, Result},
        name::Name,
    },
    session::{
        events::{ChannelDelivery, DeliveredFrom},
        unacked::{DeliveryOrigin, Unacked},
    },
};

/// The unsettled deliveries by tag, and the consumers.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    last_tag: u64,
    /// Those behind them are in `arrivals`.
    entries: ByTag<Entry>,
    arrivals: Arrivals,
    /// The common limit: the most unsettled deliveries of all consumers of the channel together; 0
    /// is no limit.
    limit: u32,
    /// The number of unsettled deliveries of consumers. It is exact while there is a limit. As in
    /// RabbitMQ each settlement subtracts one, though not each delivery adds one: those of quorum
    /// queues and streams do not.
    volume: u64,
    /// Queues that found the limit reached, or the window full.
    limited: Vec<Arc<QueueCore>>,
    pub(super) consumers: HashMap<Name, ConsumerSlot>,
    pub(super) spare_handles: SpareHandles,
}

/// An unsettled delivery.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) unacked: Unacked,
    /// When the queue takes it back. [`NEVER`] means not at all.
    due: u64,
}

/// A consumer tag that is in use.
#[derive(Debug)]
pub(crate) enum ConsumerSlot {
    /// The consumer is being made.
    Reserved,
    Consumer(Arc<DeliveryOrigin>),
}

impl Ledger {
    /// Takes the next delivery tag.
    pub(crate) fn next_tag(&mut self) -> u64 {
        self.last_tag += 1;
        self.last_tag
    }

    /// How many more deliveries of a queue the common limit allows. As in RabbitMQ it limits
    /// classic queues only.
    pub(super) fn room(&self, queue: &QueueCore) -> usize {
        match self.limit {
            0 => usize::MAX,
            _ if !queue.is_classic() => usize::MAX,
            limit => u64::from(limit).saturating_sub(self.volume) as usize,
        }
    }

    /// Notes that a queue waits for capacity: below the common limit, or in the window.
    pub(super) fn limit_queue(&mut self, queue: &Arc<QueueCore>) {
        if !self.limited.contains(queue) {
            self.limited.push(Arc::clone(queue));
        }
    }

    /// Takes the queues that wait for capacity. One that finds none again comes back.
    #[must_use]
    pub(super) fn take_limited(&mut self) -> Vec<Arc<QueueCore>> {
        std::mem::take(&mut self.limited)
    }

    /// Adds a delivery with the next tag, which the queue takes back at `due`. A reader makes it.
    #[inline]
    pub(super) fn arrive(&mut self, origin: Arc<DeliveryOrigin>, envelope: Envelope, due: u64) {
        if !origin.auto_ack && origin.queue.is_classic() {
            self.volume += 1;
        }
        let tag = self.next_tag();
        self.arrivals.push(Arrival {
            tag,
            origin,
            due,
            envelope,
        });
    }

    /// As [`arrive`](Self::arrive) of the messages that `fill` puts into a list, which have to be
    /// settled. Returns how many there are.
    pub(super) fn arrive_together(
        &mut self,
        origin: &Arc<DeliveryOrigin>,
        fill: impl FnOnce(&mut Vec<Envelope>),
    ) -> usize {
        let mut messages = self.arrivals.buffer();
        fill(&mut messages);
        let count = messages.len();
        if count == 0 {
            self.arrivals.keep_buffer(messages);
            return 0;
        }
        if origin.queue.is_classic() {
            self.volume += count as u64;
        }
        let tag = self.last_tag + 1;
        self.last_tag += count as u64;
        let handle = self.spare_handles.another(origin);
        self.arrivals.push_buffer(tag, handle, NEVER, messages);
        count
    }

    /// Makes the next deliveries that no reader has taken over. Runs no user code.
    pub(super) fn open_deliveries(&mut self, count: usize, each: &mut dyn FnMut(ChannelDelivery)) {
        for _ in 0..count {
            let entered = self.arrivals.pop_entered();
            let Some(delivery) = entered.or_else(|| self.enter_next()) else {
                return;
            };
            each(delivery);
        }
    }

    /// Gives the next delivery that has no entry its entry, unless it is settled already.
    #[inline]
    fn enter_next(&mut self) -> Option<ChannelDelivery> {
        let Arrival {
            tag,
            origin,
            due,
            mut envelope,
        } = self.arrivals.pop(&mut self.spare_handles)?;
        let queue_type = origin.queue.queue_type();
        let (mut shown, from) = match origin.auto_ack {
            true => (Some(envelope), origin),
            false => {
                let another = envelope.body().another();
                let copy = another.map(|body| envelope.with_body(body));
                let copy = copy.or_else(|| envelope.share().ok());
                let from = self.spare_handles.another(&origin);
                let unacked = Unacked::new(origin, envelope);
                self.entries.push(tag, Entry { unacked, due });
                (copy, from)
            }
        };
        if let Some(envelope) = &mut shown {
            match queue_type {
                QueueType::Classic => {}
                QueueType::Quorum => envelope.show_counts(),
                QueueType::Stream => envelope.show_offset(),
            }
        }
        Some(ChannelDelivery {
            delivery_tag: tag,
            envelope: shown,
            from: DeliveredFrom::Queue {
                left: 0,
                origin: from,
            },
        })
    }

    /// Gives all deliveries their entries. The readers still have to take them over.
    fn enter_all(&mut self) {
        while let Some(delivery) = self.enter_next() {
            self.arrivals.keep_entered(delivery);
        }
    }

    /// Adds the message of a get.
    #[inline]
    pub(crate) fn enter(&mut self, tag: u64, origin: Arc<DeliveryOrigin>, envelope: Envelope) {
        self.enter_all();
        let unacked = Unacked::new(origin, envelope);
        self.entries.push(
            tag,
            Entry {
                unacked,
                due: NEVER,
            },
        );
    }

    /// Whether there is an unsettled delivery with this tag, and it is of this origin.
    #[inline]
    pub(super) fn is_of(&self, tag: u64, origin: &Arc<DeliveryOrigin>) -> bool {
        let entry = self.entries.get(tag);
        let of = entry.and_then(|entry| entry.unacked.origin());
        of.is_some_and(|of| Arc::ptr_eq(of, origin))
    }

    /// Takes out the delivery with this tag.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] if no unsettled delivery has this tag.
    #[inline]
    pub(super) fn take_one(&mut self, tag: u64) -> Result<Entry> {
        if self.arrivals.may_have(tag) {
            self.enter_all();
        }
        let taken = self.entries.remove(tag);
        taken.ok_or_else(|| Error::unknown_delivery_tag(tag))
    }

    /// Takes out all deliveries up to the one with this tag. The tag 0 stands for all.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] if no unsettled delivery has this tag. Nothing is taken out
    /// then.
    pub(super) fn take_up_to(&mut self, tag: u64) -> Result<Vec<(u64, Entry)>> {
        if tag == 0 {
            return Ok(self.take_all());
        }
        self.enter_all();
        let taken = self.entries.remove_up_to(tag);
        taken.ok_or_else(|| Error::unknown_delivery_tag(tag))
    }

    /// Takes out all deliveries up to a tag. There may be none.
    pub(super) fn take_all_up_to(&mut self, tag: u64) -> Vec<(u64, Entry)> {
        self.enter_all();
        self.entries.remove_all_up_to(tag)
    }

    pub(super) fn take_all(&mut self) -> Vec<(u64, Entry)> {
        self.enter_all();
        self.entries.remove_all()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len() + self.arrivals.unsettled()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the channel has the consumer with this origin, and not only deliveries of it.
    pub(super) fn has_consumer(&self, origin: &Arc<DeliveryOrigin>) -> bool {
        match self.consumers.get(&origin.consumer_tag) {
            Some(ConsumerSlot::Consumer(consumer)) => Arc::ptr_eq(consumer, origin),
            Some(ConsumerSlot::Reserved) | None => false,
        }
    }

    /// Puts deliveries back that were taken out and are not settled after all, as after a rollback.
    pub(super) fn restore(&mut self, taken: impl IntoIterator<Item = (u64, Entry)>) {
        self.entries.restore(taken);
    }

    /// Takes the messages back that a consumer has not settled in time, in the order of their tags.
    /// The tags stay, and count against the common limit. Also returns when its next delivery is
    /// due.
    ///
    /// `uncommitted` has the deliveries that a transaction settles. They are not settled yet.
    pub(super) fn take_overdue<'a>(
        &'a mut self,
        uncommitted: impl Iterator<Item = (u64, &'a mut Entry)>,
        origin: &Arc<DeliveryOrigin>,
        now: u64,
    ) -> (Vec<Envelope>, u64) {
        self.enter_all();
        let (mut taken, mut next) = (BTreeMap::new(), NEVER);
        let mut late = None;
        for (tag, entry) in self.entries.iter_mut().chain(uncommitted) {
            let of_consumer = |other: &Arc<DeliveryOrigin>| Arc::ptr_eq(other, origin);
            if entry.due == NEVER || !entry.unacked.origin().is_some_and(of_consumer) {
                continue;
            }
            if entry.due > now {
                next = next.min(entry.due);
                continue;
            }
            if let Some((_, envelope)) = entry.unacked.release() {
                taken.insert(tag, envelope);
                let late = late.get_or_insert_with(|| origin.after_time_out());
                entry.unacked = Unacked::new(Arc::clone(late), Envelope::empty());
                entry.due = NEVER;
            }
        }
        (taken.into_values().collect(), next)
    }

    /// Subtracts settled deliveries from the volume. Returns the queues to be told that the limit
    /// allows more.
    #[must_use]
    pub(super) fn release<'a>(
        &mut self,
        settled: impl IntoIterator<Item = &'a Entry>,
    ) -> Vec<Arc<QueueCore>> {
        let of_consumers = settled
            .into_iter()
            .filter(|entry| is_of_consumer(&entry.unacked))
            .count() as u64;
        let was_reached = self.is_reached();
        self.volume = self.volume.saturating_sub(of_consumers);
        self.relieved(was_reached)
    }

    fn is_reached(&self) -> bool {
        self.limit != 0 && self.volume >= u64::from(self.limit)
    }

    fn relieved(&mut self, was_reached: bool) -> Vec<Arc<QueueCore>> {
        match was_reached && !self.is_reached() {
            true => self.take_limited(),
            false => Vec::new(),
        }
    }

    /// The common limit of the consumers of the channel; 0 is none.
    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// Whether the consumers of the channel have a common limit.
    pub(crate) fn has_limit(&self) -> bool {
        self.limit != 0
    }

    /// Sets the common limit; 0 removes it. Returns the queues to be told that the limit allows
    /// more.
    ///
    /// As in RabbitMQ, a limit set where there was none counts all unsettled deliveries, with those
    /// of gets.
    #[must_use]
    pub(crate) fn set_limit(&mut self, limit: u32) -> Vec<Arc<QueueCore>> {
        let was_reached = self.is_reached();
        if self.limit == 0 {
            self.volume = self.len() as u64;
        }
        self.limit = limit;
        self.relieved(was_reached)
    }
}

/// The entries without their tags.
pub(super) fn entries(tagged: &[(u64, Entry)]) -> impl Iterator<Item = &Entry> {
    tagged.iter().map(|(_, entry)| entry)
}

/// Sorts the deliveries of a channel that ends in the order in which they return to their queues.
///
/// As in RabbitMQ's quorum queues, those of one consumer return together, in the order of the
/// subscriptions. Those of gets come last, in the order of their tags as text. A classic queue
/// has each message at its own position again, so that the order has no effect there.
pub(super) fn sort_for_return(entries: &mut [(u64, Entry)]) {
    entries.sort_by_cached_key(|(tag, entry)| {
        let origin = entry.unacked.origin();
        let consumer = origin.and_then(|origin| origin.consumer.as_ref());
        let consumer = consumer.map(|(id, _)| *id);
        let get = consumer.is_none().then(|| tag.to_string());
        (get, consumer, *tag)
    });
}

/// Whether the delivery is that of a consumer, and not of a get. The queue may have taken it back.
fn is_of_consumer(unacked: &Unacked) -> bool {
    unacked
        .origin()
        .is_some_and(|origin| origin.consumer.is_some() || origin.overdue.is_some())
}
