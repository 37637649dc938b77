//! Looking at the ready messages of a queue, and deleting single ones.
//!
//! The messages are read in pages, so the queue's lock is never held for long. No filter and no
//! codec runs under a lock.

use std::fmt;

use super::{
    export::{ExportedMessage, ExportedMessages},
    moves::for_selected,
    selection::{Selection, ask},
};
use crate::{
    engine::queue::ReadyKey,
    handles::broker::Broker,
    model::{descriptions::Queue, error::Result, name::Name},
    session::{channel::Channel, connection::Connection},
};

/// Identifies a ready message in its queue. [`ExportedMessage::id`] returns it.
///
/// It stays valid while the message is ready. If the message is delivered and returns, it is the
/// same again in a classic queue, and another one in a quorum queue. No other message ever has it,
/// also if the queue is deleted and declared again.
///
/// [`Connection::delete_message`] has an example.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MessageId {
    queue: u64,
    key: ReadyKey,
}

impl MessageId {
    pub(super) fn new(queue: u64, key: ReadyKey) -> MessageId {
        MessageId { queue, key }
    }

    /// Its place in the queue with this id. `None` in any other queue.
    pub(super) fn key_in(self, queue: u64) -> Option<ReadyKey> {
        (self.queue == queue).then_some(self.key)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageId")
            .field("queue", &self.queue)
            .field("position", &self.key.position())
            .finish()
    }
}

/// The outcome of an operation on one message.
///
/// [`Connection::delete_message`] and [`Connection::move_message`] have examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MessageOutcome {
    /// It is done.
    Done,
    /// The message is not ready any more, and nothing was done: it is delivered, or it has left the
    /// queue.
    NotReady,
    /// The other queue has refused the message, which is in its place.
    Refused,
}

impl Connection {
    /// Copies up to `most` ready messages of a queue, the next one to be delivered first. Nothing
    /// is taken out, marked or counted.
    ///
    /// Messages that are with consumers are not among them, nor those that a typed consumer has in
    /// advance: [`return_unseen`](Self::return_unseen) brings these back. Of a stream, all messages
    /// are ready. [`export_messages`](Self::export_messages) has the delayed messages too.
    ///
    /// # RabbitMQ
    /// `rabbitmqadmin get` with `ack_requeue_true` shows messages too, but marks them as
    /// redelivered.
    ///
    /// # Errors
    /// The errors of [`export_messages`](Self::export_messages) for a queue.
    ///
    /// # Examples
    /// ```
    /// # let broker = leveret::Broker::new();
    /// let _ = broker.producer::<u32>("q")?.publish_batch([7, 8, 9]);
    /// let first = broker.peek("q", 2)?;
    /// assert_eq!(&**first[0].body().expect("JSON"), b"7");
    /// assert_eq!(first.len(), 2);
    /// assert_eq!(broker.purge("q")?, 3); // they were only looked at
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn peek(&self, queue: impl Into<Queue>, most: usize) -> Result<Vec<ExportedMessage>> {
        let messages = self.ready_messages(&queue.into())?;
        Ok(messages.pages_of(most).take(most).collect())
    }

    /// Copies the ready messages of a queue that the filter accepts, one after the other, in the
    /// order of delivery. Otherwise it is as [`peek`](Self::peek).
    ///
    /// The filter runs without a lock. If it panics, the iterator returns
    /// [`Error::Panicked`](crate::Error::Panicked) once and ends. All messages are in their places.
    ///
    /// # Errors
    /// The errors of [`peek`](Self::peek).
    ///
    /// # Examples
    /// ```
    /// # use leveret::{Broker, Message};
    /// # let broker = Broker::new();
    /// let names = broker.producer::<String>("names")?;
    /// for (name, id) in [("Ada", "a"), ("Grace", "g")] {
    ///     names.publish_message(Message::new(name.to_owned()).message_id(id))?;
    /// }
    /// let graces = broker.browse("names", |message| {
    ///     message.properties().message_id.as_deref() == Some("g")
    /// })?;
    /// for message in graces {
    ///     assert_eq!(&**message?.body().expect("text"), b"Grace");
    /// }
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn browse<F: FnMut(&ExportedMessage) -> bool>(
        &self,
        queue: impl Into<Queue>,
        filter: F,
    ) -> Result<Browse<F>> {
        Ok(Browse {
            messages: Some(self.ready_messages(&queue.into())?),
            filter,
        })
    }

