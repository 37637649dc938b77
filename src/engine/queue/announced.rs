//! The events of a queue's consumers. They are sent under the lock of the queue, so that they have
//! the order in which consumers come and go.

use std::sync::Arc;

use super::{
    QueueCore,
    consumer_state::{ConsumerState, SubscribeRequest, SubscribedBy},
    effects::Effects,
    state::QueueState,
};
use crate::{
    engine::events::{Actor, VhostEvents},
    model::{broker_event::EventKind, field_value::FieldTable, name::Name},
};

/// Where the queue tells its events, and its name in them.
#[derive(Debug)]
pub(super) struct Announced {
    events: Arc<VhostEvents>,
    queue: Name,
}

impl QueueCore {
    /// The same queue, which tells the events of its consumers.
    pub(crate) fn announced_by(mut self, events: &Arc<VhostEvents>) -> QueueCore {
        self.state.get_mut().announced = Some(Announced {
            events: Arc::clone(events),
            queue: self.name.clone(),
        });
        self
    }
}

impl QueueState {
    /// Tells that a consumer is about to be added.
    pub(super) fn announce_consumer(&self, request: &SubscribeRequest, effects: &mut Effects) {
        let SubscribeRequest {
            tag,
            by,
            priority,
            prefetch,
            auto_ack,
            exclusive,
            ..
        } = request;
        self.announce(EventKind::ConsumerCreated, by, effects, |fields| {
            let arguments = match priority {
                0 => FieldTable::new(),
                priority => FieldTable::from([("x-priority", *priority)]),
            };
            fields
                .with("consumer_tag", tag)
                .with("ack_required", !auto_ack)
                .with("exclusive", *exclusive)
                .with("prefetch_count", i64::from(*prefetch))
                .with("arguments", arguments)
        });
    }

    /// Tells that a consumer is removed.
    pub(super) fn announce_removed(&self, consumer: &ConsumerState, effects: &mut Effects) {
        self.announce(
            EventKind::ConsumerDeleted,
            &consumer.by,
            effects,
            |fields| fields.with("consumer_tag", &consumer.tag),
        );
    }

    fn announce(
        &self,
        kind: EventKind,
        by: &SubscribedBy,
        effects: &mut Effects,
        fill: impl FnOnce(FieldTable) -> FieldTable,
    ) {
        let Some(Announced { events, queue }) = &self.announced else {
            return;
        };
        let told = events.send(kind, Actor::User(&by.user), |fields| {
            let connection = i64::try_from(by.connection).unwrap_or(i64::MAX);
            let fields = fill(fields)
                .with("queue", queue)
                .with("connection", connection);
            match by.channel {
                Some(channel) => fields.with("channel", i32::from(channel)),
                None => fields,
            }
        });
        told.into_iter().for_each(|wake| effects.wake(Some(wake)));
    }
}
