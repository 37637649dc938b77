//! Workers: a handler for each message of a queue.
//!
//! - `builder`: [`WorkerBuilder`], the settings.
//! - `core`: the state that the slots of a worker share.
//! - `slot`: the loop that receives. `attempt`: the way of one message through it.
//! - `owned`: that way for handlers that consume their payloads.
//! - `handler`: the kinds of handlers, without their types.
//! - `job`, `context`: the arguments of a handler. `settle`, `forward`: its decision.
//! - `limit`: time-outs of handlers that block. `members`: the slots that have not ended.
//! - `batch`: workers that handle many messages at once.
//! - `ordered`: workers that keep an order within keys.
//! - `receiver`: the one slot that receives, of these and of workers with batches.
//! - `middleware`, `hooks`: the calls around it. `passed`: those that were asked. `wakeup`: a wait.
//! - `handle`, `stop`, `report`: the end of a worker.
//! - `traced`: a span for each message, behind a feature.

mod attempt;
mod batch;
mod builder;
mod context;
mod core;
mod forward;
mod handle;
mod handler;
mod hooks;
mod job;
mod limit;
mod members;
mod middleware;
mod ordered;
mod owned;
mod passed;
mod receiver;
mod report;
mod settle;
mod slot;
mod stop;
#[cfg(feature = "tracing")]
mod traced;
mod wakeup;

use std::{fmt, sync::Arc};

use futures_util::{StreamExt, stream::FuturesUnordered};

pub(crate) use self::context::REQUEST_CONTEXT;
pub(in crate::patterns) use self::settle::EXCEPTION_REASON;
pub use self::{
    batch::{Batch, BatchBuilder, BatchMessage, BatchResult},
    builder::WorkerBuilder,
    context::Context,
    forward::Forward,
    handle::WorkerHandle,
    job::Job,
    middleware::{Before, Chain, Middleware, Stack},
    ordered::OrderedBuilder,
    report::{WorkerCounts, WorkerEnd, WorkerReport},
    settle::{Failure, HandlerError, HandlerResult, Outcome, Settle},
    stop::{StopHandle, StopSignal},
    wakeup::{Wakeup, WakeupHandle},
};
use self::{
    core::{Core, Shared},
    handler::Handler,
    limit::TimeLimit,
    middleware::sealed,
    ordered::Order,
    receiver::ReceiverLock,
    slot::{Place, Slot},
};
use crate::{
    handles::consumer::ConsumerBuilder,
    message::payload::Payload,
    model::error::{Error, Result},
    runtime::block_on::block_on,
};

/// A worker that is ready to run: a queue and a handler for its messages.
///
/// [`run`](Self::run) uses the current thread and more, [`spawn`](Self::spawn) threads of its own,
/// and [`run_async`](Self::run_async) a task. [`WorkerBuilder`] makes it.
///
/// # If dropped
/// A worker that does not run yet has no effect.
#[must_use = "a worker does nothing until it runs"]
pub struct Worker<T: Payload> {
    consumer: ConsumerBuilder<T>,
    shared: Result<Arc<Shared>>,
    handler: Handler<T>,
    middleware: Box<dyn sealed::Chain>,
    concurrency: usize,
    timeout: Option<TimeLimit<T>>,
    order: Option<Order<T>>,
}

impl<T: Payload> Worker<T> {
    /// Returns a handle that stops this worker from elsewhere. It may be used before the worker
    /// runs.
    ///
    /// # Errors
    /// The errors of the connection, if it was closed when the worker was made.
    pub fn stop_handle(&self) -> Result<StopHandle> {
        self.shared
            .as_ref()
            .map(StopHandle::of)
            .map_err(Error::clone)
    }

    /// Declares the queues, and starts the consumer.
    fn start(self) -> Result<Arc<Core<T>>> {
        let shared = self.shared?;
        let consumer = self.consumer.build()?;
        let queues = consumer.queue_names();
        self.middleware.start(&shared.connection, &queues)?;
        shared.started(consumer.cancel_handle(), queues);
        shared.hooks.start(&shared.name);
        Ok(Arc::new(Core {
            shared,
            consumer,
            handler: self.handler,
            middlewares: self.middleware.length(),
            middleware: self.middleware,
            timeout: self.timeout,
            ordered: self.order,
            receiver: ReceiverLock::default(),
        }))
    }

