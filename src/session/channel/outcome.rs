//! The outcome of a publish on a channel.

use super::ConfirmOutcome;
use crate::engine::vhost::Published;

/// The outcome of a publish on a channel, as its events tell it too. A publish of a transaction has
/// no outcome before the commit: nothing is routed, and the message has no number.
///
/// # RabbitMQ
/// The number is the one that clients count for `basic.ack` and `basic.nack` of the broker, such as
/// `getNextPublishSeqNo` of RabbitMQ's Java client.
///
/// # Examples
/// ```
/// use leveret::channel::{ConfirmOutcome, PublishOptions};
/// use leveret::{Overflow, Properties, Queue};
/// # use leveret::{Broker, Credentials};
/// # let broker = Broker::new();
/// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
/// let small = Queue::new("small").max_length(1).overflow(Overflow::RejectPublish);
/// channel.queue_declare(&small)?;
/// channel.confirm_select()?;
/// let publish = |options| channel.basic_publish("", "small", "m", Properties::new(), options);
/// let first = publish(PublishOptions::new())?;
/// assert_eq!((first.number, first.confirmed), (Some(1), Some(ConfirmOutcome::Ack)));
/// let second = publish(PublishOptions::new())?;
/// assert_eq!((second.published.routed, second.published.refused), (0, 1));
/// assert_eq!((second.number, second.confirmed), (Some(2), Some(ConfirmOutcome::Nack)));
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PublishOutcome {
    /// What the queues of the route have done.
    pub published: Published,
    /// Whether the message was returned, since it is mandatory and has no queue. An
    /// [`Event::Return`](crate::channel::Event::Return) has it.
    pub returned: bool,
    /// In confirm mode, the number of the message: that of its confirm.
    pub number: Option<u64>,
    /// In confirm mode, the outcome of the message. `None` if it is not on disk yet: the
    /// [`Event::Confirm`](crate::channel::Event::Confirm) of its number tells it.
    pub confirmed: Option<ConfirmOutcome>,
}

impl PublishOutcome {
    /// The outcome of a message that its queue has taken. It has a number if it is confirmed.
    pub(super) fn of(published: Published, number: Option<u64>) -> PublishOutcome {
        PublishOutcome {
            published,
            returned: false,
            number,
            confirmed: number.map(|_| ConfirmOutcome::Ack),
        }
    }
}
