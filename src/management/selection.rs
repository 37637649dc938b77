//! Which messages of a queue an operation concerns.

use std::fmt;

use crate::{
    message::properties::Properties,
    model::error::{Error, Result},
    runtime::catch_panic::catch_panic,
};

/// Selects ready messages of a queue, for [`redrive`](crate::Connection::redrive),
/// [`move_messages`](crate::Connection::move_messages) and
/// [`delete_messages`](crate::Connection::delete_messages).
///
/// # RabbitMQ
/// The shovel plugin moves all messages of one queue to one given queue, and `queue.purge` drops
/// all.
///
/// # Examples
/// ```
/// use leveret::{Broker, Queue, Selection};
///
/// let broker = Broker::new();
/// let dead = Queue::new("dead");
/// let tasks = Queue::new("tasks").dead_letter_exchange("").dead_letter_routing_key("dead");
/// broker.declare(&dead)?;
/// broker.producer::<String>(&tasks)?.publish("try again".to_owned())?;
/// let consumer = broker.consumer::<String>(&tasks)?;
/// consumer.recv()?.reject()?;
///
/// assert_eq!(broker.vhost("/")?.redrive(&dead, Selection::all())?, 1);
/// assert_eq!(*consumer.recv()?, "try again");
/// # Ok::<(), leveret::Error>(())
/// ```
#[must_use]
pub struct Selection<'a> {
    pub(super) most: usize,
    filter: Box<dyn FnMut(&Properties) -> bool + 'a>,
}

impl<'a> Selection<'a> {
    /// Selects all messages.
    pub fn all() -> Selection<'a> {
        Selection {
            most: usize::MAX,
            filter: Box::new(|_| true),
        }
    }

    /// Selects at most `most` messages, in the order of delivery.
    pub fn first(most: usize) -> Selection<'a> {
        Selection {
            most,
            ..Selection::all()
        }
    }

    /// Selects only the messages whose properties the filter accepts. The headers are among the
    /// properties, with the `x-death` header.
    ///
    /// The filter runs without a lock. It is asked once for each message.
    pub fn filter(mut self, mut filter: impl FnMut(&Properties) -> bool + 'a) -> Selection<'a> {
        let mut earlier = std::mem::replace(&mut self.filter, Box::new(|_| true));
        self.filter = Box::new(move |properties| earlier(properties) && filter(properties));
        self
    }

    /// Asks the filter, which is user code.
    ///
    /// # Errors
    /// [`Error::Panicked`].
    pub(super) fn accepts(&mut self, properties: &Properties) -> Result<bool> {
        ask(|| (self.filter)(properties))
    }
}

impl fmt::Debug for Selection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selection")
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}

/// Asks a filter, which is user code.
///
/// # Errors
/// [`Error::Panicked`].
pub(super) fn ask(filter: impl FnOnce() -> bool) -> Result<bool> {
    catch_panic(filter).ok_or(Error::Panicked("the filter"))
}
