//! [`ServerHandle`], a server that runs on threads of its own, and its report.

use std::{sync::Arc, time::Duration};

use super::core::{Core, RpcCounts};
use crate::patterns::worker::{StopHandle, WorkerHandle, WorkerReport};

/// A server that runs on threads of its own.
///
/// # If dropped
/// The server is stopped, as [`stop`](Self::stop) does. Methods that run go on to their end.
///
/// [`Server`](super::Server) has an example.
#[derive(Debug)]
#[must_use = "a server that is dropped is stopped"]
pub struct ServerHandle {
    worker: WorkerHandle,
    core: Arc<Core>,
}

impl ServerHandle {
    pub(super) fn new(worker: WorkerHandle, core: Arc<Core>) -> ServerHandle {
        ServerHandle { worker, core }
    }

    /// What the server has done up to now.
    pub fn report(&self) -> ServerReport {
        ServerReport::new(self.worker.report(), &self.core)
    }

    /// Whether the server has ended.
    pub fn is_finished(&self) -> bool {
        self.worker.is_finished()
    }

    /// Stops the server, and does not wait for it.
    ///
    /// Methods that run go on to their end, and reply. Requests that wait go to other servers of
    /// the target. If there is none, they fail at once with
    /// [`RpcError::ServerGone`](super::RpcError::ServerGone).
    pub fn stop(&self) {
        self.worker.stop();
    }

    /// Returns a handle that stops this server from elsewhere.
    pub fn stop_handle(&self) -> StopHandle {
        self.worker.stop_handle()
    }

    /// Waits until the server has ended: it is stopped, its queues are deleted, or its connection
    /// or its broker ends. A method must not wait for its own server.
    pub fn join(self) -> ServerReport {
        ServerReport::new(self.worker.join(), &self.core)
    }

    /// Waits until the server has ended, at most `timeout` of the broker's clock.
    ///
    /// # Errors
    /// Returns the handle if the server has not ended in time.
    pub fn join_timeout(self, timeout: Duration) -> Result<ServerReport, ServerHandle> {
        let core = self.core;
        match self.worker.join_timeout(timeout) {
            Ok(report) => Ok(ServerReport::new(report, &core)),
            Err(worker) => Err(ServerHandle { worker, core }),
        }
    }

    /// Same as [`join`](Self::join), for a task.
    pub async fn join_async(self) -> ServerReport {
        ServerReport::new(self.worker.join_async().await, &self.core)
    }

    /// Lets the server answer the requests that wait, and stops it then, or when the deadline has
    /// passed. Returns what it has done.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, rpc::{self, RpcError}};
    /// use std::time::Duration;
    ///
    /// let broker = Broker::new();
    /// let server = rpc::serve::<u32, u32>(&broker, "double", |number, _| number * 2)?;
    /// let double = rpc::client::<u32, u32>(&broker, "double");
    /// assert_eq!(double.call(21)?, 42);
    /// let report = server.stop_and_drain(Duration::from_secs(10));
    /// assert_eq!(report.worker.counts.handled, 1);
    /// assert_eq!((report.requests.late, report.requests.expired), (0, 0));
    /// assert!(matches!(double.call(21), Err(RpcError::NoServer { .. })));
    /// # Ok::<(), RpcError>(())
    /// ```
    pub fn stop_and_drain(self, deadline: Duration) -> ServerReport {
        ServerReport::new(self.worker.stop_and_drain(deadline), &self.core)
    }

    /// Same as [`stop_and_drain`](Self::stop_and_drain), for a task.
    ///
    /// # If dropped
    /// The server is stopped.
    pub async fn stop_and_drain_async(self, deadline: Duration) -> ServerReport {
        let report = self.worker.stop_and_drain_async(deadline).await;
        ServerReport::new(report, &self.core)
    }
}

/// What a server has done, and why it has ended.
///
/// [`ServerHandle::stop_and_drain`] has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerReport {
    /// The report of the worker that runs the server. Each request counts as handled.
    pub worker: WorkerReport,
    /// The requests without a reply that their callers got.
    pub requests: RpcCounts,
}

impl ServerReport {
    pub(super) fn new(worker: WorkerReport, core: &Core) -> ServerReport {
        ServerReport {
            worker,
            requests: core.counts(),
        }
    }
}
