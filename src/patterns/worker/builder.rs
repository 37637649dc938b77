//! [`WorkerBuilder`].

use std::{fmt, future::Future, sync::Arc, time::Duration};

use super::{
    Chain, Context, HandlerError, HandlerResult, Job, Middleware, Settle, Stack, Worker,
    WorkerReport, core::Shared, handler::Handler, hooks::Hooks, limit::TimeLimit, ordered::Order,
};
use crate::{
    handles::consumer::ConsumerBuilder,
    message::{codec::Codecs, payload::Payload},
    model::{descriptions::Queue, error::Result},
    session::{connection::Connection, undecoded::Undecoded},
};

/// Builds a worker: the queues, the settings, and at last the handler.
/// [`Connection::worker`] returns it.
///
/// # Settlement
/// The result of the handler settles the message. `Ok` or nothing acknowledges it, and a
/// [`Settle`] says what else. An error or a panic rejects the message: it is dead-lettered if its
/// queue has a dead letter exchange, and dropped if not. The worker goes on. The dead letter has
/// the headers `x-exception-type`, `x-exception-message` and `x-exception-worker`.
/// [`on_error`](Self::on_error) and a [`Middleware`] can decide otherwise.
///
/// # RabbitMQ
/// `ConsumerMixin` of kombu, around `basic.consume`.
///
/// # Examples
/// ```
/// use leveret::{Broker, Queue};
/// use std::time::Duration;
///
/// let broker = Broker::new();
/// broker.declare(&Queue::new("dead"))?;
/// let tasks = Queue::new("tasks").dead_letter_exchange("").dead_letter_routing_key("dead");
/// let worker = broker.worker::<String>(&tasks).concurrency(2).handler(|task, _| {
///     task.parse::<u32>().map(drop)
/// });
/// let worker = worker.spawn()?;
/// let tasks = broker.producer::<String>(&tasks)?;
/// tasks.publish("7".to_owned())?;
/// tasks.publish("seven".to_owned())?;
///
/// let dead = broker.consumer::<String>("dead")?.recv()?;
/// assert_eq!(*dead, "seven");
/// let headers = dead.info().properties().headers.clone().unwrap_or_default();
/// assert_eq!(headers.get("x-exception-message"), Some(&"invalid digit found in string".into()));
/// let report = worker.stop_and_drain(Duration::from_secs(10));
/// assert_eq!((report.counts.acked, report.counts.rejected), (1, 1));
/// # Ok::<(), leveret::Error>(())
/// ```
#[must_use = "a worker builder does nothing until it gets a handler, and the worker runs"]
pub struct WorkerBuilder<T: Payload, C: Chain = ()> {
    connection: Result<Connection>,
    consumer: ConsumerBuilder<T>,
    name: String,
    concurrency: usize,
    /// Whether the prefetch is the default.
    default_prefetch: bool,
    middleware: C,
    timeout: Option<TimeLimit<T>>,
    hooks: Hooks,
    #[cfg(feature = "tracing")]
    is_traced: bool,
}

/// The largest concurrency.
const MOST_HANDLERS: usize = 65_536;

impl<T: Payload> WorkerBuilder<T> {
    pub(crate) fn new(
        connection: Result<Connection>,
        consumer: ConsumerBuilder<T>,
    ) -> WorkerBuilder<T> {
        WorkerBuilder {
            connection,
            name: consumer.first_queue().to_owned(),
            consumer,
            concurrency: 1,
            default_prefetch: true,
            middleware: (),
            timeout: None,
            hooks: Hooks::default(),
            #[cfg(feature = "tracing")]
            is_traced: false,
        }
    }
}

impl<T: Payload, C: Chain> WorkerBuilder<T, C> {
    /// Adds a queue, as [`ConsumerBuilder::also`] does.
    pub fn also(mut self, queue: impl Into<Queue>) -> Self {
        self.consumer = self.consumer.also(queue);
        self
    }

