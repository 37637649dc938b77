//! [`Retry`]: a failed message is tried again later.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use super::retry_queues::RetryQueues;
use crate::{
    model::{backoff::Backoff, error::Result, name::Name},
    patterns::worker::{Context, HandlerError, Middleware, Outcome, Settle},
    session::connection::Connection,
};

/// Tries a failed message again after a delay, and dead-letters it in the end.
///
/// A failure is an error of the handler, or its panic. The message waits in its queue, and other
/// messages pass it. After the last attempt that the [`Backoff`] allows, the message is
/// dead-lettered. The header `x-exception-reason` then has the number of attempts and the last
/// error. A queue without a dead letter exchange drops the message instead.
/// [`Retry::attempt`](Self::attempt) tells a handler the number of its attempt.
///
/// When its delay is over, the message comes after those that the worker has in advance: up to 256,
/// unless its [`prefetch`](crate::worker::WorkerBuilder::prefetch) is smaller.
///
/// Each delivery that returned to the queue counts as an attempt, so that the return of a message
/// by a stop counts too. A `Backoff` without a limit tries for ever. In a quorum queue each failure
/// also counts to the [delivery limit](crate::Queue::delivery_limit), which is 20 if nothing else
/// is set: set a higher one for more attempts.
///
/// Retry decides after [`on_error`](crate::worker::WorkerBuilder::on_error), and replaces what that
/// hook has decided.
///
/// # RabbitMQ
/// It is made of the [`Requeue::After`](crate::Requeue::After) of this broker. With
/// [`through_queues`](Self::through_queues) it is made of what each RabbitMQ has.
///
/// # Examples
/// ```
/// use leveret::{Backoff, Broker, Queue, middleware::Retry};
/// use std::time::Duration;
///
/// let broker = Broker::new();
/// let dead = broker.consumer::<String>("dead")?;
/// let tasks = Queue::new("tasks").dead_letter_exchange("").dead_letter_routing_key("dead");
/// let backoff = Backoff::new(Duration::from_millis(1)).max_attempts(3);
/// let worker = broker.worker::<String>(&tasks).middleware(Retry::new(backoff));
/// let worker = worker.handler(|task, _| task.parse::<u32>().map(drop)).spawn()?;
///
/// broker.producer::<String>(&tasks)?.publish("seven".to_owned())?;
/// let letter = dead.recv()?;
/// let headers = letter.info().properties().headers.clone().unwrap_or_default();
/// let reason = "failed 3 times: invalid digit found in string";
/// assert_eq!(headers.get("x-exception-reason"), Some(&reason.into()));
/// # worker.stop();
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a middleware does nothing until a worker has it"]
pub struct Retry {
    backoff: Backoff,
    filter: Option<Arc<Filter>>,
    /// Where the messages wait, if that is not their own queue.
    queues: Option<RetryQueues>,
    /// The queues at an engine outside of this process, which has no other way.
    elsewhere: Arc<OnceLock<RetryQueues>>,
}

type Filter = dyn Fn(&HandlerError) -> bool + Send + Sync;

impl Retry {
    /// Retries by the delays and the limits of `backoff`.
    pub fn new(backoff: Backoff) -> Retry {
        Retry {
            backoff,
            filter: None,
            queues: None,
            elsewhere: Arc::default(),
        }
    }

