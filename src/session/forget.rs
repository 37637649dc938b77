//! The store of a durable queue forgets the messages that are settled.

use super::unacked::DeliveryOrigin;
use crate::message::envelope::{Envelope, SettledMessage};

impl DeliveryOrigin {
    /// The store of the queue forgets a message that is settled here.
    #[inline]
    pub(crate) fn forget(&self, envelope: &Envelope) {
        self.forget_settled(|| SettledMessage::of(envelope));
    }

    /// As [`forget`](Self::forget), if the message may be gone.
    #[inline]
    pub(crate) fn forget_settled(&self, message: impl FnOnce() -> SettledMessage) {
        if self.overdue.is_none() && self.queue.stored().is_some() {
            self.queue.forget(message());
        }
    }

    /// Acknowledges a message that an auto-ack receiver gets, at an engine outside of this process.
    /// Its own queue counts it by itself.
    #[inline]
    pub(crate) fn ack_shown(&self, message: &SettledMessage) {
        if let Some(remote) = &self.remote {
            remote.ack_shown(message);
        }
    }
}
