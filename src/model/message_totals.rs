//! A number of messages and their bytes.

use serde::{Deserialize, Serialize};

/// A number of messages and their total bytes.
///
/// # Examples
/// ```
/// use leveret::Broker;
/// # let broker = Broker::new();
/// let queue = broker.simple_queue::<String>("q")?;
/// queue.put("hello".to_owned())?;
/// let ready = broker.snapshot()?.vhosts[0].queues[0].ready;
/// assert_eq!((ready.messages, ready.bytes), (1, 5));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MessageTotals {
    /// The number of messages.
    pub messages: u64,
    /// The total bytes of the messages, as limits count them.
    pub bytes: u64,
}

impl MessageTotals {
    pub(crate) fn new(messages: u64, bytes: u64) -> MessageTotals {
        MessageTotals { messages, bytes }
    }

    /// Counts one more message of `bytes` bytes.
    pub(crate) fn add_message(&mut self, bytes: u64) {
        *self += MessageTotals::new(1, bytes);
    }
}

impl std::ops::AddAssign for MessageTotals {
    fn add_assign(&mut self, other: MessageTotals) {
        self.messages += other.messages;
        // The sizes come from producers, so totals may wrap. Differences wrap as well and are
        // therefore correct.
        self.bytes = self.bytes.wrapping_add(other.bytes);
    }
}

impl std::ops::SubAssign for MessageTotals {
    fn sub_assign(&mut self, other: MessageTotals) {
        self.messages -= other.messages;
        self.bytes = self.bytes.wrapping_sub(other.bytes);
    }
}
