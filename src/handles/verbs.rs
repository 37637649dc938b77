//! The typed verbs that brokers, connections and channels have alike.
//!
//! One list, so that they cannot drift apart; each type says only by which connection it works.

use crate::{
    handles::{
        broker::Broker,
        consumer::{Consumer, ConsumerBuilder},
        declare::{self, Declare},
        producer::{Destination, Producer, ProducerBuilder},
        simple_queue::SimpleQueue,
    },
    message::payload::Payload,
    model::{
        descriptions::{Exchange, Queue},
        error::Result,
        field_value::FieldTable,
        name::Name,
    },
    session::{channel::Channel, connection::Connection},
};

macro_rules! typed_verbs {
    ($($handle:ty),*) => {$(
        impl $handle {
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
                declare::declare(&self.connection()?, description)
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
                let connection = self.connection()?;
                connection.core().check_open()?;
                description.delete_in(&connection)
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
                let connection = self.connection()?;
                let core = connection.core();
                core.check_open()?;
                core.vhost().purge_queue(core.id(), &Name::new(queue.into().name())?)
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
                let connection = self.connection()?;
                let core = connection.core();
                core.check_open()?;
                core.vhost().route(exchange.name(), routing_key, headers)
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
                ProducerBuilder::new(self.connection(), to.into())
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
                self.own(ConsumerBuilder::new(self.connection(), queue.into()))
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
                SimpleQueue::open(&self.connection()?, &queue.into())
            }
        }
    )*};
}

typed_verbs!(Broker, Connection, Channel);

impl Broker {
    pub(crate) fn connection(&self) -> Result<Connection> {
        self.implicit()
    }

    fn own<T: Payload>(&self, consumer: ConsumerBuilder<T>) -> ConsumerBuilder<T> {
        consumer
    }
}

impl Connection {
    pub(crate) fn connection(&self) -> Result<Connection> {
        Ok(self.clone())
    }

    fn own<T: Payload>(&self, consumer: ConsumerBuilder<T>) -> ConsumerBuilder<T> {
        consumer
    }
}

impl Channel {
    pub(crate) fn connection(&self) -> Result<Connection> {
        self.parent()
    }

    fn own<T: Payload>(&self, consumer: ConsumerBuilder<T>) -> ConsumerBuilder<T> {
        consumer.of_channel(self.core())
    }
}
