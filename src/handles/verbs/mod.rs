//! The typed verbs, which brokers, connections and channels have in common.
//!
//! The code is on [`Connection`]. The methods of brokers and channels delegate to it, in
//! `delegates`.

mod delegates;
mod explain;
mod queue_kinds;

use super::{
    consumer::{Consumer, ConsumerBuilder},
    declare::Declare,
    producer::{Destination, Producer, ProducerBuilder},
    reader::ReaderBuilder,
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
    session::connection::Connection,
};

#[cfg(doc)]
use crate::session::channel::Channel;

impl Connection {
    /// Declares an exchange, a queue or a budget.
    ///
    /// An exchange or a queue is declared with its bindings and the exchanges that they name. The
    /// method creates everything that is missing. It compares everything that exists with the
    /// description.
    ///
    /// The method returns the description. The description of a nameless queue gets the generated
    /// name.
    ///
    /// # RabbitMQ
    /// `exchange.declare` with `exchange.bind`, or `queue.declare` with `queue.bind`. Here they are
    /// one atomic operation.
    ///
    /// # Errors
    /// The errors of [`Channel::exchange_declare`], [`Channel::queue_declare`] and
    /// [`Channel::queue_bind`]. A declaration that fails changes nothing.
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

    /// Same as [`declare`](Self::declare), as a future for any runtime.
    ///
    /// In a durable broker a declaration waits until it is on disk. This form does not block its
    /// thread meanwhile, and declarations that wait at the same time share a sync. Without a data
    /// folder the future is ready at once.
    ///
    /// # Cancel safety
    /// The declaration takes effect when the future is polled first. A future that is dropped later
    /// does not undo it.
    ///
    /// # Errors
    /// The errors of [`declare`](Self::declare).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// # let broker = Broker::new();
    /// let queues = [Queue::new("a"), Queue::new("b")];
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// for queue in &queues {
    ///     let declaring = pin!(broker.declare_async(queue));
    ///     assert_eq!(declaring.poll(&mut context), Poll::Ready(Ok(queue.clone())));
    ///     let deleting = pin!(broker.delete_async(queue));
    ///     assert_eq!(deleting.poll(&mut context), Poll::Ready(Ok(())));
    /// }
    /// ```
    pub async fn declare_async<D: Declare>(&self, description: &D) -> Result<D> {
        description.declare_in_async(self).await
    }

