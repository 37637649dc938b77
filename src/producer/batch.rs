//! Publishing many payloads at once: a queue takes a run of them in one critical section.
//!
//! Only where nothing can come between: where a queue may refuse a message or have its publisher wait, or several places
//! are to have it, each is published by itself.

use super::{Producer, PublishError, Routes};
use crate::{
    envelope::Envelope,
    payload::{Body, Payload},
    vhost::Published,
};

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

    fn publish_run(&self, run: Vec<T>, results: &mut Vec<Result<Published, PublishError<T>>>) {
        let route = match self.route(None) {
            Ok(route) if route.takes_runs() && !self.shared.always_encode => route,
            // Each says itself what is wrong.
            _ => return results.extend(run.into_iter().map(|payload| self.publish(payload))),
        };
        let message = |payload: T| {
            let meta = self.measured(&payload, self.shared.meta.clone());
            Some(Envelope::new(Body::new(payload), &route.address, meta))
        };
        let mut messages: Vec<_> = run.into_iter().map(message).collect();
        let vhost = self.shared.connection.vhost();
        vhost.push_run(&route, &mut messages);
        results.extend(messages.into_iter().map(|left| match left {
            None => Ok(Published::to_one()),
            // The queue is gone, or does not take runs any more.
            Some(envelope) => self.publish(super::refused::payload_of(Some(envelope.into_body()))),
        }));
        Routes::keep(route);
    }
}
