//! Where a reader of a stream begins.

use std::time::{Duration, SystemTime};

/// Where in a stream a reader begins.
///
/// A message has its offset from the moment when the stream takes it in: 0, 1, 2 and so on. It
/// keeps it, also when older messages are gone and when a durable broker starts again.
///
/// # RabbitMQ
/// The consumer argument `x-stream-offset` (RabbitMQ 3.9 and later).
///
/// # Examples
/// ```
/// use leveret::{Broker, Offset, Queue};
///
/// let broker = Broker::new();
/// let log = Queue::stream("log");
/// let producer = broker.producer::<u32>(&log)?;
/// for number in 0..5 {
///     producer.publish(number)?;
/// }
/// let from = |offset| broker.reader::<u32>(&log).from(offset).build();
/// assert_eq!(*from(Offset::First)?.try_recv()?, 0);
/// assert_eq!(*from(Offset::At(3))?.try_recv()?, 3);
/// assert_eq!(*from(Offset::Last)?.try_recv()?, 4);
/// assert!(from(Offset::Next)?.try_recv().is_err());
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Offset {
    /// The first message that the stream still has.
    First,
    /// The messages that came last: those that were published together at the end of the stream. A
    /// stream may take up to 64 messages of a batch together.
    Last,
    /// The next message that comes.
    #[default]
    Next,
    /// The message with this offset. If it is gone, the first one that the stream still has. If it
    /// has not come yet, the reader waits for it.
    At(u64),
    /// The first message that came at this time or later.
    Timestamp(SystemTime),
    /// The first message that came this long ago or later.
    Interval(Duration),
}

impl Offset {
    /// The time since which messages are wanted, if it is one. Times are milliseconds since 1970,
    /// and `now` is the present one.
    pub(crate) fn since(self, now: u64) -> Option<u64> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        match self {
            Offset::Timestamp(time) => {
                let since = time.duration_since(SystemTime::UNIX_EPOCH);
                // The messages of the same millisecond are not before it.
                Some(millis(since.unwrap_or_default()))
            }
            Offset::Interval(interval) => Some(now.saturating_sub(millis(interval))),
            Offset::First | Offset::Last | Offset::Next | Offset::At(_) => None,
        }
    }
}
