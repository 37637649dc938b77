//! Moving ready messages from one queue to another.
//!
//! A message stays in its queue until it is moved. It is taken out as by a get, published, and only
//! then counted as moved. So it is never lost, and a broker that crashes in between has it in both
//! queues at worst. A message that the other queue has taken never comes back, even if the disk
//! fails then: a broker that goes on has it once.

use super::{
    messages::{MessageId, MessageOutcome},
    selection::Selection,
};
use crate::{
    engine::{queue::ReadyKey, store::Synced},
    handles::broker::Broker,
    message::{
        envelope::{Envelope, SettledMessage, SharedProperties},
        payload::Body,
    },
    model::{
        bytes::Bytes,
        descriptions::Queue,
        error::{Error, Result, StoreErrorKind},
        name::Name,
    },
    runtime::waiter,
    session::{
        channel::Channel,
        connection::Connection,
        gate::Gate,
        getter::Getter,
        publisher::{OnFull, Overrides, Publisher},
    },
};
use std::sync::Arc;

/// How many messages were moved. [`Connection::move_messages`] has an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moved {
    /// Those that are in the other queue now.
    pub moved: u64,
    /// Those that were selected, and that the other queue has refused: it is full, it is durable
    /// and the disk is low, or the payload cannot be there. They are in their places.
    pub refused: u64,
}

impl Connection {
    /// Moves the selected ready messages of one queue to another queue, in the order of delivery.
    ///
    /// A moved message keeps its properties, with its headers. It is published to the other queue
    /// by the default exchange: it gets a new position there, and its time to live begins anew. Its
    /// counts of deliveries begin anew too. A queue that lets its publishers wait refuses a message
    /// for which it has no room.
    ///
    /// Each message stays in its queue until it is moved, one by one, and consumers of both queues
    /// go on meanwhile. A message that a consumer takes meanwhile is not moved, and neither is a
    /// message that arrives after the call began.
    ///
    /// In a durable broker, a message is on disk in the other queue before it leaves its own. A
    /// crash in between leaves it in both. If the disk fails in between, the message is in the
    /// other queue, and a restart may find it in both.
    ///
    /// # RabbitMQ
    /// The shovel plugin; *Move messages* in its management pages.
    ///
    /// # Errors
    /// - [`Error::NotFound`] if one of the queues does not exist.
    /// - [`Error::ResourceLocked`] if one of them is exclusive to another connection.
    /// - [`Error::PreconditionFailed`] if both are the same queue.
    /// - [`Error::NotImplemented`] if the messages are those of a stream, which keeps them. A
    ///   stream can be the other queue.
    /// - [`Error::Panicked`] if the filter panics. The messages that it has accepted before are
    ///   moved then, and all others are in their places.
    /// - [`Error::Store`] if the disk fails. No further message is moved then.
    /// - [`Error::PermissionDenied`] for a user who may not read from the one queue, or not publish
    ///   to the other.
    /// - [`Error::ConnectionClosed`] or [`Error::ShutDown`].
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Message, Queue, Selection};
    ///
    /// let broker = Broker::new();
    /// let (from, to) = (Queue::new("from"), Queue::new("to"));
    /// let producer = broker.producer::<u32>(&from)?;
    /// broker.declare(&to)?;
    /// for number in 1..=5 {
    ///     let priority = if number % 2 == 0 { 9 } else { 0 };
    ///     producer.publish_message(Message::new(number).priority(priority))?;
    /// }
    /// let urgent = Selection::first(10).filter(|properties| properties.priority == Some(9));
    /// let moved = broker.move_messages(&from, &to, urgent)?;
    /// assert_eq!((moved.moved, moved.refused), (2, 0));
    /// assert_eq!(broker.peek(&to, 9)?.len(), 2);
    /// assert_eq!(broker.peek(&from, 9)?.len(), 3);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn move_messages(
        &self,
        from: impl Into<Queue>,
        to: impl Into<Queue>,
        which: Selection<'_>,
    ) -> Result<Moved> {
        let (from, to) = self.ends(&from.into(), &to.into())?;
        move_selected(self.gate(), &from, which, |_| Some(to.clone()))
    }

    /// Moves one ready message to another queue, as [`move_messages`](Self::move_messages) does.
    ///
    /// # Errors
    /// Those of [`move_messages`](Self::move_messages), but for the filter.
    ///
    /// # Examples
    /// ```
    /// # use leveret::{Broker, MessageOutcome, Queue};
    /// # let broker = Broker::new();
    /// let (from, to) = (Queue::new("from"), Queue::new("to"));
    /// broker.declare(&to)?;
    /// let names = broker.simple_queue::<String>(&from)?;
    /// names.put("Ada".to_owned())?;
    /// let ada = broker.peek(&from, 1)?[0].id().expect("it is ready");
    /// assert_eq!(broker.move_message(&from, ada, &to)?, MessageOutcome::Done);
    /// assert_eq!(broker.move_message(&from, ada, &to)?, MessageOutcome::NotReady); // it has left
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn move_message(
        &self,
        from: impl Into<Queue>,
        message: MessageId,
        to: impl Into<Queue>,
    ) -> Result<MessageOutcome> {
        let (from, to) = self.ends(&from.into(), &to.into())?;
        let Some(key) = message.key_in(from.queue_id()) else {
            return Ok(MessageOutcome::NotReady);
        };
        let publisher = publisher(self.gate());
        Ok(match move_one(&publisher, &from, key, &to)? {
            None => MessageOutcome::NotReady,
            Some(true) => MessageOutcome::Done,
            Some(false) => MessageOutcome::Refused,
        })
    }

    /// The two queues of a move. Both exist, and they are different.
    fn ends(&self, from: &Queue, to: &Queue) -> Result<(Getter, Name)> {
        let gate = self.gate();
        let to = Name::of_entity(to.name())?;
        let from = gate.getter(&Name::of_entity(from.name())?)?;
        let target = gate.check_queue(&to)?;
        match target.id() == from.queue_id() {
            true => Err(Error::moved_to_itself(&to, gate.vhost_name())),
            false => Ok((from, to)),
        }
    }
}

