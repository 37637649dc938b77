//! Redriving: moving dead letters back to the queues in which they died.

use super::{moves, selection::Selection};
use crate::{
    message::{envelope::SharedProperties, headers::x_death},
    model::{descriptions::Queue, error::Result, name::Name},
    session::connection::Connection,
};

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
    /// # Errors
    /// [`Error::Panicked`](crate::Error::Panicked) if the filter panics: the messages that it has
    /// accepted before are moved then, and all others are in their places.
    /// [`Error::Store`](crate::Error::Store) if the disk fails: no further message is moved then.
    /// [`Error::NotFound`](crate::Error::NotFound) if `queue` does not exist,
    /// [`Error::ResourceLocked`](crate::Error::ResourceLocked) if it is exclusive to another
    /// connection, [`Error::ConnectionClosed`](crate::Error::ConnectionClosed),
    /// [`Error::ShutDown`](crate::Error::ShutDown).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Properties, Selection};
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
    /// assert_eq!(root.redrive(&dead, Selection::all().filter(urgent))?, 0); // neither is urgent
    /// assert_eq!(root.redrive(&dead, Selection::first(1))?, 1);
    /// assert_eq!(*tasks.get()?, 7);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn redrive(&self, queue: &Queue, which: Selection<'_>) -> Result<u64> {
        let from = self.gate().getter(&Name::of_entity(queue.name())?)?;
        let moved = moves::move_selected(self.gate(), &from, which, home)?;
        Ok(moved.moved)
    }
}

/// The queue in which a message died last.
fn home(properties: &SharedProperties) -> Option<Name> {
    match properties {
        SharedProperties::Own(meta) => x_death::last_queue(meta).and_then(|it| Name::new(it).ok()),
        SharedProperties::Plain(_) => None,
    }
}
