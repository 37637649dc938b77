//! A number of messages and their bytes.

use serde::{Deserialize, Serialize};

/// A number of messages, and the bytes that they have together.
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
    /// How many messages.
    pub messages: u64,
    /// How many bytes they have together, as limits count them.
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
        // Totals of sizes that producers make up may wrap round, and then so do differences: they come out right.
        self.bytes = self.bytes.wrapping_add(other.bytes);
    }
}

impl std::ops::SubAssign for MessageTotals {
    fn sub_assign(&mut self, other: MessageTotals) {
        self.messages -= other.messages;
        self.bytes = self.bytes.wrapping_sub(other.bytes);
    }
}
