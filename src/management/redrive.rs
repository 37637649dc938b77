//! Redriving: moving dead letters back to the queues in which they died.

use std::fmt;

use crate::{
    message::{
        envelope::{Envelope, SettledMessage, SharedProperties},
        headers::x_death,
        payload::Body,
        properties::Properties,
    },
    model::{bytes::Bytes, descriptions::Queue, error::Result, name::Name},
    session::{
        connection::Connection,
        publisher::{OnFull, Overrides, Publisher},
    },
};

/// Selects the dead letters that [`Connection::redrive`] moves back to the queues in which they
/// died.
///
/// # RabbitMQ
/// The shovel plugin moves all messages of one queue to one given queue.
///
/// # Examples
/// ```
/// use leveret::{Broker, Queue, Redrive};
///
/// let broker = Broker::new();
/// let dead = Queue::new("dead");
/// let tasks = Queue::new("tasks").dead_letter_exchange("").dead_letter_routing_key("dead");
/// broker.declare(&dead)?;
/// broker.producer::<String>(&tasks)?.publish("try again".to_owned())?;
/// let consumer = broker.consumer::<String>(&tasks)?;
/// consumer.recv()?.reject()?;
///
/// assert_eq!(broker.vhost("/")?.redrive(&dead, Redrive::all())?, 1);
/// assert_eq!(*consumer.recv()?, "try again");
/// # Ok::<(), leveret::Error>(())
/// ```
#[must_use]
pub struct Redrive<'a> {
    most: usize,
    filter: Box<dyn FnMut(&Properties) -> bool + 'a>,
}

impl<'a> Redrive<'a> {
    /// Selects all dead letters.
    pub fn all() -> Redrive<'a> {
        Redrive {
            most: usize::MAX,
            filter: Box::new(|_| true),
        }
    }

    /// Selects at most `most` dead letters, in the order of delivery.
    pub fn first(most: usize) -> Redrive<'a> {
        Redrive {
            most,
            ..Redrive::all()
        }
    }

    /// Selects only the dead letters whose properties the filter accepts. The headers are among the
    /// properties, with the `x-death` header.
    pub fn filter(mut self, mut filter: impl FnMut(&Properties) -> bool + 'a) -> Redrive<'a> {
        let mut earlier = std::mem::replace(&mut self.filter, Box::new(|_| true));
        self.filter = Box::new(move |properties| earlier(properties) && filter(properties));
        self
    }
}

