//! What outlives the process: the seam to a store, and the journal that writes to it.
//!
//! A [`Store`] keeps messages and records as bytes, and knows nothing of their meaning. The
//! [`Journal`] has the only thread that writes. It collects the operations of all queues, and
//! commits them as one batch with one sync: group commit. Without a store there is no journal, and
//! nothing here costs anything.
//!
//! A message is known by the number of its queue and by its position there, which no other message
//! of the queue ever has.
//!
//! A stream is a log of its own: its messages have offsets without a gap, are read by their
//! offsets, and go in their order only. So a store can have them in [files](StreamFiles) of their
//! own, which take no memory.
//!
//! Knows nothing of queues and virtual hosts.

mod disk_monitor;
mod journal;
#[cfg(feature = "durable")]
pub(crate) mod log;
mod mark;
mod operation;
mod shared_bodies;
mod stored_body;
mod stored_chunk;
mod stored_message;
mod stored_queue;
#[cfg(all(test, not(shuttle), feature = "durable"))]
pub(crate) mod tests;

#[cfg(feature = "durable")]
pub(crate) use self::disk_monitor::FreeSpace;
pub(crate) use self::{
    disk_monitor::{DiskMonitor, DiskSettings},
    journal::{Journal, KeptPositions, Synced},
    mark::Mark,
    operation::{Arrival, Operation, RecordKey, RecordKind, Recovered, StoredSegment},
    stored_body::StoredBody,
    stored_chunk::StoredChunk,
    stored_message::{MessageHead, MessageReader, StoredMessage},
    stored_queue::{Keeps, StoredQueue, WallClock},
};

use std::sync::Arc;

use crate::model::error::StoreError;

/// How much a store keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// The bytes of its files.
    pub(crate) bytes: u64,
    pub(crate) messages: u64,
    /// The bodies that several messages share.
    pub(crate) bodies: u64,
}

/// A place that keeps messages and records over the end of the process.
pub(crate) trait Store: Send + 'static {
    /// Carries out a batch of operations: all of them or none, in their order. With `sync` they are
    /// on disk when it returns, and all batches before; without, a later sync brings them there.
    ///
    /// # Errors
    /// After an error it is not known whether the batch is on disk. There are no further commits.
    fn commit(&mut self, batch: &[Operation], sync: bool) -> Result<(), StoreError>;

    /// Does a part of the work that no commit should wait for, such as to free room. Returns
    /// whether there is more to do.
    ///
    /// # Errors
    /// There are no further commits.
    fn tidy(&mut self) -> Result<bool, StoreError>;

    /// Shows everything that is kept: the records, the streams, and the bodies that several
    /// messages share, and then the messages. The messages of one stream are in their order, and
    /// nothing else is in an order.
    ///
    /// # Errors
    /// Those of the store.
    fn recover(&mut self, visit: &mut dyn FnMut(Recovered<'_>)) -> Result<(), StoreError>;

    /// The messages of streams that have files of their own, for other threads.
    fn stream_files(&self) -> Option<Arc<dyn StreamFiles>>;

    /// Shows the queue, the position and the mark of each message, in no order. Leaves out those of
    /// streams.
    fn each_message(&self, visit: &mut dyn FnMut(u64, u64, Option<Mark>));

    /// How much is kept.
    fn usage(&self) -> Usage;

    /// The error of a store whose contents cannot be read, for this reason.
    fn damaged(&self, reason: &str) -> StoreError;

    /// Whether the last user of the store has [closed](Self::close) it. A new store is closed.
    fn was_closed(&self) -> bool;

    /// Notes that nothing is missing: every operation so far is on disk.
    ///
    /// # Errors
    /// Those of the store.
    fn close(&mut self) -> Result<(), StoreError>;
}

/// The messages of streams that are in files of their own, to be read by any thread while the store
/// is in use. It reads from the disk, so it must not be called under a lock, but for
/// [`end`](Self::end).
pub(crate) trait StreamFiles: Send + Sync {
    /// The messages of a stream before this offset are in files.
    fn end(&self, stream: u64) -> u64;

    /// The bytes of a stream, as its limits count them, that its readers should have in memory.
    fn memory(&self) -> u64;

    /// Some messages of a stream, and the one at this offset among them. `None` if it is in no
    /// file, or in none any more.
    ///
    /// # Errors
    /// Those of the files.
    fn read(&self, stream: u64, offset: u64) -> Result<Option<StoredChunk>, StoreError>;

    /// The first message of a stream that came at `time` or later, in milliseconds since 1970.
    /// `None` if it is in no file.
    ///
    /// # Errors
    /// Those of the files.
    fn since(&self, stream: u64, time: u64) -> Result<Option<u64>, StoreError>;

    /// The error of files that cannot be read, for this reason.
    fn damaged(&self, reason: &str) -> StoreError;
}
