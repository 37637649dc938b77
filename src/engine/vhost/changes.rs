//! The exchanges, queues and bindings of a batch: made together, and undone together.

use std::collections::HashMap;

use super::{Target, Topology, declared_exchange::DeclaredExchange, topology::DeclaredQueue};
use crate::model::{error::Result, field_value::FieldTable, name::Name};

/// The exchanges, queues and bindings that are to be made.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) exchanges: HashMap<Name, DeclaredExchange>,
    pub(super) queues: HashMap<Name, DeclaredQueue>,
    pub(super) bindings: Vec<NewBinding>,
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
}

impl Topology {
    /// Makes the planned changes of a batch.
    ///
    /// # Errors
    /// Fails if an exchange can take no more bindings. Nothing is changed then.
    pub(super) fn make(&mut self, changes: Changes) -> Result<Made> {
        let mut made = Made {
            exchanges: changes.exchanges.keys().cloned().collect(),
            queues: changes.queues.keys().cloned().collect(),
            bindings: Vec::with_capacity(changes.bindings.len()),
        };
        for (name, exchange) in changes.exchanges {
            self.add_exchange(name, exchange);
        }
        for (name, queue) in changes.queues {
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
    }
}
