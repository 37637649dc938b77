//! Which messages pass a tap.

use super::{Passing, TapDirection};
use crate::engine::exchange::topic_fits;

/// Selects the messages that a [tap](crate::Broker::tap) shows. Each method narrows the selection.
///
/// # RabbitMQ
/// The binding key of a queue at `amq.rabbitmq.trace`, such as `publish.logs` or
/// `deliver.orders`.
///
/// # Examples
/// ```
/// use leveret::{Broker, Exchange, Queue, TapFilter};
///
/// let broker = Broker::new();
/// let logs = Exchange::topic("logs");
/// let errors = broker.tap(TapFilter::publishes().exchange("logs").routing_key("*.error"));
/// let producer = broker.producer::<String>(&logs)?;
/// producer.publish_to("disk.info", "fine".to_owned())?;
/// producer.publish_to("disk.error", "full".to_owned())?;
/// assert_eq!(errors.recv()?.routing_key, "disk.error");
/// assert!(errors.is_empty());
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct TapFilter {
    direction: Option<TapDirection>,
    vhost: Option<String>,
    exchange: Option<String>,
    queue: Option<String>,
    routing_key: Option<String>,
}

impl TapFilter {
    /// Selects all messages that are published or delivered, in all virtual hosts.
    pub fn all() -> TapFilter {
        TapFilter::default()
    }

    /// Selects the messages that are published.
    pub fn publishes() -> TapFilter {
        TapFilter {
            direction: Some(TapDirection::Publish),
            ..TapFilter::all()
        }
    }

    /// Selects the messages that are delivered: received from a consumer or got from a queue.
    pub fn deliveries() -> TapFilter {
        TapFilter {
            direction: Some(TapDirection::Deliver),
            ..TapFilter::all()
        }
    }

    /// Selects the messages in one virtual host.
    pub fn vhost(mut self, vhost: impl Into<String>) -> TapFilter {
        self.vhost = Some(vhost.into());
        self
    }

    /// Selects the messages that were published to one exchange. The default exchange has the empty
    /// name.
    pub fn exchange(mut self, exchange: impl Into<String>) -> TapFilter {
        self.exchange = Some(exchange.into());
        self
    }

    /// Selects the messages that are published to one queue, by whatever way, or delivered from it.
    pub fn queue(mut self, queue: impl Into<String>) -> TapFilter {
        self.queue = Some(queue.into());
        self
    }

    /// Selects the messages whose routing key fits a pattern, as that of a binding to a topic
    /// exchange: `*` is one word, `#` any number of words.
    pub fn routing_key(mut self, pattern: impl Into<String>) -> TapFilter {
        self.routing_key = Some(pattern.into());
        self
    }

    /// Whether a message is selected.
    pub(super) fn wants(&self, passing: &Passing<'_>) -> bool {
        fn is(wanted: &Option<String>, found: &str) -> bool {
            wanted.as_ref().is_none_or(|wanted| wanted == found)
        }
        let of_queue = |wanted: &String| passing.queues.iter().any(|name| **name == **wanted);
        let fits = |pattern: &String| topic_fits(pattern, passing.routing_key);
        self.direction.is_none_or(|it| it == passing.direction)
            && is(&self.vhost, passing.vhost)
            && is(&self.exchange, passing.exchange)
            && self.queue.as_ref().is_none_or(of_queue)
            && self.routing_key.as_ref().is_none_or(fits)
    }
}
