//! A message that a reader has read.

use std::{
    fmt,
    ops::Deref,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    message::{
        codec::{Codecs, Json},
        payload::Payload,
        properties::Properties,
    },
    model::{bytes::Bytes, error::CodecError, name::Name},
    session::{delivery::without_payload, stream_reader::ReadBlock, undecoded::Undecoded},
};

/// A message of a stream. It derefs to its payload.
///
/// There is nothing to settle, and a clone is cheap: all readers and all clones share the value.
/// Everything beside the payload, the offset and the time is on [`info`](Self::info), so that no
/// field or method of the payload is hidden.
///
/// # RabbitMQ
/// `basic.deliver` of a stream, with the header `x-stream-offset`.
///
/// # If dropped
/// Nothing happens. A block of up to 256 messages stays in memory as long as an entry of it lives,
/// also if retention has dropped it.
///
/// # Examples
/// ```
/// use leveret::{Broker, Offset, Queue};
/// use std::time::SystemTime;
///
/// let broker = Broker::new();
/// let log = Queue::stream("log");
/// broker.producer::<String>(&log)?.publish("started".to_owned())?;
///
/// let entry = broker.reader::<String>(&log).from(Offset::First).build()?.recv()?;
/// assert_eq!((entry.len(), entry.offset()), (7, 0)); // `len` is a method of `String`
/// assert!(entry.timestamp() > SystemTime::UNIX_EPOCH);
/// assert_eq!((entry.info().routing_key(), &**entry.info().stream()), ("log", "log"));
/// let clone = entry.clone();
/// assert!(std::ptr::eq(&*clone, &*entry));
/// # Ok::<(), leveret::Error>(())
/// ```
pub struct Entry<T: Payload> {
    block: Arc<ReadBlock>,
    offset: u64,
    /// The value, if the block has none of this type.
    decoded: Option<Arc<T>>,
}

impl<T: Payload> Entry<T> {
    pub(super) fn open(
        block: Arc<ReadBlock>,
        offset: u64,
        codecs: &Codecs,
    ) -> Result<Entry<T>, Undecoded> {
        let decoded = block.open(offset, codecs)?.map(Arc::from);
        Ok(Entry {
            block,
            offset,
            decoded,
        })
    }

    /// The payload. Dereferencing gives the same.
    pub fn payload(&self) -> &T {
        self
    }

    /// The offset of the message in its stream. The first message of a stream has the offset 0.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// When the stream took the message in, in milliseconds. It is never before that of an earlier
    /// message.
    pub fn timestamp(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.block.time(self.offset))
    }

    /// The information about the message besides its payload.
    pub fn info(&self) -> EntryInfo<'_> {
        EntryInfo {
            block: &self.block,
            offset: self.offset,
        }
    }
}

impl<T: Payload> Deref for Entry<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        if let Some(decoded) = &self.decoded {
            return decoded;
        }
        let message = self.block.get(self.offset);
        match message.and_then(|message| message.body().downcast_ref()) {
            Some(payload) => payload,
            None => without_payload(),
        }
    }
}

impl<T: Payload> Clone for Entry<T> {
    fn clone(&self) -> Entry<T> {
        Entry {
            block: Arc::clone(&self.block),
            offset: self.offset,
            decoded: self.decoded.clone(),
        }
    }
}

impl<T: Payload + fmt::Debug> fmt::Debug for Entry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("payload", self.payload())
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

/// The information about a message of a stream besides its payload.
///
/// # Examples
/// ```
/// use leveret::{Broker, Message, Offset, Queue};
///
/// let broker = Broker::new();
/// let log = Queue::stream("log");
/// let message = Message::new(7).header("kind", "number");
/// broker.producer::<u32>(&log)?.publish_message(message)?;
///
/// let entry = broker.reader::<u32>(&log).from(Offset::First).build()?.recv()?;
/// let info = entry.info();
/// assert_eq!((&**info.stream(), &*info.exchange(), info.routing_key()), ("log", "", "log"));
/// assert_eq!(info.properties().header_value("kind").unwrap().as_str(), Some("number"));
/// assert_eq!((info.type_name(), info.size(), &*info.body()?), ("u32", 4, &b"7"[..]));
/// # Ok::<(), leveret::Error>(())
/// ```
pub struct EntryInfo<'a> {
    block: &'a ReadBlock,
    offset: u64,
}

impl<'a> EntryInfo<'a> {
    /// The name of the stream.
    pub fn stream(&self) -> &'a Name {
        self.block.stream()
    }

    /// The exchange that the message was published to; empty for the default exchange.
    pub fn exchange(&self) -> Name {
        self.block.exchange(self.offset)
    }

    /// The routing key of the message.
    pub fn routing_key(&self) -> &'a str {
        let message = self.block.get(self.offset);
        message.map_or("", |message| message.routing_key())
    }

    /// The properties of the message, with its content type.
    pub fn properties(&self) -> &'a Properties {
        static NONE: Properties = Properties::new();
        let message = self.block.get(self.offset);
        message.map_or(&NONE, |message| message.properties())
    }

    /// The size of the message in bytes, as counts and budgets count it.
    pub fn size(&self) -> u64 {
        self.block
            .get(self.offset)
            .map_or(0, |message| message.size())
    }

    /// The payload as bytes. A payload that is still a value is encoded by this call.
    ///
    /// # Errors
    /// [`CodecError`] if it cannot be encoded.
    pub fn body(&self) -> Result<Bytes, CodecError> {
        let Some(message) = self.block.get(self.offset) else {
            return Ok(Bytes::default());
        };
        let writer = message.meta().and_then(|meta| meta.codec.as_deref());
        message.body().encode(writer.unwrap_or(&Json))
    }

    /// The name of the Rust type that was published; `leveret::Bytes` for an encoded message.
    pub fn type_name(&self) -> &'static str {
        let message = self.block.get(self.offset);
        message.map_or("()", |message| message.body().type_name())
    }
}

impl fmt::Debug for EntryInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntryInfo")
            .field("stream", self.stream())
            .field("exchange", &self.exchange())
            .field("routing_key", &self.routing_key())
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}