    /// Runs the worker on this thread until it ends. With a
    /// [`concurrency`](WorkerBuilder::concurrency) of more than 1, it starts other threads beside
    /// this one.
    ///
    /// # Errors
    /// The errors of [`ConsumerBuilder::build`](crate::ConsumerBuilder::build), and
    /// [`Error::Thread`] if the system cannot start a thread.
    ///
    /// # Examples
    /// [`StopHandle`] has one.
    pub fn run(self) -> Result<WorkerReport> {
        let concurrency = self.concurrency;
        let core = self.start()?;
        let shared = Arc::clone(&core.shared);
        let mut slots = slots(&core, concurrency, Place::Thread);
        drop(core);
        let own = slots.pop();
        let handle = spawn(slots, shared)?;
        if let Some(slot) = own {
            block_on(slot.run());
        }
        Ok(handle.join())
    }

    /// Runs the worker on threads of its own, as many as its
    /// [`concurrency`](WorkerBuilder::concurrency).
    ///
    /// # Errors
    /// The errors of [`run`](Self::run).
    ///
    /// # Examples
    /// [`WorkerHandle`] has one.
    pub fn spawn(self) -> Result<WorkerHandle> {
        let concurrency = self.concurrency;
        let core = self.start()?;
        let shared = Arc::clone(&core.shared);
        spawn(slots(&core, concurrency, Place::Thread), shared)
    }

    /// Runs the worker in the task that polls this future, until it ends. The future holds up to
    /// [`concurrency`](WorkerBuilder::concurrency) handlers at a time. It needs no particular
    /// runtime.
    ///
    /// The worker starts at the call: its queues are declared and its consumer is there, before the
    /// future is polled. So a [shutdown](crate::Broker::shutdown) that follows waits for it.
    ///
    /// A [`handler`](WorkerBuilder::handler) that blocks holds up the thread of the task.
    ///
    /// While the broker shuts down, the handlers publish by [`Context::producer`] and
    /// [`Context::producer_to`]. Any other publish of a task is refused, since other tasks share
    /// its thread.
    ///
    /// # If dropped
    /// The worker ends. The futures of its handlers are dropped, and their messages return to the
    /// queue.
    ///
    /// # Errors
    /// The errors of [`ConsumerBuilder::build`](crate::ConsumerBuilder::build).
    ///
    /// # Examples
    /// ```
    /// # use std::{pin::pin, future::Future, task::{Context, Poll, Waker}};
    /// use leveret::Broker;
    ///
    /// let broker = Broker::new();
    /// broker.producer::<u32>("numbers")?.publish(7)?;
    /// let worker = broker.worker::<u32>("numbers").concurrency(100);
    /// let worker = worker.handler_async(|number, context| async move {
    ///     assert_eq!((*number, context.acquired_count()), (7, 0));
    /// });
    /// let stop_handle = worker.stop_handle()?;
    /// let mut running = pin!(worker.run_async());
    /// # let mut context = Context::from_waker(Waker::noop());
    /// // A runtime polls `running`.
    /// # assert!(running.as_mut().poll(&mut context).is_pending());
    /// # assert!(running.as_mut().poll(&mut context).is_pending());
    /// stop_handle.stop();
    /// # match running.as_mut().poll(&mut context) {
    /// #     Poll::Ready(report) => assert_eq!(report?.counts.acked, 1),
    /// #     Poll::Pending => unreachable!("it is stopped"),
    /// # };
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn run_async(mut self) -> impl Future<Output = Result<WorkerReport>> + Send + use<T> {
        let concurrency = self.concurrency;
        self.consumer = self.consumer.in_tasks();
        let started = self.start().map(|core| {
            let slots = slots(&core, concurrency, Place::Task);
            let slots: FuturesUnordered<_> = slots.into_iter().map(Slot::run).collect();
            (slots, Arc::clone(&core.shared))
        });
        async move {
            let (slots, shared) = started?;
            slots.collect::<()>().await;
            Ok(shared.report())
        }
    }
}

fn slots<T: Payload>(core: &Arc<Core<T>>, concurrency: usize, place: Place) -> Vec<Slot<T>> {
    let slots = 0..concurrency;
    slots.map(|_| Slot::new(Arc::clone(core), place)).collect()
}

/// Runs each slot on a thread of its own. If one cannot be started, the worker is stopped.
fn spawn<T: Payload>(slots: Vec<Slot<T>>, shared: Arc<Shared>) -> Result<WorkerHandle> {
    let handle = WorkerHandle::new(shared);
    for slot in slots {
        let shared = Arc::clone(slot.shared());
        shared.spawn(slot.number(), move || block_on(slot.run()))?;
    }
    Ok(handle)
}

impl<T: Payload> fmt::Debug for Worker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}
