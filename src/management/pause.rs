//! Pausing a queue.

use crate::{
    handles::broker::Broker,
    model::{descriptions::Queue, error::Result, name::Name},
    session::{channel::Channel, connection::Connection},
};

impl Connection {
    /// Pauses a queue: publishing goes on, and delivery stops. Neither consumers nor gets have a
    /// message until [`resume_queue`](Self::resume_queue).
    ///
    /// Messages that typed consumers have in advance return to their positions, unchanged.
    /// Deliveries that were received stay with their receivers, who may settle them, and so do
    /// those of a [`Channel`]. Limits and expiry go on, and so do [`peek`](Self::peek),
    /// [`move_messages`](Self::move_messages), [`delete_message`](Self::delete_message) and
    /// [`purge`](Self::purge).
    ///
    /// A [snapshot](crate::Broker::snapshot) shows the pause. It ends with the queue, and with the
    /// broker: a durable queue is not paused after a restart. A queue that is paused already stays
    /// so. A shutdown does not wait for the messages of a paused queue.
    ///
    /// # RabbitMQ
    /// There is no counterpart. `QueueControl.pause` of Apache ActiveMQ Artemis.
    ///
    /// # Errors
    /// - [`Error::NotFound`](crate::Error::NotFound) if the queue does not exist.
    /// - [`Error::ResourceLocked`](crate::Error::ResourceLocked) if it is exclusive to another
    ///   connection.
    /// - [`Error::NotImplemented`](crate::Error::NotImplemented) for a stream, whose readers read
    ///   by themselves.
    /// - [`Error::PermissionDenied`](crate::Error::PermissionDenied) for a user who may not
    ///   configure it.
    /// - [`Error::ConnectionClosed`](crate::Error::ConnectionClosed) or
    ///   [`Error::ShutDown`](crate::Error::ShutDown).
    ///
    /// # Examples
    /// ```
    /// # let broker = leveret::Broker::new();
    /// let consumer = broker.consumer::<u32>("q")?;
    /// broker.pause_queue("q")?;
    /// broker.producer::<u32>("q")?.publish(7)?;
    /// assert!(consumer.try_recv().is_err());
    /// assert!(broker.snapshot()?.vhosts[0].queues[0].paused);
    /// broker.resume_queue("q")?;
    /// assert_eq!(*consumer.recv()?, 7);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn pause_queue(&self, queue: impl Into<Queue>) -> Result {
        let name = Name::of_entity(queue.into().name())?;
        self.gate().set_queue_paused(&name, true)
    }

    /// Ends the pause of a queue. One that is not paused stays as it is.
    ///
    /// # Errors
    /// The errors of [`pause_queue`](Self::pause_queue), which has an example.
    pub fn resume_queue(&self, queue: impl Into<Queue>) -> Result {
        let name = Name::of_entity(queue.into().name())?;
        self.gate().set_queue_paused(&name, false)
    }
}

/// The same methods for brokers and channels.
macro_rules! delegate {
    ($($handle:ty),*) => {$(
        impl $handle {
            /// Same as [`Connection::pause_queue`].
            ///
            /// # Errors
            /// Those of [`Connection::pause_queue`].
            pub fn pause_queue(&self, queue: impl Into<Queue>) -> Result {
                self.connection()?.pause_queue(queue)
            }

            /// Same as [`Connection::resume_queue`].
            ///
            /// # Errors
            /// Those of [`Connection::resume_queue`].
            pub fn resume_queue(&self, queue: impl Into<Queue>) -> Result {
                self.connection()?.resume_queue(queue)
            }
        }
    )*};
}

delegate!(Broker, Channel);
