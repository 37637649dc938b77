//! The verbs of alias queues and model queues.

use crate::{
    engine::vhost::AliasChange,
    handles::broker::Broker,
    model::{
        descriptions::{AliasQueue, Queue},
        error::Result,
    },
    session::{channel::Channel, connection::Connection},
};

impl Connection {
    /// Gives an [alias queue](AliasQueue) another target, at once for all.
    ///
    /// A publish that begins after this call goes to the new target. Consumers stay with the queue
    /// that they have.
    ///
    /// # Errors
    /// - [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) (406) if there is no alias
    ///   of this name, or if it would lead to itself.
    /// - [`Error::InvalidName`](crate::Error::InvalidName)
    /// - [`Error::AccessRefused`](crate::Error::AccessRefused) (403) if the user may not configure
    ///   the alias, or not read and write the target.
    /// - [`Error::ConnectionClosed`](crate::Error::ConnectionClosed)
    /// - [`Error::ShutDown`](crate::Error::ShutDown)
    ///
    /// # RabbitMQ
    /// RabbitMQ has no aliases. It is `ALTER QALIAS` of IBM MQ.
    ///
    /// # Examples
    /// [`AliasQueue`] has an example.
    pub fn repoint(&self, alias: &AliasQueue) -> Result {
        self.gate().change_alias(alias, AliasChange::Repoint)
    }

    /// Makes a dynamic queue from a [model queue](crate::ModelQueue). Returns its description.
    ///
    /// A temporary queue belongs to this connection. On a [`Broker`], this is the implicit
    /// connection, which ends with the broker.
    ///
    /// # Errors
    /// - [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) (406) if there is no such
    ///   model.
    /// - Those of the declaration of a queue.
    ///
    /// # RabbitMQ
    /// RabbitMQ has no model queues. It is `MQOPEN` of IBM MQ with the name of a model queue.
    ///
    /// # Examples
    /// [`ModelQueue`](crate::ModelQueue) has an example.
    pub fn open_model_queue(&self, model: &str) -> Result<Queue> {
        self.gate().open_model(model)
    }

    /// Lets a queue with [`Trigger::Depth`](crate::Trigger::Depth) send a trigger message again. If
    /// it has that many messages and no consumer, it sends one at once.
    ///
    /// # Errors
    /// - [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) (406) if the queue has no
    ///   such trigger.
    /// - [`Error::NotFound`](crate::Error::NotFound) if there is no such queue.
    /// - [`Error::AccessRefused`](crate::Error::AccessRefused) (403)
    /// - [`Error::ConnectionClosed`](crate::Error::ConnectionClosed)
    /// - [`Error::ShutDown`](crate::Error::ShutDown)
    ///
    /// # RabbitMQ
    /// RabbitMQ has no triggers. It is `MQSET` of IBM MQ with `MQTC_ON`.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue, Trigger, TriggerMessage};
    /// let broker = Broker::new();
    /// let started = broker.simple_queue::<TriggerMessage>("start")?;
    /// let jobs = Queue::new("jobs").trigger("start", Trigger::Depth(2));
    /// let producer = broker.producer::<u32>(&jobs)?;
    /// for job in 0..4 {
    ///     producer.publish(job)?;
    /// }
    /// assert_eq!(started.len()?, 1);
    /// broker.rearm_trigger("jobs")?;
    /// assert_eq!(started.len()?, 2);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn rearm_trigger(&self, queue: &str) -> Result {
        self.gate().rearm_trigger(queue)
    }
}

macro_rules! delegate {
    ($($handle:ty),*) => {$(
        impl $handle {
            /// Same as [`Connection::repoint`].
            ///
            /// # Errors
            /// The errors of [`Connection::repoint`].
            pub fn repoint(&self, alias: &AliasQueue) -> Result {
                self.connection()?.repoint(alias)
            }

            /// Same as [`Connection::open_model_queue`].
            ///
            /// # Errors
            /// The errors of [`Connection::open_model_queue`].
            pub fn open_model_queue(&self, model: &str) -> Result<Queue> {
                self.connection()?.open_model_queue(model)
            }

            /// Same as [`Connection::rearm_trigger`].
            ///
            /// # Errors
            /// The errors of [`Connection::rearm_trigger`].
            pub fn rearm_trigger(&self, queue: &str) -> Result {
                self.connection()?.rearm_trigger(queue)
            }
        }
    )*};
}

delegate!(Broker, Channel);
