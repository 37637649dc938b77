//! Workers that handle many messages at once: [`BatchBuilder`].
//!
//! - `messages`: [`Batch`], the argument of the handler. `result`: [`BatchResult`], its decision.
//! - `slot`: the loop of a slot. `traced`: handlers in spans.

mod messages;
mod result;
mod slot;
#[cfg(feature = "tracing")]
mod traced;

use std::{fmt, future::Future, time::Duration};

pub use self::{
    messages::{Batch, BatchMessage},
    result::BatchResult,
};
use super::{
    Chain, Worker, WorkerBuilder,
    handler::{Handler, Handling, contained},
    settle::Verdict,
    slot::Pause,
};
use crate::{message::payload::Payload, runtime::sync::Mutex, session::delivery::Delivery};

/// The handler of a worker with batches, and their limits.
pub(super) struct Batches<T: Payload> {
    /// At least 1.
    max: usize,
    max_wait: Duration,
    handler: BatchHandler<T>,
    /// The message that begins the next batch, if one has to wait. The slot that receives has it.
    waits: Mutex<Option<Waits<T>>>,
}

/// A message that has to wait, as a middleware says.
type Waits<T> = (Delivery<T>, Pause);

enum BatchHandler<T: Payload> {
    /// It is called with a borrowed batch.
    Call(Box<Call<T>>),
    /// It returns a future.
    Task(Box<Task<T>>),
}

