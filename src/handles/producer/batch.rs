//! [`Producer::publish_batch`], which publishes many payloads at once. A queue takes a run of them
//! in one critical section.
//!
//! Payloads are published one by one in these cases: the queue can refuse a message or block its
//! publisher, the message depends on time, or it goes to several queues.

use super::{Producer, PublishError, refused::payload_of, send::plain};
use crate::{engine::vhost::Published, message::payload::Payload};

/// The number of messages that a queue takes at once. It holds its lock for all of them.
const RUN: usize = 64;

impl<T: Payload> Producer<T> {
    /// Publishes payloads in their order with the routing key of the producer. Returns one result
    /// for each payload, in the same order.
    ///
    /// A queue takes up to 64 payloads at once, which costs less than to publish them one by one.
    /// No other publisher's message comes between payloads that a queue takes at once.
    ///
    /// # RabbitMQ
    /// `basic.publish`, once for each payload.
    ///
    /// # Errors
    /// Each result has the errors of [`publish`](Self::publish). A payload that fails does not stop
    /// the others.
    ///
    /// # Examples
    /// ```
    /// let broker = leveret::Broker::new();
    /// let producer = broker.producer::<u32>("q")?;
    /// let results = producer.publish_batch(0..64);
    /// assert!(results.iter().all(|result| result.is_ok()));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn publish_batch(
        &self,
        payloads: impl IntoIterator<Item = T>,
    ) -> Vec<Result<Published, PublishError<T>>> {
        let mut payloads = payloads.into_iter();
        let mut results = Vec::new();
        loop {
            // The iterator is the caller's code. It runs before the route is looked up.
            let run: Vec<T> = payloads.by_ref().take(RUN).collect();
            if run.is_empty() {
                return results;
            }
            results.reserve(run.len());
            self.publish_run(run, &mut results);
        }
    }

    /// Pushes as many payloads as possible in one critical section. Publishes the others one by
    /// one, so that each has its own result.
    fn publish_run(&self, run: Vec<T>, results: &mut Vec<Result<Published, PublishError<T>>>) {
        let count = run.len();
        let mut payloads = run.into_iter();
        let left = match self.sized_by {
            Some(_) => None,
            None => {
                let size = |payload: &T| payload.size() as u64;
                self.publisher.try_push_run(&mut payloads, size, plain)
            }
        };
        let taken = count - payloads.len() - usize::from(left.is_some());
        results.extend((0..taken).map(|_| Ok(Published::to_one())));
        let left = left.map(|envelope| payload_of(Some(envelope.into_body())));
        let rest = left.into_iter().chain(payloads);
        match self.publisher.gate().is_remote() {
            true => self.send_all(rest, results),
            false => results.extend(rest.map(|payload| self.publish(payload))),
        }
    }
}
