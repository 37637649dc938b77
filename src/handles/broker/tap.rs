//! Taps, for those who want to see the messages that pass.

use super::Broker;
use crate::{
    engine::tap::{TapFilter, TappedMessage},
    session::feed::Feed,
};

/// The messages that wait for a reader, if nothing else is said.
const CAPACITY: usize = 1_000;

impl Broker {
    /// Returns copies of the messages that are published and delivered from now on, as far as the
    /// filter selects them. There is room for 1,000 copies that are not read. A message
    /// without room is [missed](Feed::missed), and not copied: a tap makes no one wait.
    ///
    /// A publish is shown when it has passed its checks, before any queue has the message. So one
    /// that is refused by its queues is shown too, and one that is unroutable. A delivery is shown
    /// when its receiver gets it. A message of a [`Channel`](crate::Channel) is shown when its
    /// event is read. Dead letters, and messages that a reader reads from a stream, are not
    /// shown.
    ///
    /// The payload is encoded for the copy, by its publisher or its receiver: its codec is called.
    /// The payload itself goes on unshared. Without a tap nothing is copied or encoded. While there
    /// is one, every publish and delivery of the broker looks at its filter.
    ///
    /// # RabbitMQ
    /// The firehose tracer: `rabbitmqctl trace_on` and a queue that is bound to
    /// `amq.rabbitmq.trace`.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Local, Queue, TapFilter};
    ///
    /// let broker = Broker::new();
    /// let tap = broker.tap(TapFilter::publishes());
    /// let jobs = broker.producer::<Local<fn()>>("jobs")?;
    /// jobs.publish(Local::new(|| ()))?;
    /// let tapped = tap.recv()?;
    /// assert!(tapped.body.is_err() && tapped.type_name.contains("fn()"));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    ///
    /// [`TapFilter`] and [`TappedMessage`] have other examples.
    pub fn tap(&self, filter: TapFilter) -> Feed<TappedMessage> {
        self.tap_with_capacity(filter, CAPACITY)
    }

    /// As [`tap`](Self::tap), with room for `capacity` copies that are not read.
    ///
    /// # Examples
    /// ```
    /// # use leveret::{Broker, TapFilter};
    /// # let broker = Broker::new();
    /// let tap = broker.tap_with_capacity(TapFilter::all(), 2);
    /// let _ = broker.producer::<u32>("q")?.publish_batch(1..=5);
    /// assert_eq!((tap.len(), tap.missed()), (2, 3));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn tap_with_capacity(&self, filter: TapFilter, capacity: usize) -> Feed<TappedMessage> {
        let core = self.core();
        Feed::new(core.tap_line(filter, capacity), core.time())
    }
}