    /// Deletes an exchange, a queue with its messages, or a budget that covers no queue any more.
    ///
    /// The method succeeds if the exchange, queue or budget does not exist.
    ///
    /// # RabbitMQ
    /// `exchange.delete` or `queue.delete`.
    ///
    /// # Errors
    /// The errors of [`Channel::exchange_delete`] and [`Channel::queue_delete`].
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    /// # let broker = Broker::new();
    /// let queue = broker.declare(&Queue::new("q"))?;
    /// broker.delete(&queue)?;
    /// broker.delete(&queue)?; // it does not exist any more
    /// assert!(broker.purge(&queue).unwrap_err().is_not_found());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn delete<D: Declare>(&self, description: &D) -> Result {
        description.delete_in(self)
    }

    /// Same as [`delete`](Self::delete), as a future for any runtime.
    ///
    /// [`declare_async`](Self::declare_async) has an example.
    ///
    /// # Cancel safety
    /// As for [`declare_async`](Self::declare_async).
    ///
    /// # Errors
    /// The errors of [`delete`](Self::delete).
    pub async fn delete_async<D: Declare>(&self, description: &D) -> Result {
        description.delete_in_async(self).await
    }

    /// Drops all ready messages of a queue, without dead-lettering. Returns their number.
    ///
    /// # RabbitMQ
    /// `queue.purge`.
    ///
    /// # Errors
    /// The errors of [`Channel::queue_purge`].
    ///
    /// # Examples
    /// ```
    /// # let broker = leveret::Broker::new();
    /// broker.producer::<u32>("q")?.publish(7)?;
    /// assert_eq!(broker.purge("q")?, 1);
    /// assert_eq!(broker.purge("q")?, 0);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn purge(&self, queue: impl Into<Queue>) -> Result<u64> {
        self.gate().purge(&Name::of_entity(queue.into().name())?)
    }

    /// Takes back the messages that the typed consumers of a queue have in advance and that none of
    /// them has received yet. Returns their number.
    ///
    /// It is for consumers that are stuck: the messages return to their positions in the queue,
    /// unchanged, and other consumers get them. It is the same as [`Consumer::return_unseen`] for
    /// each consumer of the queue, whatever connection it belongs to: a consumer that does not wait
    /// for a message gets none until its next receive.
    ///
    /// Deliveries that were received stay with their receivers, and so do those of a [`Channel`].
    ///
    /// # RabbitMQ
    /// RabbitMQ has no counterpart: a message that was pushed to a consumer stays with its channel.
    ///
    /// # Errors
    /// The errors of [`purge`](Self::purge).
    ///
    /// # Examples
    /// ```
    /// # let broker = leveret::Broker::new();
    /// let stuck = broker.consumer::<u32>("q")?;
    /// let _ = broker.producer::<u32>("q")?.publish_batch(1..=3);
    /// let first = stuck.recv()?; // its handler never ends
    /// let consumer = broker.consumer::<u32>("q")?;
    /// assert!(consumer.try_recv().is_err());
    /// assert_eq!(broker.return_unseen("q")?, 2);
    /// assert_eq!(*consumer.recv()?, 2);
    /// # drop(first);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn return_unseen(&self, queue: impl Into<Queue>) -> Result<u64> {
        self.gate().return_unseen(&Name::new(queue.into().name())?)
    }

    /// Returns the queues that a message with this routing key and these headers would reach, if it
    /// were published to `exchange`.
    ///
    /// Each queue is in the result once, in the order in which the queues would get the message.
    /// The method follows bindings, bindings between exchanges, and alternate exchanges. It
    /// publishes nothing and declares nothing. It uses only the name of the exchange.
    ///
    /// The method is for tests of a topology, and for finding out where messages go.
    ///
    /// - It does not follow `CC` and `BCC` headers. Call it once for each of their keys.
    /// - The result for a delayed exchange is the route after the delay.
    /// - An internal exchange is allowed, although no message can be published to it.
    ///
    /// # Errors
    /// - [`Error::NotFound`](crate::Error::NotFound) if the exchange does not exist.
    /// - [`Error::InvalidName`](crate::Error::InvalidName) if the routing key is over 255 bytes.
    /// - [`Error::ConnectionClosed`](crate::Error::ConnectionClosed)
    /// - [`Error::ShutDown`](crate::Error::ShutDown)
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
    /// let missing = Exchange::existing("no such");
    /// assert!(broker.route(&missing, "", &none).unwrap_err().is_not_found());
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

    /// Creates a producer for an exchange, or for a queue (by the default exchange).
    ///
    /// The method [declares](Self::declare) the exchange or the queue. A plain name always means a
    /// queue. For an exchange pass its description, or [`Exchange::existing`] with its name.
    ///
    /// # Errors
    /// The errors of [`declare`](Self::declare).
    ///
    /// # Examples
    /// ```
    /// use leveret::Exchange;
    /// # let broker = leveret::Broker::new();
    /// let producer = broker.producer::<u32>("q")?;
    /// assert_eq!(producer.publish(7)?.routed, 1);
    /// let error = broker.producer::<u32>(&Exchange::existing("no such")).unwrap_err();
    /// assert!(error.is_not_found());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn producer<T: Payload>(&self, to: impl Into<Destination>) -> Result<Producer<T>> {
        self.producer_builder(to).build()
    }

    /// Returns a builder for a producer with other settings.
    ///
    /// [`ProducerBuilder`] has an example.
    pub fn producer_builder<T: Payload>(&self, to: impl Into<Destination>) -> ProducerBuilder<T> {
        ProducerBuilder::new(Ok(self.clone()), to.into())
    }

    /// Starts a consumer of a queue.
    ///
    /// The method [declares](Self::declare) the queue.
    ///
    /// # RabbitMQ
    /// `basic.consume`. The default prefetch is 256 here, and unlimited in RabbitMQ.
    ///
    /// # Errors
    /// The errors of [`declare`](Self::declare) and of [`ConsumerBuilder::build`].
    ///
    /// # Examples
    /// ```
    /// use leveret::Queue;
    /// # let broker = leveret::Broker::new();
    /// let consumer = broker.consumer::<u32>("q")?;
    /// assert!(consumer.try_recv().is_err()); // the queue is empty
    /// assert!(broker.consumer::<u32>(&Queue::existing("no such")).unwrap_err().is_not_found());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn consumer<T: Payload>(&self, queue: impl Into<Queue>) -> Result<Consumer<T>> {
        self.consumer_builder(queue).build()
    }

    /// Returns a builder for a consumer with other settings.
    ///
    /// [`ConsumerBuilder`] has an example.
    pub fn consumer_builder<T: Payload>(&self, queue: impl Into<Queue>) -> ConsumerBuilder<T> {
        ConsumerBuilder::new(Ok(self.clone()), queue.into())
    }

    /// Returns a builder for a reader of a stream.
    ///
    /// [`ReaderBuilder::build`] [declares](Self::declare) the stream.
    ///
    /// # RabbitMQ
    /// `basic.consume` from a stream, without a prefetch and without settlements.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Offset, Queue};
    /// # let broker = leveret::Broker::new();
    /// let log = Queue::stream("log");
    /// broker.producer::<u32>(&log)?.publish(7)?;
    /// let reader = broker.reader::<u32>(&log).from(Offset::First).build()?;
    /// assert_eq!(*reader.recv()?, 7);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn reader<T: Payload>(&self, stream: impl Into<Queue>) -> ReaderBuilder<T> {
        ReaderBuilder::new(Ok(self.clone()), stream.into())
    }

    /// Subscribes to a fanout exchange: starts a consumer of a queue of its own, which gets every
    /// message that is published from now on. Each subscriber gets its own copy.
    ///
    /// The method declares the fanout exchange of this name if there is none. It uses an existing
    /// one, whatever its other properties. The queue is [temporary](Queue::temporary): it ends with
    /// the consumer.
    ///
    /// For another type of exchange there is [`subscribe_to`](Self::subscribe_to).
    ///
    /// # RabbitMQ
    /// `exchange.declare`, `queue.declare` with `exclusive` and `auto_delete`, `queue.bind` and
    /// `basic.consume`: here one atomic operation. `Broadcast` of kombu.
    ///
    /// # Errors
    /// - [`Error::Inequivalent`](crate::Error::Inequivalent) if the exchange exists with another
    ///   type.
    /// - The errors of [`declare`](Self::declare) and of [`ConsumerBuilder::build`].
    ///
    /// # Examples
    /// ```
    /// use leveret::Exchange;
    /// # let broker = leveret::Broker::new();
    /// let first = broker.subscribe::<String>("news")?;
    /// let second = broker.subscribe::<String>("news")?;
    /// broker.producer(Exchange::existing("news"))?.publish("hello".to_owned())?;
    /// assert_eq!((&**first.recv()?, &**second.recv()?), ("hello", "hello"));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn subscribe<T: Payload>(&self, exchange: impl Into<String>) -> Result<Consumer<T>> {
        self.consumer(subscription(Exchange::open_fanout(exchange), ""))
    }

    /// Subscribes to an exchange with a binding key, as [`subscribe`](Self::subscribe) does to a
    /// fanout exchange without one.
    ///
    /// The method [declares](Self::declare) the exchange. A plain name means an existing exchange.
    ///
    /// For several keys, for the arguments of a headers exchange or for other settings of the
    /// consumer, bind a [temporary](Queue::temporary) queue, as in the example.
    ///
    /// # RabbitMQ
    /// As for [`subscribe`](Self::subscribe).
    ///
    /// # Errors
    /// The errors of [`declare`](Self::declare) and of [`ConsumerBuilder::build`].
    ///
    /// # Examples
    /// ```
    /// use leveret::{Exchange, Queue};
    /// # let broker = leveret::Broker::new();
    /// let logs = Exchange::topic("logs");
    /// let errors = broker.subscribe_to::<String>(&logs, "*.error")?;
    /// let disk = Queue::temporary().bind(&logs, "disk.*").bind(&logs, "raid.*");
    /// let disk = broker.consumer_builder::<String>(disk).auto_ack().build()?;
    ///
    /// let publisher = broker.producer::<String>(&logs)?;
    /// assert_eq!(publisher.publish_to("disk.error", "full".to_owned())?.routed, 2);
    /// assert_eq!((&**errors.recv()?, &**disk.recv()?), ("full", "full"));
    /// drop((errors, disk));
    /// assert_eq!(publisher.publish_to("disk.error", "full".to_owned())?.routed, 0);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn subscribe_to<T: Payload>(
        &self,
        exchange: impl Into<Exchange>,
        binding_key: impl Into<String>,
    ) -> Result<Consumer<T>> {
        self.consumer(subscription(exchange.into(), binding_key))
    }

    /// Opens a queue for `put` and `get`.
    ///
    /// The method [declares](Self::declare) the queue.
    ///
    /// # RabbitMQ
    /// `Connection.SimpleQueue` of kombu.
    ///
    /// # Errors
    /// - The errors of [`declare`](Self::declare).
    /// - [`Error::SingleActiveConsumer`](crate::Error::SingleActiveConsumer) for a quorum queue
    ///   with a single active consumer. Such a queue has no gets.
    /// - [`Error::NotImplemented`](crate::Error::NotImplemented) for a stream.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    /// # let broker = Broker::new();
    /// broker.simple_queue::<u32>("q")?.put(7)?;
    /// assert_eq!(broker.simple_queue::<u32>(&Queue::new("q"))?.len()?, 1);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn simple_queue<T: Payload>(&self, queue: impl Into<Queue>) -> Result<SimpleQueue<T>> {
        SimpleQueue::open(self, &queue.into())
    }

    /// Opens a buffer: a [`SimpleQueue`] whose messages are acknowledged when they are got, and
    /// whose queue ends with its last handle.
    ///
    /// Only this connection can use the queue. A second call with the same name opens the same
    /// buffer. For the empty name, the broker generates one.
    ///
    /// # RabbitMQ
    /// `Connection.SimpleBuffer` of kombu: the queue is not durable and is deleted when it is
    /// unused, and messages need no acknowledgement. Here the queue is `exclusive` as well, since
    /// RabbitMQ 4 deprecates transient queues that are not.
    ///
    /// # Errors
    /// - [`Error::Inequivalent`](crate::Error::Inequivalent) or
    ///   [`Error::ResourceLocked`](crate::Error::ResourceLocked) if there is another queue of this
    ///   name.
    /// - The errors of [`declare`](Self::declare).
    ///
    /// # Examples
    /// ```
    /// # let broker = leveret::Broker::new();
    /// let buffer = broker.simple_buffer::<u32>("recent")?;
    /// buffer.put(7)?;
    /// buffer.put(8)?;
    /// drop(buffer.get()?); // it is acknowledged, and does not come again
    /// assert_eq!(*buffer.get()?, 8);
    /// drop(buffer);
    /// assert!(broker.purge("recent").unwrap_err().is_not_found());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn simple_buffer<T: Payload>(&self, name: impl Into<String>) -> Result<SimpleQueue<T>> {
        SimpleQueue::open_buffer(self, name.into())
    }
}

/// A queue for one subscriber.
fn subscription(exchange: Exchange, binding_key: impl Into<String>) -> Queue {
    Queue::temporary().bind(exchange, binding_key)
}
