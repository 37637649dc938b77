//! The typed verbs that brokers, connections and channels have alike.
//!
//! The bodies stand once, on [`Connection`]; a broker's and a channel's delegate in one line each.

use super::{
    broker::Broker,
    consumer::{Consumer, ConsumerBuilder},
    declare::Declare,
    producer::{Destination, Producer, ProducerBuilder},
    simple_queue::SimpleQueue,
};
use crate::{
    message::payload::Payload,
    model::{
        descriptions::{Exchange, Queue},
        error::Result,
        field_value::FieldTable,
        name::Name,
    },
    session::{channel::Channel, connection::Connection},
};

impl Connection {
    /// Declares an exchange or a queue with everything it is bound to, or a budget: makes what is missing and checks that
    /// what exists is as described. Returns the description; that of a nameless queue with its new name.
    ///
    /// # Errors
    /// Those of [`Channel::exchange_declare`], [`Channel::queue_declare`] and [`Channel::queue_bind`]. Nothing
    /// is left half-done: what was made on the way is removed again.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Exchange, Queue};
    ///
    /// let broker = Broker::new();
    /// let logs = Exchange::topic("logs");
    /// let errors = broker.declare(&Queue::exclusive().bind(&logs, "*.error"))?;
    /// assert!(errors.name().starts_with("amq.gen-"));
    ///
    /// broker.declare(&Queue::new("q"))?;
    /// let error = broker.declare(&Queue::new("q").durable()).unwrap_err();
    /// assert!(error.is_inequivalent());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn declare<D: Declare>(&self, description: &D) -> Result<D> {
        description.declare_in(self)
    }

    /// Deletes an exchange, a queue with its messages, or a budget that covers no queue any more. To delete what is not there succeeds.
    ///
    /// # Errors
    /// Those of [`Channel::exchange_delete`] and [`Channel::queue_delete`].
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    /// # let broker = Broker::new();
    /// let queue = broker.declare(&Queue::new("q"))?;
    /// broker.delete(&queue)?;
    /// broker.delete(&queue)?; // not there any more
    /// assert!(broker.purge(&queue).unwrap_err().is_not_found());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn delete<D: Declare>(&self, description: &D) -> Result {
        description.delete_in(self)
    }

    /// Drops all ready messages of a queue, without dead-lettering; returns how many.
    ///
    /// # Errors
    /// Those of [`Channel::queue_purge`].
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    /// # let broker = Broker::new();
    /// let queue = Queue::new("q");
    /// broker.producer::<u32>(&queue)?.publish(7)?;
    /// assert_eq!(broker.purge(&queue)?, 1);
    /// assert_eq!(broker.purge(&queue)?, 0);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn purge(&self, queue: impl Into<Queue>) -> Result<u64> {
        self.gate().purge(&Name::new(queue.into().name())?)
    }

    /// Says which queues a message published to `exchange` with this routing key and these headers would reach,
    /// each once, in the order in which they would get it: by bindings, bindings between exchanges and
    /// alternate exchanges. Publishes nothing and declares nothing; of the exchange only the name counts.
    ///
    /// For tests of a topology, and for finding out where messages go. `CC` and `BCC` headers are not followed: ask
    /// for each of their keys. A delayed exchange is taken as if the delay were over; an internal one can be
    /// asked, although not published to.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such exchange,
    /// [`Error::InvalidName`](crate::Error::InvalidName) for a routing key over 255 bytes,
    /// [`Error::ConnectionClosed`](crate::Error::ConnectionClosed), [`Error::ShutDown`](crate::Error::ShutDown).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Exchange, FieldTable, Queue};
    /// # let broker = leveret::Broker::new();
    /// let logs = Exchange::topic("logs").alternate("amq.fanout");
    /// broker.declare(&Queue::new("errors").bind(&logs, "*.error"))?;
    /// broker.declare(&Queue::new("disk").bind(&logs, "disk.#"))?;
    /// broker.declare(&Queue::new("rest").bind(&Exchange::existing("amq.fanout"), ""))?;
    ///
    /// let none = FieldTable::new();
    /// assert_eq!(broker.route(&logs, "disk.info", &none)?, ["disk"]);
    /// assert_eq!(broker.route(&logs, "disk.error", &none)?.len(), 2);
    /// assert_eq!(broker.route(&logs, "net.info", &none)?, ["rest"]);
    /// assert!(broker.route(&Exchange::existing("no such"), "", &none).unwrap_err().is_not_found());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn route(
        &self,
        exchange: &Exchange,
        routing_key: &str,
        headers: &FieldTable,
    ) -> Result<Vec<Name>> {
        self.gate().route(exchange.name(), routing_key, headers)
    }

    /// A producer for a queue (by the default exchange) or an exchange, which is declared unless it is there.
    ///
    /// # Errors
    /// Those of [`declare`](Self::declare).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Exchange, Queue};
    /// # let broker = Broker::new();
    /// let producer = broker.producer::<u32>(&Queue::new("q"))?;
    /// assert_eq!(producer.publish(7)?.routed, 1);
    /// let error = broker.producer::<u32>(&Exchange::existing("no such")).unwrap_err();
    /// assert!(error.is_not_found());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn producer<T: Payload>(&self, to: impl Into<Destination>) -> Result<Producer<T>> {
        self.producer_builder(to).build()
    }

    /// Starts to build a producer with other settings.
    ///
    /// [`ProducerBuilder`] has an example.
    pub fn producer_builder<T: Payload>(&self, to: impl Into<Destination>) -> ProducerBuilder<T> {
        ProducerBuilder::new(Ok(self.clone()), to.into())
    }

    /// A consumer of a queue, which is declared unless it is there.
    ///
    /// # Errors
    /// Those of [`declare`](Self::declare), and of [`ConsumerBuilder::build`].
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    /// # let broker = Broker::new();
    /// let consumer = broker.consumer::<u32>(&Queue::new("q"))?;
    /// assert!(consumer.try_recv().is_err()); // empty
    /// assert!(broker.consumer::<u32>(&Queue::existing("no such")).unwrap_err().is_not_found());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn consumer<T: Payload>(&self, queue: impl Into<Queue>) -> Result<Consumer<T>> {
        self.consumer_builder(queue).build()
    }

    /// Starts to build a consumer with other settings.
    ///
    /// [`ConsumerBuilder`] has an example.
    pub fn consumer_builder<T: Payload>(&self, queue: impl Into<Queue>) -> ConsumerBuilder<T> {
        ConsumerBuilder::new(Ok(self.clone()), queue.into())
    }

    /// A queue to put into and get from; it is declared unless it is there.
    ///
    /// # Errors
    /// Those of [`declare`](Self::declare).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    /// # let broker = Broker::new();
    /// broker.simple_queue::<u32>("q")?.put(7)?;
    /// assert_eq!(broker.simple_queue::<u32>(&Queue::new("q"))?.len(), 1);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn simple_queue<T: Payload>(&self, queue: impl Into<Queue>) -> Result<SimpleQueue<T>> {
        SimpleQueue::open(self, &queue.into())
    }
}

