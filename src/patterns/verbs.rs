//! The verbs of the patterns, which [`Broker`], [`Connection`] and [`Channel`] have in common.

use super::worker::WorkerBuilder;
use crate::{
    handles::broker::Broker,
    message::payload::Payload,
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
}

impl Broker {
    /// Same as [`Connection::worker`], on the implicit connection to `/`.
    pub fn worker<T: Payload>(&self, queue: impl Into<Queue>) -> WorkerBuilder<T> {
        WorkerBuilder::new(self.implicit(), self.consumer_builder(queue))
    }
}

impl Channel {
    /// Same as [`Connection::worker`], on the connection of this channel. The worker ends with the
    /// channel.
    pub fn worker<T: Payload>(&self, queue: impl Into<Queue>) -> WorkerBuilder<T> {
        WorkerBuilder::new(self.connection(), self.consumer_builder(queue))
    }
}
