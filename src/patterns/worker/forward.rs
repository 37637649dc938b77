//! [`Forward`], where a message is published again.

use std::time::Duration;

use crate::{
    message::properties::Properties,
    model::{
        error::Result,
        field_value::{FieldTable, FieldValue},
    },
    session::{connection::Connection, delivery_info::DeliveryInfo, requeue::Requeue},
};

/// Where a message is published again: the exchange and the routing key, and what changes about its
/// properties.
///
/// The message is acknowledged after a queue has taken it, so that it is not lost. If it reaches no
/// queue, if all of them refuse it, or if the publish is an error, the message returns to its own
/// queue. It is delivered again after a second, so that a full queue keeps no worker busy.
///
/// The payload is not encoded for it. The message keeps its other properties, but for those that
/// would count anew: a `CC` header, and a `user_id` that is not that of the worker's connection. It
/// has no delivery count in its new queue.
///
/// # RabbitMQ
/// A `basic.publish` with its confirm, and then a `basic.ack`. If the program ends between the two,
/// the message is in both queues.
///
/// # Examples
/// ```
/// use leveret::{Broker, worker::{Forward, Settle}};
/// # use std::time::Duration;
/// let broker = Broker::new();
/// let large = broker.consumer::<u32>("large")?;
/// let sorter = broker.worker::<u32>("numbers").handler(|number, _| match number {
///     0..=99 => Settle::Ack,
///     _ => Settle::Forward(Forward::to_queue("large").header("sorted", true)),
/// });
/// let sorter = sorter.spawn()?;
/// broker.producer::<u32>("numbers")?.publish(100)?;
/// assert_eq!(*large.recv()?, 100);
/// assert_eq!(sorter.stop_and_drain(Duration::from_secs(10)).counts.forwarded, 1);
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a message is forwarded when it is settled by this"]
pub struct Forward(Box<Parts>);

/// In a box, since settlements are returned by value and should be small.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    exchange: String,
    routing_key: String,
    expiration: Option<Duration>,
    headers: FieldTable,
    without: Vec<String>,
}

/// When a message that no queue has taken is delivered again.
const LATER: Duration = Duration::from_secs(1);

/// The largest expiration in milliseconds.
const MOST_MILLIS: u128 = u32::MAX as u128;

impl Forward {
    /// Forwards to a queue, by the default exchange.
    pub fn to_queue(queue: impl Into<String>) -> Forward {
        Forward::to_exchange("", queue)
    }

    /// Forwards to an exchange, with this routing key.
    pub fn to_exchange(exchange: impl Into<String>, routing_key: impl Into<String>) -> Forward {
        Forward(Box::new(Parts {
            exchange: exchange.into(),
            routing_key: routing_key.into(),
            expiration: None,
            headers: FieldTable::new(),
            without: Vec::new(),
        }))
    }

    /// Sets the time that the message may wait in its new queue, in place of its own. The broker
    /// counts it in milliseconds, and a part of one as a whole one. More than 4,294,967,295
    /// milliseconds (49 days) count as that.
    pub fn expiration(mut self, expiration: Duration) -> Self {
        self.0.expiration = Some(expiration);
        self
    }

    /// Sets a header, in place of one of the same name.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<FieldValue>) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Leaves a header out.
    pub fn without_header(mut self, name: impl Into<String>) -> Self {
        self.0.without.push(name.into());
        self
    }

    /// Forwards a message, or has it return.
    ///
    /// # Errors
    /// The broker is shut down.
    #[cold]
    #[inline(never)]
    pub(super) fn apply(self, info: &mut DeliveryInfo, connection: &Connection) -> Result {
        let properties = self.properties(info.properties(), connection);
        let to = (self.0.exchange.as_str(), self.0.routing_key.as_str());
        match info.forward(connection, to, properties) {
            Ok(()) => Ok(()),
            Err(_) => info.nack(Requeue::After(LATER)),
        }
    }

    fn properties(&self, own: &Properties, connection: &Connection) -> Properties {
        let mut properties = own.clone();
        if own.user_id.as_deref() != Some(connection.user()) {
            properties.user_id = None;
        }
        if let Some(headers) = &mut properties.headers {
            // `BCC` has left the message when it was published.
            headers.remove("CC");
            for name in &self.0.without {
                headers.remove(name);
            }
        }
        for (name, value) in &self.0.headers {
            properties.headers_mut().insert(name, value.clone());
        }
        if let Some(expiration) = self.0.expiration {
            let millis = expiration.as_nanos().div_ceil(1_000_000).min(MOST_MILLIS);
            properties.expiration = Some(millis.to_string());
        }
        properties
    }
}
