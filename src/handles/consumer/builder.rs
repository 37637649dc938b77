//! How a consumer is made.

use std::{fmt, marker::PhantomData, sync::Arc};

use super::{Consumer, ConsumerQueue, cancel};
use crate::{
    engine::vhost::{REPLY_TO, WithBindings},
    message::{codec::Codecs, payload::Payload},
    model::{
        descriptions::Queue,
        error::{CodecError, Result},
        name::Name,
    },
    runtime::sync::atomic::{AtomicBool, AtomicUsize},
    session::{
        channel,
        connection::Connection,
        subscriber::{Subscriber, SubscriberOptions},
    },
};

/// How many unsettled messages a consumer may hold unless told otherwise.
///
/// Large enough that handing over a run at a time costs little per message, small enough that one consumer does not
/// swallow a backlog that others could share.
const DEFAULT_PREFETCH: u32 = 256;

/// How a consumer is to be; made by `consumer_builder`.
///
/// # Examples
/// ```
/// use leveret::{Broker, Queue, codec::Codecs};
///
/// let broker = Broker::new();
/// let urgent = Queue::new("urgent");
/// let normal = Queue::new("normal");
/// let consumer = broker.consumer_builder::<String>(&urgent).also(&normal).prefetch(10).build()?;
/// broker.producer::<String>(&normal)?.publish("hello".to_owned())?;
/// assert_eq!(consumer.recv()?.info().queue(), "normal");
///
/// // Alone at its queue, served first, at most once, and for JSON only:
/// let audit = Queue::new("audit");
/// let builder = broker.consumer_builder::<u32>(&audit).tag("auditor").exclusive().priority(10).auto_ack();
/// let auditor = builder.codecs(Codecs::default()).accept(["json"]).build()?;
/// assert_eq!(auditor.tag(), "auditor");
/// assert_eq!(broker.consumer::<u32>(&audit).unwrap_err().reply_code(), Some(403));
/// # Ok::<(), leveret::Error>(())
/// ```
#[must_use]
pub struct ConsumerBuilder<T: Payload> {
    connection: Result<Connection>,
    /// It ends with this channel, not only with the connection.
    channel: Option<Arc<channel::ChannelCore>>,
    queues: Vec<Queue>,
    tag: String,
    prefetch: u32,
    priority: i64,
    exclusive: bool,
    auto_ack: bool,
    codecs: Result<Codecs, CodecError>,
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
            codecs: Ok(Codecs::default()),
            payload: PhantomData,
        }
    }

    /// Has the consumer end with a channel.
    pub(crate) fn of_channel(mut self, channel: &Arc<channel::ChannelCore>) -> Self {
        self.channel = Some(Arc::clone(channel));
        self
    }

    /// One more queue to receive from. If one of several queues is deleted, the consumer goes on with the others.
    pub fn also(mut self, queue: impl Into<Queue>) -> Self {
        self.queues.push(queue.into());
        self
    }

    /// How many messages of each queue it may hold unsettled (the `prefetch-count` of AMQP's `basic.qos`); 0 is no limit.
    /// 256 unless set.
    ///
    /// RabbitMQ's default is no limit; here one consumer shall not swallow a backlog that others could share.
    pub fn prefetch(mut self, prefetch: u32) -> Self {
        self.prefetch = prefetch;
        self
    }

    /// The higher, the sooner it is served (RabbitMQ's `x-priority`); 0 unless set. Never overtakes what was handed to another consumer.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = i64::from(priority);
        self
    }

    /// Refused unless it is the queue's only consumer, and keeps others from joining.
    pub fn exclusive(mut self) -> Self {
        self.exclusive = true;
        self
    }

    /// Messages count as acknowledged when they are received (AMQP's `no-ack`): one that is dropped does not come back.
    pub fn auto_ack(mut self) -> Self {
        self.auto_ack = true;
        self
    }

    /// The consumer tag, at most 255 bytes; generated unless set.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = tag.into();
        self
    }

    /// The codecs that decode what was not published as `T`: JSON, text and bytes unless set.
    pub fn codecs(mut self, codecs: Codecs) -> Self {
        self.codecs = Ok(codecs);
        self
    }

    /// Takes only these content types, by name (`json`) or in full (`application/json`); others come as
    /// [`RecvError::Decode`](crate::RecvError::Decode).
    pub fn accept<I>(mut self, content_types: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.codecs = self.codecs.and_then(|codecs| codecs.accept(content_types));
        self
    }

    /// Declares the queues, unless they are there, and starts the consumer.
    ///
    /// # Errors
    /// Those of `declare`; [`Error::AccessRefused`](crate::Error::AccessRefused) if a queue has an exclusive consumer, or has any and this one was to
    /// be exclusive, [`Error::ResourceLocked`](crate::Error::ResourceLocked) for another connection's exclusive queue, [`Error::Codec`](crate::Error::Codec) for an unknown
    /// content type, [`Error::InvalidName`](crate::Error::InvalidName) for a tag over 255 bytes.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Error, Queue};
    /// let broker = Broker::new();
    /// let builder = broker.consumer_builder::<u32>(&Queue::new("q")).accept(["yaml"]);
    /// assert!(matches!(builder.build(), Err(Error::Codec(_)))); // nobody taught it YAML
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn build(self) -> Result<Consumer<T>> {
        let connection = self.connection?;
        let codecs = self.codecs?;
        let ask = SubscriberOptions {
            tag: Name::new(self.tag)?,
            prefetch: self.prefetch,
            priority: self.priority,
            exclusive: self.exclusive,
            auto_ack: self.auto_ack,
            expected_size: size_of::<T>() as u64,
        };
        let ended: Arc<[AtomicBool]> = self.queues.iter().map(|_| AtomicBool::new(false)).collect();
        let mut members = Vec::with_capacity(self.queues.len());
        for (place, queue) in self.queues.iter().enumerate() {
            let started =
                subscribe(&connection, queue, &ask).and_then(|subscription| match &self.channel {
                    Some(channel) => channel.adopt(&subscription).map(|()| subscription),
                    None => Ok(subscription),
                });
            match started {
                Ok(subscription) => {
                    members.push(ConsumerQueue {
                        subscriber: subscription,
                        ended: Arc::clone(&ended),
                        place,
                    });
                }
                Err(error) => {
                    cancel(&members);
                    return Err(error);
                }
            }
        }
        Ok(Consumer {
            queues: members.into(),
            turn: AtomicUsize::new(0),
            codecs,
            payload: PhantomData,
        })
    }
}

/// Declares the queue and subscribes to it. An auto-delete queue that loses its last consumer in between, and so goes, is
/// declared anew.
fn subscribe(
    connection: &Connection,
    queue: &Queue,
    ask: &SubscriberOptions,
) -> Result<Arc<Subscriber>> {
    loop {
        // The name as declared: a generated one, or the given one without its line breaks.
        let name = connection
            .gate()
            .declare_queue(queue, WithBindings::Yes)?
            .name;
        // The name for direct replies can be declared, and is no queue however often that is done.
        let fleeting = (queue.is_auto_delete() || queue.is_open())
            && !queue.is_passive()
            && !name.starts_with(REPLY_TO);
        match connection.core().subscribe(&name, ask.clone()) {
            Err(error) if error.is_not_found() && fleeting => {}
            subscribed => return subscribed,
        }
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