    /// The number of the attempt that handles a message: 1 for the first one. It counts earlier
    /// attempts of this middleware, however they waited, and other returns of the message.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Backoff, Broker, middleware::Retry};
    /// # use std::time::Duration;
    /// let broker = Broker::new();
    /// let retry = Retry::new(Backoff::constant(Duration::from_millis(1)).max_attempts(3));
    /// let worker = broker.worker::<u32>("q").middleware(retry).handler(|_, context| {
    ///     match Retry::attempt(context) {
    ///         ..3 => Err("busy"),
    ///         _ => Ok(()),
    ///     }
    /// });
    /// let worker = worker.spawn()?;
    /// broker.producer("q")?.publish(7)?;
    /// assert_eq!(worker.stop_and_drain(Duration::from_secs(10)).counts.acked, 1);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn attempt(context: &Context<'_>) -> u32 {
        RetryQueues::attempt(context)
    }

    fn queues(&self) -> Option<&RetryQueues> {
        self.queues.as_ref().or_else(|| self.elsewhere.get())
    }

    /// Retries only the failures that `filter` accepts. Any other failure settles its message at
    /// once, as without this middleware.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Backoff, middleware::Retry, worker::Failure};
    /// # let broker = leveret::Broker::new();
    /// let retry = Retry::new(Backoff::default().max_attempts(5))
    ///     .when(|error| error.failure() == Failure::Error && error.message() != "unknown task");
    /// let worker = broker.worker::<String>("tasks").middleware(retry);
    /// # drop(worker);
    /// ```
    pub fn when(mut self, filter: impl Fn(&HandlerError) -> bool + Send + Sync + 'static) -> Self {
        self.filter = Some(Arc::new(filter));
        self
    }

    /// Has the messages wait in queues of their own, as with a RabbitMQ without delayed redelivery.
    ///
    /// When a worker starts, it declares a durable queue `<queue>.retry.<milliseconds>` for each
    /// delay of the [`Backoff`] and each of its queues. Messages expire there after the delay, and
    /// the dead letter exchange leads them back, behind the messages that are ready then. The
    /// header `x-retry-count` counts the failed attempts. Returns to the queue count as well.
    ///
    /// A message with jitter waits in the queue of the next longer delay, with an `expiration` of
    /// its own. Messages expire in their order, so that it may wait longer, up to the delay of that
    /// queue. There are at most 32 queues for one queue of the worker; if the backoff has more
    /// delays, its other delays use the next longer queue in the same way. A delay is at least a
    /// millisecond, and at most 49 days.
    ///
    /// A message loses its own `expiration` when it fails. [`Forward`](crate::worker::Forward) says
    /// what else changes, and what happens if a retry queue is missing. A queue of a name that
    /// begins with `amq.` can have no retry queues, since such names are reserved. A name of more
    /// than 255 bytes is too long for one. The start of the worker fails then.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Backoff, Broker, Queue, middleware::Retry};
    /// use std::time::Duration;
    ///
    /// let broker = Broker::new();
    /// let backoff = Backoff::new(Duration::from_millis(1)).jitter(0.0).max_attempts(3);
    /// let retry = Retry::new(backoff).through_queues();
    /// let worker = broker.worker::<String>("tasks").middleware(retry);
    /// let worker = worker.handler(|task, context| {
    ///     let headers = context.headers().cloned().unwrap_or_default();
    ///     match headers.get("x-retry-count") {
    ///         None => Err("the first attempt fails"),
    ///         Some(_) => Ok(()),
    ///     }
    /// });
    /// let worker = worker.spawn()?;
    /// broker.producer::<String>("tasks")?.publish("seven".to_owned())?;
    /// for queue in ["tasks.retry.1", "tasks.retry.2"] {
    ///     broker.declare(&Queue::existing(queue))?; // it is there
    /// }
    /// # while worker.report().counts.acked == 0 { std::thread::yield_now(); }
    /// let counts = worker.stop_and_drain(Duration::from_secs(10)).counts;
    /// assert_eq!((counts.failed, counts.forwarded, counts.acked), (1, 1, 1));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn through_queues(mut self) -> Self {
        self.queues = Some(RetryQueues::of(&self.backoff));
        self
    }

    /// Has a message wait after a failed attempt.
    ///
    /// # Errors
    /// The number of attempts, if that was the last one.
    fn wait(&self, context: &Context<'_>) -> Result<Settle, u32> {
        let queues = self.queues();
        let attempt = match queues {
            None => context.acquired_count().saturating_add(1),
            Some(_) => RetryQueues::attempt(context),
        };
        let delay = self.backoff.delay(attempt).ok_or(attempt)?;
        Ok(match queues {
            None => Settle::Requeue(delay),
            Some(queues) => queues.wait(context, attempt, delay),
        })
    }

    fn retries(&self, error: &HandlerError) -> bool {
        let filter = self.filter.as_deref();
        filter.is_none_or(|filter| filter(error))
    }
}

impl Middleware for Retry {
    fn start(&self, connection: &Connection, queues: &[Name]) -> Result {
        let retry = match &self.queues {
            None if connection.gate().is_remote() => {
                let queues = || RetryQueues::of(&self.backoff);
                self.elsewhere.get_or_init(queues)
            }
            None => return Ok(()),
            Some(queues) => queues,
        };
        queues
            .iter()
            .try_for_each(|queue| retry.declare(connection, queue))
    }

    fn after(&self, context: &Context<'_>, outcome: &mut Outcome) {
        let Some(error) = outcome.error.as_ref().filter(|error| self.retries(error)) else {
            return;
        };
        outcome.settle = self
            .wait(context)
            .unwrap_or_else(|attempts| given_up(attempts, error));
    }
}

fn given_up(attempts: u32, error: &HandlerError) -> Settle {
    Settle::DeadLetter(match attempts {
        1 => format!("failed once: {error}"),
        _ => format!("failed {attempts} times: {error}"),
    })
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("backoff", &self.backoff)
            .field("queues", &self.queues)
            .finish_non_exhaustive()
    }
}
