//! The operations of a store, and what it shows when it recovers.

use serde::Serialize;

use super::mark::Mark;
use crate::model::bytes::Bytes;

/// One change of the kept data. Operations on a message that is not kept have no effect. No two
/// messages of a queue that are kept at the same time have the same position.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operation {
    /// Keeps a message. It may use a body that is kept by itself.
    Put {
        queue: u64,
        position: u64,
        message: Bytes,
        body: Option<u64>,
    },
    /// Replaces the mark of a message. `None` removes it.
    Mark {
        queue: u64,
        position: u64,
        mark: Option<Mark>,
    },
    /// Gives a message another position, and the mark that it has there.
    Move {
        queue: u64,
        from: u64,
        to: u64,
        mark: Option<Mark>,
    },
    /// Forgets a message and its mark.
    Settle { queue: u64, position: u64 },
    /// Adds a message to the end of a stream. Its offset is the one behind the last message: a
    /// stream has no gaps.
    Append {
        stream: u64,
        offset: u64,
        message: Bytes,
        arrival: Arrival,
    },
    /// Forgets all messages of a stream before an offset. Its messages go no other way.
    Trim { stream: u64, offset: u64 },
    /// Keeps a body that several messages share.
    PutBody { body: u64, octets: Bytes },
    /// Forgets such a body.
    DropBody { body: u64 },
    /// Forgets all messages of a queue or a stream. Its number is not used again before the store
    /// is opened the next time.
    DropQueue { queue: u64 },
    /// Keeps a record of the topology. `None` forgets it.
    Record {
        key: RecordKey,
        value: Option<Bytes>,
    },
    /// Nothing: an operation that another one of its batch has undone.
    Nothing,
}

impl Operation {
    /// Keeps a record, or forgets it. `None` if it cannot be written.
    pub(crate) fn record(
        kind: RecordKind,
        name: &impl Serialize,
        value: Option<&dyn erased_serde::Serialize>,
    ) -> Option<Operation> {
        // Descriptions that were declared can be written: their tables are not too deep.
        let name = serde_json::to_string(name).ok()?;
        let value = value.map(serde_json::to_vec).transpose().ok()?;
        Some(Operation::Record {
            key: RecordKey { kind, name },
            value: value.map(Into::into),
        })
    }
}

/// What a store has to know of a message of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// When it came, in milliseconds since 1970.
    pub(crate) came: u64,
    /// Its size, as counts use it.
    pub(crate) size: u64,
    /// The bytes that it takes of the limits of the stream: `size` or more.
    pub(crate) bytes: u64,
    /// Whether it is the first message of a segment.
    pub(crate) begins: bool,
}

/// A segment of a stream, or the part of it that has come so far, without its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredSegment {
    /// The offset of its first message.
    pub(crate) first: u64,
    pub(crate) messages: u64,
    /// The sum of the sizes of its messages.
    pub(crate) size: u64,
    /// The bytes that it takes of the limits of the stream.
    pub(crate) bytes: u64,
    /// When its first message came, in milliseconds since 1970.
    pub(crate) first_time: u64,
    /// When its last message came.
    pub(crate) last_time: u64,
}

impl StoredSegment {
    /// The offset behind its last message.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.messages
    }
}

/// The kind of a record. The numbers are those in the files, and are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum RecordKind {
    Vhost = 1,
    Budget = 2,
    Policy = 3,
    Exchange = 4,
    Queue = 5,
    Binding = 6,
    User = 7,
    Permissions = 8,
    TopicPermissions = 9,
    Alias = 10,
    Model = 11,
    KeptPart = 12,
    GlobalParameter = 13,
    StreamOffset = 14,
}

impl RecordKind {
    pub(crate) const ALL: [RecordKind; 14] = [
        RecordKind::Vhost,
        RecordKind::Budget,
        RecordKind::Policy,
        RecordKind::Exchange,
        RecordKind::Queue,
        RecordKind::Binding,
        RecordKind::User,
        RecordKind::Permissions,
        RecordKind::TopicPermissions,
        RecordKind::Alias,
        RecordKind::Model,
        RecordKind::KeptPart,
        RecordKind::GlobalParameter,
        RecordKind::StreamOffset,
    ];

    /// `None` for a kind of a later version.
    pub(crate) fn of(number: u8) -> Option<RecordKind> {
        let mut all = Self::ALL.into_iter();
        all.find(|kind| *kind as u8 == number)
    }
}

/// The kind of a record, and the name that it has among those of its kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RecordKey {
    pub(crate) kind: RecordKind,
    pub(crate) name: String,
}

/// Something that a store has kept.
#[derive(Debug)]
pub(crate) enum Recovered<'a> {
    Record {
        kind: RecordKind,
        name: &'a str,
        value: &'a [u8],
    },
    Body {
        body: u64,
        octets: &'a [u8],
    },
    /// A stream, and the segments that have files of their own. Its other messages are shown one by
    /// one, each as an `Entry`.
    Stream {
        stream: u64,
        /// The first offset that is kept. If nothing is, that of the next message.
        first: u64,
        segments: &'a [StoredSegment],
    },
    Message {
        queue: u64,
        position: u64,
        message: &'a [u8],
        mark: Option<Mark>,
    },
    /// A message of a stream that is not in a file of the stream yet.
    Entry {
        stream: u64,
        offset: u64,
        message: &'a [u8],
        arrival: Arrival,
    },
}
