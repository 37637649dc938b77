//! Settlement of deliveries, and the return of the deliveries of consumers and channels that end.

use std::collections::BTreeMap;

use super::{
    channel::{Channel, Held},
    ops::Kind,
    world::World,
};

/// The settlement of a delivery.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    Acked,
    Returned,
    /// Returned by the end of a channel, which counts as a failed delivery.
    Failed,
    Rejected,
}

impl World {
    pub fn settle(
        &mut self,
        channel: usize,
        tag: u64,
        multiple: bool,
        fate: Fate,
    ) -> Result<(), u16> {
        let state = &mut self.channels[channel];
        let taken: Vec<(u64, Held)> = match (tag, multiple) {
            (0, true) => std::mem::take(&mut state.entries).into_iter().collect(),
            _ if !state.entries.contains_key(&tag) => return Err(406),
            (_, false) => state
                .entries
                .remove(&tag)
                .map(|held| (tag, held))
                .into_iter()
                .collect(),
            (_, true) => {
                let later = state.entries.split_off(&(tag + 1));
                std::mem::replace(&mut state.entries, later)
                    .into_iter()
                    .collect()
            }
        };
        match &mut state.tx {
            // Consecutive settlements of the same kind are one batch.
            Some(tx) => match tx.settled.last_mut() {
                Some((same, before)) if *same == fate => before.extend(taken),
                _ => tx.settled.push((fate, taken)),
            },
            None => self.finish(channel, fate, taken),
        }
        Ok(())
    }

    pub fn finish(&mut self, channel: usize, fate: Fate, taken: Vec<(u64, Held)>) {
        let state = &mut self.channels[channel];
        let was_full = state.is_full();
        let of_consumers = taken
            .iter()
            .filter(|(_, held)| held.consumer.is_some())
            .count() as u32;
        state.volume = state.volume.saturating_sub(of_consumers);
        let relieved = state.relieved(was_full);
        let mut groups: BTreeMap<_, Vec<Held>> = BTreeMap::new();
        for (_, held) in taken {
            let group = (
                held.queue,
                held.consumer_tag.clone(),
                held.queue_id,
                held.consumer,
            );
            groups.entry(group).or_default().push(held);
        }
        for ((index, _, queue_id, consumer), batch) in groups {
            for held in batch {
                self.withdraw(held, fate);
            }
            if self.queues[index]
                .as_ref()
                .is_some_and(|queue| queue.id == queue_id)
            {
                if let Some(queue) = &mut self.queues[index] {
                    let limited = queue.suspended.contains(&channel);
                    if let Some(consumer) = consumer.and_then(|id| queue.consumer(id)) {
                        // If the channel is at its global limit, a consumer takes turns again only
                        // if it had no credit of its own before.
                        let told = consumer.starved && consumer.has_credit();
                        if told || !limited {
                            queue.reconsider(channel);
                        }
                    }
                }
                self.settle_ready(index);
            }
            self.bury();
        }
        self.resume(channel, relieved);
    }

    /// Takes one delivery back, without serving the consumers.
    pub fn withdraw(&mut self, held: Held, fate: Fate) {
        let index = held.queue;
        let Some(queue) = self.queues[index]
            .as_mut()
            .filter(|queue| queue.id == held.queue_id)
        else {
            return;
        };
        if let Some(consumer) = held.consumer.and_then(|id| queue.consumer(id)) {
            consumer.unsettled -= 1;
        }
        let mut msg = held.msg;
        match fate {
            Fate::Acked => {}
            Fate::Rejected => self.die(index, msg, "rejected"),
            Fate::Returned | Fate::Failed => {
                msg.returns += 1;
                msg.failures += u32::from(fate == Fate::Failed);
                match queue.kind == Kind::DeliveryLimit && msg.returns > 1 {
                    true => self.die(index, msg, "delivery_limit"),
                    false => queue.put(msg),
                }
            }
        }
    }

    pub fn resume(&mut self, channel: usize, queues: Vec<(usize, u64)>) {
        for (index, id) in queues {
            let Some(queue) = self.queues[index].as_mut().filter(|queue| queue.id == id) else {
                continue;
            };
            queue.suspended.remove(&channel);
            queue.reconsider(channel);
            self.settle_ready(index);
            self.bury();
        }
    }

    /// Removes consumers from a queue, and returns their deliveries to it.
    pub fn leave(&mut self, index: usize, ids: &[u64], returned: Vec<Held>) {
        let Some(queue) = &mut self.queues[index] else {
            return;
        };
        for id in ids {
            queue.remove(*id);
        }
        for held in returned {
            self.withdraw(held, Fate::Failed);
        }
        self.settle_ready(index);
        let Some(queue) = &mut self.queues[index] else {
            return;
        };
        if !ids.is_empty() && queue.kind == Kind::AutoDelete && queue.consumers.is_empty() {
            self.delete(index);
        }
        self.bury();
    }

    pub fn reopen(&mut self, channel: usize, order: &[usize; 4]) {
        let state = &mut self.channels[channel];
        state.closed = true;
        let mut unsettled: Vec<Held> = std::mem::take(&mut state.entries).into_values().collect();
        let settled = state.tx.take().into_iter().flat_map(|tx| tx.settled);
        unsettled.extend(settled.flat_map(|(_, taken)| taken).map(|(_, held)| held));
        let consumers: Vec<(usize, u64)> =
            std::mem::take(&mut state.consumers).into_values().collect();
        for index in order {
            let ids: Vec<u64> = consumers
                .iter()
                .filter(|(queue, _)| queue == index)
                .map(|(_, id)| *id)
                .collect();
            let (here, elsewhere) = unsettled.into_iter().partition(|held| held.queue == *index);
            unsettled = elsewhere;
            let here: Vec<Held> = here;
            if !ids.is_empty() || !here.is_empty() {
                self.leave(*index, &ids, here);
            }
        }
        // The channel's events are gone with the channel.
        self.channels[channel] = Channel::default();
    }
}
