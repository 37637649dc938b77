//! The readers of a stream in a snapshot.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{engine::queue::StreamProgress, model::name::Name};

/// What a [`QueueSnapshot`](super::QueueSnapshot) of a stream has besides.
///
/// # Examples
/// ```
/// use leveret::{Broker, Offset, Queue};
///
/// let broker = Broker::new();
/// let log = Queue::stream("log");
/// let _ = broker.producer::<u32>(&log)?.publish_batch(0..10);
/// let reader = broker.reader::<u32>(&log).name("billing").from(Offset::First).build()?;
/// reader.store_offset(reader.recv()?.offset())?;
///
/// let picture = broker.snapshot()?.vhosts[0].queues[0].stream.clone().unwrap();
/// assert_eq!((picture.first_offset, picture.next_offset), (0, 10));
/// assert_eq!((&*picture.readers[0].name, picture.readers[0].lag), ("billing", 9));
/// assert_eq!(picture.stored_offsets["billing"], 0);
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StreamSnapshot {
    /// The offset of the first message that is kept. If there is none, that of the next one.
    pub first_offset: u64,
    /// The offset that the next message gets.
    pub next_offset: u64,
    /// The bytes of the messages in memory, as the [limits](crate::Queue::max_length_bytes) of the
    /// stream count them. A durable broker has old messages on disk only.
    #[serde(default)]
    pub memory_bytes: u64,
    /// The [readers](crate::Reader) that are open, the oldest first.
    pub readers: Vec<ReaderSnapshot>,
    /// The [stored offsets](crate::Reader::store_offset), by the names of the readers.
    pub stored_offsets: BTreeMap<Name, u64>,
}

/// One reader of a [`StreamSnapshot`], which has an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReaderSnapshot {
    /// The [name](crate::ReaderBuilder::name) of the reader; empty for none.
    pub name: Name,
    /// The offset that it reads next.
    pub next_offset: u64,
    /// The messages that it has not read yet. Its filter may leave some of them out.
    pub lag: u64,
    /// The messages that were [gone](crate::Reader::lagged) before it came to them.
    pub lagged: u64,
}

pub(super) fn snapshot_of(progress: &StreamProgress) -> StreamSnapshot {
    let readers = progress.readers.iter().map(|reader| ReaderSnapshot {
        name: reader.name().clone(),
        next_offset: reader.next(),
        lag: (progress.next).saturating_sub(reader.next().max(progress.first)),
        lagged: reader.lagged(),
    });
    StreamSnapshot {
        first_offset: progress.first,
        next_offset: progress.next,
        memory_bytes: progress.in_memory,
        readers: readers.collect(),
        stored_offsets: progress.stored.clone(),
    }
}