/// It may panic.
type Call<T> = dyn Fn(&Batch<'_, T>) -> Vec<Verdict> + Send + Sync;
type Task<T> = dyn Fn(Batch<'static, T>) -> Handling<Vec<Verdict>> + Send + Sync;

/// Builds a worker whose handler gets many messages at once. [`WorkerBuilder::batch`] returns it.
///
/// A batch has at most `max` messages; 0 counts as 1. It is complete when it has as many, or when
/// `max_wait` of the broker's clock has passed since its first message. With a `max_wait` of zero
/// it has the messages that are there. All other settings come before `batch`.
///
/// One batch is collected at a time, and as many are handled at the same time as the
/// [`concurrency`](WorkerBuilder::concurrency) says.
///
/// # Settlement
/// The result of the handler settles each message, as [`BatchResult`] says. An error for all, a
/// panic and a [`timeout`](WorkerBuilder::timeout) fail each message of the batch, with the usual
/// headers. In the [counts](super::WorkerCounts) each message counts, except for `late`, which
/// counts handlers.
///
/// # Middlewares
/// A [`Middleware`](super::Middleware) is asked for each message, before its batch is complete. A
/// message that has to wait ends the batch before it, and begins the next one. A message that a
/// middleware settles is in no batch.
///
/// # Prefetch
/// A batch has no more messages than the worker may hold. The default
/// [`prefetch`](WorkerBuilder::prefetch) of such a worker is `max` times the concurrency, and at
/// least 256. With a smaller one, a batch is also complete when the worker holds as many messages.
///
/// # The end
/// If the worker is stopped, the messages of a batch that is not complete yet return to their
/// places in the queue, and are not marked as redelivered. If it drains, or if its queue is
/// deleted, such a batch is complete at once. A [shutdown](crate::Broker::shutdown) waits for
/// `max_wait`, so its deadline should be later than that.
///
/// # RabbitMQ
/// RabbitMQ has no counterpart. A client collects deliveries, and acknowledges them with
/// `multiple`.
///
/// # Examples
/// ```
/// use leveret::Broker;
/// use std::time::Duration;
///
/// let broker = Broker::new();
/// let _ = broker.producer::<String>("lines")?.publish_batch((1..=25).map(|n| n.to_string()));
/// let worker = broker.worker::<String>("lines").batch(10, Duration::from_secs(1));
/// let worker = worker.handler(|lines| {
///     let rows: Vec<&str> = lines.iter().map(|line| line.as_str()).collect();
///     println!("insert {rows:?}"); // one statement for up to ten lines
/// });
/// let report = worker.spawn()?.stop_and_drain(Duration::from_secs(10));
/// assert_eq!(report.counts.acked, 25);
/// # Ok::<(), leveret::Error>(())
/// ```
#[must_use = "a worker builder does nothing until it gets a handler, and the worker runs"]
pub struct BatchBuilder<T: Payload, C: Chain = ()> {
    builder: WorkerBuilder<T, C>,
    max: usize,
    max_wait: Duration,
}

impl<T: Payload, C: Chain> WorkerBuilder<T, C> {
    /// Handles up to `max` messages at once. A batch waits at most `max_wait` for more messages
    /// after its first one.
    ///
    /// [`BatchBuilder`] has the details and an example.
    pub fn batch(self, max: usize, max_wait: Duration) -> BatchBuilder<T, C> {
        BatchBuilder {
            builder: self,
            max: max.max(1),
            max_wait,
        }
    }
}

impl<T: Payload, C: Chain> BatchBuilder<T, C> {
    /// Sets the handler, which is called with each batch.
    ///
    /// # Examples
    /// A result for each message:
    /// ```
    /// use leveret::Broker;
    /// use std::time::Duration;
    ///
    /// let broker = Broker::new();
    /// let texts = broker.producer::<String>("texts")?;
    /// let _ = texts.publish_batch(["7", "x", "9"].map(str::to_owned));
    /// let worker = broker.worker::<String>("texts").batch(10, Duration::ZERO);
    /// let worker = worker.handler(|texts| -> Vec<_> {
    ///     texts.iter().map(|text| text.parse::<u32>().map(drop)).collect()
    /// });
    /// let report = worker.spawn()?.stop_and_drain(Duration::from_secs(10));
    /// assert_eq!((report.counts.acked, report.counts.failed), (2, 1));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn handler<F, R>(self, handler: F) -> Worker<T>
    where
        F: Fn(&Batch<'_, T>) -> R + Send + Sync + 'static,
        R: BatchResult,
    {
        let call = move |batch: &Batch<'_, T>| result::verdicts(Ok(handler(batch)), batch.len());
        self.build(BatchHandler::Call(Box::new(call)))
    }

    /// Sets a handler that returns a future. It gets each batch as an owned value. A message is
    /// settled when the handler has ended, and the message is dropped.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, worker::Batch};
    /// use std::time::Duration;
    ///
    /// async fn store(batch: Batch<'static, u32>) -> Result<(), String> {
    ///     let numbers: Vec<u32> = batch.iter().map(|number| **number).collect();
    ///     // An asynchronous client of a database stores them here.
    ///     (numbers.len() <= 10).then_some(()).ok_or_else(|| "too many".to_owned())
    /// }
    ///
    /// let broker = Broker::new();
    /// let _ = broker.producer::<u32>("numbers")?.publish_batch(0..30);
    /// let worker = broker.worker::<u32>("numbers").concurrency(2);
    /// let worker = worker.batch(10, Duration::ZERO).handler_async(store);
    /// let report = worker.spawn()?.stop_and_drain(Duration::from_secs(10));
    /// assert_eq!(report.counts.acked, 30);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn handler_async<F, R>(self, handler: F) -> Worker<T>
    where
        F: Fn(Batch<'static, T>) -> R + Send + Sync + 'static,
        R: Future<Output: BatchResult> + Send + 'static,
    {
        let task = move |batch: Batch<'static, T>| {
            let messages = batch.len();
            contained(
                || handler(batch),
                move |ended| result::verdicts(ended, messages),
            )
        };
        self.build(BatchHandler::Task(Box::new(task)))
    }

    fn build(self, handler: BatchHandler<T>) -> Worker<T> {
        let batches = Batches {
            max: self.max,
            max_wait: self.max_wait,
            handler,
            waits: Mutex::new(None),
        };
        let builder = self.builder.prefetch_for(self.max);
        builder.build(Handler::Batch(batches), None)
    }
}

impl<T: Payload, C: Chain> fmt::Debug for BatchBuilder<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchBuilder")
            .field("builder", &self.builder)
            .field("max", &self.max)
            .field("max_wait", &self.max_wait)
            .finish()
    }
}
