//! The store of a durable broker in a snapshot.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    engine::store::{DiskMonitor, Journal},
    handles::broker::Broker,
};

/// The store of a broker with a data folder, in a [`Snapshot`](crate::Snapshot).
///
/// # Examples
#[cfg_attr(feature = "durable", doc = "```")]
#[cfg_attr(not(feature = "durable"), doc = "```ignore")]
/// use leveret::{Broker, Message, Queue};
/// # let folder = std::env::temp_dir().join(format!("leveret-snapshot-{}", std::process::id()));
///
/// let broker = Broker::builder().data_dir(&folder).build()?;
/// let producer = broker.producer::<u32>(&Queue::new("q").durable())?;
/// producer.publish_message(Message::new(7).persistent())?;
/// let store = broker.snapshot()?.store.expect("the broker has a folder");
/// assert_eq!((store.file_bytes > 0, store.messages), (true, 1));
/// assert_eq!((store.waiting_operations, store.error), (0, None));
/// assert_eq!(Broker::new().snapshot()?.store, None);
/// # drop((producer, broker));
/// # std::fs::remove_dir_all(folder).ok();
/// # Ok::<(), leveret::Error>(())
#[doc = "```"]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StoreSnapshot {
    /// The size of the files, in bytes, as of the last commit.
    pub file_bytes: u64,
    /// The number of messages in the files, as of the last commit.
    pub messages: u64,
    /// The number of bodies in the files that several messages share, as of the last commit.
    pub shared_bodies: u64,
    /// The number of changes that are not on disk yet.
    pub waiting_operations: u64,
    /// The bytes of the messages among them that no commit has begun with.
    pub waiting_bytes: u64,
    /// How long ago the last commit began, or the broker: the age of the oldest change that waits
    /// is not more.
    pub since_last_commit: Duration,
    /// The free space of the disk when it was last read, in bytes. `None` if it is not known.
    pub disk_free_bytes: Option<u64>,
    /// The limit of the free space, in bytes. 0 if there is none.
    pub disk_free_limit: u64,
    /// Whether messages to durable queues wait or are refused, since there is too little free
    /// space.
    pub is_blocked: bool,
    /// The error that has ended the writing, if there was one.
    pub error: Option<String>,
}

impl StoreSnapshot {
    pub(super) fn of(broker: &Broker) -> Option<StoreSnapshot> {
        let journal: &Journal = broker.core().journal()?;
        let usage = journal.usage();
        let disk: &DiskMonitor = broker.core().disk()?;
        let (waiting_operations, waiting_bytes, since_last_commit) = journal.waiting();
        Some(StoreSnapshot {
            file_bytes: usage.bytes,
            messages: usage.messages,
            shared_bodies: usage.bodies,
            waiting_operations,
            waiting_bytes,
            since_last_commit,
            disk_free_bytes: disk.free(),
            disk_free_limit: disk.limit(),
            is_blocked: disk.is_low(),
            error: journal.check().err().map(|error| error.to_string()),
        })
    }
}
