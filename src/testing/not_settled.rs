//! The reason why a test broker is not settled.

use std::{error, fmt, time::Duration};

use crate::{handles::broker::Broker, model::name::Name};

/// The work that was still under way in a [`TestBroker`](super::TestBroker), queue by queue.
///
/// `Debug` shows the same text as `Display`, so that `unwrap` is readable.
///
/// # Examples
/// ```
/// use leveret::testing::TestBroker;
/// use std::time::Duration;
///
/// let test = TestBroker::new();
/// let consumer = test.consumer_builder::<u32>("jobs").prefetch(1).build()?;
/// let producer = test.producer::<u32>("jobs")?;
/// (1..=3).for_each(|job| drop(producer.publish(job)));
/// let _held = consumer.recv()?;
///
/// let error = test.wait_settled_timeout(Duration::from_millis(1)).unwrap_err();
/// assert_eq!((error.queues[0].ready, error.queues[0].unsettled), (2, 1));
/// assert_eq!(
///     error.to_string(),
///     "not settled after 1ms: queue 'jobs': 2 ready, 1 unsettled, 1 consumer"
/// );
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotSettled {
    /// The queues that are not idle, sorted by virtual host and name.
    pub queues: Vec<BusyQueue>,
    /// The publishes that have not returned, and the messages that are on their way between queues.
    pub publishes: u64,
    /// The handlers that run after the settlement of their message.
    pub handlers: u64,
    /// How long the test has waited.
    pub waited: Duration,
}

/// A queue with messages that a consumer has or can have. It is part of [`NotSettled`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BusyQueue {
    /// The virtual host of the queue.
    pub vhost: Name,
    /// The name of the queue.
    pub queue: Name,
    /// The messages that wait for a consumer.
    pub ready: u64,
    /// The messages that are delivered and not settled.
    pub unsettled: u64,
    /// The consumers.
    pub consumers: u64,
}

impl NotSettled {
    pub(super) fn of(broker: &Broker, waited: Duration) -> NotSettled {
        let (publishes, handlers) = broker.core().count_under_way();
        let queues = broker.core().busy_queues().into_iter();
        let queues = queues.map(|(vhost, queue, counts)| BusyQueue {
            vhost,
            queue,
            ready: counts.ready.messages,
            unsettled: counts.unsettled.messages,
            consumers: counts.consumers as u64,
        });
        NotSettled {
            queues: queues.collect(),
            publishes,
            handlers,
            waited,
        }
    }
}

impl fmt::Display for NotSettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self.queues.iter().map(ToString::to_string).collect();
        let counted = |count: u64, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            count => Some(format!("{count} {many}")),
        };
        parts.extend(counted(
            self.publishes,
            "publish has not returned",
            "publishes have not returned",
        ));
        parts.extend(counted(self.handlers, "handler runs", "handlers run"));
        f.write_str("not settled")?;
        if !self.waited.is_zero() {
            write!(f, " after {:?}", self.waited)?;
        }
        match parts.is_empty() {
            true => f.write_str(", but everything has settled since"),
            false => write!(f, ": {}", parts.join("; ")),
        }
    }
}

impl fmt::Display for BusyQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BusyQueue {
            vhost,
            queue,
            ready,
            unsettled,
            consumers,
        } = self;
        write!(f, "queue '{queue}'")?;
        if *vhost != "/" {
            write!(f, " in vhost '{vhost}'")?;
        }
        let s = if *consumers == 1 { "" } else { "s" };
        write!(
            f,
            ": {ready} ready, {unsettled} unsettled, {consumers} consumer{s}"
        )
    }
}

impl fmt::Debug for NotSettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl error::Error for NotSettled {}
