//! Stopping a worker: [`StopHandle`], and [`StopSignal`] for its handlers.

use std::{fmt, sync::Arc, task::Poll, time::Duration};

use futures_util::future::select_all;

use super::core::Shared;
use crate::{
    handles::consumer::CancelHandle,
    runtime::{
        clock::Time,
        signal::Signal,
        waiter::{self, Ticket, WaitList, Waitable, Waiting},
    },
};

/// Stops a worker from elsewhere. Cloning is cheap.
///
/// # If dropped
/// Nothing happens to the worker.
///
/// # Examples
/// ```
/// # let broker = leveret::Broker::new();
/// let worker = broker.worker::<u32>("numbers").handler(|_, _| ());
/// let stop_handle = worker.stop_handle()?;
/// std::thread::spawn(move || stop_handle.stop());
/// let report = worker.run()?; // returns when it is stopped
/// assert_eq!(report.counts.handled, 0);
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone)]
pub struct StopHandle(Arc<Shared>);

impl StopHandle {
    pub(super) fn of(shared: &Arc<Shared>) -> StopHandle {
        StopHandle(Arc::clone(shared))
    }

    /// Stops the worker, as [`WorkerHandle::stop`](super::WorkerHandle::stop) does.
    pub fn stop(&self) {
        self.0.stop();
    }
}

impl fmt::Debug for StopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopHandle")
            .field("worker", &self.0.name)
            .finish_non_exhaustive()
    }
}

/// Tells a handler that it is to stop: its worker is stopped, its
/// [time](super::WorkerBuilder::timeout) is over, or the consumer of its worker has ended, by a
/// shutdown past its deadline or the end of the broker, say. Cloning is cheap.
///
/// # Examples
/// ```
/// # use std::time::Duration;
/// # let broker = leveret::Broker::new();
/// let worker = broker.worker::<u32>("numbers").handler(|_, context| {
///     let stop = context.stop_signal();
///     // A pause that ends early if the worker stops.
///     match stop.wait_timeout(Duration::from_millis(10)) {
///         true => Err("stopped"),
///         false => Ok(()),
///     }
/// });
/// # drop(worker);
/// ```
#[derive(Clone)]
pub struct StopSignal {
    /// One of them is enough.
    causes: Vec<Cause>,
    time: Time,
}

/// A cause to stop.
#[derive(Clone)]
enum Cause {
    Signal(Arc<Signal>),
    /// The consumer of the worker has ended.
    End(CancelHandle),
}

impl Waitable for Cause {
    type Output = ();

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<()> {
        match self {
            Cause::Signal(signal) => signal.attempt(ticket),
            Cause::End(consumer) => consumer.attempt(ticket),
        }
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        match self {
            Cause::Signal(signal) => signal.with_waiters(f),
            Cause::End(consumer) => consumer.with_waiters(f),
        }
    }
}

/// A source that is waited for, or a cause to stop.
enum Awaited<'a, S> {
    Source(&'a S),
    Cause(&'a Cause),
}

/// `None` if the handler is to stop.
impl<S: Waitable> Waitable for Awaited<'_, S> {
    type Output = Option<S::Output>;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Option<S::Output>> {
        match self {
            Awaited::Source(source) => source.attempt(ticket).map(Some),
            Awaited::Cause(cause) => cause.attempt(ticket).map(|()| None),
        }
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        match self {
            Awaited::Source(source) => source.with_waiters(f),
            Awaited::Cause(cause) => cause.with_waiters(f),
        }
    }
}

impl StopSignal {
    pub(super) fn of(shared: &Shared, over: Option<&Arc<Signal>>) -> StopSignal {
        let signals = [Some(&shared.stop), over].into_iter().flatten();
        let signals = signals.cloned().map(Cause::Signal);
        StopSignal {
            causes: signals.chain(shared.consumer().map(Cause::End)).collect(),
            time: shared.time.clone(),
        }
    }

    /// A signal that has only this cause.
    pub(in crate::patterns) fn only(signal: &Arc<Signal>, time: &Time) -> StopSignal {
        StopSignal {
            causes: vec![Cause::Signal(Arc::clone(signal))],
            time: time.clone(),
        }
    }

    /// Adds a signal. It tells the handler to stop as well.
    pub(in crate::patterns) fn or(mut self, signal: Arc<Signal>) -> StopSignal {
        self.causes.push(Cause::Signal(signal));
        self
    }

    /// Waits for a source. `None` if the handler is to stop before.
    pub(in crate::patterns) fn or_wait<S: Waitable>(&self, source: &S) -> Option<S::Output> {
        let causes = self.causes.iter().map(Awaited::Cause);
        let sources: Vec<_> = std::iter::once(Awaited::Source(source))
            .chain(causes)
            .collect();
        waiter::wait_any(&sources, 0, None)?.1
    }

    /// Whether the handler is to stop now.
    pub fn is_set(&self) -> bool {
        self.causes.iter().any(|cause| match cause {
            Cause::Signal(signal) => signal.is_set(),
            Cause::End(consumer) => consumer.has_ended(),
        })
    }

    /// Waits until the handler is to stop.
    pub fn wait(&self) {
        waiter::wait_any(&self.causes, 0, None);
    }

    /// Waits until the handler is to stop, at most `timeout` of the broker's clock. Returns whether
    /// it is to stop.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        waiter::wait_any(&self.causes, 0, self.time.deadline(timeout)).is_some()
    }

    /// Same as [`wait`](Self::wait), for a task.
    pub async fn wait_async(&self) {
        select_all(self.causes.iter().map(Waiting::new)).await;
    }
}

impl fmt::Debug for StopSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopSignal")
            .field("is_set", &self.is_set())
            .finish()
    }
}
