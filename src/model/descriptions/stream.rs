//! The settings of a queue's description that only streams have.

use super::{Queue, age::format_age, count, names as x};
use std::time::Duration;

/// The settings of streams. A queue of another type with one of them is refused.
impl Queue {
    /// Describes a stream of this name: a log that readers do not take messages from.
    ///
    /// Each reader has its own position, and all of them get every message. Messages stay until
    /// [`max_age`](Self::max_age) or [`max_length_bytes`](Self::max_length_bytes) drops them.
    /// Without these two a stream grows without end. A stream is always durable and has a name of
    /// its own. It cannot be exclusive or delete itself, and has no dead letters, priorities, times
    /// to live or gets.
    ///
    /// # RabbitMQ
    /// `queue.declare` with `durable` and the argument `x-queue-type` with the value `stream`
    /// (RabbitMQ 3.9 and later). Here no stream is replicated.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Offset, Queue};
    /// let broker = Broker::new();
    /// let log = Queue::stream("log");
    /// broker.producer::<String>(&log)?.publish("started".to_owned())?;
    ///
    /// let reader = broker.reader::<String>(&log).from(Offset::First).build()?;
    /// let entry = reader.recv()?;
    /// assert_eq!((entry.as_str(), entry.offset()), ("started", 0));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn stream(name: impl Into<String>) -> Self {
        Self::new(name).durable().argument(x::QUEUE_TYPE, "stream")
    }

    /// Drops messages of a stream that are older than this. The age is rounded up to whole seconds,
    /// and is at least a second.
    ///
    /// Messages go by whole segments, when a new segment begins: a segment goes when its last
    /// message is too old, or when the stream has more than its
    /// [`max_length_bytes`](Self::max_length_bytes). The segment that takes the next message always
    /// stays. So old messages stay as long as no message comes.
    ///
    /// # RabbitMQ
    /// The argument `x-max-age`. There `Y`, `M`, `D`, `h` and `m` are units too.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    /// use std::time::Duration;
    /// let broker = Broker::new();
    /// broker.declare(&Queue::stream("log").max_age(Duration::from_secs(3600)))?;
    /// // The same age in another unit.
    /// broker.declare(&Queue::stream("log").argument("x-max-age", "1h"))?;
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use]
    pub fn max_age(self, age: Duration) -> Self {
        self.argument(x::MAX_AGE, format_age(age))
    }

    /// Sets the size at which a segment of a stream is full, in bytes, from 0 to 3,000,000,000. The
    /// default is 500,000,000.
    ///
    /// A segment also is full with 256,000 messages. A message counts with its body, its properties
    /// and 100 bytes for its place.
    ///
    /// # RabbitMQ
    /// The argument `x-stream-max-segment-size-bytes`.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Offset, Queue};
    /// let broker = Broker::new();
    /// let log = Queue::stream("log").max_segment_bytes(1_000).max_length_bytes(2_000);
    /// let producer = broker.producer::<Vec<u8>>(&log)?;
    /// for _ in 0..20 {
    ///     producer.publish(vec![0; 400])?;
    /// }
    /// let reader = broker.reader::<Vec<u8>>(&log).from(Offset::First).build()?;
    /// assert_eq!(reader.recv()?.offset(), 16); // four messages in two segments are left
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use]
    pub fn max_segment_bytes(self, bytes: u64) -> Self {
        self.argument(x::STREAM_MAX_SEGMENT_SIZE_BYTES, count(bytes))
    }
}
