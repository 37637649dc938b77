//! Deliveries that were received together, and their settlement at once.

use std::{collections::vec_deque, fmt, ops::Deref, sync::Arc};

use super::{delivery::Delivery, spare_handle::SpareHandles, unacked::DeliveryOrigin};
use crate::{message::payload::Payload, model::error::Result, runtime::spare::SpareList};

/// Messages that were received together, in the order of their delivery. It is a slice of
/// deliveries, and an iterator that takes them out one by one.
///
/// # If dropped
/// The deliveries in it return to their queues, as dropped deliveries do.
///
/// # Examples
/// ```
/// use leveret::Broker;
/// use std::time::Duration;
///
/// let broker = Broker::new();
/// let _ = broker.producer::<u32>("q")?.publish_batch(0..5);
/// let consumer = broker.consumer::<u32>("q")?;
///
/// let mut batch = consumer.recv_batch(10, Duration::ZERO)?;
/// assert_eq!(batch.iter().map(|delivery| **delivery).sum::<u32>(), 10);
/// batch.next().unwrap().reject()?; // the first one
/// batch.ack_all()?; // the other four
/// # Ok::<(), leveret::Error>(())
/// ```
#[must_use = "deliveries that are dropped unsettled return to their queues"]
pub struct Batch<T: Payload>(SpareList<Delivery<T>>);

/// Acknowledgements to one consumer of one queue.
struct Acks {
    origin: Arc<DeliveryOrigin>,
    messages: u64,
    bytes: u64,
    /// The handles of the other messages.
    spares: SpareHandles,
}

impl Acks {
    /// # Errors
    /// Those of a broker that is gone.
    fn send(mut self) -> Result {
        // Read before the settlement, as for one message.
        let up = self.origin.vhost.is_up();
        let acked = self.origin.ack(self.messages, self.bytes, None);
        if !up {
            self.spares.clear();
            return self.origin.vhost.check_up();
        }
        DeliveryOrigin::spare(self.origin);
        acked
    }
}

impl<T: Payload> Batch<T> {
    pub(crate) fn new() -> Batch<T> {
        Batch(SpareList::take())
    }

    pub(crate) fn push(&mut self, delivery: Delivery<T>) {
        self.0.push_back(delivery);
    }

    pub(crate) fn extend(&mut self, deliveries: impl IntoIterator<Item = Delivery<T>>) {
        self.0.extend(deliveries);
    }

    /// Ends the filling. The messages are one slice from now on.
    pub(crate) fn complete(mut self) -> Batch<T> {
        self.0.make_contiguous();
        self
    }

    /// The receiver is shown the messages now.
    pub(crate) fn show(&mut self) {
        self.0.iter_mut().for_each(Delivery::show);
    }

    /// Acknowledges all messages of the batch. This costs less than to acknowledge each by itself.
    ///
    /// The payloads are dropped after the acknowledgement.
    ///
    /// # RabbitMQ
    /// `basic.ack` with `multiple` (AMQP 0-9-1), which also acknowledges all deliveries before
    /// them.
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown) if the broker is shut down. The messages are
    /// lost with it.
    pub fn ack_all(mut self) -> Result {
        let mut acked = Ok(());
        let mut together: Option<Acks> = None;
        for delivery in self.0.iter_mut() {
            let Some((origin, size)) = delivery.release_for_ack() else {
                acked = acked.and(delivery.ack_in_place());
                continue;
            };
            match &mut together {
                Some(acks) if Arc::ptr_eq(&acks.origin, &origin) => {
                    acks.messages += 1;
                    acks.bytes += size;
                    acks.spares.keep(origin);
                }
                _ => {
                    let acks = Acks {
                        spares: SpareHandles::of(&origin),
                        origin,
                        messages: 1,
                        bytes: size,
                    };
                    if let Some(before) = together.replace(acks) {
                        acked = acked.and(before.send());
                    }
                }
            }
        }
        match together {
            Some(acks) => acked.and(acks.send()),
            None => acked,
        }
    }
}

impl<T: Payload> Deref for Batch<T> {
    type Target = [Delivery<T>];

    fn deref(&self) -> &[Delivery<T>] {
        // They are one slice since the batch is complete, and are only taken out.
        self.0.as_slices().0
    }
}

/// Takes the deliveries out, the first one first.
impl<T: Payload> Iterator for Batch<T> {
    type Item = Delivery<T>;

    fn next(&mut self) -> Option<Delivery<T>> {
        self.0.pop_front()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.len(), Some(self.0.len()))
    }
}

impl<T: Payload> std::iter::FusedIterator for Batch<T> {}

impl<'a, T: Payload> IntoIterator for &'a Batch<T> {
    type Item = &'a Delivery<T>;
    type IntoIter = vec_deque::Iter<'a, Delivery<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: Payload + fmt::Debug> fmt::Debug for Batch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
