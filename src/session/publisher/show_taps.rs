//! The taps of a program see a publish begin.

use super::prepared::Prepared;
use crate::{
    engine::tap::{self, Passing, TapDirection},
    message::envelope::Envelope,
    model::name::Name,
};

impl Prepared<'_> {
    /// Shows a publish that has passed its checks to the taps. If there is none any more, the
    /// connection goes back to publishing without a look.
    #[cold]
    #[inline(never)]
    pub(super) fn show_taps(&self, message: Option<&Envelope>) {
        let gate = &self.publisher.config.gate;
        let taps = gate.vhost().taps();
        if !taps.is_read() {
            gate.forget_taps();
            return;
        }
        let Some(envelope) = message else { return };
        let queues: Vec<&Name> = self.route.names().collect();
        let passing = Passing {
            direction: TapDirection::Publish,
            vhost: gate.vhost_name(),
            user: Some(gate.user()),
            exchange: &self.publisher.config.exchange,
            routing_key: self.key,
            queues: &queues,
            consumer_tag: None,
        };
        tap::show(taps, passing, envelope);
    }
}
