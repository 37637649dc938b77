//! The history of an exchange: its last messages, which each new binding gets.
//!
//! A message is kept while its route is current, under the topology lock for reading, and a binding
//! takes the history under the lock for writing. So a destination gets a message either by its
//! route or by the history, and never by both.

use std::{collections::VecDeque, mem, sync::Arc};

use super::{
    VirtualHost,
    effects::PendingEffects,
    found::Found,
    route::{Route, route_keys},
    topology::Target,
};
use crate::{
    engine::store::{StoredMessage, StoredQueue},
    message::{
        envelope::{Envelope, NEVER},
        headers::x_death,
        properties::RoutingProperties,
    },
    model::{
        descriptions::names,
        error::{Error, Result},
        field_value::FieldTable,
        message_totals::MessageTotals,
        name::Name,
    },
    runtime::{sync::Mutex, user_drop::drop_user_value},
};

/// The last messages of an exchange. A leaf lock.
#[derive(Debug)]
pub(crate) struct History {
    /// How many there are at most. Not 0.
    length: u64,
    /// The store of the messages, if the broker is durable.
    stored: Option<StoredQueue>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The oldest one first.
    messages: VecDeque<Envelope>,
    next_position: u64,
}

/// A new binding, and the history that its destination gets.
#[derive(Debug)]
pub(super) struct Replay {
    target: Target,
    /// The oldest one first.
    messages: Vec<Envelope>,
}

/// A message for a history, and the same one as bytes if the history is stored.
type ForHistory = (Envelope, Option<StoredMessage>);

impl History {
    pub(super) fn new(length: u64, stored: Option<StoredQueue>) -> History {
        History {
            length,
            stored,
            kept: Mutex::default(),
        }
    }

    pub(super) fn stored(&self) -> Option<&StoredQueue> {
        self.stored.as_ref()
    }

    /// Keeps one more message. Returns the one that makes room for it, which is dropped when no
    /// lock is held.
    fn keep(&self, (message, record): ForHistory) -> Option<Envelope> {
        let mut kept = self.kept.lock();
        let position = kept.next_position;
        if let (Some(stored), Some(record)) = (&self.stored, record) {
            stored.put(position, record);
        }
        self.add(&mut kept, message.at(position))
    }

    fn add(&self, kept: &mut Kept, message: Envelope) -> Option<Envelope> {
        kept.next_position = message.position() + 1;
        kept.messages.push_back(message);
        if kept.messages.len() as u64 <= self.length {
            return None;
        }
        let oldest = kept.messages.pop_front()?;
        if let Some(stored) = &self.stored {
            stored.settle(oldest.position());
        }
        Some(oldest)
    }

    /// Puts a message back that the store has kept. They come in the order of their positions.
    pub(super) fn restore(&self, message: Envelope) {
        // A message in its encoded form has no destructor of the user.
        drop(self.add(&mut self.kept.lock(), message));
    }

    pub(crate) fn totals(&self) -> MessageTotals {
        let mut totals = MessageTotals::default();
        let kept = self.kept.lock();
        kept.messages
            .iter()
            .for_each(|message| totals.add_message(message.size()));
        totals
    }

    /// What a new binding to `target` gets.
    pub(super) fn replay(&self, target: &Target) -> Option<Replay> {
        let mut kept = self.kept.lock();
        // Every message in here has been shared before, so none is left out.
        let messages = kept.messages.iter_mut().filter_map(|it| it.share().ok());
        let messages: Vec<_> = messages.collect();
        (!messages.is_empty()).then(|| Replay {
            target: target.clone(),
            messages,
        })
    }

    /// The exchange is deleted. Must be called without any lock held.
    pub(super) fn end(&self) {
        if let Some(stored) = &self.stored {
            stored.drop_all();
        }
        let messages = mem::take(&mut self.kept.lock().messages);
        messages.into_iter().for_each(drop_user_value);
    }
}

