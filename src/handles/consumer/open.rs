//! What becomes of a message that a consumer has taken: it is opened as the payload type, and
//! shown.
//!
//! A [`Select`](crate::Select) does not know the payload type. If a consumer skips messages that do
//! not decode, it opens them by [`OpenEarly`] and keeps what it gets as [`Opened`].

use std::any::Any;

use super::{Consumer, ConsumerQueue, Taken};
use crate::{
    message::{
        envelope::{Envelope, SettledMessage},
        payload::Payload,
    },
    session::{
        delivery::Delivery, delivery_info::DeliveryInfo, receive::RecvError, undecoded::Undecoded,
    },
};

impl<T: Payload> Consumer<T> {
    /// Opens what was taken from a queue, and shows it. `None` if it does not decode and is settled
    /// already.
    ///
    /// It is not inlined, since an inlined copy would move the message in pieces.
    #[inline(never)]
    pub(crate) fn open(
        &self,
        place: usize,
        taken: Taken,
    ) -> Option<Result<Delivery<T>, RecvError>> {
        let queue = &self.queues[place];
        let envelope = match taken {
            Ok(envelope) => envelope,
            Err(reason) => return Some(Err(RecvError::Cancelled(reason))),
        };
        let is_plain = queue.subscriber.origin().shows_plainly();
        if is_plain && Delivery::<T>::is_open(&envelope, &self.codecs) {
            let origin = queue.subscriber.handle_of_taken();
            return Some(Ok(Delivery::whole(origin, envelope)));
        }
        self.open_otherwise(queue, envelope)
    }

    /// Opens and shows a message that has to be decoded, is acknowledged by that, or has to be
    /// settled in time.
    #[inline(never)]
    fn open_otherwise(
        &self,
        queue: &ConsumerQueue,
        envelope: Envelope,
    ) -> Option<Result<Delivery<T>, RecvError>> {
        shown(queue, || SettledMessage::of(&envelope));
        match self.decode(queue, envelope) {
            Ok(mut delivery) => {
                delivery.show();
                Some(Ok(delivery))
            }
            Err(undecoded) => {
                let mut undecoded = self.on_decode_error.apply(undecoded)?;
                undecoded.show();
                Some(Err(RecvError::Decode(undecoded)))
            }
        }
    }

    /// Opens an unsettled message of this consumer once more, for the current thread.
    pub(crate) fn reopen(&self, info: DeliveryInfo) -> Result<Delivery<T>, Undecoded> {
        info.note_receiver();
        Delivery::reopen(info, &self.codecs)
    }

    /// Whether the consumer settles messages that do not decode itself.
    pub(crate) fn skips(&self) -> bool {
        !self.on_decode_error.returns()
    }

    #[inline]
    pub(super) fn decode(
        &self,
        queue: &ConsumerQueue,
        envelope: Envelope,
    ) -> Result<Delivery<T>, Undecoded> {
        let origin = queue.subscriber.handle_of_taken();
        Delivery::open(origin, envelope, &self.codecs)
    }

    /// Shows and returns a message that was opened early.
    pub(crate) fn show(&self, place: usize, opened: Box<dyn Opened>) -> Option<Delivery<T>> {
        let mut delivery = opened.into_any().downcast::<Delivery<T>>().ok()?;
        shown(&self.queues[place], || delivery.info().as_settled());
        delivery.show();
        Some(*delivery)
    }
}

/// Acknowledges a message that the receiver gets, if the consumer has auto-ack.
#[inline]
pub(super) fn shown(queue: &ConsumerQueue, message: impl FnOnce() -> SettledMessage) {
    let origin = queue.subscriber.origin();
    if origin.auto_ack {
        let message = message();
        origin.forget_settled(|| message);
        origin.ack_shown(&message);
        // A message that is acknowledged on delivery is not settled again.
        let _ = origin.ack(1, message.size, None);
    }
}

/// A consumer that opens its messages before it shows them, whatever its payload type.
pub(crate) trait OpenEarly: Sync {
    /// Opens a message. `None` if it does not decode and is settled already.
    fn open_early(&self, place: usize, envelope: Envelope) -> Option<Box<dyn Opened>>;
}

impl<T: Payload> OpenEarly for Consumer<T> {
    fn open_early(&self, place: usize, envelope: Envelope) -> Option<Box<dyn Opened>> {
        let queue = &self.queues[place];
        let message = SettledMessage::of(&envelope);
        match self.decode(queue, envelope) {
            Ok(delivery) => Some(Box::new(delivery)),
            Err(undecoded) => {
                shown(queue, || message);
                // No receiver gets it with such a policy.
                drop(self.on_decode_error.apply(undecoded));
                None
            }
        }
    }
}

/// A delivery that is not shown yet, whatever its payload type.
pub(crate) trait Opened: Send {
    fn into_any(self: Box<Self>) -> Box<dyn Any>;

    /// Takes the message out unsettled. It is to be received again.
    fn unread(self: Box<Self>) -> Option<Envelope>;
}

impl<T: Payload> Opened for Delivery<T> {
    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn unread(self: Box<Self>) -> Option<Envelope> {
        (*self).unread()
    }
}
