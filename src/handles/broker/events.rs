//! The events of a broker, for those who want to know.

use super::Broker;
use crate::{model::broker_event::BrokerEvent, session::feed::Feed};

/// The events that wait for a reader, if nothing else is said.
const CAPACITY: usize = 10_000;

impl Broker {
    /// Returns the events of the broker from now on: of everything that is made, changed and
    /// deleted in all its virtual hosts. There is room for 10,000 events that are not read. An
    /// event without room is [missed](Feed::missed).
    ///
    /// The events have the order of their causes. When a method has returned, its events are in
    /// the feed. Publishing, settling, getting and purging cause no events: a
    /// [tap](Self::tap) shows messages. The implicit connections cause none either.
    ///
    /// A broker whose events no one reads makes none.
    ///
    /// # RabbitMQ
    /// A queue that is bound to the exchange `amq.rabbitmq.event` of the plugin
    /// `rabbitmq_event_exchange`. [`BrokerEvent`] tells what differs.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, EventKind, Exchange, Queue};
    ///
    /// let broker = Broker::new();
    /// let events = broker.events();
    /// let logs = Exchange::topic("logs");
    /// let consumer = broker.consumer::<String>(&Queue::new("errors").bind(&logs, "*.error"))?;
    /// drop(consumer);
    /// broker.delete(&Queue::new("errors"))?;
    /// drop(broker);
    ///
    /// let names: Vec<_> = events.iter().map(|event| event.kind().as_str()).collect();
    /// assert_eq!(
    ///     names,
    ///     [
    ///         "exchange.created",
    ///         "queue.created",
    ///         "binding.created",
    ///         "consumer.created",
    ///         "consumer.deleted",
    ///         "binding.deleted",
    ///         "queue.deleted",
    ///     ],
    /// );
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn events(&self) -> Feed<BrokerEvent> {
        self.events_with_capacity(CAPACITY)
    }

    /// As [`events`](Self::events), with room for `capacity` events that are not read.
    ///
    /// [`Feed`] has an example.
    pub fn events_with_capacity(&self, capacity: usize) -> Feed<BrokerEvent> {
        let core = self.core();
        Feed::new(core.event_line(capacity), core.time())
    }
}
