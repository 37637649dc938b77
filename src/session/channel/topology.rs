//! The channel's methods on exchanges, queues and bindings.

use super::{Channel, IfEmpty, IfUnused};
use crate::{
    descriptions::{Exchange, Queue},
    error::Result,
    field_value::FieldTable,
    name::Name,
    vhost::{BindingAsk, QueueDeclared},
};

impl Channel {
    /// Declares an exchange (`exchange.declare`): makes it, or checks that it is there with the same properties. The
    /// description's bindings are not made.
    ///
    /// # Errors
    /// [`Error::CommandInvalid`](crate::Error::CommandInvalid) for an unknown type,
    /// [`Error::AccessRefused`](crate::Error::AccessRefused) for the default exchange and for new names that begin with
    /// `amq.`, [`Error::Inequivalent`](crate::Error::Inequivalent) if it exists with other properties,
    /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) for an invalid argument,
    /// [`Error::InvalidName`](crate::Error::InvalidName), and the errors of a closed channel.
    pub fn exchange_declare(&self, exchange: &Exchange) -> Result {
        self.core().check_open()?;
        self.core().vhost().declare_exchange(exchange).map(drop)
    }

    /// Asks whether an exchange exists (`exchange.declare` with `passive`).
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if it does not,
    /// [`Error::AccessRefused`](crate::Error::AccessRefused) for the default exchange, and the errors of a closed channel.
    pub fn exchange_declare_passive(&self, exchange: &str) -> Result {
        self.core().check_open()?;
        self.core().vhost().declare_exchange_passive(exchange)
    }

    /// Deletes an exchange and its bindings (`exchange.delete`). To delete what is not there succeeds.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) if it is in use and was to be deleted only if
    /// not, [`Error::AccessRefused`](crate::Error::AccessRefused) for the default exchange and for `amq.*`, and the
    /// errors of a closed channel.
    pub fn exchange_delete(&self, exchange: &str, if_unused: IfUnused) -> Result {
        self.core().check_open()?;
        self.core()
            .vhost()
            .delete_exchange(exchange, if_unused == IfUnused::Yes)
    }

    /// Binds an exchange to another (`exchange.bind`, a RabbitMQ extension): what `source` gets and the key matches
    /// goes to `destination` too.
    ///
    /// # Errors
    /// As [`queue_bind`](Self::queue_bind).
    pub fn exchange_bind(
        &self,
        destination: &str,
        source: &str,
        routing_key: &str,
        arguments: FieldTable,
    ) -> Result {
        self.core().check_open()?;
        let ask = BindingAsk {
            source,
            destination,
            to_queue: false,
            routing_key,
            arguments: &arguments,
        };
        self.core()
            .vhost()
            .bind(self.core().connection_id(), ask)
            .map(drop)
    }

    /// Removes a binding between exchanges (`exchange.unbind`). To remove what is not there succeeds.
    ///
    /// # Errors
    /// As [`queue_unbind`](Self::queue_unbind).
    pub fn exchange_unbind(
        &self,
        destination: &str,
        source: &str,
        routing_key: &str,
        arguments: FieldTable,
    ) -> Result {
        self.core().check_open()?;
        let ask = BindingAsk {
            source,
            destination,
            to_queue: false,
            routing_key,
            arguments: &arguments,
        };
        self.core()
            .vhost()
            .unbind(self.core().connection_id(), ask)
            .map(drop)
    }

    /// Declares a queue (`queue.declare`): makes it, or checks that it is there with the same properties. The
    /// description's bindings are not made. A description without a name makes a new queue, named by the broker.
    ///
    /// # Errors
    /// [`Error::AccessRefused`](crate::Error::AccessRefused) for names that begin with `amq.`,
    /// [`Error::Inequivalent`](crate::Error::Inequivalent) if it exists with other properties,
    /// [`Error::ResourceLocked`](crate::Error::ResourceLocked) if it is exclusive to another connection or differs in
    /// being exclusive, [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) for an invalid argument,
    /// [`Error::InvalidName`](crate::Error::InvalidName), and the errors of a closed channel.
    pub fn queue_declare(&self, queue: &Queue) -> Result<QueueDeclared> {
        self.core().check_open()?;
        let (declared, _) = self
            .core()
            .vhost()
            .declare_queue(self.core().connection_id(), queue)?;
        self.core().connection.check_still_open()?;
        self.core().open()?.current_queue = Some(declared.name.clone());
        Ok(declared)
    }

    /// Asks for a queue (`queue.declare` with `passive`).
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound), [`Error::ResourceLocked`](crate::Error::ResourceLocked) if it is
    /// exclusive to another connection, and the errors of a closed channel.
    pub fn queue_declare_passive(&self, queue: &str) -> Result<QueueDeclared> {
        self.core().check_open()?;
        let declared = self
            .core()
            .vhost()
            .declare_queue_passive(self.core().connection_id(), queue)?;
        self.core().open()?.current_queue = Some(declared.name.clone());
        Ok(declared)
    }

    /// Binds a queue to an exchange (`queue.bind`). The same binding twice is one. An empty queue name stands for the
    /// queue declared last on this channel, an empty key beside it for that queue's name.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if either end is missing,
    /// [`Error::ResourceLocked`](crate::Error::ResourceLocked) if the queue is exclusive to another connection,
    /// [`Error::AccessRefused`](crate::Error::AccessRefused) for the default exchange,
    /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) for an invalid `x-match`, and the errors of a
    /// closed channel.
    pub fn queue_bind(
        &self,
        queue: &str,
        exchange: &str,
        routing_key: &str,
        arguments: FieldTable,
    ) -> Result {
        let (queue, routing_key) = self.expand_both(queue, routing_key)?;
        let ask = BindingAsk {
            source: exchange,
            destination: &queue,
            to_queue: true,
            routing_key: &routing_key,
            arguments: &arguments,
        };
        self.core()
            .vhost()
            .bind(self.core().connection_id(), ask)
            .map(drop)
    }

    /// Removes a binding (`queue.unbind`). To remove what is not there succeeds.
    ///
    /// # Errors
    /// [`Error::ResourceLocked`](crate::Error::ResourceLocked) if the queue is exclusive to another connection,
    /// [`Error::AccessRefused`](crate::Error::AccessRefused) for the default exchange, and the errors of a closed
    /// channel.
    pub fn queue_unbind(
        &self,
        queue: &str,
        exchange: &str,
        routing_key: &str,
        arguments: FieldTable,
    ) -> Result {
        let (queue, routing_key) = self.expand_both(queue, routing_key)?;
        let ask = BindingAsk {
            source: exchange,
            destination: &queue,
            to_queue: true,
            routing_key: &routing_key,
            arguments: &arguments,
        };
        self.core()
            .vhost()
            .unbind(self.core().connection_id(), ask)
            .map(drop)
    }

    fn expand_both(&self, queue: &str, routing_key: &str) -> Result<(Name, Name)> {
        let current = self.current_queue()?;
        let expanded = Name::new(self.expand(queue, &current)?)?;
        let routing_key = match (queue, routing_key) {
            ("", "") => expanded.clone(),
            _ => Name::new(routing_key)?,
        };
        Ok((expanded, routing_key))
    }

    /// Drops all ready messages (`queue.purge`), without dead-lettering; returns how many. What is delivered and
    /// unsettled stays so.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound), [`Error::ResourceLocked`](crate::Error::ResourceLocked), and the
    /// errors of a closed channel.
    pub fn queue_purge(&self, queue: &str) -> Result<u64> {
        let current = self.current_queue()?;
        let queue = Name::new(self.expand(queue, &current)?)?;
        self.core()
            .vhost()
            .purge_queue(self.core().connection_id(), &queue)
    }

    /// Deletes a queue with its bindings and messages (`queue.delete`); returns how many were ready. Its consumers are
    /// cancelled. To delete what is not there succeeds.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) if it is in use or not empty and was to be
    /// deleted only if not, [`Error::ResourceLocked`](crate::Error::ResourceLocked), and the errors of a closed channel.
    pub fn queue_delete(&self, queue: &str, if_unused: IfUnused, if_empty: IfEmpty) -> Result<u64> {
        let current = self.current_queue()?;
        let queue = self.expand(queue, &current)?;
        self.core().vhost().delete_queue(
            self.core().connection_id(),
            queue,
            if_unused == IfUnused::Yes,
            if_empty == IfEmpty::Yes,
        )
    }
}
