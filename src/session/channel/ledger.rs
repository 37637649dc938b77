//! The ledger of a channel: its unsettled deliveries by tag, its consumers, and its common limit.
//!
//! These are plain data behind the lock of the channel. It is a leaf lock, since queues deliver
//! messages while they hold their own lock. A delivery gets its tag and its entry at the moment of
//! the delivery.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{
    engine::queue::QueueCore,
    model::{
        error::{Error, Result},
        name::Name,
    },
    session::unacked::{DeliveryOrigin, Unacked},
};

/// The unsettled deliveries by tag, in the order of the deliveries.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    last_tag: u64,
    entries: BTreeMap<u64, Unacked>,
    /// The common limit: the most unsettled deliveries of all consumers of the channel together; 0
    /// is no limit.
    limit: u32,
    /// The number of unsettled deliveries of consumers. It is exact while there is a limit.
    volume: u64,
    /// Queues that found the limit reached.
    limited: Vec<Arc<QueueCore>>,
    pub(super) consumers: HashMap<Name, ConsumerSlot>,
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

    /// The tag of the next delivery.
    pub(crate) fn peek_tag(&self) -> u64 {
        self.last_tag + 1
    }

    /// Whether the common limit allows one more delivery. If not, `queue` is told when it does.
    pub(crate) fn has_room(&mut self, queue: &Arc<QueueCore>) -> bool {
        let room = self.limit == 0 || self.volume < u64::from(self.limit);
        if !room && !self.limited.contains(queue) {
            self.limited.push(Arc::clone(queue));
        }
        room
    }

    pub(crate) fn enter(&mut self, tag: u64, unacked: Unacked) {
        if is_of_consumer(&unacked) {
            self.volume += 1;
        }
        self.entries.insert(tag, unacked);
    }

    /// Takes out the delivery with this tag, or with `multiple` all up to it. With `multiple` the
    /// tag 0 stands for all.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] if no unsettled delivery has this tag. Nothing is taken out
    /// then.
    pub(crate) fn take(&mut self, tag: u64, multiple: bool) -> Result<Vec<(u64, Unacked)>> {
        if tag == 0 && multiple {
            return Ok(self.take_all());
        }
        if !self.entries.contains_key(&tag) {
            return Err(Error::unknown_delivery_tag(tag));
        }
        if multiple {
            let later = self.entries.split_off(&(tag + 1));
            return Ok(std::mem::replace(&mut self.entries, later)
                .into_iter()
                .collect());
        }
        Ok(self
            .entries
            .remove(&tag)
            .map(|unacked| (tag, unacked))
            .into_iter()
            .collect())
    }

    pub(crate) fn take_all(&mut self) -> Vec<(u64, Unacked)> {
        std::mem::take(&mut self.entries).into_iter().collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Puts deliveries back that were taken out and are not settled after all, as after a rollback.
    pub(crate) fn restore(&mut self, taken: impl IntoIterator<Item = (u64, Unacked)>) {
        self.entries.extend(taken);
    }

    /// Subtracts settled deliveries from the volume. Returns the queues to be told that the limit
    /// allows more.
    #[must_use]
    pub(crate) fn release<'a>(
        &mut self,
        settled: impl IntoIterator<Item = &'a Unacked>,
    ) -> Vec<Arc<QueueCore>> {
        let of_consumers = settled
            .into_iter()
            .filter(|unacked| is_of_consumer(unacked))
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
            true => std::mem::take(&mut self.limited),
            false => Vec::new(),
        }
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
            self.volume = self.entries.len() as u64;
        }
        self.limit = limit;
        self.relieved(was_reached)
    }
}

/// Whether the delivery is that of a consumer, and not of a get.
fn is_of_consumer(unacked: &Unacked) -> bool {
    unacked
        .origin()
        .is_some_and(|origin| origin.consumer.is_some())
}
