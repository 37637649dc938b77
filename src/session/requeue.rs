//! What happens to a rejected message.

use std::time::Duration;

/// What happens to a rejected message.
///
/// # RabbitMQ
/// The `requeue` of `basic.reject` and `basic.nack`. [`After`](Self::After) is an addition of
/// leveret.
///
/// # Examples
/// ```
/// use leveret::{Broker, Queue, Requeue};
///
/// let broker = Broker::new();
/// let queue = Queue::new("q");
/// let producer = broker.producer::<String>(&queue)?;
/// let consumer = broker.consumer::<String>(&queue)?;
/// producer.publish("again".to_owned())?;
/// consumer.recv()?.nack(Requeue::Yes)?;
/// let delivery = consumer.recv()?;
/// assert!(delivery.info().redelivered());
/// delivery.nack(Requeue::Failed)?;
/// assert_eq!(consumer.recv()?.info().delivery_count(), 1); // one delivery has failed
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requeue {
    /// The message returns to its queue and is delivered again, marked as redelivered. In a classic
    /// queue it returns to its place, in a quorum queue it goes before all new messages.
    Yes,
    /// The message returns as with [`Yes`](Requeue::Yes), and its delivery counts as failed. This
    /// is `basic.reject` with `requeue`, and what becomes of a delivery that is dropped. A quorum
    /// queue counts failed deliveries up to its delivery limit. In a classic queue the mark of a
    /// failed delivery shows in the queue of the dead letters only.
    Failed,
    /// The message is dead-lettered if its queue has a dead letter exchange, and dropped if not.
    No,
    /// The message returns as with [`Yes`](Requeue::Yes), after this time. It is not delivered
    /// until then. Zero is the same as `Yes`. If the queue delays retries too, the longer time
    /// holds.
    After(Duration),
}