    /// Sets the name of the worker, for reports, headers and the names of its threads. The default
    /// is the name of its first queue.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the number of messages that are handled at the same time: the number of threads, or of
    /// futures in a task. The default is 1; 0 counts as 1, and more than 65,536 as 65,536.
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency.clamp(1, MOST_HANDLERS);
        self
    }

    /// Sets the number of unsettled messages that the worker may hold from each queue, as
    /// [`ConsumerBuilder::prefetch`] does. The default is 256.
    ///
    /// With a prefetch below the [`concurrency`](Self::concurrency) some handlers never run at the
    /// same time. If handlers take long and several workers share a queue, a small prefetch leaves
    /// the backlog to all of them.
    pub fn prefetch(mut self, prefetch: u32) -> Self {
        self.consumer = self.consumer.prefetch(prefetch);
        self.default_prefetch = false;
        self
    }

    /// Raises the default prefetch, so that each handler can have this number of messages.
    pub(super) fn prefetch_for(mut self, messages: usize) -> Self {
        if self.default_prefetch {
            let all = messages.saturating_mul(self.concurrency);
            let all = u32::try_from(all).unwrap_or(u32::MAX);
            self.consumer = self.consumer.prefetch_at_least(all);
        }
        self
    }

    /// Sets the priority of the consumer, as [`ConsumerBuilder::priority`] does.
    pub fn priority(mut self, priority: i32) -> Self {
        self.consumer = self.consumer.priority(priority);
        self
    }

    /// Makes the consumer exclusive, as [`ConsumerBuilder::exclusive`] does.
    pub fn exclusive(mut self) -> Self {
        self.consumer = self.consumer.exclusive();
        self
    }

    /// Sets how long the worker may hold a delivery, as [`ConsumerBuilder::timeout`] does. The time
    /// begins when a handler takes the message, or before that if an ordered worker keeps the
    /// message for its key, or a batch waits for more. The retries of a middleware do not begin it
    /// again.
    ///
    /// When the time is over, the handler runs on, and its result has no effect on the message.
    /// The worker gets messages again after it. [`timeout`](Self::timeout) limits the handler
    /// itself.
    pub fn consumer_timeout(mut self, timeout: Duration) -> Self {
        self.consumer = self.consumer.timeout(timeout);
        self
    }

    /// Sets the consumer tag, as [`ConsumerBuilder::tag`] does.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.consumer = self.consumer.tag(tag);
        self
    }

    /// Sets the codecs, as [`ConsumerBuilder::codecs`] does.
    pub fn codecs(mut self, codecs: Codecs) -> Self {
        self.consumer = self.consumer.codecs(codecs);
        self
    }

    /// Accepts only these content types, as [`ConsumerBuilder::accept`] does. A message of another
    /// type goes to [`on_decode_error`](Self::on_decode_error).
    pub fn accept<I>(mut self, content_types: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.consumer = self.consumer.accept(content_types);
        self
    }

    /// Limits the time of each call of the handler, by the broker's clock.
    ///
    /// When the time is over, the handler has failed, and the message is settled as after an error.
    /// The future of a [`handler_async`](Self::handler_async) is dropped.
    ///
    /// A [`handler`](Self::handler) cannot be stopped, and runs on. Its
    /// [stop signal](Context::stop_signal) is set, its late result is dropped and counted, and a
    /// spare thread takes the place of its own. A worker has at most as many spare threads as its
    /// [`concurrency`](Self::concurrency). [`Worker::run_async`] has none.
    ///
    /// A [`Local`](crate::Local) payload is in one place only, so its message is settled when the
    /// handler has ended.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, worker::Failure};
    /// use std::time::Duration;
    ///
    /// let broker = Broker::new();
    /// let worker = broker.worker::<u32>("numbers").timeout(Duration::from_millis(5));
    /// let worker = worker.handler(|_, context| {
    ///     // A handler that is stuck. A good one looks at its stop signal.
    ///     context.stop_signal().wait();
    /// });
    /// let worker = worker.spawn()?;
    /// broker.producer::<u32>("numbers")?.publish(7)?;
    /// let report = worker.stop_and_drain(Duration::from_secs(10));
    /// assert_eq!((report.counts.timed_out, report.counts.rejected), (1, 1));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(TimeLimit::Of(timeout));
        self
    }

    /// As [`timeout`](Self::timeout), with a time for each message, which may have none. The
    /// function must not panic.
    pub(crate) fn timeout_by(
        mut self,
        limit: impl Fn(&T) -> Option<Duration> + Send + Sync + 'static,
    ) -> Self {
        self.timeout = Some(TimeLimit::By(Box::new(limit)));
        self
    }

    /// Adds a [`Middleware`]. The first one is the outermost: it is asked first, and learns of the
    /// outcome last.
    ///
    /// An `Option` of a middleware is one too, and so is an `Arc<dyn Middleware>`.
    pub fn middleware<M: Middleware>(self, middleware: M) -> WorkerBuilder<T, Stack<C, M>> {
        WorkerBuilder {
            connection: self.connection,
            consumer: self.consumer,
            name: self.name,
            concurrency: self.concurrency,
            default_prefetch: self.default_prefetch,
            middleware: Stack {
                outer: self.middleware,
                inner: middleware,
            },
            timeout: self.timeout,
            hooks: self.hooks,
            #[cfg(feature = "tracing")]
            is_traced: self.is_traced,
        }
    }

    /// Runs each handler in a span of the crate `tracing`, with the feature `tracing`.
    ///
    /// The span `handle` has the target `leveret` and the level `INFO`. Its fields are the
    /// `worker`, the `queue`, the `exchange`, the `routing_key`, the `message_id`, the
    /// `delivery_count` and the `request_context`, which is the table in the header
    /// `x-request-context`. Fields that the message does not have are left out. A future is in its
    /// span while it is polled, and while it is dropped.
    ///
    /// Within the span there is one event, when the handler has ended: `handled` of the level
    /// `DEBUG` with the `outcome`, or `failed` of the level `ERROR` with the `failure`, the
    /// `error_type` and the `error`. A future past its [time-out](Self::timeout) is dropped without
    /// an event. The middlewares run outside of the span. A subscriber must not panic: beside a
    /// future, that would end the thread or the task of the worker.
    ///
    /// # Examples
    /// ```
    /// let broker = leveret::Broker::new();
    /// let worker = broker.worker::<u32>("numbers").traced().handler(|number, _| {
    ///     tracing::info!(number, "it belongs to the span");
    /// });
    /// # drop(worker);
    /// ```
    #[cfg(feature = "tracing")]
    pub fn traced(mut self) -> Self {
        self.is_traced = true;
        self
    }

    /// Sets a hook that is called with the name of the worker when it starts.
    pub fn on_start(mut self, hook: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.hooks.start = Some(Box::new(hook));
        self
    }

    /// Sets a hook that is called each time when the worker finds no message and is about to wait.
    pub fn on_idle(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.hooks.idle = Some(Box::new(hook));
        self
    }

    /// Sets a hook for each failure of a handler, which decides what becomes of the message.
    /// Without it the message is rejected.
    ///
    /// # Examples
    /// ```
    /// use leveret::worker::{Failure, Settle};
    /// # let broker = leveret::Broker::new();
    /// let worker = broker.worker::<String>("tasks").on_error(|error, context| {
    ///     eprintln!("{} failed at a message: {error}", context.worker());
    ///     match error.failure() {
    ///         Failure::Panic => Settle::DeadLetter("a bug".to_owned()),
    ///         _ => Settle::Ack,
    ///     }
    /// });
    /// # drop(worker);
    /// ```
    pub fn on_error(
        mut self,
        hook: impl Fn(&HandlerError, &Context<'_>) -> Settle + Send + Sync + 'static,
    ) -> Self {
        self.hooks.error = Some(Box::new(hook));
        self
    }

    /// Sets a hook for each message that does not decode, which decides what becomes of it. Without
    /// it the message is rejected.
    pub fn on_decode_error(
        mut self,
        hook: impl Fn(&Undecoded) -> Settle + Send + Sync + 'static,
    ) -> Self {
        self.hooks.decode_error = Some(Box::new(hook));
        self
    }

    /// Sets a hook that is called when the worker has ended.
    pub fn on_stop(mut self, hook: impl Fn(&WorkerReport) + Send + Sync + 'static) -> Self {
        self.hooks.stop = Some(Box::new(hook));
        self
    }

    /// Sets the handler, which is called with each message. The result of the handler settles the
    /// message.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, worker::Settle};
    /// use std::{io, time::Duration};
    ///
    /// let broker = Broker::new();
    /// // A handler that cannot fail:
    /// let greeter = broker.worker::<String>("names").handler(|name, _| println!("hello {name}"));
    /// // A handler with errors:
    /// let reader = broker.worker::<String>("files").handler(|path, _| {
    ///     std::fs::read(path).map(drop)
    /// });
    /// // A handler that settles by itself:
    /// let picky = broker.worker::<u32>("numbers").handler(|number, context| {
    ///     if context.acquired_count() > 3 {
    ///         return Ok(Settle::DeadLetter("tried three times".to_owned()));
    ///     }
    ///     match number {
    ///         0 => Ok(Settle::Requeue(Duration::from_secs(1))),
    ///         13 => Err("unlucky"),
    ///         _ => Ok(Settle::Ack),
    ///     }
    /// });
    /// # drop((greeter, reader, picky));
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn handler<F, R>(self, handler: F) -> Worker<T>
    where
        F: Fn(&T, &Context<'_>) -> R + Send + Sync + 'static,
        R: HandlerResult,
    {
        self.build(Handler::call(handler), None)
    }

    /// Sets a handler that gets each payload as its own: for values that are consumed, such as
    /// channels, files and boxed closures. They often come in a [`Local`](crate::Local).
    ///
    /// Each message is handled at most once. It stays unsettled while its handler runs, and is
    /// acknowledged then, since a message without its payload cannot return. An error or a panic
    /// is counted, and [`on_error`](Self::on_error) and the middlewares learn of it. Their
    /// settlements have no effect.
    ///
    /// If other queues share the payload, the handler gets a copy, made by the codec of the
    /// message. If the codec fails, the handler is not called. The message is whole then, and is
    /// settled as one that [`on_error`](Self::on_error) sees with [`Failure::Decode`].
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Local};
    /// use std::sync::mpsc;
    ///
    /// // A question that carries the channel for its answer.
    /// type Question = Local<(u32, mpsc::Sender<u32>)>;
    ///
    /// let broker = Broker::new();
    /// let worker = broker.worker::<Question>("squares").handler_owned(|question, _| {
    ///     let Local((number, answers)) = question;
    ///     answers.send(number * number)
    /// });
    /// let worker = worker.spawn()?;
    /// let (sender, answers) = mpsc::channel();
    /// broker.producer::<Question>("squares")?.publish(Local((7, sender)))?;
    /// assert_eq!(answers.recv(), Ok(49));
    /// # worker.stop();
    /// # Ok::<(), leveret::Error>(())
    /// ```
    ///
    /// [`Failure::Decode`]: super::Failure::Decode
    pub fn handler_owned<F, R>(self, handler: F) -> Worker<T>
    where
        F: Fn(T, &Context<'_>) -> R + Send + Sync + 'static,
        R: HandlerResult<Settle = ()>,
    {
        self.build(Handler::consume(handler), None)
    }

    /// Sets a handler that returns a future. It gets its message and its context as owned values.
    ///
    /// On threads ([`Worker::spawn`], [`Worker::run`]) the futures run without a runtime. Futures
    /// that need one, such as those of tokio, panic there: run their worker with
    /// [`Worker::run_async`] in a task of the runtime.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, worker::{Context, Job}};
    ///
    /// async fn handle(job: Job<u32>, context: Context<'_>) -> leveret::Result {
    ///     let squares = context.producer_to::<u32>("squares")?;
    ///     squares.publish_async(*job * *job).await?;
    ///     Ok(())
    /// }
    ///
    /// let broker = Broker::new();
    /// let worker = broker.worker::<u32>("numbers").concurrency(4).handler_async(handle).spawn()?;
    /// broker.producer::<u32>("numbers")?.publish(7)?;
    /// assert_eq!(*broker.consumer::<u32>("squares")?.recv()?, 49);
    /// # worker.stop();
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn handler_async<F, R>(self, handler: F) -> Worker<T>
    where
        F: Fn(Job<T>, Context<'static>) -> R + Send + Sync + 'static,
        R: Future<Output: HandlerResult> + Send + 'static,
    {
        self.build(Handler::task(handler), None)
    }

    pub(super) fn build(self, handler: Handler<T>, order: Option<Order<T>>) -> Worker<T> {
        #[cfg(feature = "tracing")]
        let handler = match self.is_traced {
            true => handler.traced(),
            false => handler,
        };
        let shared = self.connection.map(|connection| {
            Arc::new(Shared::new(
                self.name,
                connection,
                self.hooks,
                self.concurrency,
            ))
        });
        Worker {
            consumer: self.consumer,
            shared,
            handler,
            middleware: Box::new(self.middleware),
            concurrency: self.concurrency,
            timeout: self.timeout,
            order,
        }
    }
}

impl<T: Payload, C: Chain> fmt::Debug for WorkerBuilder<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerBuilder")
            .field("name", &self.name)
            .field("concurrency", &self.concurrency)
            .field("consumer", &self.consumer)
            .finish_non_exhaustive()
    }
}
