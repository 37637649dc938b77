//! [`ConsumerBuilder`].

use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use super::{
    Consumer, ConsumerQueue,
    cancel::cancel,
    decode_error::{DecodeErrorPolicy, Inspector, OnDecodeError},
};
use crate::{
    message::{codec::Codecs, payload::Payload},
    model::{
        descriptions::Queue,
        error::{CodecError, Result},
        name::Name,
        slow_consumer::SlowConsumerPolicy,
    },
    runtime::{sync::atomic::AtomicBool, waiter::Turn},
    session::{
        channel, connection::Connection, subscriber::SubscriberOptions, undecoded::Undecoded,
    },
};

/// The default prefetch: the number of unsettled messages that a consumer may hold.
///
/// A large prefetch makes the cost of each message small, since messages are delivered in runs. A
/// larger one would let one consumer take a backlog that others could share.
const DEFAULT_PREFETCH: u32 = 256;

/// Builds a consumer with other settings. `consumer_builder` returns it.
///
/// # Examples
/// ```
/// use leveret::{Broker, codec::Codecs};
///
/// let broker = Broker::new();
/// let consumer = broker.consumer_builder::<String>("urgent").also("normal").prefetch(10).build()?;
/// broker.producer::<String>("normal")?.publish("hello".to_owned())?;
/// assert_eq!(consumer.recv()?.info().queue(), "normal");
///
/// // This consumer is exclusive, has a priority, acknowledges automatically and accepts only JSON:
/// let builder = broker.consumer_builder::<u32>("audit").tag("auditor").exclusive();
/// let builder = builder.priority(10).auto_ack().codecs(Codecs::default()).accept(["json"]);
/// let auditor = builder.build()?;
/// assert_eq!(auditor.tag(), "auditor");
/// assert_eq!(broker.consumer::<u32>("audit").unwrap_err().reply_code(), Some(403));
/// # Ok::<(), leveret::Error>(())
/// ```
#[must_use]
pub struct ConsumerBuilder<T: Payload> {
    connection: Result<Connection>,
    /// The channel that the consumer ends with. If `None`, the consumer ends with the connection.
    channel: Option<Arc<channel::ChannelCore>>,
    queues: Vec<Queue>,
    tag: String,
    prefetch: u32,
    priority: i64,
    exclusive: bool,
    auto_ack: bool,
    in_tasks: bool,
    strict_order: bool,
    paused: bool,
    timeout: Option<Duration>,
    on_slow: SlowConsumerPolicy,
    #[cfg(feature = "tracing")]
    is_traced: bool,
    codecs: Result<Codecs, CodecError>,
    on_decode_error: OnDecodeError,
    payload: PhantomData<fn() -> T>,
}

impl<T: Payload> ConsumerBuilder<T> {
    pub(crate) fn new(connection: Result<Connection>, queue: Queue) -> ConsumerBuilder<T> {
        ConsumerBuilder {
            connection,
            channel: None,
            queues: vec![queue],
            tag: String::new(),
            prefetch: DEFAULT_PREFETCH,
            priority: 0,
            exclusive: false,
            auto_ack: false,
            in_tasks: false,
            strict_order: false,
            paused: false,
            timeout: None,
            on_slow: SlowConsumerPolicy::default(),
            #[cfg(feature = "tracing")]
            is_traced: false,
            codecs: Ok(Codecs::default()),
            on_decode_error: OnDecodeError::default(),
            payload: PhantomData,
        }
    }

    /// The name of the first queue, as described.
    pub(crate) fn first_queue(&self) -> &str {
        self.queues.first().map_or("", Queue::name)
    }

    /// Ends the consumer when the channel ends.
    pub(crate) fn of_channel(mut self, channel: &Arc<channel::ChannelCore>) -> Self {
        self.channel = Some(Arc::clone(channel));
        self
    }

    /// Adds a queue to receive from. If one of several queues is deleted, the consumer continues
    /// with the others. They are served in turn, or in a [strict order](Self::strict_order).
    ///
    /// # RabbitMQ
    /// `basic.consume`, once for each queue.
    pub fn also(mut self, queue: impl Into<Queue>) -> Self {
        self.queues.push(queue.into());
        self
    }

