//! Publishing again what queues refuse.

use std::{
    fmt,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Producer, PublishError};
use crate::{
    engine::vhost::Published,
    message::payload::Payload,
    model::{
        backoff::Backoff,
        error::{Error, Result},
    },
    runtime::{catch_panic::catch_panic, clock::Deadline},
    session::publisher::{OnFull, Pause, Publisher},
};

/// How a producer publishes again what queues refuse.
#[derive(Clone)]
pub(super) struct Retry {
    backoff: Backoff,
    on_retry: Option<Arc<OnRetry>>,
}

/// Gets the error, the number of the attempt that failed, and the time until the next one.
type OnRetry = dyn Fn(&Error, u32, Duration) + Send + Sync;

impl<T: Payload> Producer<T> {
    /// Makes a producer that publishes again what every queue refuses.
    ///
    /// [`Error::Refused`] says that a queue is full, or a budget spent, and that no queue has the
    /// message. The producer then waits as the [`Backoff`] says, by the broker's clock, and
    /// publishes the message again. When the backoff gives up, the last error returns the message.
    /// All other errors return at once.
    ///
    /// All publishes that wait for room try again, also those of a batch: each of its payloads in
    /// its turn. The forms with a time-out try until the time is over, for all attempts together.
    /// The forms without waiting, such as [`try_publish`](Self::try_publish), make one attempt.
    ///
    /// The wait ends at once if the connection closes, or if the broker ends or begins to shut
    /// down. The error says which. A publisher that holds a delivery goes on during a
    /// [shutdown](crate::Broker::shutdown).
    ///
    /// # No message comes twice
    /// A message that some queues took and others refused is published. The result counts those
    /// that refused it ([`refused`](Published#structfield.refused)), and the producer does not
    /// publish it again. If a queue has dead-lettered the message that it refused
    /// ([`RejectPublishDlx`](crate::Overflow::RejectPublishDlx)), the error returns at once.
    ///
    /// # Order
    /// While a message waits for its next attempt, messages of other threads and tasks overtake it.
    /// Queues with [`Overflow::Block`](crate::Overflow::Block) serve their publishers in order, and
    /// need no retries.
    ///
    /// # RabbitMQ
    /// RabbitMQ leaves it to the client: kombu has `retry` and `retry_policy`.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Backoff, Broker, Overflow, Queue};
    /// use std::{thread, time::Duration};
    ///
    /// let broker = Broker::new();
    /// let small = Queue::new("small").max_length(1).overflow(Overflow::RejectPublish);
    /// let backoff = Backoff::new(Duration::from_millis(1)).time_limit(Duration::from_secs(60));
    /// let producer = broker.producer::<u32>(&small)?.retry(backoff);
    /// producer.publish(1)?;
    /// assert!(producer.try_publish(2).is_err());
    ///
    /// let mailbox = broker.simple_queue::<u32>("small")?;
    /// let taking = thread::spawn(move || mailbox.get()?.ack());
    /// producer.publish(2)?; // waits for the thread
    /// taking.join().unwrap()?;
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use = "the producer that tries again is a new one"]
    pub fn retry(mut self, backoff: Backoff) -> Producer<T> {
        let on_retry = self.retry.take().and_then(|retry| retry.on_retry.clone());
        self.retry = Some(Arc::new(Retry { backoff, on_retry }));
        self
    }

    /// Sets a function that is called before each wait of a [retry](Self::retry).
    ///
    /// It gets the error, the number of the attempt that failed (from 1), and the time until the
    /// next attempt. It runs on the publishing thread or in the publishing task. Its panic ends
    /// there, and the publish goes on. Without a retry it is never called.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Backoff, Overflow, Queue};
    /// use std::time::Duration;
    /// # let broker = leveret::Broker::new();
    ///
    /// let full = Queue::new("full").max_length(0).overflow(Overflow::RejectPublish);
    /// let backoff = Backoff::constant(Duration::from_millis(1)).max_attempts(3);
    /// let producer = broker.producer::<u32>(&full)?.retry(backoff);
    /// let producer = producer.on_retry(|error, attempt, delay| {
    ///     eprintln!("attempt {attempt} failed: {error}. The next one is in {delay:?}.");
    /// });
    /// assert_eq!(producer.publish(7).unwrap_err().into_inner(), Some(7));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use = "the producer that calls the function is a new one"]
    pub fn on_retry(
        mut self,
        on_retry: impl Fn(&Error, u32, Duration) + Send + Sync + 'static,
    ) -> Producer<T> {
        let backoff = match &self.retry {
            Some(retry) => retry.backoff,
            None => Backoff::default().max_attempts(1),
        };
        let on_retry: Option<Arc<OnRetry>> = Some(Arc::new(on_retry));
        self.retry = Some(Arc::new(Retry { backoff, on_retry }));
        self
    }

    /// Calls `send` until it succeeds or the backoff gives up.
    pub(super) fn attempt<M>(
        &self,
        message: M,
        on_full: OnFull,
        send: impl Fn(M, OnFull) -> Result<Published, PublishError<M>>,
    ) -> Result<Published, PublishError<M>> {
        let Some(mut attempts) = self.attempts(on_full) else {
            return send(message, on_full);
        };
        let mut message = message;
        loop {
            let refused = match send(message, attempts.on_full()) {
                Ok(published) => return Ok(published),
                Err(refused) => refused,
            };
            let Some(pause) = attempts.pause_after(&refused.error) else {
                return Err(refused);
            };
            match self.publisher.pause(self.publisher.gate(), pause) {
                Ok(()) => message = refused.given_back()?,
                Err(error) => return Err(PublishError { error, ..refused }),
            }
        }
    }

    /// Same as [`attempt`](Self::attempt), for a task.
    pub(super) async fn attempt_async<M, F>(
        &self,
        message: M,
        send: impl Fn(M) -> F,
    ) -> Result<Published, PublishError<M>>
    where
        F: Future<Output = Result<Published, PublishError<M>>>,
    {
        let mut attempts = self.attempts(OnFull::Wait);
        let mut message = message;
        loop {
            let refused = match send(message).await {
                Ok(published) => return Ok(published),
                Err(refused) => refused,
            };
            let pause = attempts
                .as_mut()
                .and_then(|attempts| attempts.pause_after(&refused.error));
            let Some(pause) = pause else {
                return Err(refused);
            };
            let gate = self.publisher.gate();
            match self.publisher.pause_async(gate, pause).await {
                Ok(()) => message = refused.given_back()?,
                Err(error) => return Err(PublishError { error, ..refused }),
            }
        }
    }

    /// `None` if there is only one attempt.
    fn attempts(&self, on_full: OnFull) -> Option<Attempts<'_>> {
        let retry = self.retry.as_deref().filter(|_| on_full != OnFull::Refuse);
        Some(Attempts::begin(retry?, &self.publisher, on_full))
    }
}

