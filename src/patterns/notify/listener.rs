//! [`Listener`], which handles notifications.

use std::{fmt, time::Duration};

use futures_util::future::{join_all, try_join_all};

use crate::{
    message::payload::Serializable,
    model::error::{Error, Result},
    patterns::worker::{StopHandle, Worker, WorkerHandle, WorkerReport},
};

use super::Notification;

/// A listener that is ready to run: a worker for each of its endpoints.
///
/// [`ListenerBuilder`](super::ListenerBuilder) makes it.
///
/// # If dropped
/// A listener that does not run yet has no effect.
#[must_use = "a listener does nothing until it runs"]
pub struct Listener<T: Serializable> {
    pub(super) workers: Vec<Worker<Notification<T>>>,
}

impl<T: Serializable> Listener<T> {
    /// Runs the endpoints on threads of their own.
    ///
    /// # Errors
    /// The errors of [`Worker::spawn`]. Endpoints that have started already are stopped.
    pub fn spawn(self) -> Result<ListenerHandle> {
        let workers = self.workers.into_iter().map(Worker::spawn);
        Ok(ListenerHandle {
            workers: workers.collect::<Result<_>>()?,
        })
    }

    /// Runs the endpoints on threads, and waits until they have ended.
    ///
    /// # Errors
    /// The errors of [`spawn`](Self::spawn).
    pub fn run(self) -> Result<ListenerReport> {
        Ok(self.spawn()?.join())
    }

    /// Runs the endpoints in the task that polls this future, until they have ended. They start at
    /// the call.
    ///
    /// # If dropped
    /// The endpoints end, as [`Worker::run_async`] says.
    ///
    /// # Errors
    /// The errors of [`Worker::run_async`].
    pub fn run_async(self) -> impl Future<Output = Result<ListenerReport>> + Send + use<T> {
        let workers = self.workers.into_iter().map(Worker::run_async);
        let workers: Vec<_> = workers.collect();
        async move {
            let endpoints = try_join_all(workers).await?;
            Ok(ListenerReport { endpoints })
        }
    }

    /// Returns handles that stop the endpoints from elsewhere, one for each.
    ///
    /// # Errors
    /// The errors of [`Worker::stop_handle`].
    pub fn stop_handles(&self) -> Result<Vec<StopHandle>, Error> {
        self.workers.iter().map(Worker::stop_handle).collect()
    }
}

/// A listener that runs on threads of its own.
///
/// # If dropped
/// The listener is stopped, as [`stop`](Self::stop) does. Handlers that run go on to their end.
///
/// # Examples
/// ```
/// use leveret::notify::Priority;
///
/// let broker = leveret::Broker::new();
/// let listener = broker.listener::<u32>().on(Priority::Info, |_, _| ()).spawn()?;
/// broker.notifier::<u32>("shop").build()?.info("order.paid", 7)?;
/// let report = listener.stop_and_drain(std::time::Duration::from_secs(10));
/// assert_eq!(report.endpoints[0].counts.acked, 1);
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a listener that is dropped is stopped"]
pub struct ListenerHandle {
    workers: Vec<WorkerHandle>,
}

/// The reports of the endpoints of a listener, in the order in which they were added.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerReport {
    /// One report for each endpoint. The name of its worker is that of the endpoint.
    pub endpoints: Vec<WorkerReport>,
}

impl ListenerHandle {
    /// Stops the endpoints, and does not wait for them, as [`WorkerHandle::stop`] does.
    pub fn stop(&self) {
        self.workers.iter().for_each(WorkerHandle::stop);
    }

    /// What the endpoints have done up to now.
    pub fn report(&self) -> ListenerReport {
        ListenerReport {
            endpoints: self.workers.iter().map(WorkerHandle::report).collect(),
        }
    }

    /// Whether all endpoints have ended.
    pub fn is_finished(&self) -> bool {
        self.workers.iter().all(WorkerHandle::is_finished)
    }

    /// Waits until the endpoints have ended.
    pub fn join(self) -> ListenerReport {
        let workers = self.workers.into_iter();
        ListenerReport {
            endpoints: workers.map(WorkerHandle::join).collect(),
        }
    }

    /// Waits until the endpoints have ended, at most `timeout` of the broker's clock.
    ///
    /// # Errors
    /// Returns the handle if an endpoint has not ended in time.
    pub fn join_timeout(self, timeout: Duration) -> Result<ListenerReport, ListenerHandle> {
        let workers = &self.workers;
        let deadline = workers.first().and_then(|worker| worker.deadline(timeout));
        match workers.iter().all(|worker| worker.ends_by(deadline)) {
            true => Ok(self.join()),
            false => Err(self),
        }
    }

    /// Same as [`join`](Self::join), for a task.
    pub async fn join_async(self) -> ListenerReport {
        let workers = self.workers.into_iter().map(WorkerHandle::join_async);
        ListenerReport {
            endpoints: join_all(workers).await,
        }
    }

    /// Lets the endpoints work off their queues, and stops them then, or when the deadline has
    /// passed, as [`WorkerHandle::stop_and_drain`] does. A notification that is sent meanwhile may
    /// go with the queues: stop the notifiers first.
    pub fn stop_and_drain(self, deadline: Duration) -> ListenerReport {
        let workers = &self.workers;
        workers
            .iter()
            .for_each(|worker| worker.begin_drain(deadline));
        // They have the same clock.
        let deadline = workers.first().and_then(|worker| worker.deadline(deadline));
        let ends = workers.iter().map(|worker| worker.end_drain(deadline));
        ListenerReport {
            endpoints: ends.collect(),
        }
    }

    /// Same as [`stop_and_drain`](Self::stop_and_drain), for a task.
    ///
    /// # If dropped
    /// The endpoints are stopped.
    pub async fn stop_and_drain_async(self, deadline: Duration) -> ListenerReport {
        let workers = self.workers.into_iter();
        let draining = workers.map(|worker| worker.stop_and_drain_async(deadline));
        ListenerReport {
            endpoints: join_all(draining).await,
        }
    }
}

impl<T: Serializable> fmt::Debug for Listener<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("workers", &self.workers)
            .finish()
    }
}
