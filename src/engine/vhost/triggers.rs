//! Sends trigger messages to initiation queues.

use std::sync::Arc;

use super::{VirtualHost, effects::PendingEffects, routers::Routers};
use crate::{
    engine::queue::{QueueCore, TriggerEvent},
    message::{
        envelope::{Address, Envelope, Meta},
        payload::Body,
        properties::{Properties, RoutingProperties},
    },
    model::{
        descriptions::TriggerMessage,
        error::{EntityKind, Error, Result},
        name::Name,
    },
};

impl VirtualHost {
    /// Publishes a trigger message of a queue to its initiation queue.
    pub(super) fn publish_trigger(
        &self,
        queue: &Arc<QueueCore>,
        event: TriggerEvent,
        work: &mut PendingEffects,
    ) {
        let TriggerEvent {
            initiation_queue,
            trigger,
            depth,
            on_its_way: _on_its_way,
        } = event;
        let message = TriggerMessage::new(queue.name().clone(), trigger, depth);
        let Ok(octets) = serde_json::to_vec(&message) else {
            return; // names and numbers can always be written
        };
        let meta = Meta {
            properties: Properties::new().content_type("application/json"),
            ..Meta::default()
        };
        let default = Name::empty();
        let address = Address::new(&self.exchange_names().of(&default), &initiation_queue);
        let body = Body::encoded(octets.into());
        let mut envelope = Envelope::new(body, &address, Some(address.complete(meta)));
        let keys = [&*initiation_queue];
        let properties = RoutingProperties::default();
        let found = self.with_routers(&keys, properties, |topology, routers: &mut Routers| {
            self.find(topology, &default, &keys, properties, routers)
        });
        self.keep_found(&found, &mut envelope);
        if found.is_empty() {
            work.push_back(self.route_undeliverable_due(envelope, queue));
            return;
        }
        let mut copies = Vec::with_capacity(found.len());
        for _ in 1..found.len() {
            copies.extend(envelope.share().ok());
        }
        copies.push(envelope);
        self.push_internal(queue, found, copies, work);
    }

    /// Lets the trigger of a queue send a message again.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] if the queue has no trigger by depth.
    pub(crate) fn rearm_trigger(self: &Arc<Self>, queue: &Arc<QueueCore>) -> Result {
        let is_armed = self.with_queue(queue, |state, _, effects| state.rearm_trigger(effects));
        match is_armed {
            true => Ok(()),
            false => Err(Error::invalid_argument(
                "x-leveret-trigger",
                EntityKind::Queue,
                queue.name(),
                self.name(),
                "it is no number of messages, so that it cannot be armed again",
            )),
        }
    }
}
