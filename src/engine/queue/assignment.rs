//! The ready messages that a queue assigns to its consumers.
//!
//! A classic queue delivers each of them at once. A quorum queue assigns all of them first. Then it
//! delivers those of each consumer together, in the order of the subscriptions, as RabbitMQ does.
//! A channel with several consumers sees that by its delivery tags.

use std::iter;

use super::{consumer_id::ConsumerId, effects::Effects, state::QueueState, storage::Storage};
use crate::{message::envelope::Envelope, model::message_totals::MessageTotals};

/// A message that counts as delivered to a consumer of a channel and that the channel has not
/// got yet.
struct Assignment {
    consumer: ConsumerId,
    /// When the consumer must have settled it.
    due: u64,
    envelope: Envelope,
}

impl QueueState {
    /// Delivers ready messages until none is left or no consumer can take one (invariant 3). Due
    /// messages become ready as there is room.
    pub(super) fn serve(&mut self, now: u64, effects: &mut Effects) {
        loop {
            let assigned = self.assign(now, effects);
            if assigned.is_empty() {
                return;
            }
            self.deliver_assigned(assigned, effects);
            // Consumers that acknowledge on delivery have credit again.
            self.consumers.reconsider(None);
        }
    }

    /// Assigns ready messages. Returns those that are not delivered yet.
    fn assign(&mut self, now: u64, effects: &mut Effects) -> Vec<Assignment> {
        let mut assigned = Vec::new();
        loop {
            self.admit_overdue(now, effects);
            if self.ready.is_empty() {
                return assigned;
            }
            let Some(next) = self.consumers.next_consumer() else {
                return assigned;
            };
            // If nothing expires, a consumer that takes no turns gets its messages as one run.
            let (ready, storage) = (&mut self.ready, &self.storage);
            let fill = |run: &mut Vec<Envelope>, most| {
                let before = run.len();
                let totals = ready.pop_batch(most, run);
                Storage::write_out(storage, &run[before..]);
                totals
            };
            let plain = now == 0 && !self.timing.has_deadlines();
            if plain && next.alone && self.consumers.deliver_batch(&next, effects, fill) {
                continue;
            }
            // And so does a channel, as far as it has room.
            let (ready, consumers) = (&mut self.ready, &mut self.consumers);
            let plain = plain && self.storage.is_none() && !self.kind.is_quorum();
            let mut fill = |run: &mut Vec<Envelope>, most| match ready.pop_batch(most, run) {
                // Some have returned, and are taken one by one.
                MessageTotals { messages: 0, .. } => {
                    let returned = iter::from_fn(|| ready.pop()).take(most);
                    let mut taken = MessageTotals::default();
                    run.extend(returned.inspect(|it| taken.add_message(it.size())));
                    taken
                }
                taken => taken,
            };
            if plain && next.alone && consumers.deliver_run(&next, effects, &mut fill) {
                continue;
            }
            let Some(envelope) = self.ready.pop() else {
                return assigned;
            };
            let (size, deadline) = (envelope.size(), envelope.deadline());
            let consumer = next.id;
            let later = match self.kind.is_quorum() {
                true => self.consumers.assign(next, size, now),
                false => None,
            };
            if let Some(due) = later {
                assigned.push(Assignment {
                    consumer,
                    due,
                    envelope,
                });
            } else {
                let mut message = Some(envelope);
                if !self.deliver(&mut message, size, now, effects) {
                    message
                        .into_iter()
                        .for_each(|envelope| self.ready.put_back(envelope));
                    return assigned;
                }
                self.delivered_in_advance(deadline, effects);
            }
            self.expire(now, effects);
        }
    }

    /// Delivers assigned messages. Those that a channel does not take are ready again.
    fn deliver_assigned(&mut self, mut assigned: Vec<Assignment>, effects: &mut Effects) {
        assigned.sort_by_key(|assignment| assignment.consumer);
        for Assignment {
            consumer,
            due,
            envelope,
        } in assigned
        {
            // Before the delivery, since the consumer may settle it at once.
            Storage::write_out(&self.storage, std::slice::from_ref(&envelope));
            let refused = self
                .consumers
                .deliver_assigned(consumer, envelope, due, effects);
            if let Some(envelope) = refused {
                Storage::write_back(&self.storage, &envelope);
                self.ready.put_back(envelope);
            }
        }
    }
}
