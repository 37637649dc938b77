//! [`Producer::publish_batch`], which publishes many payloads at once. A queue takes a run of them
//! in one critical section.
//!
//! Payloads are published one by one in these cases: the queue can refuse a message or block its
//! publisher, the message depends on time, or it goes to several queues.

use std::{collections::vec_deque, iter, option, time::Duration};

use super::{
    Producer, PublishResults, refused::payload_of, send::plain, started::UnderWay,
    unsynced::PushedFirst,
};
use crate::{message::payload::Payload, runtime::spare::SpareList, session::publisher::OnFull};

/// The number of messages that a queue takes at once. It holds its lock for all of them.
const RUN: usize = 64;

/// The most payloads that wait for the disk together.
const SYNCED_TOGETHER: usize = 1_024;

/// How many payloads of a run a queue has taken at once, and the others, which are published one by
/// one.
type Run<'a, T> = (
    usize,
    iter::Chain<option::IntoIter<T>, vec_deque::Drain<'a, T>>,
);

impl<T: Payload> Producer<T> {
    /// Publishes payloads in their order with the routing key of the producer. Returns one result
    /// for each payload, in the same order.
    ///
    /// A queue takes up to 64 payloads at once, which costs less than to publish them one by one.
    /// No other publisher's message comes between payloads that a queue takes at once. In a durable
    /// broker up to some 1,000 payloads share one sync. In a RabbitMQ as many wait for their
    /// confirms at a time, or 16 MiB of them.
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
    #[must_use = "each result tells whether its payload was published"]
    pub fn publish_batch(&self, payloads: impl IntoIterator<Item = T>) -> PublishResults<T> {
        self.send_batch(payloads, || OnFull::Wait)
    }

    /// Same as [`publish_batch`](Self::publish_batch), but never waits for room, as
    /// [`try_publish`](Self::try_publish).
    ///
    /// # Errors
    /// Each result has the errors of [`try_publish`](Self::try_publish).
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// # use leveret::{Broker, Overflow, Queue};
    /// # let broker = Broker::new();
    /// # let queue = Queue::new("q").max_length(2).overflow(Overflow::Block);
    /// # let producer = broker.producer::<u32>(&queue)?;
    /// // The queue has `max_length(2)` and `Overflow::Block`.
    /// let results = producer.try_publish_batch(0..4);
    /// assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 2);
    /// let results = producer.publish_batch_timeout(2..4, Duration::from_millis(1));
    /// assert!(results.iter().all(|result| result.is_err()));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use = "each result tells whether its payload was published"]
    pub fn try_publish_batch(&self, payloads: impl IntoIterator<Item = T>) -> PublishResults<T> {
        self.send_batch(payloads, || OnFull::Refuse)
    }

    /// Same as [`publish_batch`](Self::publish_batch), but waits at most `timeout` for room, for
    /// all payloads together. After that time a payload is still published if there is room. To
    /// a RabbitMQ no payload is handed over after that time: the others come back with
    /// [`Error::Timeout`](crate::Error::Timeout). One that was handed over before and is not
    /// confirmed comes back with the same error, and may be published all the same.
    ///
    /// [`try_publish_batch`](Self::try_publish_batch) has an example of both methods.
    ///
    /// # Errors
    /// Each result has the errors of [`publish_timeout`](Self::publish_timeout).
    #[must_use = "each result tells whether its payload was published"]
    pub fn publish_batch_timeout(
        &self,
        payloads: impl IntoIterator<Item = T>,
        timeout: Duration,
    ) -> PublishResults<T> {
        let deadline = self.publisher.gate().deadline(timeout);
        self.send_batch(payloads, || match deadline {
            Some(deadline) => OnFull::WaitFor(deadline.remaining().unwrap_or_default()),
            None => OnFull::Wait,
        })
    }

