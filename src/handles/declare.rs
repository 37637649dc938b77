//! The descriptions that can be declared: exchanges, all kinds of queues, and budgets.
//!
//! To declare an exchange or a queue with its bindings is atomic: the operation does all of it or
//! nothing.

use crate::{
    engine::vhost::{AliasChange, WithBindings},
    model::{
        descriptions::{AliasQueue, Budget, Exchange, ModelQueue, Queue},
        error::Result,
    },
    session::connection::Connection,
};

/// A description that can be declared and deleted: [`Exchange`], [`Queue`], [`AliasQueue`],
/// [`ModelQueue`] or [`Budget`].
///
/// The trait is sealed: only these types implement it.
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

impl Declare for AliasQueue {}
impl Declare for Budget {}
impl Declare for Exchange {}
impl Declare for ModelQueue {}
impl Declare for Queue {}

pub(crate) mod sealed {
    use crate::{model::error::Result, session::connection::Connection};

    pub trait Declare: Sized {
        /// Declares the description with its bindings and the exchanges that they name.
        fn declare_in(&self, connection: &Connection) -> Result<Self>;

        fn delete_in(&self, connection: &Connection) -> Result;
    }
}

impl sealed::Declare for AliasQueue {
    fn declare_in(&self, connection: &Connection) -> Result<AliasQueue> {
        let gate = connection.gate();
        gate.change_alias(self, AliasChange::Declare)?;
        Ok(self.clone())
    }

    fn delete_in(&self, connection: &Connection) -> Result {
        connection.gate().delete_alias(self.name())
    }
}

impl sealed::Declare for ModelQueue {
    fn declare_in(&self, connection: &Connection) -> Result<ModelQueue> {
        connection.gate().declare_model(self)?;
        Ok(self.clone())
    }

    fn delete_in(&self, connection: &Connection) -> Result {
        connection.gate().delete_model(self.name())
    }
}

impl sealed::Declare for Budget {
    fn declare_in(&self, connection: &Connection) -> Result<Budget> {
        connection
            .gate()
            .declare_budget(self)
            .map(|()| self.clone())
    }

    fn delete_in(&self, connection: &Connection) -> Result {
        connection.gate().delete_budget(self.name())
    }
}

impl sealed::Declare for Exchange {
    fn declare_in(&self, connection: &Connection) -> Result<Exchange> {
        connection
            .gate()
            .declare_exchange(self, WithBindings::Yes)?;
        Ok(self.clone())
    }

    fn delete_in(&self, connection: &Connection) -> Result {
        connection.gate().delete_exchange(self.name(), false)
    }
}

impl sealed::Declare for Queue {
    fn declare_in(&self, connection: &Connection) -> Result<Queue> {
        let declared = connection.gate().declare_queue(self, WithBindings::Yes)?;
        Ok(match self.name().is_empty() {
            true => self.declared_as(&declared.name),
            false => self.clone(),
        })
    }

    fn delete_in(&self, connection: &Connection) -> Result {
        connection
            .gate()
            .delete_queue(self.name(), false, false)
            .map(drop)
    }
}