    /// Deletes one ready message, without dead-lettering. It counts as purged.
    ///
    /// # RabbitMQ
    /// There is no counterpart: `queue.purge` drops all ready messages.
    ///
    /// # Errors
    /// - The errors of [`Channel::queue_purge`].
    /// - [`Error::NotImplemented`](crate::Error::NotImplemented) for a stream, which keeps its
    ///   messages.
    ///
    /// # Examples
    /// ```
    /// # use leveret::{Broker, MessageOutcome};
    /// # let broker = Broker::new();
    /// let queue = broker.simple_queue::<u32>("q")?;
    /// queue.put(7)?;
    /// queue.put(8)?;
    /// let seven = broker.peek("q", 1)?[0].id().expect("it is ready");
    /// let delivery = queue.get()?;
    /// assert_eq!(broker.delete_message("q", seven)?, MessageOutcome::NotReady); // it is delivered
    /// drop(delivery); // it returns
    /// assert_eq!(broker.delete_message("q", seven)?, MessageOutcome::Done);
    /// assert_eq!(*queue.get()?, 8);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn delete_message(
        &self,
        queue: impl Into<Queue>,
        message: MessageId,
    ) -> Result<MessageOutcome> {
        let queue = self.gate().getter(&Name::of_entity(queue.into().name())?)?;
        let key = message.key_in(queue.queue_id());
        let deleted = key.is_some_and(|key| queue.delete_at(key));
        Ok(match deleted {
            true => MessageOutcome::Done,
            false => MessageOutcome::NotReady,
        })
    }

    /// Deletes the selected ready messages, without dead-lettering. They count as purged. Returns
    /// their number.
    ///
    /// Each message stays in its queue until it is deleted, one by one. A message that a consumer
    /// takes meanwhile is not deleted, and neither is one that arrives after the call began.
    ///
    /// # Errors
    /// - The errors of [`delete_message`](Self::delete_message).
    /// - [`Error::Panicked`](crate::Error::Panicked) if the filter panics. The messages that it has
    ///   accepted before are deleted then, and all others are in their places.
    ///
    /// # Examples
    /// ```
    /// # use leveret::{Broker, Message, Selection};
    /// # let broker = Broker::new();
    /// let producer = broker.producer::<u32>("q")?;
    /// for number in 0..6 {
    ///     producer.publish_message(Message::new(number).header("odd", number % 2 == 1))?;
    /// }
    /// let odd = Selection::first(2).filter(|properties| {
    ///     properties.header_value("odd").and_then(|odd| odd.as_bool()) == Some(true)
    /// });
    /// assert_eq!(broker.delete_messages("q", odd)?, 2);
    /// assert_eq!(broker.purge("q")?, 4);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn delete_messages(
        &self,
        queue: impl Into<Queue>,
        mut which: Selection<'_>,
    ) -> Result<u64> {
        let queue = self.gate().getter(&Name::of_entity(queue.into().name())?)?;
        let mut deleted = 0;
        for_selected(&queue, &mut which, |key, _| {
            let is_deleted = queue.delete_at(key);
            deleted += u64::from(is_deleted);
            Ok(is_deleted)
        })?;
        Ok(deleted)
    }

    fn ready_messages(&self, queue: &Queue) -> Result<ExportedMessages> {
        let name = Name::of_entity(queue.name())?;
        Ok(ExportedMessages::ready_of(
            self.gate().exported_queue(&name)?,
        ))
    }
}

/// The same methods for brokers and channels.
macro_rules! delegate {
    ($($handle:ty),*) => {$(
        impl $handle {
            /// Same as [`Connection::peek`].
            ///
            /// # Errors
            /// Those of [`Connection::peek`].
            pub fn peek(
                &self,
                queue: impl Into<Queue>,
                most: usize,
            ) -> Result<Vec<ExportedMessage>> {
                self.connection()?.peek(queue, most)
            }

            /// Same as [`Connection::browse`].
            ///
            /// # Errors
            /// Those of [`Connection::browse`].
            pub fn browse<F: FnMut(&ExportedMessage) -> bool>(
                &self,
                queue: impl Into<Queue>,
                filter: F,
            ) -> Result<Browse<F>> {
                self.connection()?.browse(queue, filter)
            }

            /// Same as [`Connection::delete_message`].
            ///
            /// # Errors
            /// Those of [`Connection::delete_message`].
            pub fn delete_message(
                &self,
                queue: impl Into<Queue>,
                message: MessageId,
            ) -> Result<MessageOutcome> {
                self.connection()?.delete_message(queue, message)
            }

            /// Same as [`Connection::delete_messages`].
            ///
            /// # Errors
            /// Those of [`Connection::delete_messages`].
            pub fn delete_messages(
                &self,
                queue: impl Into<Queue>,
                which: Selection<'_>,
            ) -> Result<u64> {
                self.connection()?.delete_messages(queue, which)
            }
        }
    )*};
}

delegate!(Broker, Channel);

/// The ready messages of a queue that a filter accepts. [`Connection::browse`] makes it, and has an
/// example.
///
/// # If dropped
/// Nothing happens.
#[must_use = "an iterator does nothing by itself"]
pub struct Browse<F> {
    /// `None` after the filter has panicked.
    messages: Option<ExportedMessages>,
    filter: F,
}

impl<F: FnMut(&ExportedMessage) -> bool> Iterator for Browse<F> {
    type Item = Result<ExportedMessage>;

    fn next(&mut self) -> Option<Result<ExportedMessage>> {
        loop {
            let message = self.messages.as_mut()?.next()?;
            match ask(|| (self.filter)(&message)) {
                Ok(true) => return Some(Ok(message)),
                Ok(false) => {}
                Err(panicked) => {
                    self.messages = None;
                    return Some(Err(panicked));
                }
            }
        }
    }
}

impl<F> fmt::Debug for Browse<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Browse")
            .field("messages", &self.messages)
            .finish_non_exhaustive()
    }
}