/// Whether the sender keeps a message with these headers out of histories.
pub(super) fn keeps_out(headers: Option<&FieldTable>) -> bool {
    let header = headers.and_then(|headers| headers.get(names::RECENT_HISTORY_NO_STORE));
    header.and_then(|value| value.as_bool()) == Some(true)
}

impl VirtualHost {
    /// Keeps a message in the histories of its route. `false` if the route is out of date: then
    /// nothing is kept. Runs user code.
    ///
    /// # Errors
    /// [`Error::NotShareable`] for a payload of which there can be no copy, [`Error::Codec`] for
    /// one that cannot be encoded, and [`Error::Store`] if nothing can be written any more.
    pub(crate) fn keep_in_histories(&self, route: &Route, message: &mut Envelope) -> Result<bool> {
        let mut copies = Vec::with_capacity(route.histories.len());
        for history in &route.histories {
            copies.push(self.for_history(history, message)?);
        }
        let topology = self.topology.read();
        if !route.is_current() {
            return Ok(false);
        }
        let histories = route.histories.iter().zip(copies);
        let oldest: Vec<_> = histories
            .filter_map(|(history, copy)| history.keep(copy))
            .collect();
        drop(topology);
        oldest.into_iter().for_each(drop_user_value);
        Ok(true)
    }

    /// As [`keep_in_histories`](Self::keep_in_histories), for a message of the broker itself, whose
    /// route was found just now. One of which there can be no copy is not kept.
    pub(super) fn keep_found(&self, found: &Found, message: &mut Envelope) {
        for history in &found.histories {
            if let Ok(copy) = self.for_history(history, message) {
                history.keep(copy).into_iter().for_each(drop_user_value);
            }
        }
    }

    fn for_history(&self, history: &History, message: &mut Envelope) -> Result<ForHistory> {
        let copy = message.share().map_err(|_| Error::NotShareable {
            type_name: message.body().type_name(),
            queues: 1,
        });
        let mut copy = copy?;
        // It waits for bindings, and does not expire meanwhile.
        copy.set_deadline(NEVER);
        let record = match &history.stored {
            None => None,
            Some(stored) => self.record(stored, &copy, None, None)?,
        };
        Ok((copy, record))
    }

    /// Gives the destinations of new bindings the histories that were there when they were made.
    /// Must be called without any lock held.
    pub(super) fn replay(self: &Arc<Self>, replays: Vec<Replay>) {
        let mut work = PendingEffects::new();
        for Replay { target, messages } in replays {
            match target {
                Target::Queue(queue) => {
                    for message in messages {
                        let found = Found {
                            queues: vec![Arc::clone(&queue)],
                            ..Found::default()
                        };
                        self.push_internal(&queue, found, vec![message], &mut work);
                    }
                }
                // As in RabbitMQ, the newest one first.
                Target::Exchange(name) => {
                    for message in messages.into_iter().rev() {
                        self.replay_to_exchange(&name, message, &mut work);
                    }
                }
            }
        }
        self.run_all_effects(work);
    }

    fn replay_to_exchange(&self, name: &Name, mut message: Envelope, work: &mut PendingEffects) {
        let found = {
            let keys: Vec<&str> = match message.meta() {
                Some(meta) => x_death::routing_keys(message.routing_key(), meta).collect(),
                None => vec![message.routing_key()],
            };
            let properties = RoutingProperties::from(message.properties());
            self.with_routers(&keys, properties, |topology, routers| {
                route_keys(topology, name, &keys, properties, routers)
            })
        };
        self.keep_found(&found, &mut message);
        let mut targets = found.queues.iter().chain(&found.delay_queues);
        let Some(first) = targets.next().cloned() else {
            drop_user_value(message);
            return;
        };
        let mut copies = Vec::with_capacity(found.len());
        for _ in 1..found.len() {
            copies.extend(message.share().ok());
        }
        copies.push(message);
        self.push_internal(&first, found, copies, work);
    }
}