/// The attempts of one publish.
struct Attempts<'a> {
    retry: &'a Retry,
    publisher: &'a Publisher,
    began: Instant,
    /// The end of the time for all attempts.
    deadline: Option<Deadline<'a>>,
    /// How many have failed.
    failed: u32,
}

impl<'a> Attempts<'a> {
    fn begin(retry: &'a Retry, publisher: &'a Publisher, on_full: OnFull) -> Attempts<'a> {
        let gate = publisher.gate();
        Attempts {
            retry,
            publisher,
            began: gate.now(),
            deadline: match on_full {
                OnFull::WaitFor(timeout) => gate.deadline(timeout),
                OnFull::Wait | OnFull::Refuse => None,
            },
            failed: 0,
        }
    }

    /// How the next attempt deals with full blocking queues.
    fn on_full(&self) -> OnFull {
        match self.deadline {
            Some(deadline) => OnFull::WaitFor(deadline.remaining().unwrap_or_default()),
            None => OnFull::Wait,
        }
    }

    /// The pause after an attempt has failed. `None` if it was the last one.
    fn pause_after(&mut self, error: &Error) -> Option<Pause<'a>> {
        let Error::Refused {
            dead_lettered: false,
            ..
        } = error
        else {
            return None;
        };
        self.failed = self.failed.saturating_add(1);
        let Retry { backoff, on_retry } = self.retry;
        let now = self.publisher.gate().now();
        let elapsed = now.saturating_duration_since(self.began);
        let mut delay = backoff.delay_after(self.failed, elapsed)?;
        if let Some(deadline) = self.deadline {
            delay = delay.min(deadline.remaining()?);
        }
        // The pause begins before the call: a test that sees the call may advance a manual clock.
        let pause = self.publisher.begin_pause(delay);
        if let Some(on_retry) = on_retry {
            catch_panic(|| on_retry(error, self.failed, delay));
        }
        Some(pause)
    }
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("backoff", &self.backoff)
            .finish_non_exhaustive()
    }
}
