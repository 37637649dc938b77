//! Declaring whole descriptions: an exchange or a queue with everything it is bound to, all or nothing; and byte budgets.

use crate::{
    engine::vhost::BindingRequest,
    model::{
        descriptions::{Binding, Budget, Exchange, Queue},
        error::Result,
    },
    session::connection::Connection,
};

/// What can be declared and deleted: [`Exchange`], [`Queue`] and [`Budget`] descriptions.
///
/// Sealed: implemented for these three only.
///
/// # Examples
/// ```
/// use leveret::{Broker, Declare, Exchange, Queue};
/// fn make_all<D: Declare>(broker: &Broker, descriptions: &[D]) -> leveret::Result {
///     descriptions.iter().try_for_each(|description| broker.declare(description).map(drop))
/// }
///
/// let broker = Broker::new();
/// make_all(&broker, &[Queue::new("a"), Queue::new("b")])?;
/// make_all(&broker, &[Exchange::fanout("x")])?;
/// assert_eq!(broker.snapshot()?.vhosts[0].queues.len(), 2);
/// # Ok::<(), leveret::Error>(())
/// ```
pub trait Declare: Sized + sealed::Declare {}

impl Declare for Budget {}
impl Declare for Exchange {}
impl Declare for Queue {}

pub(crate) mod sealed {
    use super::Undo;
    use crate::{model::error::Result, session::connection::Connection};

    pub trait Declare: Sized {
        /// Declares it; what is new is noted, to be undone if something else fails.
        fn declare_in(&self, connection: &Connection, undo: &mut Undo) -> Result<Self>;

        fn delete_in(&self, connection: &Connection) -> Result;
    }
}

/// What a declaration has made so far.
#[derive(Debug, Default)]
pub struct Undo {
    budgets: Vec<String>,
    exchanges: Vec<String>,
    queues: Vec<String>,
    bindings: Vec<(Binding, String, bool)>,
}

impl Undo {
    /// Removes it again, the latest first. What is gone already is no matter.
    fn undo(self, connection: &Connection) {
        for (binding, destination, to_queue) in self.bindings.iter().rev() {
            let _ = connection
                .core()
                .vhost()
                .unbind(connection.core().id(), ask(binding, destination, *to_queue));
        }
        for queue in self.queues.iter().rev() {
            let _ =
                connection
                    .core()
                    .vhost()
                    .delete_queue(connection.core().id(), queue, false, false);
        }
        for exchange in self.exchanges.iter().rev() {
            let _ = connection.core().vhost().delete_exchange(exchange, false);
        }
        for budget in self.budgets.iter().rev() {
            let _ = connection.core().vhost().delete_budget(budget);
        }
    }

    fn bind(
        &mut self,
        connection: &Connection,
        bindings: &[Binding],
        destination: &str,
        to_queue: bool,
    ) -> Result {
        for binding in bindings {
            sealed::Declare::declare_in(binding.source(), connection, self)?;
            if connection
                .core()
                .vhost()
                .bind(connection.core().id(), ask(binding, destination, to_queue))?
            {
                self.bindings
                    .push((binding.clone(), destination.to_owned(), to_queue));
            }
        }
        Ok(())
    }
}

fn ask<'a>(binding: &'a Binding, destination: &'a str, to_queue: bool) -> BindingRequest<'a> {
    BindingRequest {
        source: binding.source().name(),
        destination,
        to_queue,
        routing_key: binding.routing_key(),
        arguments: binding.argument_table(),
    }
}

impl sealed::Declare for Budget {
    fn declare_in(&self, connection: &Connection, undo: &mut Undo) -> Result<Budget> {
        if connection.core().vhost().declare_budget(self)? {
            undo.budgets.push(self.name().to_owned());
        }
        Ok(self.clone())
    }

    fn delete_in(&self, connection: &Connection) -> Result {
        connection.core().vhost().delete_budget(self.name())
    }
}

impl sealed::Declare for Exchange {
    fn declare_in(&self, connection: &Connection, undo: &mut Undo) -> Result<Exchange> {
        match self.is_passive() {
            true => connection
                .core()
                .vhost()
                .declare_exchange_passive(self.name())?,
            false if self.name().is_empty() => return Ok(self.clone()),
            false => {
                if connection.core().vhost().declare_exchange(self)? {
                    undo.exchanges.push(self.name().to_owned());
                }
            }
        }
        undo.bind(connection, self.bindings(), self.name(), false)?;
        Ok(self.clone())
    }

    fn delete_in(&self, connection: &Connection) -> Result {
        connection
            .core()
            .vhost()
            .delete_exchange(self.name(), false)
    }
}

impl sealed::Declare for Queue {
    fn declare_in(&self, connection: &Connection, undo: &mut Undo) -> Result<Queue> {
        if self.is_passive() {
            connection
                .core()
                .vhost()
                .declare_queue_passive(connection.core().id(), self.name())?;
            undo.bind(connection, self.bindings(), self.name(), true)?;
            return Ok(self.clone());
        }
        let (declared, new) = connection
            .core()
            .vhost()
            .declare_queue(connection.core().id(), self)?;
        if new {
            undo.queues.push(declared.name.to_string());
        }
        undo.bind(connection, self.bindings(), &declared.name, true)?;
        Ok(match self.name().is_empty() {
            true => self.declared_as(&declared.name),
            false => self.clone(),
        })
    }

    fn delete_in(&self, connection: &Connection) -> Result {
        connection
            .core()
            .vhost()
            .delete_queue(connection.core().id(), self.name(), false, false)
            .map(drop)
    }
}

/// Declares on a connection, all or nothing.
pub(crate) fn declare<D: Declare>(connection: &Connection, description: &D) -> Result<D> {
    connection.core().check_open()?;
    let mut undo = Undo::default();
    let declared = description
        .declare_in(connection, &mut undo)
        .and_then(|declared| connection.core().check_still_open().map(|()| declared));
    if declared.is_err() {
        undo.undo(connection);
    }
    declared
}
