//! The changes of the disk alarm, for those who want to know.

use std::{fmt, future::Future, sync::Arc, task::Poll, time::Duration};

use super::Broker;
use crate::{
    engine::store::AlarmFeed,
    model::{disk_alarm::DiskAlarm, error::CancelReason},
    runtime::{
        clock::Time,
        waiter::{self, Ticket, WaitList, Waitable, Waiting},
    },
    session::receive::{RecvError, RecvTimeoutError, TryRecvError},
};

/// The changes of the disk alarm of a durable broker, in their order.
/// [`Broker::disk_alarms`] makes it. Each clone takes changes from the same line.
///
/// # If dropped
/// Nothing happens.
///
/// # RabbitMQ
/// `connection.blocked` and `connection.unblocked`.
///
/// # Examples
#[cfg_attr(feature = "durable", doc = "```")]
#[cfg_attr(not(feature = "durable"), doc = "```ignore")]
/// use leveret::{Broker, DiskAlarm, ManualClock, Message, Queue};
/// use std::{sync::{Arc, atomic::{AtomicU64, Ordering::SeqCst}}, time::Duration};
/// # let folder = std::env::temp_dir().join(format!("leveret-alarms-{}", std::process::id()));
///
/// let (clock, free) = (ManualClock::new(), Arc::new(AtomicU64::new(900)));
/// let space = free.clone();
/// let broker = Broker::builder()
///     .clock(clock.clone())
///     .data_dir(&folder)
///     .disk_free_limit(1_000)
///     .free_space(move |_| Ok(space.load(SeqCst)))
///     .build()?;
/// let alarms = broker.disk_alarms().expect("the broker has a folder");
/// assert_eq!(alarms.recv()?, DiskAlarm::Blocked { free: 900, limit: 1_000 });
///
/// let orders = broker.producer::<u32>(&Queue::new("orders").durable())?;
/// let order = Message::new(7).persistent();
/// let late = orders.publish_message_timeout(order, Duration::ZERO).unwrap_err();
/// free.store(5_000, SeqCst);
/// clock.advance(Duration::from_secs(10));
/// assert_eq!(alarms.recv()?, DiskAlarm::Unblocked { free: 5_000, limit: 1_000 });
/// orders.publish_message(late.into_inner().expect("it was not written"))?;
/// # drop((orders, alarms, broker));
/// # std::fs::remove_dir_all(folder).ok();
/// # Ok::<(), leveret::Error>(())
#[doc = "```"]
#[derive(Clone)]
pub struct DiskAlarms {
    feed: Arc<AlarmFeed>,
    time: Time,
}

impl Broker {
    /// Returns the changes of the disk alarm from now on. If it is raised, it is the first of them.
    /// `None` if the broker has no data folder.
    ///
    /// Only the free space and the store raise it. The alarm of the memory of queues is a matter of
    /// their [`Budget`](crate::Budget).
    pub fn disk_alarms(&self) -> Option<DiskAlarms> {
        let core = self.core();
        Some(DiskAlarms {
            feed: core.disk()?.feed(),
            time: core.time().clone(),
        })
    }
}

impl DiskAlarms {
    /// Takes the next change. It waits if there is none.
    ///
    /// # Errors
    /// [`RecvError::Cancelled`] if the broker has ended and all its changes have been read.
    pub fn recv(&self) -> Result<DiskAlarm, RecvError> {
        // Without a deadline the wait ends with a change or with the broker.
        let change = waiter::wait(&*self.feed, None).unwrap_or(Err(CancelReason::BrokerDropped));
        change.map_err(RecvError::Cancelled)
    }

    /// Takes the next change if there is one.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if there is none now; [`TryRecvError::Cancelled`] as for
    /// [`recv`](Self::recv).
    pub fn try_recv(&self) -> Result<DiskAlarm, TryRecvError> {
        match self.feed.attempt(None) {
            Poll::Ready(change) => change.map_err(TryRecvError::Cancelled),
            Poll::Pending => Err(TryRecvError::Empty),
        }
    }

    /// Takes the next change. It waits at most `timeout`, by the broker's clock.
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`] if none came in time; [`RecvTimeoutError::Cancelled`] as for
    /// [`recv`](Self::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<DiskAlarm, RecvTimeoutError> {
        match waiter::wait(&*self.feed, self.time.deadline(timeout)) {
            Some(change) => change.map_err(RecvTimeoutError::Cancelled),
            None => Err(RecvTimeoutError::Timeout),
        }
    }

    /// The same as [`recv`](Self::recv), as a future for any runtime.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready has taken no change.
    ///
    /// # Errors
    /// [`RecvError::Cancelled`] as for [`recv`](Self::recv).
    pub fn recv_async(&self) -> impl Future<Output = Result<DiskAlarm, RecvError>> + Send + use<> {
        let change = Waiting::new(self.clone());
        async move { change.await.map_err(RecvError::Cancelled) }
    }
}

impl Waitable for DiskAlarms {
    type Output = Result<DiskAlarm, CancelReason>;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Self::Output> {
        self.feed.attempt(ticket)
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        self.feed.with_waiters(f);
    }
}

impl fmt::Debug for DiskAlarms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskAlarms").finish_non_exhaustive()
    }
}
