//! The start of consumers.

use super::{
    consumer_id::ConsumerId,
    consumer_state::{DeliveryTarget, SubscribeRequest},
    effects::Effects,
    outcome::SubscribeRefused,
    state::QueueState,
};

impl QueueState {
    /// Whether a consumer may be added.
    pub(crate) fn check_subscribe(&self, exclusive: bool) -> Result<(), SubscribeRefused> {
        // A quorum queue and a stream accept the flag and do not enforce it.
        let exclusive = exclusive && self.kind.is_classic();
        let shared = !self.consumers.is_empty() || self.settings.single_active_consumer;
        match () {
            () if self.deleted => Err(SubscribeRefused::Deleted),
            () if self.consumers.has_exclusive() || exclusive && shared => {
                Err(SubscribeRefused::InUse)
            }
            () => Ok(()),
        }
    }

    /// Adds a consumer. `target` gets its id before its first message.
    pub(crate) fn subscribe(
        &mut self,
        request: SubscribeRequest,
        target: impl FnOnce(ConsumerId) -> DeliveryTarget,
        now: u64,
        effects: &mut Effects,
    ) -> Result<ConsumerId, SubscribeRefused> {
        self.check_subscribe(request.exclusive)?;
        let exclusive = request.exclusive && self.kind.is_classic();
        let request = SubscribeRequest {
            exclusive,
            ..request
        };
        self.had_consumer = true;
        self.serve_late_channel(now, effects);
        let reading = request.reading.clone();
        self.announce_consumer(&request, effects);
        let id = self.consumers.add(request, target);
        if self.consumers.len() == 2 {
            // From now on a channel that was alone is served at once.
            self.consumers.reconsider(None);
        }
        self.note_selective();
        self.begin_reading(id, &reading, now);
        self.settle_ready(now, effects);
        Ok(id)
    }

    pub(crate) fn set_prefetch(
        &mut self,
        id: ConsumerId,
        prefetch: u32,
        now: u64,
        effects: &mut Effects,
    ) {
        self.consumers.set_prefetch(id, prefetch);
        self.settle_ready(now, effects);
    }
}
