//! One queue in the store: writes its messages, and says when they must be on disk.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    StreamFiles,
    journal::{Journal, LAZY},
    mark::Mark,
    operation::{Arrival, Operation},
    stored_message::StoredMessage,
};
use crate::{message::envelope::NEVER, model::descriptions::Durability};

/// Turns the nanoseconds of a virtual host into times of day. Read once, so that it can be used
/// under a lock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WallClock {
    /// The milliseconds since 1970 at the virtual host's time zero.
    start: u64,
}

impl WallClock {
    /// `now` and `nanos` are the same moment.
    pub(crate) fn new(now: SystemTime, nanos: u64) -> WallClock {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        WallClock {
            start: now.saturating_sub(nanos / NANOS),
        }
    }

    /// The milliseconds since 1970 at this time after the virtual host's time zero.
    pub(crate) fn millis_after(self, elapsed: Duration) -> u64 {
        let part = elapsed.subsec_nanos().div_ceil(NANOS as u32);
        let millis = elapsed.as_secs().saturating_mul(1_000);
        self.start
            .saturating_add(millis)
            .saturating_add(u64::from(part))
    }

    /// The milliseconds since 1970 at a time of the virtual host.
    pub(crate) fn millis(self, nanos: u64) -> u64 {
        self.start.saturating_add(nanos.div_ceil(NANOS))
    }

    /// `None` for [`NEVER`].
    pub(crate) fn time(self, nanos: u64) -> Option<u64> {
        (nanos != NEVER).then(|| self.millis(nanos))
    }

    /// The time of the virtual host at these milliseconds since 1970. A time before its start is
    /// the first one that there is.
    pub(crate) fn nanos(self, millis: u64) -> u64 {
        let nanos = millis.saturating_sub(self.start).saturating_mul(NANOS);
        nanos.clamp(1, NEVER - 1)
    }
}

/// The nanoseconds of a millisecond.
const NANOS: u64 = 1_000_000;

/// What the store of a queue keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// The persistent messages, as a classic queue does.
    Persistent,
    /// All messages, as the history of an exchange does.
    All,
    /// All messages, and which of them consumers have, as a quorum queue does.
    AllAndDeliveries,
    /// All messages, which go in their order only.
    Stream,
}

/// Writes what happens to the messages of one queue.
#[derive(Clone, Debug)]
pub(crate) struct StoredQueue {
    journal: Journal,
    /// Its number in the store.
    number: u64,
    durability: Durability,
    keeps: Keeps,
    clock: WallClock,
}

impl StoredQueue {
    pub(crate) fn new(
        journal: Journal,
        number: u64,
        durability: Durability,
        keeps: Keeps,
        clock: WallClock,
    ) -> StoredQueue {
        StoredQueue {
            journal,
            number,
            durability,
            keeps,
            clock,
        }
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn clock(&self) -> WallClock {
        self.clock
    }

    /// Whether it keeps no message at all.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.durability == Durability::Memory
    }

    pub(crate) fn is_synced(&self) -> bool {
        self.durability == Durability::Synced
    }

    /// Whether the queue keeps a message.
    pub(crate) fn keeps(&self, is_persistent: bool) -> bool {
        !self.is_in_memory() && (self.keeps != Keeps::Persistent || is_persistent)
    }

    /// Whether deliveries are written: a quorum queue counts those that fail, and a crash of the
    /// program is a failure.
    pub(crate) fn counts_deliveries(&self) -> bool {
        self.keeps == Keeps::AllAndDeliveries
    }

    /// Whether it is that of a stream.
    pub(crate) fn is_stream(&self) -> bool {
        self.keeps == Keeps::Stream
    }

    pub(crate) fn put(&self, position: u64, message: StoredMessage) {
        let (message, body) = message.into_parts();
        let operation = Operation::Put {
            queue: self.number,
            position,
            message,
            body,
        };
        self.journal.append(operation, self.may_wait());
    }

    /// How long a new message may wait if no one waits for it.
    fn may_wait(&self) -> Duration {
        match self.durability {
            Durability::Buffered(time) => time,
            Durability::Synced | Durability::Memory => LAZY,
        }
    }

    pub(crate) fn mark(&self, position: u64, mark: Mark) {
        self.append(Operation::Mark {
            queue: self.number,
            position,
            mark: (mark != Mark::default()).then_some(mark),
        });
    }

    pub(crate) fn move_to(&self, from: u64, to: u64, mark: Mark) {
        self.append(Operation::Move {
            queue: self.number,
            from,
            to,
            mark: (mark != Mark::default()).then_some(mark),
        });
    }

    pub(crate) fn settle(&self, position: u64) {
        self.append(Operation::Settle {
            queue: self.number,
            position,
        });
    }

    /// A message comes to a stream.
    pub(crate) fn append_entry(&self, offset: u64, arrival: Arrival, message: StoredMessage) {
        let (message, _) = message.into_parts();
        let operation = Operation::Append {
            stream: self.number,
            offset,
            message,
            arrival,
        };
        self.journal.append(operation, self.may_wait());
    }

    /// All messages of a stream before an offset are gone.
    pub(crate) fn trim(&self, offset: u64) {
        self.append(Operation::Trim {
            stream: self.number,
            offset,
        });
    }

    /// The messages of a stream that are in files of their own.
    pub(crate) fn stream_files(&self) -> Option<&Arc<dyn StreamFiles>> {
        self.journal.stream_files()
    }

    /// The queue is deleted, with all its messages.
    pub(crate) fn drop_all(&self) {
        self.append(Operation::DropQueue { queue: self.number });
    }

    fn append(&self, operation: Operation) {
        self.journal.append(operation, LAZY);
    }
}
