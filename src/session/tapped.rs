//! The taps of a program see a delivery.

use super::unacked::DeliveryOrigin;
use crate::{
    engine::tap::{self, Passing, TapDirection},
    message::envelope::Envelope,
};

impl DeliveryOrigin {
    /// Shows a message to the taps, before its receiver has it. Must be called without any lock
    /// held.
    #[inline]
    pub(super) fn show_taps(&self, envelope: &Envelope) {
        let is_tapped = match &self.consumer {
            Some((_, credit)) => credit.is_tapped(),
            None => self.vhost.taps().is_read(),
        };
        if is_tapped {
            self.show_to_taps(envelope);
        }
    }

    #[cold]
    #[inline(never)]
    fn show_to_taps(&self, envelope: &Envelope) {
        if !self.vhost.taps().is_read() {
            return self.note_taps();
        }
        let exchange = self.exchange(envelope.origin());
        let tag = &self.consumer_tag;
        let passing = Passing {
            direction: TapDirection::Deliver,
            vhost: self.vhost.name(),
            user: None,
            exchange: &exchange,
            routing_key: envelope.routing_key(),
            queues: &[self.queue.name()],
            consumer_tag: (!tag.is_empty()).then_some(tag),
        };
        tap::show(self.vhost.taps(), passing, envelope);
    }

    /// Has a consumer show its deliveries to the taps, as long as there are any.
    pub(crate) fn note_taps(&self) {
        if let Some((_, credit)) = &self.consumer {
            credit.set_tapped(self.vhost.taps().is_read());
            // A tap may have come in between, and has marked the consumer too early.
            if self.vhost.taps().is_read() {
                credit.set_tapped(true);
            }
        }
    }
}