impl fmt::Debug for Redrive<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redrive")
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Sets the virtual host's dead-letter queue, and declares this queue if it does not exist.
    ///
    /// The queue gets two kinds of messages that would otherwise be dropped:
    /// - Unroutable messages. Mandatory messages are not among them, because they are returned to
    ///   their publisher.
    /// - Dead letters whose exchange is missing or routes them to no queue.
    ///
    /// The header `x-undeliverable-reason` of such a message is `no-route` or `no-exchange`.
    /// With `None` the messages are dropped. A virtual host starts with `None`.
    ///
    /// # RabbitMQ
    /// There is no counterpart for a whole virtual host. An alternate exchange does this for the
    /// unroutable messages of one exchange.
    ///
    /// # Errors
    /// Those of [`declare`](Self::declare).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Exchange, Queue};
    ///
    /// let broker = Broker::new();
    /// let lost = Queue::new("lost");
    /// broker.vhost("/")?.set_dead_letter_queue(Some(&lost))?;
    /// broker.producer::<String>(&Exchange::fanout("news"))?.publish("no queue".to_owned())?;
    /// assert_eq!(*broker.consumer::<String>(&lost)?.recv()?, "no queue");
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn set_dead_letter_queue(&self, queue: Option<&Queue>) -> Result {
        self.gate().set_dead_letter_queue(queue)
    }

    /// Moves the ready dead letters of `queue` back to the queues in which they died last. Returns
    /// the number of moved messages.
    ///
    /// A message that `which` does not select stays in its place in `queue`. So does a message that
    /// never died. So does a message if the queue in which it died does not exist, is exclusive to
    /// another connection, or refuses it.
    ///
    /// A moved message keeps its `x-death` header. If the message dies again, the counts in the
    /// header continue.
    ///
    /// The messages stay in `queue` until they are moved, one by one. A message that a consumer
    /// takes meanwhile is not moved, and neither is a message that arrives after the call began.
    ///
    /// # Panics
    /// If the filter panics. The messages that it has accepted before are moved then, and all
    /// others are in their places.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if `queue` does not exist,
    /// [`Error::ResourceLocked`](crate::Error::ResourceLocked) if it is exclusive to another
    /// connection, [`Error::ConnectionClosed`](crate::Error::ConnectionClosed),
    /// [`Error::ShutDown`](crate::Error::ShutDown).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Properties, Redrive};
    /// # use leveret::{Broker, Queue};
    /// # let broker = Broker::new();
    /// # let dead = broker.declare(&Queue::new("dead"))?;
    /// # let queue = Queue::new("tasks").dead_letter_exchange("").dead_letter_routing_key("dead");
    /// # let tasks = broker.simple_queue::<u32>(&queue)?;
    /// # for number in [7, 8] {
    /// #     tasks.put(number)?;
    /// #     tasks.get()?.reject()?;
    /// # }
    /// // Seven and eight died in the queue "tasks". Both are in the queue "dead" now.
    /// let urgent = |properties: &Properties| properties.priority == Some(9);
    /// let root = broker.vhost("/")?;
    /// assert_eq!(root.redrive(&dead, Redrive::all().filter(urgent))?, 0); // neither is urgent
    /// assert_eq!(root.redrive(&dead, Redrive::first(1))?, 1);
    /// assert_eq!(*tasks.get()?, 7);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn redrive(&self, queue: &Queue, mut which: Redrive<'_>) -> Result<u64> {
        let from = self.gate().getter(&Name::of_entity(queue.name())?)?;
        let key = Name::empty();
        let home_publisher = self.gate().publisher(Name::empty(), key, true, None, None);
        // A moved message may die again at once. It then comes behind this position.
        let end = from.end_position();
        let mut moved = 0;
        let mut last = None;
        loop {
            let page = from.page(last, end, PAGE);
            let Some((behind, _)) = page.last() else {
                return Ok(moved);
            };
            last = Some(*behind);
            for (place, properties) in page {
                if moved as usize >= which.most {
                    return Ok(moved);
                }
                // The filter is user code. All messages are in the queue while it runs.
                let chosen = (which.filter)(&properties);
                let Some(home) = chosen.then(|| home(&properties)).flatten() else {
                    continue;
                };
                // A consumer may have it by now.
                if let Some(envelope) = from.get_at(place) {
                    let message = SettledMessage::of(&envelope);
                    match send_home(&home_publisher, &home, envelope) {
                        Ok(()) => {
                            from.settle_moved(message);
                            moved += 1;
                        }
                        Err(envelope) => from.requeue_undelivered(vec![envelope]),
                    }
                }
            }
        }
    }
}

/// The number of messages in a page. The queue's lock is held while one page is read.
const PAGE: usize = 256;

/// The queue in which a message died last.
fn home(properties: &SharedProperties) -> Option<Name> {
    match properties {
        SharedProperties::Own(meta) => x_death::last_queue(meta).and_then(|it| Name::new(it).ok()),
        SharedProperties::Plain(_) => None,
    }
}

/// Publishes a dead letter to the queue in which it died.
///
/// # Errors
/// Returns the dead letter if that queue does not exist, is exclusive to another connection, or
/// refuses the message.
fn send_home(
    publisher: &Publisher,
    home: &Name,
    mut envelope: Envelope,
) -> std::result::Result<(), Envelope> {
    let overrides = Overrides {
        routing_key: Some(home),
        ..Overrides::default()
    };
    let gate = publisher.gate();
    let prepared = gate
        .check_queue(home)
        .and_then(|()| publisher.prepare(gate, overrides, None));
    let Ok(prepared) = prepared else {
        return Err(envelope);
    };
    let meta = envelope.meta().cloned();
    // The payload goes into a new message, and comes back if the queue refuses that message.
    let body = std::mem::replace(envelope.body_mut(), Body::encoded(Bytes::default()));
    let mut message = Some(Envelope::new(body, prepared.address(), meta));
    match (prepared.push(&mut message, gate, OnFull::Refuse), message) {
        (Err(_), Some(message)) => {
            *envelope.body_mut() = message.into_body();
            Err(envelope)
        }
        _ => Ok(()),
    }
}
