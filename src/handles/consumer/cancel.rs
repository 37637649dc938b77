//! [`CancelHandle`], and the cancellation of a consumer.

use std::sync::Arc;

use super::ConsumerQueue;
use crate::model::error::CancelReason;

/// Cancels a consumer from another thread. Cloning is cheap.
///
/// [`Consumer::cancel_handle`](super::Consumer::cancel_handle) has an example.
///
/// # If dropped
/// Nothing happens to the consumer: only [`cancel`](Self::cancel) cancels it.
#[derive(Clone, Debug)]
pub struct CancelHandle {
    queues: Arc<[ConsumerQueue]>,
}

impl CancelHandle {
    pub(super) fn new(queues: &Arc<[ConsumerQueue]>) -> CancelHandle {
        CancelHandle {
            queues: Arc::clone(queues),
        }
    }

    /// Cancels the consumer, as [`Consumer::cancel`](super::Consumer::cancel) does. A second call
    /// has no effect.
    ///
    /// # RabbitMQ
    /// `basic.cancel`, as for [`Consumer::cancel`](super::Consumer::cancel).
    pub fn cancel(&self) {
        cancel(&self.queues);
    }
}

/// Cancels the subscribers of all queues of a consumer.
pub(super) fn cancel(queues: &[ConsumerQueue]) {
    for queue in queues {
        queue.subscriber.cancel(CancelReason::ConsumerCancelled);
    }
}
