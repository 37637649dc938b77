//! Limits of a queue, changed while it lives.

use crate::{
    handles::broker::Broker,
    model::{
        descriptions::{Queue, QueueLimits},
        error::Result,
        name::Name,
    },
    session::{channel::Channel, connection::Connection},
};

impl Connection {
    /// Changes the limits of a queue that lives, at once. They take the place of those of its
    /// declaration, and of an earlier call. [`QueueLimits::new`] brings those of the declaration
    /// back.
    ///
    /// Policies are merged with the new limits as with declared ones: an operator policy with a
    /// lower number still counts. A redeclaration is compared with the declaration, not with the
    /// new limits. They end with the queue, and with the broker: after a restart a durable queue
    /// has the limits of its declaration.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl set_policy` with a pattern for one name. There is no call for one queue.
    ///
    /// # Errors
    /// Nothing is changed in case of an error.
    ///
    /// - [`Error::NotFound`](crate::Error::NotFound) if the queue does not exist.
    /// - [`Error::ResourceLocked`](crate::Error::ResourceLocked) if it is exclusive to another
    ///   connection.
    /// - [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) for a limit that a queue
    ///   of its type does not take, such as a time to live of a stream.
    /// - [`Error::PermissionDenied`](crate::Error::PermissionDenied) for a user who may not
    ///   configure it.
    /// - [`Error::ConnectionClosed`](crate::Error::ConnectionClosed) or
    ///   [`Error::ShutDown`](crate::Error::ShutDown).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue, QueueLimits};
    ///
    /// let broker = Broker::new();
    /// let queue = Queue::new("q").max_length(100);
    /// let numbers = broker.simple_queue::<u32>(&queue)?;
    /// for number in 0..10 {
    ///     numbers.put(number)?;
    /// }
    /// broker.set_queue_limits("q", QueueLimits::new().max_length(3))?;
    /// assert_eq!(numbers.len()?, 3); // the oldest messages are dropped
    /// broker.declare(&queue)?; // it is still the declared queue
    /// broker.set_queue_limits("q", QueueLimits::new())?;
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn set_queue_limits(&self, queue: impl Into<Queue>, limits: QueueLimits) -> Result {
        let name = Name::of_entity(queue.into().name())?;
        self.gate().set_queue_limits(&name, &limits)
    }
}

/// The same method for brokers and channels.
macro_rules! delegate {
    ($($handle:ty),*) => {$(
        impl $handle {
            /// Same as [`Connection::set_queue_limits`].
            ///
            /// # Errors
            /// Those of [`Connection::set_queue_limits`].
            pub fn set_queue_limits(
                &self,
                queue: impl Into<Queue>,
                limits: QueueLimits,
            ) -> Result {
                self.connection()?.set_queue_limits(queue, limits)
            }
        }
    )*};
}

delegate!(Broker, Channel);
