//! Producers on behalf of a delivery, which publish while the broker shuts down.

use super::Producer;
use crate::{
    message::payload::Payload,
    session::{delivery::Delivery, publisher::Claim, undecoded::Undecoded},
};

impl<T: Payload> Delivery<T> {
    /// Makes a producer that publishes on behalf of this delivery.
    ///
    /// While the broker [shuts down](crate::Broker::shutdown), only holders of unsettled deliveries
    /// may publish. A thread that has received a delivery holds it, and needs no such producer. A
    /// task needs one, since it has no thread of its own. So does a thread that another thread has
    /// given the delivery to.
    ///
    /// The new producer has all settings of `producer`. Its privilege ends when the delivery is
    /// settled or dropped; from then on it is as `producer` is. A delivery of an
    /// [auto-ack](crate::ConsumerBuilder::auto_ack) consumer is settled from the start.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Error};
    /// use std::{thread, time::Duration};
    ///
    /// let broker = Broker::new();
    /// let invoices = broker.producer::<u32>("invoices")?;
    /// broker.producer::<u32>("orders")?.publish(7)?;
    /// let order = broker.consumer::<u32>("orders")?.recv()?;
    /// let on_behalf = order.producer(&invoices);
    /// let handler = thread::spawn(move || {
    ///     // Wait until the broker shuts down, and refuses what comes from outside.
    ///     while invoices.publish(0).is_ok() {
    ///         thread::yield_now();
    ///     }
    ///     on_behalf.publish(*order)?;
    ///     order.ack()?;
    ///     assert_eq!(on_behalf.publish(8).unwrap_err().error(), &Error::ShutDown);
    ///     Ok::<(), Error>(())
    /// });
    /// let report = broker.shutdown(Duration::from_secs(60))?;
    /// assert!(!report.timed_out);
    /// handler.join().unwrap()?;
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn producer<U: Payload>(&self, producer: &Producer<U>) -> Producer<U> {
        producer.on_behalf_of(self.claim())
    }
}

impl Undecoded {
    /// Makes a producer that publishes on behalf of this message, as [`Delivery::producer`] does.
    pub fn producer<U: Payload>(&self, producer: &Producer<U>) -> Producer<U> {
        producer.on_behalf_of(self.claim())
    }
}

impl<T: Payload> Producer<T> {
    /// Makes a producer that publishes on behalf of the delivery with this claim.
    pub(crate) fn on_behalf_of(&self, claim: Claim) -> Producer<T> {
        Producer {
            publisher: self.publisher.with_claim(claim),
            ..self.clone()
        }
    }
}
