//! The disk alarm of a durable broker: what it does with publishers, and what it tells.

use super::error::StoreError;

/// What happens to a publish that would be written while the disk has too little free space.
///
/// # RabbitMQ
/// RabbitMQ blocks every connection that publishes. Here only messages that a durable queue keeps
/// wait, since no other message needs the disk.
///
/// # Examples
#[cfg_attr(feature = "durable", doc = "```")]
#[cfg_attr(not(feature = "durable"), doc = "```ignore")]
/// use leveret::{Broker, Error, Message, OnDiskAlarm, Queue, StoreErrorKind};
/// # let folder = std::env::temp_dir().join(format!("leveret-refuse-{}", std::process::id()));
///
/// let broker = Broker::builder()
///     .data_dir(&folder)
///     .disk_free_limit(1_000_000)
///     .free_space(|_| Ok(10)) // a disk that is full, for this example
///     .on_disk_alarm(OnDiskAlarm::Refuse)
///     .build()?;
/// let orders = broker.producer::<u32>(&Queue::new("orders").durable())?;
/// let refused = orders.publish_message(Message::new(7).persistent()).unwrap_err();
/// let Error::Store(error) = refused.error() else { panic!("{refused}") };
/// assert_eq!(error.kind(), StoreErrorKind::LowDisk);
/// orders.publish(7)?; // it is not kept, and needs no disk
/// # drop((orders, broker));
/// # std::fs::remove_dir_all(folder).ok();
/// # Ok::<(), Error>(())
#[doc = "```"]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnDiskAlarm {
    /// It waits until there is enough free space, as it waits for a blocking queue that is full: a
    /// form with a time-out waits as long as that, and a `try_` form not at all.
    #[default]
    Block,
    /// It fails with [`Error::Store`](crate::Error::Store), of the kind
    /// [`LowDisk`](crate::StoreErrorKind::LowDisk).
    Refuse,
}

/// A change of the disk alarm. [`Broker::disk_alarms`](crate::Broker::disk_alarms) gives them.
///
/// # RabbitMQ
/// `connection.blocked` and `connection.unblocked`, which RabbitMQ sends to clients that publish.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskAlarm {
    /// There is less free space than the limit. Publishers wait, or their messages are refused.
    Blocked {
        /// The free space, in bytes.
        free: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// There is enough free space again. Publishers go on.
    Unblocked {
        /// The free space, in bytes.
        free: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// Nothing is written any more, until a broker opens the folder again.
    Failed(StoreError),
}
