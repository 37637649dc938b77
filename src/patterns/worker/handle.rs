//! [`WorkerHandle`], a worker that runs on threads of its own.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::{Either, select};

use super::{
    StopHandle,
    core::Shared,
    report::{WorkerEnd, WorkerReport},
};
use crate::runtime::{clock::Deadline, waiter};

/// A worker that runs on threads of its own.
///
/// # If dropped
/// The worker is stopped, as [`stop`](Self::stop) does. Handlers that run go on to their end.
///
/// # Examples
/// ```
/// # let broker = leveret::Broker::new();
/// let worker = broker.worker::<u32>("numbers").concurrency(2).handler(|_, _| ()).spawn()?;
/// broker.producer::<u32>("numbers")?.publish(7)?;
/// let report = worker.stop_and_drain(std::time::Duration::from_secs(10));
/// assert_eq!(report.counts.acked, 1);
/// # Ok::<(), leveret::Error>(())
/// ```
#[must_use = "a worker that is dropped is stopped: bind it to a name, since `let _ =` drops it too"]
pub struct WorkerHandle {
    shared: Arc<Shared>,
}

impl WorkerHandle {
    pub(super) fn new(shared: Arc<Shared>) -> WorkerHandle {
        WorkerHandle { shared }
    }

    /// The name of the worker.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// What the worker has done up to now.
    pub fn report(&self) -> WorkerReport {
        self.shared.report()
    }

    /// Whether the worker has ended.
    pub fn is_finished(&self) -> bool {
        self.shared.ended.is_set()
    }

    /// Stops the worker, and does not wait for it.
    ///
    /// The worker takes no more messages. Those that it has in advance return to their places in
    /// the queue, and are not marked as redelivered. Handlers that run go on to their end, and see
    /// the [stop signal](super::Context::stop_signal).
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// Returns a handle that stops this worker from elsewhere.
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle::of(&self.shared)
    }

    /// Waits until the worker has ended.
    ///
    /// A worker ends when it is stopped, when all its queues are deleted, and when its channel,
    /// connection or broker ends. A handler must not wait for its own worker.
    pub fn join(self) -> WorkerReport {
        waiter::wait(&self.shared.ended, None);
        self.shared.join_threads();
        self.shared.report()
    }

    /// Waits until the worker has ended, at most `timeout` of the broker's clock.
    ///
    /// # Errors
    /// Returns the handle if the worker has not ended in time.
    pub fn join_timeout(self, timeout: Duration) -> Result<WorkerReport, WorkerHandle> {
        match self.ends_by(self.deadline(timeout)) {
            true => Ok(self.join()),
            false => Err(self),
        }
    }

    /// The instant after this time.
    pub(in crate::patterns) fn deadline(&self, timeout: Duration) -> Option<Deadline<'_>> {
        self.shared.time.deadline(timeout)
    }

    /// Waits until the worker has ended. Returns whether that was in time.
    pub(in crate::patterns) fn ends_by(&self, deadline: Option<Deadline<'_>>) -> bool {
        waiter::wait(&self.shared.ended, deadline).is_some()
    }

    /// Same as [`join`](Self::join), for a task.
    pub async fn join_async(self) -> WorkerReport {
        waiter::Waiting::new(&self.shared.ended).await;
        self.shared.report()
    }

    /// Lets the worker work off its queues, and stops it then, or when the deadline has passed.
    /// Returns what was left.
    ///
    /// The worker goes on until none of its queues has a message for it: a ready one, or a delayed
    /// one that is due before the deadline. Messages that other programs publish meanwhile are
    /// handled as well, so stop the producers first. Handlers that
    /// run at the deadline see the [stop signal](super::Context::stop_signal), and the call does
    /// not wait for them.
    pub fn stop_and_drain(self, deadline: Duration) -> WorkerReport {
        self.begin_drain(deadline);
        self.end_drain(self.deadline(deadline))
    }

    /// Lets the worker work off its queues. It stops itself then.
    pub(in crate::patterns) fn begin_drain(&self, deadline: Duration) {
        self.shared.drain(deadline);
    }

    /// Waits for the end of a drain, or stops the worker when the deadline has passed.
    pub(in crate::patterns) fn end_drain(&self, deadline: Option<Deadline<'_>>) -> WorkerReport {
        match self.ends_by(deadline) {
            true => self.shared.join_threads(),
            false => self.time_out(),
        }
        self.shared.report()
    }

    /// Same as [`stop_and_drain`](Self::stop_and_drain), for a task.
    ///
    /// # If dropped
    /// The worker is stopped.
    pub async fn stop_and_drain_async(self, deadline: Duration) -> WorkerReport {
        self.begin_drain(deadline);
        let ended = waiter::Waiting::new(&self.shared.ended);
        match self.shared.connection.after(deadline) {
            Some(time_out) => {
                if let Either::Right(_) = select(ended, time_out).await {
                    self.time_out();
                }
            }
            None => ended.await,
        }
        self.shared.report()
    }

    fn time_out(&self) {
        self.shared.ends(WorkerEnd::TimedOut);
        self.shared.stop();
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl fmt::Debug for WorkerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerHandle")
            .field("name", &self.shared.name)
            .field("is_finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}
