//! The exchanges, queues and bindings of a batch: made together, and undone together.

use std::sync::Arc;

use hashbrown::HashMap;

use super::{Target, Topology, declared_exchange::DeclaredExchange, topology::DeclaredQueue};
use crate::model::{error::Result, field_value::FieldTable, name::Name};

/// The exchanges, queues and bindings that are to be made.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) exchanges: HashMap<Name, DeclaredExchange>,
    pub(super) queues: NewQueues,
    pub(super) bindings: Vec<NewBinding>,
}

/// Queues in the order in which they were planned, which is that of their memory too.
#[derive(Default)]
pub(super) struct NewQueues {
    queues: Vec<(Name, Arc<DeclaredQueue>)>,
    places: HashMap<Name, usize>,
}

impl NewQueues {
    pub(super) fn len(&self) -> usize {
        self.queues.len()
    }

    pub(super) fn get(&self, name: &str) -> Option<&DeclaredQueue> {
        let place = *self.places.get(name)?;
        Some(&self.queues[place].1)
    }

    /// Adds a queue that is not there yet.
    pub(super) fn push(&mut self, name: Name, queue: DeclaredQueue) {
        self.places.insert(name.clone(), self.queues.len());
        self.queues.push((name, Arc::new(queue)));
    }
}

pub(super) struct NewBinding {
    pub(super) source: Name,
    pub(super) target: Target,
    pub(super) routing_key: Name,
    pub(super) arguments: FieldTable,
}

/// The exchanges, queues and bindings that were made, in order to undo them.
#[derive(Default)]
pub(super) struct Made {
    exchanges: Vec<Name>,
    queues: Vec<Name>,
    bindings: Vec<NewBinding>,
    /// The events that were noted before.
    noted: usize,
}

impl Topology {
    /// Makes the planned changes of a batch.
    ///
    /// # Errors
    /// Fails if an exchange can take no more bindings. Nothing is changed then.
    pub(super) fn make(&mut self, changes: Changes) -> Result<Made> {
        let mut made = Made {
            exchanges: changes.exchanges.keys().cloned().collect(),
            queues: Vec::with_capacity(changes.queues.len()),
            bindings: Vec::with_capacity(changes.bindings.len()),
            noted: self.noted(),
        };
        for (name, exchange) in changes.exchanges {
            self.add_exchange(name, exchange);
        }
        self.queues.reserve(changes.queues.len());
        // A growing table looks at all queues again.
        let bound = changes.queues.len().min(changes.bindings.len());
        self.sources.reserve(bound);
        for (name, queue) in changes.queues.queues {
            made.queues.push(name.clone());
            self.add_queue(name, queue);
        }
        for binding in changes.bindings {
            let NewBinding {
                source,
                target,
                routing_key,
                arguments,
            } = &binding;
            match self.bind(source, target, routing_key, arguments) {
                Ok(true) => made.bindings.push(binding),
                Ok(false) => {}
                Err(error) => {
                    self.undo(made);
                    return Err(error);
                }
            }
        }
        Ok(made)
    }

    /// Undoes the changes of a batch. No lock was released since they were made.
    pub(super) fn undo(&mut self, made: Made) {
        self.forget_replays();
        for binding in made.bindings.iter().rev() {
            self.remove_binding(
                &binding.source,
                &binding.target,
                &binding.routing_key,
                &binding.arguments,
            );
        }
        for name in &made.queues {
            self.remove_queue(name);
        }
        for name in &made.exchanges {
            self.remove_exchange(name);
        }
        self.departed.forget_queues(made.queues.len() as u64);
        self.forget_noted(made.noted);
    }
}
