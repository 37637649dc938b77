//! The verbs of the patterns, which [`Broker`], [`Connection`] and [`Channel`] have in common.

use super::{
    notify::{ListenerBuilder, NotifierBuilder},
    worker::WorkerBuilder,
};
use crate::{
    handles::broker::Broker,
    message::payload::{Payload, Serializable},
    model::descriptions::Queue,
    session::{channel::Channel, connection::Connection},
};

impl Connection {
    /// Returns a builder for a worker, which runs a handler for each message of a queue.
    ///
    /// # RabbitMQ
    /// `ConsumerMixin` of kombu, around `basic.consume`.
    ///
    /// # Examples
    /// [`WorkerBuilder`] has one.
    pub fn worker<T: Payload>(&self, queue: impl Into<Queue>) -> WorkerBuilder<T> {
        WorkerBuilder::new(Ok(self.clone()), self.consumer_builder(queue))
    }

    /// Returns a builder for a notifier, which sends notifications in the name of a publisher.
    ///
    /// # Examples
    /// [`Notifier`](crate::notify::Notifier) has one.
    pub fn notifier<T: Serializable>(&self, publisher_id: impl Into<String>) -> NotifierBuilder<T> {
        NotifierBuilder::new(Ok(self.clone()), publisher_id)
    }

    /// Returns a builder for a listener, which handles notifications.
    ///
    /// # Examples
    /// [`ListenerBuilder`] has one.
    pub fn listener<T: Serializable>(&self) -> ListenerBuilder<T> {
        ListenerBuilder::new(Ok(self.clone()))
    }
}

impl Broker {
    /// Same as [`Connection::worker`], on the implicit connection to `/`.
    pub fn worker<T: Payload>(&self, queue: impl Into<Queue>) -> WorkerBuilder<T> {
        WorkerBuilder::new(self.implicit(), self.consumer_builder(queue))
    }

    /// Same as [`Connection::notifier`], on the implicit connection to `/`.
    pub fn notifier<T: Serializable>(&self, publisher_id: impl Into<String>) -> NotifierBuilder<T> {
        NotifierBuilder::new(self.implicit(), publisher_id)
    }

    /// Same as [`Connection::listener`], on the implicit connection to `/`.
    pub fn listener<T: Serializable>(&self) -> ListenerBuilder<T> {
        ListenerBuilder::new(self.implicit())
    }
}

impl Channel {
    /// Same as [`Connection::worker`], on the connection of this channel. The worker ends with the
    /// channel.
    pub fn worker<T: Payload>(&self, queue: impl Into<Queue>) -> WorkerBuilder<T> {
        WorkerBuilder::new(self.connection(), self.consumer_builder(queue))
    }
}
