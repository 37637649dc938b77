//! [`Retry`]: a failed message is tried again later.

use std::{fmt, sync::Arc};

use crate::{
    model::backoff::Backoff,
    patterns::worker::{Context, HandlerError, Middleware, Outcome, Settle},
};

/// Tries a failed message again after a delay, and dead-letters it in the end.
///
/// A failure is an error of the handler, or its panic. The message waits in its queue, and other
/// messages pass it. After the last attempt that the [`Backoff`] allows, the message is
/// dead-lettered. The header `x-exception-reason` then has the number of attempts and the last
/// error. A queue without a dead letter exchange drops the message instead.
///
/// Each delivery that returned to the queue counts as an attempt, so that the return of a message
/// by a stop counts too. A `Backoff` without a limit tries for ever.
///
/// Retry decides after [`on_error`](crate::worker::WorkerBuilder::on_error), and replaces what that
/// hook has decided.
///
/// # RabbitMQ
/// It is made of the [`Requeue::After`](crate::Requeue::After) of this broker.
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
}

type Filter = dyn Fn(&HandlerError) -> bool + Send + Sync;

impl Retry {
    /// Retries by the delays and the limits of `backoff`.
    pub fn new(backoff: Backoff) -> Retry {
        Retry {
            backoff,
            filter: None,
        }
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

    fn retries(&self, error: &HandlerError) -> bool {
        let filter = self.filter.as_deref();
        filter.is_none_or(|filter| filter(error))
    }
}

impl Middleware for Retry {
    fn after(&self, context: &Context<'_>, outcome: &mut Outcome) {
        let Some(error) = outcome.error.as_ref().filter(|error| self.retries(error)) else {
            return;
        };
        let attempt = context.delivery_count().saturating_add(1);
        outcome.settle = match self.backoff.delay(attempt) {
            Some(delay) => Settle::Requeue(delay),
            None => given_up(attempt, error),
        };
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
            .finish_non_exhaustive()
    }
}
