//! The sink of a consumer that takes each message at the moment of delivery.

use super::effects::Effects;
use crate::{
    message::envelope::Envelope,
    model::{error::CancelReason, message_totals::MessageTotals},
};

/// Takes each message at the moment of delivery: an AMQP channel.
///
/// The methods are called under the queue's lock. They may take a leaf lock, and run no user code.
pub(crate) trait ConsumerSink: Send + Sync {
    /// Takes the message out of `message`. If the channel is at its limit, leaves it and returns
    /// `false`. Then the queue suspends all consumers of this group until
    /// [`QueueState::resume`](super::QueueState::resume).
    ///
    /// The delivery must be settled before `due`, or [`take_overdue`](Self::take_overdue) takes it
    /// back; [`NEVER`](crate::message::envelope::NEVER) is no limit.
    fn try_deliver(&self, message: &mut Option<Envelope>, due: u64, effects: &mut Effects) -> bool;

    /// Takes up to `most` messages, as far as the channel is not at its limit. `fill` puts at most
    /// the given number into a list and returns their totals. They need not be settled in time, and
    /// do not count as settled now.
    fn deliver_run(
        &self,
        most: usize,
        fill: &mut dyn FnMut(&mut Vec<Envelope>, usize) -> MessageTotals,
        effects: &mut Effects,
    ) -> MessageTotals;

    /// Takes back the deliveries that are not settled in time, and tells the client. Also returns
    /// when the next one is due, or [`NEVER`](crate::message::envelope::NEVER).
    fn take_overdue(&self, now: u64, effects: &mut Effects) -> (Vec<Envelope>, u64);

    /// Records that the queue has cancelled the consumer.
    fn cancelled(&self, reason: CancelReason, effects: &mut Effects);
}
