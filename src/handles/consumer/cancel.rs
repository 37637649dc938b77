//! The end of a consumer: its cancellation, the reason, and [`CancelHandle`].

use std::{sync::Arc, task::Poll};

use super::{Consumer, ConsumerQueue};
use crate::{
    message::payload::Payload,
    model::error::CancelReason,
    runtime::waiter::{Ticket, WaitList, Waitable, Waiting},
    session::subscriber::EndOf,
};

impl<T: Payload> Consumer<T> {
    /// Cancels the consumer.
    ///
    /// The messages that were not received yet return to their places in the queue. Receivers that
    /// wait are woken.
    ///
    /// # RabbitMQ
    /// `basic.cancel`. In RabbitMQ the messages that were not received yet stay with the channel.
    ///
    /// # Examples
    /// ```
    /// use leveret::{CancelReason, RecvError};
    /// # use leveret::Broker;
    /// # let broker = Broker::new();
    /// # let producer = broker.producer::<u32>("q")?;
    /// # let consumer = broker.consumer::<u32>("q")?;
    /// producer.publish(7)?; // the queue delivers it in advance, and nothing receives it
    /// consumer.cancel();
    /// let error = consumer.recv().unwrap_err();
    /// assert!(matches!(error, RecvError::Cancelled(CancelReason::ConsumerCancelled)));
    /// let delivery = broker.consumer::<u32>("q")?.recv()?;
    /// assert!(!delivery.info().redelivered()); // it was not received before
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn cancel(&self) {
        cancel(&self.queues);
    }

    /// Whether the consumer has ended at all its queues. It takes no lock, and misses the end of a
    /// consumer at an engine outside of this process.
    pub(crate) fn has_ended(&self) -> bool {
        has_ended(&self.queues)
    }

    /// Waits until the consumer has ended at all its queues.
    pub(crate) async fn wait_for_end(&self) {
        Waiting::new(self.cancel_handle()).await;
    }

    /// Returns a handle that cancels this consumer, for use in another thread.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, RecvError};
    ///
    /// let broker = Broker::new();
    /// let consumer = broker.consumer::<String>("q")?;
    /// let cancel_handle = consumer.cancel_handle();
    /// let receiving = std::thread::spawn(move || consumer.recv().map(drop));
    /// cancel_handle.cancel();
    /// assert!(matches!(receiving.join().unwrap(), Err(RecvError::Cancelled(_))));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn cancel_handle(&self) -> CancelHandle {
        CancelHandle::new(&self.queues)
    }

    /// Returns the reason why no more messages come, once the consumer has ended. If it has several
    /// queues, it ends with the last of them.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, CancelReason};
    ///
    /// let broker = Broker::new();
    /// let consumer = broker.consumer::<u32>("q")?;
    /// assert_eq!(consumer.ended(), None);
    /// drop(broker); // the last clone
    /// assert_eq!(consumer.iter().count(), 0);
    /// assert_eq!(consumer.ended(), Some(CancelReason::BrokerDropped));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn ended(&self) -> Option<CancelReason> {
        ended(&self.queues)
    }
}

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

    /// Returns the reason of the consumer's end, as [`Consumer::ended`](super::Consumer::ended)
    /// does.
    pub fn ended(&self) -> Option<CancelReason> {
        ended(&self.queues)
    }

    /// Whether the consumer has ended, as [`Consumer::has_ended`](super::Consumer::has_ended) says.
    pub(crate) fn has_ended(&self) -> bool {
        has_ended(&self.queues)
    }
}

/// Ready once the consumer has ended at all its queues.
impl Waitable for CancelHandle {
    type Output = ();

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<()> {
        let mut ends = self.queues.iter().map(|queue| EndOf(&queue.subscriber));
        let first = ends.find(|end| end.attempt(None).is_pending());
        // It waits for one after the other.
        first.map_or(Poll::Ready(()), |end| end.attempt(ticket))
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        for queue in self.queues.iter() {
            EndOf(&queue.subscriber).with_waiters(f);
        }
    }
}

fn has_ended(queues: &[ConsumerQueue]) -> bool {
    queues.iter().all(|queue| queue.subscriber.has_ended())
}

/// The reason of the end, if all queues of the consumer have ended.
fn ended(queues: &[ConsumerQueue]) -> Option<CancelReason> {
    let mut reason = None;
    for queue in queues {
        reason = Some(queue.subscriber.ended()?);
    }
    reason
}

/// Cancels the subscribers of all queues of a consumer.
pub(super) fn cancel(queues: &[ConsumerQueue]) {
    for queue in queues {
        queue.subscriber.cancel(CancelReason::ConsumerCancelled);
    }
}
