//! The methods of a channel on exchanges, queues and bindings.

use super::{Channel, IfEmpty, IfUnused};
use crate::{
    engine::vhost::{BindingRequest, QueueDeclared, WithBindings},
    model::{
        descriptions::{Exchange, Queue},
        error::Result,
        field_value::FieldTable,
        name::Name,
    },
};

impl Channel {
    /// Declares an exchange: makes it, or checks that it exists with the same properties. The
    /// bindings of the description are not made.
    ///
    /// # RabbitMQ
    /// `exchange.declare` (AMQP 0-9-1). A durable exchange survives a restart if the broker has a
    /// data folder.
    ///
    /// # Errors
    /// - [`Error::AccessRefused`](crate::Error::AccessRefused) for the default exchange, and for a
    ///   new name that begins with `amq.`.
    /// - [`Error::Inequivalent`](crate::Error::Inequivalent) if the exchange exists with other
    ///   properties.
    /// - [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) for an unknown type and
    ///   for an invalid argument.
    /// - [`Error::InvalidName`](crate::Error::InvalidName) for a name over 255 bytes.
    /// - The errors of [a closed channel](Channel#errors-of-a-closed-channel).
    ///
    /// # Examples
    /// ```
    /// use leveret::Exchange;
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// channel.exchange_declare(&Exchange::topic("logs").durable())?;
    /// channel.exchange_declare(&Exchange::topic("logs").durable())?; // the same again: nothing
    /// let error = channel.exchange_declare(&Exchange::topic("logs")).unwrap_err();
    /// assert_eq!(error.reply_code(), Some(406));
    /// let text = "inequivalent arg 'durable' for exchange 'logs' in vhost '/'";
    /// assert!(error.to_string().contains(text));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn exchange_declare(&self, exchange: &Exchange) -> Result {
        self.core().check_open()?;
        self.core()
            .gate()
            .declare_exchange(exchange, WithBindings::No)
    }

    /// Checks that an exchange exists.
    ///
    /// # RabbitMQ
    /// `exchange.declare` with `passive` (AMQP 0-9-1). A missing exchange is an error here too, and
    /// closes nothing.
    ///
    /// # Errors
    /// - [`Error::NotFound`](crate::Error::NotFound) if the exchange does not exist.
    /// - [`Error::AccessRefused`](crate::Error::AccessRefused) for the default exchange.
    /// - The errors of [a closed channel](Channel#errors-of-a-closed-channel).
    ///
    /// # Examples
    /// ```
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// channel.exchange_declare_passive("amq.topic")?; // predeclared in every virtual host
    /// assert_eq!(channel.exchange_declare_passive("logs").unwrap_err().reply_code(), Some(404));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn exchange_declare_passive(&self, exchange: &str) -> Result {
        self.core().check_open()?;
        self.core().gate().declare_exchange_passive(exchange)
    }

    /// Deletes an exchange and its bindings. It succeeds if there is no such exchange.
    ///
    /// # RabbitMQ
    /// `exchange.delete` (AMQP 0-9-1).
    ///
    /// # Errors
    /// - [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) with [`IfUnused::Yes`], if
    ///   the exchange is in use.
    /// - [`Error::AccessRefused`](crate::Error::AccessRefused) for the default exchange and for
    ///   `amq.*`.
    /// - The errors of [a closed channel](Channel#errors-of-a-closed-channel).
    ///
    /// # Examples
    /// ```
    /// use leveret::{channel::IfUnused, Exchange, FieldTable, Queue};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// channel.exchange_declare(&Exchange::fanout("logs"))?;
    /// channel.queue_declare(&Queue::new("q"))?;
    /// channel.queue_bind("q", "logs", "", FieldTable::new())?;
    /// let error = channel.exchange_delete("logs", IfUnused::Yes).unwrap_err();
    /// assert_eq!(error.reply_code(), Some(406));
    /// channel.exchange_delete("logs", IfUnused::No)?;
    /// assert!(channel.exchange_declare_passive("logs").unwrap_err().is_not_found());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn exchange_delete(&self, exchange: &str, if_unused: IfUnused) -> Result {
        self.core().check_open()?;
        self.core()
            .gate()
            .delete_exchange(exchange, if_unused == IfUnused::Yes)
    }

    /// Binds an exchange to another exchange. A message that `source` gets, and whose routing key
    /// matches, goes to `destination` too.
    ///
    /// # RabbitMQ
    /// `exchange.bind` (RabbitMQ's extension of AMQP 0-9-1).
    ///
    /// # Errors
    /// The errors of [`queue_bind`](Self::queue_bind).
    ///
    /// # Examples
    /// ```
    /// use leveret::{channel::PublishOptions, FieldTable, Properties, Queue};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// channel.exchange_bind("amq.fanout", "amq.topic", "*.error", FieldTable::new())?;
    /// let queue = channel.queue_declare(&Queue::new(""))?.name;
    /// channel.queue_bind(&queue, "amq.fanout", "", FieldTable::new())?;
    /// let (key, properties) = ("disk.error", Properties::new());
    /// channel.basic_publish("amq.topic", key, "full", properties, PublishOptions::new())?;
    /// assert_eq!(channel.queue_purge(&queue)?, 1);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn exchange_bind(
        &self,
        destination: &str,
        source: &str,
        routing_key: &str,
        arguments: FieldTable,
    ) -> Result {
        self.core().check_open()?;
        let request = BindingRequest {
            source,
            destination,
            to_queue: false,
            routing_key,
            arguments: &arguments,
        };
        self.core().gate().bind(request)
    }

    /// Removes a binding between exchanges. It succeeds if there is no such binding.
    ///
    /// # RabbitMQ
    /// `exchange.unbind` (RabbitMQ's extension of AMQP 0-9-1).
    ///
    /// # Errors
    /// The errors of [`queue_unbind`](Self::queue_unbind).
    ///
    /// # Examples
    /// ```
    /// use leveret::FieldTable;
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// channel.exchange_bind("amq.fanout", "amq.topic", "#", FieldTable::new())?;
    /// channel.exchange_unbind("amq.fanout", "amq.topic", "#", FieldTable::new())?;
    /// // The binding does not exist any more.
    /// channel.exchange_unbind("amq.fanout", "amq.topic", "#", FieldTable::new())?;
    /// assert!(broker.snapshot()?.vhosts[0].bindings.is_empty());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn exchange_unbind(
        &self,
        destination: &str,
        source: &str,
        routing_key: &str,
        arguments: FieldTable,
    ) -> Result {
        self.core().check_open()?;
        let request = BindingRequest {
            source,
            destination,
            to_queue: false,
            routing_key,
            arguments: &arguments,
        };
        self.core().gate().unbind(request)
    }

    /// Declares a queue: makes it, or checks that it exists with the same properties. The bindings
    /// of the description are not made. A description without a name makes a new queue, and the
    /// broker names it.
    ///
    /// # RabbitMQ
    /// `queue.declare` (AMQP 0-9-1). A durable queue survives a restart if the broker has a data
    /// folder.
    ///
    /// # Errors
    /// - [`Error::AccessRefused`](crate::Error::AccessRefused) for a name that begins with `amq.`.
    /// - [`Error::Inequivalent`](crate::Error::Inequivalent) if the queue exists with other
    ///   properties.
    /// - [`Error::ResourceLocked`](crate::Error::ResourceLocked) if the queue is exclusive to
    ///   another connection, or if one of the two is exclusive and the other is not.
    /// - [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) for an invalid argument.
    /// - [`Error::InvalidName`](crate::Error::InvalidName) for a name over 255 bytes.
    /// - The errors of [a closed channel](Channel#errors-of-a-closed-channel).
    ///
    /// # Examples
    /// ```
    /// use leveret::Queue;
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// let declared = channel.queue_declare(&Queue::new("tasks").durable())?;
    /// assert_eq!((declared.message_count, declared.consumer_count), (0, 0));
    /// assert!(channel.queue_declare(&Queue::new(""))?.name.starts_with("amq.gen-"));
    /// let error = channel.queue_declare(&Queue::new("tasks")).unwrap_err();
    /// assert_eq!(error.reply_code(), Some(406));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn queue_declare(&self, queue: &Queue) -> Result<QueueDeclared> {
        self.core().check_open()?;
        let declared = self.core().gate().declare_queue(queue, WithBindings::No)?;
        self.core().open()?.current_queue = Some(declared.name.clone());
        Ok(declared)
    }

    /// Checks that a queue exists, and counts its ready messages and its consumers.
    ///
    /// # RabbitMQ
    /// `queue.declare` with `passive` (AMQP 0-9-1). A missing queue is an error here too, and
    /// closes nothing.
    ///
    /// # Errors
    /// - [`Error::NotFound`](crate::Error::NotFound) if the queue does not exist.
    /// - [`Error::ResourceLocked`](crate::Error::ResourceLocked) if it is exclusive to another
    ///   connection.
    /// - The errors of [a closed channel](Channel#errors-of-a-closed-channel).
    ///
    /// # Examples
    /// ```
    /// use leveret::Queue;
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// channel.queue_declare(&Queue::new("tasks").durable())?;
    /// // The properties of the queue do not matter.
    /// assert_eq!(channel.queue_declare_passive("tasks")?.message_count, 0);
    /// assert_eq!(channel.queue_declare_passive("other").unwrap_err().reply_code(), Some(404));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn queue_declare_passive(&self, queue: &str) -> Result<QueueDeclared> {
        self.core().check_open()?;
        let declared = self.core().gate().declare_queue_passive(queue)?;
        self.core().open()?.current_queue = Some(declared.name.clone());
        Ok(declared)
    }

    /// Binds a queue to an exchange. The same binding a second time changes nothing.
    ///
    /// An empty queue name stands for the queue declared last on this channel. If the key is empty
    /// too, it stands for the name of that queue.
    ///
    /// # RabbitMQ
    /// `queue.bind` (AMQP 0-9-1).
    ///
    /// # Errors
    /// - [`Error::NotFound`](crate::Error::NotFound) if the queue or the exchange does not exist.
    /// - [`Error::ResourceLocked`](crate::Error::ResourceLocked) if the queue is exclusive to
    ///   another connection.
    /// - [`Error::AccessRefused`](crate::Error::AccessRefused) for the default exchange.
    /// - [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) for an invalid `x-match`.
    /// - [`Error::NoDeclaredQueue`](crate::Error::NoDeclaredQueue) for an empty queue name, if this
    ///   channel has declared no queue.
    /// - The errors of [a closed channel](Channel#errors-of-a-closed-channel).
    ///
    /// # Examples
    /// ```
    /// use leveret::{channel::PublishOptions, FieldTable, Properties, Queue};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// channel.queue_declare(&Queue::new("pdf"))?;
    /// let arguments = FieldTable::from([("x-match", "all"), ("format", "pdf")]);
    /// channel.queue_bind("pdf", "amq.headers", "", arguments)?;
    /// let pdf = Properties::new().header("format", "pdf");
    /// channel.basic_publish("amq.headers", "", "a report", pdf, PublishOptions::new())?;
    /// # let options = PublishOptions::new();
    /// channel.basic_publish("amq.headers", "", "a letter", Properties::new(), options)?;
    /// assert_eq!(channel.queue_purge("pdf")?, 1);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn queue_bind(
        &self,
        queue: &str,
        exchange: &str,
        routing_key: &str,
        arguments: FieldTable,
    ) -> Result {
        let (queue, routing_key) = self.expand_both(queue, routing_key)?;
        let request = BindingRequest {
            source: exchange,
            destination: &queue,
            to_queue: true,
            routing_key: &routing_key,
            arguments: &arguments,
        };
        self.core().gate().bind(request)
    }

    /// Removes a binding of a queue. It succeeds if there is no such binding.
    ///
    /// # RabbitMQ
    /// `queue.unbind` (AMQP 0-9-1).
    ///
    /// # Errors
    /// - [`Error::ResourceLocked`](crate::Error::ResourceLocked) if the queue is exclusive to
    ///   another connection.
    /// - [`Error::AccessRefused`](crate::Error::AccessRefused) for the default exchange.
    /// - The errors of [a closed channel](Channel#errors-of-a-closed-channel).
    ///
    /// # Examples
    /// ```
    /// use leveret::{channel::PublishOptions, FieldTable, Properties, Queue};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// channel.queue_declare(&Queue::new("q"))?;
    /// channel.queue_bind("q", "amq.direct", "key", FieldTable::new())?;
    /// channel.queue_unbind("q", "amq.direct", "key", FieldTable::new())?;
    /// let options = PublishOptions::new();
    /// channel.basic_publish("amq.direct", "key", "unroutable", Properties::new(), options)?;
    /// assert_eq!(channel.queue_purge("q")?, 0);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn queue_unbind(
        &self,
        queue: &str,
        exchange: &str,
        routing_key: &str,
        arguments: FieldTable,
    ) -> Result {
        let (queue, routing_key) = self.expand_both(queue, routing_key)?;
        let request = BindingRequest {
            source: exchange,
            destination: &queue,
            to_queue: true,
            routing_key: &routing_key,
            arguments: &arguments,
        };
        self.core().gate().unbind(request)
    }

    fn expand_both(&self, queue: &str, routing_key: &str) -> Result<(Name, Name)> {
        let current = self.current_queue()?;
        let expanded = Name::of_entity(self.expand(queue, &current)?)?;
        let routing_key = match (queue, routing_key) {
            ("", "") => expanded.clone(),
            _ => Name::new(routing_key)?,
        };
        Ok((expanded, routing_key))
    }

    /// Drops all ready messages of a queue, without dead-lettering, and returns how many there
    /// were. Unsettled deliveries are not affected.
    ///
    /// # RabbitMQ
    /// `queue.purge` (AMQP 0-9-1).
    ///
    /// # Errors
    /// - [`Error::NotFound`](crate::Error::NotFound) for an unknown queue.
    /// - [`Error::NoDeclaredQueue`](crate::Error::NoDeclaredQueue) for an empty name, if this
    ///   channel has declared no queue.
    /// - [`Error::ResourceLocked`](crate::Error::ResourceLocked) if the queue is exclusive to
    ///   another connection.
    /// - The errors of [a closed channel](Channel#errors-of-a-closed-channel).
    ///
    /// # Examples
    /// ```
    /// use leveret::{channel::PublishOptions, Properties, Queue};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// channel.queue_declare(&Queue::new("q"))?;
    /// channel.basic_publish("", "q", "hello", Properties::new(), PublishOptions::new())?;
    /// assert_eq!(channel.queue_purge("")?, 1); // the queue declared last
    /// assert_eq!(channel.queue_purge("q")?, 0);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn queue_purge(&self, queue: &str) -> Result<u64> {
        let current = self.current_queue()?;
        let queue = Name::of_entity(self.expand(queue, &current)?)?;
        self.core().gate().purge(&queue)
    }

    /// Deletes a queue with its bindings and messages, and returns how many messages were ready.
    /// Its consumers are cancelled. It succeeds if there is no such queue.
    ///
    /// # RabbitMQ
    /// `queue.delete` (AMQP 0-9-1).
    ///
    /// # Errors
    /// - [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) with [`IfUnused::Yes`] if
    ///   the queue has consumers, and with [`IfEmpty::Yes`] if it has ready messages.
    /// - [`Error::ResourceLocked`](crate::Error::ResourceLocked) if the queue is exclusive to
    ///   another connection.
    /// - [`Error::NoDeclaredQueue`](crate::Error::NoDeclaredQueue) for an empty name, if this
    ///   channel has declared no queue.
    /// - The errors of [a closed channel](Channel#errors-of-a-closed-channel).
    ///
    /// # Examples
    /// ```
    /// use leveret::{channel::{IfEmpty, IfUnused, PublishOptions}, Properties, Queue};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// channel.queue_declare(&Queue::new("q"))?;
    /// channel.basic_publish("", "q", "hello", Properties::new(), PublishOptions::new())?;
    /// let error = channel.queue_delete("q", IfUnused::No, IfEmpty::Yes).unwrap_err();
    /// assert_eq!(error.to_string(), "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty");
    /// assert_eq!(channel.queue_delete("q", IfUnused::Yes, IfEmpty::No)?, 1);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn queue_delete(&self, queue: &str, if_unused: IfUnused, if_empty: IfEmpty) -> Result<u64> {
        let current = self.current_queue()?;
        let queue = self.expand(queue, &current)?;
        self.core()
            .gate()
            .delete_queue(queue, if_unused == IfUnused::Yes, if_empty == IfEmpty::Yes)
    }
}
