//! Copies the messages of queues, and takes nothing out.
//!
//! The messages are read in pages, so the lock of a queue is never held for long, however many
//! messages there are. Payloads are encoded without a lock.

use std::{collections::VecDeque, fmt, time::Duration};

use super::messages::MessageId;
use crate::{
    handles::{broker::Broker, producer::Destination},
    message::properties::Properties,
    model::{
        bytes::Bytes,
        error::{CodecError, Result},
        name::Name,
    },
    session::{
        channel::Channel,
        connection::Connection,
        exported_queue::{ExportPlace, Exported, ExportedQueue},
    },
};

impl Connection {
    /// Copies the messages of a queue, or those that a [delayed exchange](crate::Exchange::delayed)
    /// keeps. Nothing is taken out, marked or counted. The call declares nothing.
    ///
    /// The ready messages come first, in the order of delivery, and then the delayed ones, in the
    /// order in which they are due. Messages that are with consumers are not among them. Neither
    /// are those that a typed consumer has in advance:
    /// [`return_unseen`](Self::return_unseen) brings these back. Messages that arrive after the
    /// iterator has come to their queue are not among them either.
    ///
    /// Consumers go on meanwhile. A message that stays where it is comes exactly once. One that is
    /// taken, that returns, or whose delay ends may come or not, and one that is delayed again may
    /// come twice.
    ///
    /// # RabbitMQ
    /// `rabbitmqadmin get` with `ack_requeue_true` shows messages too, but marks them as
    /// redelivered.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if the queue or exchange does not exist,
    /// [`Error::ResourceLocked`](crate::Error::ResourceLocked) for a queue that is exclusive to
    /// another connection, [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) for an
    /// exchange of another type, [`Error::ConnectionClosed`](crate::Error::ConnectionClosed),
    /// [`Error::ShutDown`](crate::Error::ShutDown).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Message, Queue};
    ///
    /// let broker = Broker::new();
    /// let orders = Queue::new("orders");
    /// let producer = broker.producer::<Vec<u32>>(&orders)?;
    /// producer.publish_message(Message::new(vec![7, 8]).message_id("m-1"))?;
    ///
    /// let exported: Vec<_> = broker.export_messages(&orders)?.collect();
    /// let order = &exported[0];
    /// assert_eq!(&**order.body().expect("JSON"), b"[7,8]");
    /// assert_eq!(order.properties().message_id.as_deref(), Some("m-1"));
    /// assert_eq!(broker.export_messages(&orders)?.count(), 1); // it is still there
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn export_messages(&self, of: impl Into<Destination>) -> Result<ExportedMessages> {
        let queue = match of.into() {
            Destination::Queue(queue) => {
                let name = Name::of_entity(queue.name())?;
                self.gate().exported_queue(&name)?
            }
            Destination::Exchange(exchange) => {
                let name = Name::of_entity(exchange.name())?;
                self.gate().exported_exchange(&name)?
            }
        };
        Ok(ExportedMessages::of(vec![queue]))
    }

    /// Copies the messages of all queues of the virtual host, by name, and then those of all
    /// delayed exchanges, as [`export_messages`](Self::export_messages) does for one. It leaves out
    /// queues that this connection may not read, such as those that are exclusive to others.
    ///
    /// # Errors
    /// [`Error::ConnectionClosed`](crate::Error::ConnectionClosed),
    /// [`Error::ShutDown`](crate::Error::ShutDown).
    ///
    /// # Examples
    /// ```
    /// # let broker = leveret::Broker::new();
    /// broker.producer::<String>("b")?.publish("second".to_owned())?;
    /// broker.producer::<String>("a")?.publish("first".to_owned())?;
    /// let all = broker.export_all_messages()?;
    /// let names: Vec<_> = all.map(|message| message.source().to_string()).collect();
    /// assert_eq!(names, ["a", "b"]);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn export_all_messages(&self) -> Result<ExportedMessages> {
        Ok(ExportedMessages::of(self.gate().all_exported()?))
    }
}

/// The same methods for brokers and channels.
macro_rules! delegate {
    ($($handle:ty),*) => {$(
        impl $handle {
            /// Same as [`Connection::export_messages`].
            ///
            /// # Errors
            /// Those of [`Connection::export_messages`].
            pub fn export_messages(&self, of: impl Into<Destination>) -> Result<ExportedMessages> {
                self.connection()?.export_messages(of)
            }

            /// Same as [`Connection::export_all_messages`].
            ///
            /// # Errors
            /// Those of [`Connection::export_all_messages`].
            pub fn export_all_messages(&self) -> Result<ExportedMessages> {
                self.connection()?.export_all_messages()
            }
        }
    )*};
}

delegate!(Broker, Channel);

/// The copies of messages, one after the other.
/// [`Broker::export_messages`](crate::Broker::export_messages) makes it, and has an example.
///
/// It reads a page of 256 messages at a time. It keeps no queue, and ends early if its queue is
/// deleted.
///
/// # If dropped
/// Nothing happens.
#[must_use = "an iterator does nothing by itself"]
pub struct ExportedMessages {
    /// Those that are still to come.
    queues: VecDeque<ExportedQueue>,
    current: Option<(ExportedQueue, ExportPlace)>,
    page: VecDeque<ExportedMessage>,
    /// The number of messages in a page.
    page_size: usize,
    with_delayed: bool,
}

impl ExportedMessages {
    fn of(queues: Vec<ExportedQueue>) -> ExportedMessages {
        ExportedMessages {
            queues: queues.into(),
            current: None,
            page: VecDeque::new(),
            page_size: PAGE,
            with_delayed: true,
        }
    }

