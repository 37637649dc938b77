//! Publishing many payloads at once: a queue takes a run of them in one critical section.
//!
//! Only where nothing can come between: where a queue may refuse a message or have its publisher wait, where time plays a part, or several
//! places are to have it, each is published by itself.

use super::{Producer, PublishError, refused::payload_of, send::plain};
use crate::{engine::vhost::Published, message::payload::Payload};

/// How many messages a queue takes at once: its lock is held so long.
const RUN: usize = 64;

impl<T: Payload> Producer<T> {
    /// Publishes one payload after the other with the producer's own routing key; a result for each, in their order.
    ///
    /// A queue takes up to 64 of them at once, which costs less than one by one; nobody else's message comes between those.
    ///
    /// # Errors
    /// Each result is as [`publish`](Self::publish)'s; one failure does not stop the others.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    ///
    /// let broker = Broker::new();
    /// let producer = broker.producer::<u32>(&Queue::new("q"))?;
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
            // The iterator is user code, and comes before anything is looked up.
            let run: Vec<T> = payloads.by_ref().take(RUN).collect();
            if run.is_empty() {
                return results;
            }
            results.reserve(run.len());
            self.publish_run(run, &mut results);
        }
    }

    /// As many as go the plain way are put there in one critical section; of the others each says itself what is the matter.
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