macro_rules! delegate {
    ($handle:ty, $connection:literal) => {
        #[doc = concat!("The typed verbs, by ", $connection, ". [`Connection`] documents them.")]
        impl $handle {
            /// As [`Connection::declare`].
            ///
            /// # Errors
            /// Those of [`Connection::declare`].
            pub fn declare<D: Declare>(&self, description: &D) -> Result<D> {
                self.connection()?.declare(description)
            }

            /// As [`Connection::delete`].
            ///
            /// # Errors
            /// Those of [`Connection::delete`].
            pub fn delete<D: Declare>(&self, description: &D) -> Result {
                self.connection()?.delete(description)
            }

            /// As [`Connection::purge`].
            ///
            /// # Errors
            /// Those of [`Connection::purge`].
            pub fn purge(&self, queue: impl Into<Queue>) -> Result<u64> {
                self.connection()?.purge(queue)
            }

            /// As [`Connection::route`].
            ///
            /// # Errors
            /// Those of [`Connection::route`].
            pub fn route(
                &self,
                exchange: &Exchange,
                routing_key: &str,
                headers: &FieldTable,
            ) -> Result<Vec<Name>> {
                self.connection()?.route(exchange, routing_key, headers)
            }

            /// As [`Connection::producer`].
            ///
            /// # Errors
            /// Those of [`Connection::producer`].
            pub fn producer<T: Payload>(&self, to: impl Into<Destination>) -> Result<Producer<T>> {
                self.producer_builder(to).build()
            }

            /// As [`Connection::producer_builder`].
            pub fn producer_builder<T: Payload>(
                &self,
                to: impl Into<Destination>,
            ) -> ProducerBuilder<T> {
                ProducerBuilder::new(self.connection(), to.into())
            }

            /// As [`Connection::consumer`].
            ///
            /// # Errors
            /// Those of [`Connection::consumer`].
            pub fn consumer<T: Payload>(&self, queue: impl Into<Queue>) -> Result<Consumer<T>> {
                self.consumer_builder(queue).build()
            }

            /// As [`Connection::simple_queue`].
            ///
            /// # Errors
            /// Those of [`Connection::simple_queue`].
            pub fn simple_queue<T: Payload>(
                &self,
                queue: impl Into<Queue>,
            ) -> Result<SimpleQueue<T>> {
                self.connection()?.simple_queue(queue)
            }
        }
    };
}

delegate!(Broker, "the implicit connection to `/`");
delegate!(Channel, "the channel's connection");

impl Broker {
    /// As [`Connection::consumer_builder`].
    pub fn consumer_builder<T: Payload>(&self, queue: impl Into<Queue>) -> ConsumerBuilder<T> {
        ConsumerBuilder::new(self.connection(), queue.into())
    }

    pub(crate) fn connection(&self) -> Result<Connection> {
        self.implicit()
    }
}

impl Channel {
    /// As [`Connection::consumer_builder`]. The consumer ends with this channel.
    pub fn consumer_builder<T: Payload>(&self, queue: impl Into<Queue>) -> ConsumerBuilder<T> {
        ConsumerBuilder::new(self.connection(), queue.into()).of_channel(self.core())
    }

    pub(crate) fn connection(&self) -> Result<Connection> {
        self.parent()
    }
}