    /// Only the ready messages of one queue.
    pub(super) fn ready_of(queue: ExportedQueue) -> ExportedMessages {
        ExportedMessages {
            with_delayed: false,
            ..ExportedMessages::of(vec![queue])
        }
    }

    /// Reads at most `most` messages at a time.
    pub(super) fn pages_of(self, most: usize) -> ExportedMessages {
        ExportedMessages {
            page_size: most.clamp(1, PAGE),
            ..self
        }
    }
}

impl Iterator for ExportedMessages {
    type Item = ExportedMessage;

    fn next(&mut self) -> Option<ExportedMessage> {
        loop {
            if let Some(next) = self.page.pop_front() {
                return Some(next);
            }
            if self.current.is_none() {
                let queue = self.queues.pop_front()?;
                let start = queue.start(self.with_delayed);
                self.current = Some((queue, start));
            }
            let (queue, place) = self.current.as_mut()?;
            let page = queue.page(place, self.page_size);
            let (source, id) = (queue.name(), queue.id());
            self.page = page
                .into_iter()
                .map(|message| ExportedMessage {
                    source: source.clone(),
                    id: message.key.map(|key| MessageId::new(id, key)),
                    message,
                })
                .collect();
            if self.page.is_empty() {
                self.current = None;
            }
        }
    }
}

impl fmt::Debug for ExportedMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let current = self.current.as_ref().map(|(queue, _)| queue.name());
        f.debug_struct("ExportedMessages")
            .field("current", &current)
            .finish_non_exhaustive()
    }
}

/// The number of messages in a page. The queue's lock is held while one page is read.
const PAGE: usize = 256;

/// A copy of a message that is in a queue, with its payload as octets.
///
/// # Examples
/// ```
/// use leveret::{Broker, Local, Message, Queue};
/// use std::time::Duration;
///
/// let broker = Broker::new();
/// let queue = Queue::new("q");
/// let producer = broker.producer::<String>(&queue)?;
/// producer.publish("now".to_owned())?;
/// let hour = Duration::from_secs(3_600);
/// producer.publish_message(Message::new("later".to_owned()).deliver_after(hour))?;
///
/// let mut exported = broker.export_messages(&queue)?;
/// let now = exported.next().expect("one is ready");
/// assert_eq!(&**now.body().expect("text"), b"now");
/// assert_eq!((&**now.source(), &**now.exchange(), now.routing_key()), ("q", "", "q"));
/// assert_eq!((now.position(), now.size(), now.due_in()), (0, 3, None));
/// assert_eq!((now.redelivered(), now.acquired_count(), now.delivery_count()), (false, 0, 0));
/// let later = exported.next().expect("one is delayed");
/// assert!(later.due_in().expect("a delay") <= hour);
///
/// // A value that never leaves the process has no octets.
/// broker.producer::<Local<u32>>("local")?.publish(Local::new(7))?;
/// let local = broker.export_messages("local")?.next().expect("one is ready");
/// assert!(local.body().is_err() && local.type_name().contains("u32"));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ExportedMessage {
    source: Name,
    id: Option<MessageId>,
    message: Exported,
}

impl ExportedMessage {
    /// The queue, or the delayed exchange, that has the message.
    pub fn source(&self) -> &Name {
        &self.source
    }

    /// Identifies the message, to delete or to move it. `None` if it is delayed:
    /// [`Delayed::cancel`](crate::Delayed::cancel) is for that.
    pub fn id(&self) -> Option<MessageId> {
        self.id
    }

    /// The number of the message in its queue: 0 for the first that it ever took in. It is not the
    /// number of messages before it. A quorum queue gives a returned message another one.
    pub fn position(&self) -> u64 {
        self.message.position
    }

    /// The exchange to which the message was published.
    pub fn exchange(&self) -> &Name {
        &self.message.exchange
    }

    /// The routing key with which the message was published.
    pub fn routing_key(&self) -> &str {
        &self.message.routing_key
    }

    /// The properties of the message, with its headers.
    pub fn properties(&self) -> &Properties {
        &self.message.properties
    }

    /// The payload as octets: bytes and text unchanged, and a value encoded by the codec of its
    /// producer. The property `content_type` tells how to read them.
    ///
    /// # Errors
    /// The error of the codec, or that of a payload that cannot be exported since it has no
    /// encoding: a [`Local`](crate::Local).
    pub fn body(&self) -> Result<&Bytes, &CodecError> {
        self.message.body.as_ref()
    }

    /// The payload as octets, without a borrow of the message.
    ///
    /// # Errors
    /// Those of [`body`](Self::body).
    pub fn into_body(self) -> Result<Bytes, CodecError> {
        self.message.body
    }

    /// The size of the message in bytes, as limits and counts use it.
    pub fn size(&self) -> u64 {
        self.message.size
    }

    /// The name of the payload's Rust type.
    pub fn type_name(&self) -> &'static str {
        self.message.type_name
    }

    /// Whether the message was delivered before.
    pub fn redelivered(&self) -> bool {
        self.message.redelivered
    }

    /// The number of earlier deliveries of the message that returned to the queue, for whatever
    /// reason.
    pub fn acquired_count(&self) -> u32 {
        self.message.acquired_count
    }

    /// The number of earlier deliveries of the message that failed.
    pub fn delivery_count(&self) -> u32 {
        self.message.delivery_count
    }

    /// The rest of its delay when it was copied. `None` if it is ready. [`Duration::MAX`] if it is
    /// due too late for the broker's clock.
    pub fn due_in(&self) -> Option<Duration> {
        self.message.due_in
    }
}
