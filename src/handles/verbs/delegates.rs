//! The typed verbs of [`Broker`] and [`Channel`], which delegate to those of [`Connection`].

use super::subscription;
use crate::{
    handles::{
        broker::Broker,
        consumer::{Consumer, ConsumerBuilder},
        declare::Declare,
        producer::{Destination, Producer, ProducerBuilder},
        reader::ReaderBuilder,
        simple_queue::SimpleQueue,
    },
    message::payload::Payload,
    model::{
        descriptions::{Exchange, Queue},
        error::Result,
        explanation::Explanation,
        field_value::FieldTable,
        name::Name,
    },
    session::{channel::Channel, connection::Connection},
};

macro_rules! delegate {
    ($handle:ty, $connection:literal) => {
        #[doc = concat!("The typed verbs, on ", $connection, ". [`Connection`] documents them.")]
        impl $handle {
            /// Same as [`Connection::declare`].
            ///
            /// # Errors
            /// The errors of [`Connection::declare`].
            pub fn declare<D: Declare>(&self, description: &D) -> Result<D> {
                self.connection()?.declare(description)
            }

            /// Same as [`Connection::delete`].
            ///
            /// # Errors
            /// The errors of [`Connection::delete`].
            pub fn delete<D: Declare>(&self, description: &D) -> Result {
                self.connection()?.delete(description)
            }

            /// Same as [`Connection::declare_async`].
            ///
            /// # Errors
            /// The errors of [`Connection::declare`].
            pub async fn declare_async<D: Declare>(&self, description: &D) -> Result<D> {
                let connection = self.connection()?;
                connection.declare_async(description).await
            }

            /// Same as [`Connection::delete_async`].
            ///
            /// # Errors
            /// The errors of [`Connection::delete`].
            pub async fn delete_async<D: Declare>(&self, description: &D) -> Result {
                let connection = self.connection()?;
                connection.delete_async(description).await
            }

            /// Same as [`Connection::purge`].
            ///
            /// # Errors
            /// The errors of [`Connection::purge`].
            pub fn purge(&self, queue: impl Into<Queue>) -> Result<u64> {
                self.connection()?.purge(queue)
            }

            /// Same as [`Connection::return_unseen`].
            ///
            /// # Errors
            /// The errors of [`Connection::return_unseen`].
            pub fn return_unseen(&self, queue: impl Into<Queue>) -> Result<u64> {
                self.connection()?.return_unseen(queue)
            }

            /// Same as [`Connection::route`].
            ///
            /// # Errors
            /// The errors of [`Connection::route`].
            pub fn route(
                &self,
                exchange: &Exchange,
                routing_key: &str,
                headers: &FieldTable,
            ) -> Result<Vec<Name>> {
                self.connection()?.route(exchange, routing_key, headers)
            }

            /// Same as [`Connection::explain`].
            ///
            /// # Errors
            /// The errors of [`Connection::explain`].
            pub fn explain(
                &self,
                exchange: &Exchange,
                routing_key: &str,
                headers: &FieldTable,
            ) -> Result<Explanation> {
                self.connection()?.explain(exchange, routing_key, headers)
            }

            /// Same as [`Connection::producer`].
            ///
            /// # Errors
            /// The errors of [`Connection::producer`].
            pub fn producer<T: Payload>(&self, to: impl Into<Destination>) -> Result<Producer<T>> {
                self.producer_builder(to).build()
            }

            /// Same as [`Connection::producer_builder`].
            pub fn producer_builder<T: Payload>(
                &self,
                to: impl Into<Destination>,
            ) -> ProducerBuilder<T> {
                ProducerBuilder::new(self.connection(), to.into())
            }

            /// Same as [`Connection::consumer`].
            ///
            /// # Errors
            /// The errors of [`Connection::consumer`].
            pub fn consumer<T: Payload>(&self, queue: impl Into<Queue>) -> Result<Consumer<T>> {
                self.consumer_builder(queue).build()
            }

            /// Same as [`Connection::reader`].
            pub fn reader<T: Payload>(&self, stream: impl Into<Queue>) -> ReaderBuilder<T> {
                ReaderBuilder::new(self.connection(), stream.into())
            }

            /// Same as [`Connection::subscribe`].
            ///
            /// # Errors
            /// The errors of [`Connection::subscribe`].
            pub fn subscribe<T: Payload>(
                &self,
                exchange: impl Into<String>,
            ) -> Result<Consumer<T>> {
                self.consumer(subscription(Exchange::open_fanout(exchange), ""))
            }

            /// Same as [`Connection::subscribe_to`].
            ///
            /// # Errors
            /// The errors of [`Connection::subscribe_to`].
            pub fn subscribe_to<T: Payload>(
                &self,
                exchange: impl Into<Exchange>,
                binding_key: impl Into<String>,
            ) -> Result<Consumer<T>> {
                self.consumer(subscription(exchange.into(), binding_key))
            }

            /// Same as [`Connection::simple_buffer`].
            ///
            /// # Errors
            /// The errors of [`Connection::simple_buffer`].
            pub fn simple_buffer<T: Payload>(
                &self,
                name: impl Into<String>,
            ) -> Result<SimpleQueue<T>> {
                self.connection()?.simple_buffer(name)
            }

            /// Same as [`Connection::simple_queue`].
            ///
            /// # Errors
            /// The errors of [`Connection::simple_queue`].
            pub fn simple_queue<T: Payload>(
                &self,
                queue: impl Into<Queue>,
            ) -> Result<SimpleQueue<T>> {
                self.connection()?.simple_queue(queue)
            }
        }
    };
}

delegate!(Broker, "the implicit connection to `/`");
delegate!(Channel, "the channel's connection");

impl Broker {
    /// Same as [`Connection::consumer_builder`].
    pub fn consumer_builder<T: Payload>(&self, queue: impl Into<Queue>) -> ConsumerBuilder<T> {
        ConsumerBuilder::new(self.connection(), queue.into())
    }

    pub(crate) fn connection(&self) -> Result<Connection> {
        self.implicit()
    }
}

impl Channel {
    /// Same as [`Connection::consumer_builder`]. The consumer ends with this channel.
    pub fn consumer_builder<T: Payload>(&self, queue: impl Into<Queue>) -> ConsumerBuilder<T> {
        ConsumerBuilder::new(self.connection(), queue.into()).of_channel(self.core())
    }

    pub(crate) fn connection(&self) -> Result<Connection> {
        self.parent()
    }
}