    /// Same as [`publish_batch`](Self::publish_batch), but waits for room without blocking the
    /// thread.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready has published the payloads before the one that
    /// waits for room. The payload that waits stays in the queues that have taken it, and the
    /// payloads after it are not published. In a RabbitMQ the payloads that wait for their confirms
    /// are published. The results are lost.
    ///
    /// # Errors
    /// Each result has the errors of [`publish`](Self::publish).
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// # let broker = leveret::Broker::new();
    /// let producer = broker.producer::<u32>("q")?;
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// match pin!(producer.publish_batch_async(0..64)).poll(&mut context) {
    ///     Poll::Ready(results) => assert!(results.iter().all(|result| result.is_ok())),
    ///     Poll::Pending => panic!("the queue has no limit"),
    /// }
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use = "each result tells whether its payload was published"]
    pub async fn publish_batch_async(
        &self,
        payloads: impl IntoIterator<Item = T>,
    ) -> PublishResults<T> {
        let mut payloads = payloads.into_iter();
        let mut run = SpareList::take();
        let mut results = PublishResults::new();
        let mut pushed = Vec::new();
        let mut started = UnderWay::new();
        while let Some((taken, rest)) = self.next_run(&mut payloads, &mut run) {
            if self.syncs_together() {
                pushed.extend((0..taken).map(|_| Ok(None)));
                for payload in rest {
                    pushed.push(self.push_first_async(payload).await);
                }
                if pushed.len() >= SYNCED_TOGETHER {
                    self.sync_all_async(&mut pushed, &mut results).await;
                }
                continue;
            }
            results.add_to_one(taken);
            if self.starts_all() {
                self.start_all(rest, || OnFull::Wait, &mut started);
                self.confirm_all_async(started.take_surplus(), &mut results)
                    .await;
            } else {
                for payload in rest {
                    results.push(self.send_plain_async(payload).await);
                }
            }
        }
        self.sync_all_async(&mut pushed, &mut results).await;
        self.confirm_all_async(started.take_all(), &mut results)
            .await;
        results
    }

    fn send_batch(
        &self,
        payloads: impl IntoIterator<Item = T>,
        on_full: impl Fn() -> OnFull,
    ) -> PublishResults<T> {
        let mut payloads = payloads.into_iter();
        let mut run = SpareList::take();
        let mut results = PublishResults::new();
        let mut pushed = Vec::new();
        let mut started = UnderWay::new();
        while let Some((taken, rest)) = self.next_run(&mut payloads, &mut run) {
            if self.syncs_together() {
                pushed.extend((0..taken).map(|_| Ok(None)));
                pushed.extend(rest.map(|payload| self.push_first(payload, on_full())));
                if pushed.len() >= SYNCED_TOGETHER {
                    self.sync_all(&mut pushed, &mut results);
                }
                continue;
            }
            results.add_to_one(taken);
            // An engine outside of this process confirms one publish while the next ones start.
            if self.starts_all() {
                self.start_all(rest, &on_full, &mut started);
                self.confirm_all(started.take_surplus(), &on_full, &mut results);
            } else {
                results.extend(rest.map(|payload| self.send_plain(payload, on_full())));
            }
        }
        self.sync_all(&mut pushed, &mut results);
        self.confirm_all(started.take_all(), &on_full, &mut results);
        results
    }

    /// Waits until payloads that were pushed are on disk. They share one sync.
    fn sync_all(&self, pushed: &mut Vec<PushedFirst<'_, T>>, results: &mut PublishResults<T>) {
        results.extend(pushed.drain(..).map(|pushed| self.sync(pushed)));
    }

    /// Same as [`sync_all`](Self::sync_all), for a task.
    async fn sync_all_async(
        &self,
        pushed: &mut Vec<PushedFirst<'_, T>>,
        results: &mut PublishResults<T>,
    ) {
        for pushed in pushed.drain(..) {
            results.push(self.sync_async(pushed).await);
        }
    }

    /// Whether the messages of a batch are on disk together, and not one by one. With a retry each
    /// waits for the one before it.
    fn syncs_together(&self) -> bool {
        self.publisher.gate().is_durable() && self.retry.is_none()
    }

    /// Whether the publishes of a batch are under way together. With a retry they come one by one,
    /// so that none overtakes a refused one.
    fn starts_all(&self) -> bool {
        self.publisher.gate().is_remote() && self.retry.is_none()
    }

    /// Takes the next payloads, and pushes as many as possible in one critical section. The others
    /// are published one by one, so that each has its own result. `None` at the end of the
    /// payloads.
    fn next_run<'a>(
        &self,
        payloads: &mut impl Iterator<Item = T>,
        run: &'a mut SpareList<T>,
    ) -> Option<Run<'a, T>> {
        // The iterator is the caller's code. It runs before the route is looked up.
        run.extend(payloads.take(RUN));
        if run.is_empty() {
            return None;
        }
        let count = run.len();
        let mut payloads = run.drain(..);
        let left = match self.sized_by {
            Some(_) => None,
            None => {
                let size = |payload: &T| payload.size() as u64;
                self.publisher.try_push_run(&mut payloads, size, plain)
            }
        };
        let taken = count - payloads.len() - usize::from(left.is_some());
        let left = left.map(|envelope| payload_of(Some(envelope.into_body())));
        Some((taken, left.into_iter().chain(payloads)))
    }
}