    /// Serves the first of several queues that has a message, in the order in which they were
    /// added. By default the queues that have messages are served in turn.
    ///
    /// While an earlier queue has messages, a later one gets no turn. The exception is an earlier
    /// queue from which the consumer holds its whole [`prefetch`](Self::prefetch): it delivers
    /// nothing until a settlement.
    ///
    /// # RabbitMQ
    /// RabbitMQ has no counterpart. In kombu it is the `queue_order_strategy` `priority` of some
    /// transports.
    ///
    /// # Examples
    /// ```
    /// # let broker = leveret::Broker::new();
    /// let builder = broker.consumer_builder::<u32>("urgent").also("normal");
    /// let consumer = builder.strict_order().build()?;
    /// let _ = broker.producer::<u32>("normal")?.publish_batch([3, 4]);
    /// let _ = broker.producer::<u32>("urgent")?.publish_batch([1, 2]);
    /// let received: Result<Vec<_>, _> = consumer.try_iter().collect();
    /// assert!(received?.iter().map(|delivery| **delivery).eq([1, 2, 3, 4]));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn strict_order(mut self) -> Self {
        self.strict_order = true;
        self
    }

    /// Sets the number of unsettled messages that the consumer may hold from each queue.
    ///
    /// 0 means no limit. The default is 256, so that one consumer does not take a backlog that
    /// others could share.
    ///
    /// The length limits of a queue count only ready messages, and not those of a consumer. So a
    /// queue with [`max_length(4)`](crate::Queue::max_length) and one consumer hold 260 messages
    /// with the default prefetch, 5 with a prefetch of 1, and any number without a limit.
    ///
    /// # RabbitMQ
    /// The `prefetch-count` of `basic.qos`. The default is unlimited in RabbitMQ.
    pub fn prefetch(mut self, prefetch: u32) -> Self {
        self.prefetch = prefetch;
        self
    }

    /// Raises the prefetch to this number, if it is smaller.
    pub(crate) fn prefetch_at_least(mut self, prefetch: u32) -> Self {
        self.prefetch = self.prefetch.max(prefetch);
        self
    }

    /// Sets the priority. The default is 0.
    ///
    /// The queue delivers to consumers with a higher priority first. Messages that another consumer
    /// has in advance stay with that consumer.
    ///
    /// # RabbitMQ
    /// The argument `x-priority` of `basic.consume`.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = i64::from(priority);
        self
    }

    /// Makes the consumer exclusive. It is refused if one of its queues has another consumer.
    ///
    /// While an exclusive consumer exists, its queues refuse all other consumers. For a quorum
    /// queue it has no effect.
    ///
    /// # RabbitMQ
    /// The `exclusive` flag of `basic.consume`.
    pub fn exclusive(mut self) -> Self {
        self.exclusive = true;
        self
    }

    /// Acknowledges each message when it is received. A delivery that is dropped is not requeued.
    ///
    /// # RabbitMQ
    /// The `no-ack` flag of `basic.consume`.
    pub fn auto_ack(mut self) -> Self {
        self.auto_ack = true;
        self
    }

    /// Starts the consumer [paused](Consumer::pause): it gets nothing before the first
    /// [`resume`](Consumer::resume).
    pub fn paused(mut self) -> Self {
        self.paused = true;
        self
    }

    /// Sets how long the consumer may hold a delivery, by the broker's clock. The time begins when
    /// a receiver gets the message.
    ///
    /// A delivery that is not settled in time returns to its queue, and other consumers get it. It
    /// has not failed, as after [`Requeue::Yes`](crate::Requeue::Yes). The consumer is late then:
    /// what it has in advance returns too, unmarked, and it gets no message until it has settled
    /// every such delivery. How it settles one, or that it drops it, makes no difference: the
    /// message has another way already. A receive waits meanwhile.
    ///
    /// Without this setting the consumer has the time of its queue
    /// ([`Queue::consumer_timeout`](crate::Queue::consumer_timeout)), of a policy
    /// (`consumer-timeout`) or of the broker
    /// ([`BrokerBuilder::consumer_timeout`](crate::BrokerBuilder::consumer_timeout)), if the queue
    /// is a quorum queue, and otherwise all the time. The time that is set here wins, even if it is
    /// longer, and holds for classic queues too.
    ///
    /// The queue keeps a second handle to the payload of each such delivery. So a payload that can
    /// be in one place only, a [`Local`](crate::Local), has all the time, and
    /// [`Delivery::ack_into`](crate::Delivery::ack_into) of a late delivery may give an `Arc`.
    ///
    /// # RabbitMQ
    /// The argument `x-consumer-timeout` of `basic.consume`, for quorum queues. There the client is
    /// told by a `basic.cancel`, and a late delivery must be acknowledged or rejected for good.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, ManualClock, TryRecvError};
    /// use std::time::Duration;
    ///
    /// let (clock, second) = (ManualClock::new(), Duration::from_secs(1));
    /// let broker = Broker::builder().clock(clock.clone()).build();
    /// let _ = broker.producer::<u32>("q")?.publish_batch([1, 2]);
    /// let slow = broker.consumer_builder::<u32>("q").timeout(second).build()?;
    /// let held = slow.recv()?;
    /// clock.advance(second);
    ///
    /// let other = broker.consumer::<u32>("q")?;
    /// assert_eq!(other.recv()?.info().acquired_count(), 1);
    /// assert_eq!(other.recv()?.info().acquired_count(), 0); // it was not shown to anyone
    /// drop(other); // which returns both
    /// assert!(matches!(slow.try_recv(), Err(TryRecvError::Empty)));
    /// held.ack()?; // it acknowledges nothing, and the consumer gets messages again
    /// assert_eq!(*slow.recv()?, 1);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the consumer tag, at most 255 bytes. By default the tag is generated.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = tag.into();
        self
    }

    /// Sets the codecs for payloads that were not published as `T`.
    ///
    /// The default is JSON, text and bytes.
    pub fn codecs(mut self, codecs: Codecs) -> Self {
        self.codecs = Ok(codecs);
        self
    }

    /// Accepts only these content types. A message of another type is a
    /// [`RecvError::Decode`](crate::RecvError::Decode).
    ///
    /// A content type is given by its short name (`json`) or its full name (`application/json`).
    ///
    /// # RabbitMQ
    /// The argument `accept` of kombu's `Consumer`.
    pub fn accept<I>(mut self, content_types: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.codecs = self.codecs.and_then(|codecs| codecs.accept(content_types));
        self
    }

    /// Sets what the consumer does with a message that does not decode. By default the receiver
    /// gets it, as [`RecvError::Decode`](crate::RecvError::Decode).
    ///
    /// With [`DecodeErrorPolicy::Reject`] or [`DecodeErrorPolicy::Ack`] the consumer settles such a
    /// message and goes on with the next one, in every form of receiving. So the `Result`s of its
    /// iterators and streams are never errors. A receive that does not wait skips at most as many
    /// messages as there are when it begins.
    ///
    /// With [`auto_ack`](Self::auto_ack) such a message is acknowledged already, and is not
    /// dead-lettered.
    ///
    /// # RabbitMQ
    /// RabbitMQ has no counterpart: it does not know whether a consumer can decode a message. In
    /// kombu it is `on_decode_error` of a `Consumer`.
    ///
    /// # Examples
    /// ```
    /// use leveret::{DecodeErrorPolicy, Queue};
    /// # let broker = leveret::Broker::new();
    /// let numbers = Queue::new("q").dead_letter_exchange("").dead_letter_routing_key("dead");
    /// let dead = broker.simple_queue::<String>("dead")?;
    /// let builder = broker.consumer_builder::<u32>(&numbers);
    /// let builder = builder.inspect_decode_errors(|undecoded| eprintln!("{undecoded}"));
    /// let consumer = builder.on_decode_error(DecodeErrorPolicy::Reject).build()?;
    ///
    /// broker.producer("q")?.publish("seven".to_owned())?;
    /// broker.producer("q")?.publish(8_u32)?;
    /// assert_eq!(*consumer.recv()?, 8);
    /// assert_eq!(*dead.get()?, "seven");
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn on_decode_error(mut self, policy: DecodeErrorPolicy) -> Self {
        self.on_decode_error.policy = policy;
        self
    }

    /// Calls `inspect` with each message that does not decode, before the
    /// [policy](Self::on_decode_error) takes effect: to log or to count such messages.
    ///
    /// The receiver's thread or task calls it, without a lock. A panic in `inspect` ends there, and
    /// the policy takes effect. [`on_decode_error`](Self::on_decode_error) has an example.
    ///
    /// # RabbitMQ
    /// As for [`on_decode_error`](Self::on_decode_error).
    pub fn inspect_decode_errors(
        mut self,
        inspect: impl Fn(&Undecoded) + Send + Sync + 'static,
    ) -> Self {
        self.on_decode_error.inspector = Some(Arc::new(Inspector::new(inspect)));
        self
    }

    /// Sets what a queue does when the consumer is too slow for it: when the consumer holds its
    /// whole [prefetch](Self::prefetch), and a message has come that no consumer of the queue can
    /// take. The default lets the message wait. A consumer without a limit is never too slow, and
    /// neither is one that is paused.
    ///
    /// With several slow consumers at a queue, the policy of the first one counts, in the order of
    /// their subscriptions.
    ///
    /// The [`build`](Self::build) fails with
    /// [`Error::NotImplemented`](crate::Error::NotImplemented) for a stream, if the policy is not
    /// to wait: all consumers of a stream get all messages.
    ///
    /// [`SlowConsumerPolicy`] has an example.
    ///
    /// # RabbitMQ
    /// As for [`SlowConsumerPolicy`].
    pub fn on_slow(mut self, policy: SlowConsumerPolicy) -> Self {
        self.on_slow = policy;
        self
    }

    /// Opens a span of the crate `tracing` for each message that is received, in all forms of
    /// `recv`. Needs the feature `tracing`.
    ///
    /// The span is called `receive`, of the target `leveret` and the level `INFO`. Its fields are
    /// `queue`, `exchange`, `routing_key`, `message_id`, `trace_id`, `span_id` and `parent_id`, the
    /// last only if the message carries a [context](crate::TraceContext). It is over when the
    /// method returns, so it does not contain the wait for the message or the work on it. Open a
    /// span of your own for the work, in the [context](crate::DeliveryInfo::trace_context) of the
    /// message. A [worker](crate::worker::WorkerBuilder::traced) has such a span.
    ///
    /// A traced consumer receives without the shortest way. One that is not traced pays nothing.
    ///
    /// # Source
    /// The operation `receive` of OpenTelemetry's semantic conventions for messaging spans.
    ///
    /// [`DeliveryInfo::trace_context`](crate::DeliveryInfo::trace_context) has an example.
    #[cfg(feature = "tracing")]
    pub fn traced(mut self) -> Self {
        self.is_traced = true;
        self
    }

    /// Only tasks receive from the consumer. So their threads do not count as holders of its
    /// deliveries while the broker shuts down.
    pub(crate) fn in_tasks(mut self) -> Self {
        self.in_tasks = true;
        self
    }

    /// Declares the queues, and starts the consumer.
    ///
    /// All of it is one atomic operation, so that no queue is deleted in between. A failure changes
    /// nothing.
    ///
    /// # RabbitMQ
    /// `basic.consume`, after `queue.declare` and `basic.qos`.
    ///
    /// # Errors
    /// The errors of `declare`, and:
    /// - [`Error::AccessRefused`](crate::Error::AccessRefused) if a queue has an exclusive
    ///   consumer, or if this consumer is exclusive and a queue has any consumer.
    /// - [`Error::ResourceLocked`](crate::Error::ResourceLocked) if a queue is exclusive to another
    ///   connection.
    /// - [`Error::Codec`](crate::Error::Codec) if a content type is unknown.
    /// - [`Error::InvalidName`](crate::Error::InvalidName) if the tag is over 255 bytes.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Error};
    /// let broker = Broker::new();
    /// let builder = broker.consumer_builder::<u32>("q").accept(["yaml"]);
    /// assert!(matches!(builder.build(), Err(Error::Codec(_)))); // there is no codec for YAML
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn build(self) -> Result<Consumer<T>> {
        let connection = self.connection?;
        let codecs = self.codecs?;
        let options = SubscriberOptions {
            tag: Name::new(self.tag)?,
            prefetch: self.prefetch,
            priority: self.priority,
            exclusive: self.exclusive,
            auto_ack: self.auto_ack,
            in_tasks: self.in_tasks,
            timeout: self.timeout,
            on_slow: self.on_slow,
            #[cfg(feature = "tracing")]
            is_traced: self.is_traced,
            expected_size: size_of::<T>() as u64,
            paused: Arc::new(AtomicBool::new(self.paused)),
        };
        let flags = self.queues.iter().map(|_| AtomicBool::new(false));
        let ended: Option<Arc<[_]>> = (self.queues.len() > 1).then(|| flags.collect());
        let started = connection.core().start_consumers(&self.queues, &options)?;
        let queues: Vec<_> = (0..)
            .zip(started)
            .map(|(place, subscriber)| ConsumerQueue {
                subscriber,
                ended: ended.clone(),
                place,
                is_ranked: self.strict_order,
            })
            .collect();
        if let Some(channel) = &self.channel {
            let mut subscribers = queues.iter().map(|queue| &queue.subscriber);
            if let Err(error) = subscribers.try_for_each(|subscriber| channel.adopt(subscriber)) {
                cancel(&queues);
                return Err(error);
            }
        }
        Ok(Consumer {
            queues: queues.into(),
            turn: (!self.strict_order).then(Turn::random),
            codecs,
            on_decode_error: self.on_decode_error,
            payload: PhantomData,
        })
    }
}

impl<T: Payload> fmt::Debug for ConsumerBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerBuilder")
            .field("queues", &self.queues)
            .field("prefetch", &self.prefetch)
            .finish_non_exhaustive()
    }
}
