//! When a durable queue has its messages on disk.

use std::time::Duration;

use super::{Queue, milliseconds, names as x};
use crate::model::field_value::FieldValue;

/// When a durable queue has its persistent messages on disk, set by [`Queue::durability`].
///
/// It matters only for a broker with a data folder (`BrokerBuilder::data_dir`, feature `durable`).
///
/// | level | a publish returns | a crash of the program or a loss of power loses |
/// |---|---|---|
/// | `Synced` | when the message is on disk | no published message |
/// | `Buffered(time)` | at once | the messages of the last `time` |
/// | `Memory` | at once | all messages; the queue itself comes back |
///
/// An orderly end of the broker loses nothing but the messages of `Memory`.
///
/// # Examples
/// ```
/// use leveret::{Durability, Queue};
/// use std::time::Duration;
///
/// let clicks = Queue::new("clicks").durable();
/// let clicks = clicks.durability(Durability::Buffered(Duration::from_millis(200)));
/// assert_eq!(clicks.argument_table().get("x-leveret-durability"), Some(&200.into()));
/// assert_eq!(Durability::default(), Durability::Synced);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// Messages are in memory only.
    Memory,
    /// A message is on disk at most this long after its publish.
    Buffered(Duration),
    /// A message is on disk before its publish returns, its confirm is sent, or its transaction is
    /// committed.
    #[default]
    Synced,
}

/// The words of the argument.
const MEMORY: &str = "memory";
const SYNCED: &str = "synced";

impl Durability {
    fn to_value(self) -> FieldValue {
        match self {
            Durability::Memory => MEMORY.into(),
            Durability::Buffered(time) => milliseconds(time),
            Durability::Synced => SYNCED.into(),
        }
    }

    /// Reads the argument.
    pub(crate) fn from_value(value: &FieldValue) -> Option<Durability> {
        match (value.as_str(), value.as_i64()) {
            (Some(MEMORY), _) => Some(Durability::Memory),
            (Some(SYNCED), _) => Some(Durability::Synced),
            (_, Some(time)) => {
                let time = u64::try_from(time).ok()?;
                Some(Durability::Buffered(Duration::from_millis(time)))
            }
            _ => None,
        }
    }
}

impl Queue {
    /// Sets when a durable queue has its messages on disk. The default is that of the broker, and
    /// that is [`Durability::Synced`] if nothing else is set.
    ///
    /// # RabbitMQ
    /// An addition of leveret, as the argument `x-leveret-durability`: `memory`, `synced`, or a
    /// number of milliseconds. In RabbitMQ a confirm always means that the message is on disk.
    #[must_use]
    pub fn durability(self, durability: Durability) -> Self {
        self.argument(x::DURABILITY, durability.to_value())
    }
}