/// The same methods for brokers and channels.
macro_rules! delegate {
    ($($handle:ty),*) => {$(
        impl $handle {
            /// Same as [`Connection::move_messages`].
            ///
            /// # Errors
            /// Those of [`Connection::move_messages`].
            pub fn move_messages(
                &self,
                from: impl Into<Queue>,
                to: impl Into<Queue>,
                which: Selection<'_>,
            ) -> Result<Moved> {
                self.connection()?.move_messages(from, to, which)
            }

            /// Same as [`Connection::move_message`].
            ///
            /// # Errors
            /// Those of [`Connection::move_message`].
            pub fn move_message(
                &self,
                from: impl Into<Queue>,
                message: MessageId,
                to: impl Into<Queue>,
            ) -> Result<MessageOutcome> {
                self.connection()?.move_message(from, message, to)
            }
        }
    )*};
}

delegate!(Broker, Channel);

/// The number of messages in a page. The queue's lock is held while one page is read.
const PAGE: usize = 256;

/// Moves the selected messages, each to the queue that `to` says. A message for which it says none
/// stays in its place.
///
/// # Errors
/// [`Error::Panicked`] if the filter panics, [`Error::Store`] if the disk fails.
pub(super) fn move_selected(
    gate: &Arc<Gate>,
    from: &Getter,
    mut which: Selection<'_>,
    to: impl Fn(&SharedProperties) -> Option<Name>,
) -> Result<Moved> {
    let publisher = publisher(gate);
    let mut done = Moved::default();
    for_selected(from, &mut which, |key, properties| {
        let Some(target) = to(properties) else {
            return Ok(false);
        };
        let moved = move_one(&publisher, from, key, &target)?;
        match moved {
            Some(true) => done.moved += 1,
            Some(false) => done.refused += 1,
            None => {}
        }
        Ok(moved == Some(true))
    })?;
    Ok(done)
}

/// Calls `act` with the selected ready messages, until it has returned `true` as often as the
/// selection allows. A message that arrives after the call began is not among them, since a moved
/// one may come back at once.
///
/// # Errors
/// [`Error::Panicked`] if the filter panics, and those of `act`.
pub(super) fn for_selected(
    from: &Getter,
    which: &mut Selection<'_>,
    mut act: impl FnMut(ReadyKey, &SharedProperties) -> Result<bool>,
) -> Result {
    let end = from.end_position();
    let mut done = 0;
    let mut last = None;
    loop {
        let page = from.page(last, end, PAGE);
        let Some((behind, _)) = page.last() else {
            return Ok(());
        };
        last = Some(*behind);
        for (key, properties) in page {
            if done >= which.most {
                return Ok(());
            }
            // All messages are in the queue while the filter runs.
            if which.accepts(&properties)? && act(key, &properties)? {
                done += 1;
            }
        }
    }
}

/// Publishes to queues by the default exchange.
fn publisher(gate: &Arc<Gate>) -> Publisher {
    gate.publisher(Name::empty(), Name::empty(), true, None, None)
}

/// Moves one ready message. `None` if it is not ready any more; `false` if the other queue does not
/// exist, is exclusive to another connection, or refuses it.
///
/// # Errors
/// [`Error::Store`].
fn move_one(
    publisher: &Publisher,
    from: &Getter,
    key: ReadyKey,
    to: &Name,
) -> Result<Option<bool>> {
    // A consumer may have it by now.
    let Some(mut envelope) = from.get_at(key) else {
        return Ok(None);
    };
    let message = SettledMessage::of(&envelope);
    match send(publisher, to, &mut envelope) {
        Ok(synced) => {
            let written = synced.and_then(|synced| waiter::wait(&synced, None));
            // The other queue has it, also if it is not on its disk.
            from.settle_moved(message);
            written.unwrap_or(Ok(())).map(|()| Some(true))
        }
        Err(error) => {
            from.requeue_undelivered(vec![envelope]);
            match error {
                // A disk that is only low is a queue without room.
                Error::Store(failed) if failed.kind() != StoreErrorKind::LowDisk => {
                    Err(Error::Store(failed))
                }
                _ => Ok(Some(false)),
            }
        }
    }
}

/// Publishes the payload of a message to a queue. Returns the wait for the disk, if the queue
/// promises it.
///
/// # Errors
/// That queue does not exist, is exclusive to another connection, or refuses the message. The
/// payload is in `envelope` again.
fn send(publisher: &Publisher, to: &Name, envelope: &mut Envelope) -> Result<Option<Synced>> {
    let overrides = Overrides {
        routing_key: Some(to),
        ..Overrides::default()
    };
    let gate = publisher.gate();
    gate.check_queue(to)?;
    let prepared = publisher.prepare(gate, overrides, None)?;
    let meta = envelope.meta().cloned();
    // The payload goes into a new message, and comes back if the queue refuses that message.
    let body = std::mem::replace(envelope.body_mut(), Body::encoded(Bytes::default()));
    let mut message = Some(Envelope::new(body, prepared.address(), meta));
    let pushed = prepared.push_unsynced(&mut message, gate, OnFull::Refuse);
    match (pushed, message) {
        (Ok(pushed), _) => Ok(pushed.into_parts().1),
        (Err(failure), Some(message)) => {
            *envelope.body_mut() = message.into_body();
            Err(failure.into_error(&Name::empty(), to))
        }
        (Err(_), None) => Ok(None),
    }
}
