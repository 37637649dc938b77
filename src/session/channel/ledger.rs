//! What a channel was handed and has not settled, by delivery tag; its consumers; its common limit.
//!
//! Plain data behind the channel's lock, a leaf: queues hand messages over while they hold their own lock. A tag is
//! given, and the entry made, in the moment of the hand-over.

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

/// Deliveries by tag, in the order in which they were made.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    last_tag: u64,
    entries: BTreeMap<u64, Unacked>,
    /// How many unsettled deliveries all consumers of the channel may have together; 0 is no limit.
    limit: u32,
    /// How many they have, while there is a limit.
    volume: u64,
    /// Queues that found the limit reached.
    limited: Vec<Arc<QueueCore>>,
    pub(super) consumers: HashMap<Name, ConsumerSlot>,
}

/// A consumer tag in use.
#[derive(Debug)]
pub(crate) enum ConsumerSlot {
    /// By a consumer that is just being made.
    Reserved,
    Consumer(Arc<DeliveryOrigin>),
}

impl Ledger {
    /// The next delivery tag.
    pub(crate) fn next_tag(&mut self) -> u64 {
        self.last_tag += 1;
        self.last_tag
    }

    /// The tag that the next delivery will have.
    pub(crate) fn peek_tag(&self) -> u64 {
        self.last_tag + 1
    }

    /// Whether the common limit lets one more through; if not, `queue` is told when it does.
    pub(crate) fn has_room(&mut self, queue: &Arc<QueueCore>) -> bool {
        let room = self.limit == 0 || self.volume < u64::from(self.limit);
        if !room && !self.limited.contains(queue) {
            self.limited.push(Arc::clone(queue));
        }
        room
    }

    pub(crate) fn enter(&mut self, tag: u64, held: Unacked) {
        if is_of_consumer(&held) {
            self.volume += 1;
        }
        self.entries.insert(tag, held);
    }

    /// Takes out the delivery with this tag, or all up to it; of tag 0 all there are.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] if the tag is not that of an unsettled delivery; nothing is taken then.
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
            .map(|held| (tag, held))
            .into_iter()
            .collect())
    }

    pub(crate) fn take_all(&mut self) -> Vec<(u64, Unacked)> {
        std::mem::take(&mut self.entries).into_iter().collect()
    }

    /// Puts back what was taken out and is not settled after all (a transaction rolled back).
    pub(crate) fn restore(&mut self, taken: impl IntoIterator<Item = (u64, Unacked)>) {
        self.entries.extend(taken);
    }

    /// Counts what was settled against the common limit; returns the queues to be told that there is room again.
    #[must_use]
    pub(crate) fn release<'a>(
        &mut self,
        settled: impl IntoIterator<Item = &'a Unacked>,
    ) -> Vec<Arc<QueueCore>> {
        let of_consumers = settled
            .into_iter()
            .filter(|held| is_of_consumer(held))
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

    /// Sets the common limit; 0 lifts it. Returns the queues to be told that there is room.
    ///
    /// As in RabbitMQ a limit that comes after none counts everything unsettled, gets included.
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

/// Not of a get.
fn is_of_consumer(held: &Unacked) -> bool {
    held.origin()
        .is_some_and(|source| source.consumer.is_some())
}
