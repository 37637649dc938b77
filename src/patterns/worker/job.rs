//! [`Job`], the message of a handler that is a future.

use std::{fmt, ops::Deref, sync::Arc};

use super::{
    core::Shared,
    ordered::{self, KeyHold},
    settle::Outcome,
};
use crate::{
    message::payload::Payload,
    runtime::sync::Mutex,
    session::{delivery::Delivery, delivery_info::DeliveryInfo},
};

/// A message for a handler that is a future. It derefs to its payload.
///
/// The worker settles the message, by the result of the handler. So a job has no `ack`.
///
/// # If dropped
/// Nothing is lost. The worker settles a message when its handler has ended, and its job and its
/// [`Context`](super::Context) are dropped. If a handler hands its job to another task, the message
/// stays unsettled until that task drops the job.
///
/// [`WorkerBuilder::handler_async`](super::WorkerBuilder::handler_async) has an example.
pub struct Job<T: Payload> {
    /// The payload, if it is not in the message itself.
    opened: Option<Box<T>>,
    cell: Arc<JobCell>,
}

/// A message in the hands of a future. The worker, the job and the context share it.
///
/// # If dropped
/// The message is settled by its outcome. Without one it returns to its queue.
pub(super) struct JobCell {
    info: DeliveryInfo,
    worker: Arc<Shared>,
    outcome: Mutex<Option<Outcome>>,
    /// The key of the message, if the worker is ordered.
    hold: Option<Arc<KeyHold>>,
}

impl JobCell {
    pub(super) fn info(&self) -> &DeliveryInfo {
        &self.info
    }

    /// Sets the outcome. The message is settled when the last handle to it is dropped, and this is
    /// one.
    pub(super) fn settle(self: Arc<Self>, outcome: Outcome) {
        *self.outcome.lock() = Some(outcome);
    }
}

impl Drop for JobCell {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.lock().take() {
            // If the broker is shut down, there is no queue to settle it at.
            let hold = self.hold.as_deref();
            let _ = ordered::settle(outcome, &mut self.info, &self.worker, hold);
        }
    }
}

impl<T: Payload> Job<T> {
    pub(super) fn new(
        delivery: Delivery<T>,
        worker: &Arc<Shared>,
        hold: Option<Arc<KeyHold>>,
    ) -> (Job<T>, Arc<JobCell>) {
        let (opened, info) = delivery.into_parts();
        let cell = Arc::new(JobCell {
            info,
            worker: Arc::clone(worker),
            outcome: Mutex::new(None),
            hold,
        });
        let job = Job {
            opened,
            cell: Arc::clone(&cell),
        };
        (job, cell)
    }

    /// The payload. Dereferencing gives the same.
    pub fn payload(&self) -> &T {
        self
    }

    /// The information about the message besides its payload.
    pub fn info(&self) -> &DeliveryInfo {
        &self.cell.info
    }
}

impl<T: Payload> Deref for Job<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self.opened.as_deref().or_else(|| self.cell.info.payload()) {
            Some(payload) => payload,
            // A delivery has its payload in one of the two places.
            None => unreachable!("a job without its payload"),
        }
    }
}

impl<T: Payload> Drop for Job<T> {
    fn drop(&mut self) {
        if let Some(opened) = self.opened.take() {
            self.cell.info.restore(opened);
        }
    }
}

impl<T: Payload + fmt::Debug> fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("payload", self.payload())
            .field("info", self.info())
            .finish()
    }
}
