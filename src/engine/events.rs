//! The sender of a broker's events.
//!
//! An event is sent under the lock under which its cause happens, so that the events have the order
//! of their causes. Only the wakes of the readers come later. Nothing is made if no one reads.

use std::sync::Arc;

use crate::{
    model::{
        broker_event::{BrokerEvent, EventKind},
        field_value::FieldTable,
        name::Name,
    },
    runtime::{feed::Feeds, waiter::Wake},
};

/// The user of what the broker does by itself, as in RabbitMQ.
const INTERNAL: &str = "rmq-internal";

/// The readers of the events of a broker.
pub(crate) type EventFeeds = Feeds<BrokerEvent>;

/// Sends the events of one virtual host.
#[derive(Clone, Debug)]
pub(crate) struct VhostEvents {
    feeds: Arc<EventFeeds>,
    vhost: Name,
}

/// Who has caused an event.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Actor<'a> {
    User(&'a str),
    /// The broker itself.
    Internal,
    Unknown,
}

/// Sends an event if anyone reads. `fill` adds its fields. Returns the readers to be woken, without
/// a lock.
#[must_use = "woken without a lock"]
pub(crate) fn send(
    feeds: &EventFeeds,
    kind: EventKind,
    by: Actor<'_>,
    fill: impl FnOnce(FieldTable) -> FieldTable,
) -> Vec<Wake> {
    match feeds.is_read() {
        false => Vec::new(),
        true => feeds.send(&event(kind, by, fill)),
    }
}

fn event(
    kind: EventKind,
    by: Actor<'_>,
    fill: impl FnOnce(FieldTable) -> FieldTable,
) -> BrokerEvent {
    let fields = fill(FieldTable::new());
    let actor = match by {
        Actor::User(user) => Some(user),
        Actor::Internal => Some(INTERNAL),
        Actor::Unknown => None,
    };
    BrokerEvent::new(
        kind,
        match actor {
            Some(actor) => fields.with("user_who_performed_action", actor),
            None => fields,
        },
    )
}

/// An event of a virtual host, before it is known who has caused it.
pub(crate) type Pending = (EventKind, FieldTable);

impl VhostEvents {
    pub(crate) fn new(feeds: Arc<EventFeeds>, vhost: Name) -> VhostEvents {
        VhostEvents { feeds, vhost }
    }

    pub(crate) fn feeds(&self) -> &Arc<EventFeeds> {
        &self.feeds
    }

    /// Whether anyone may read.
    pub(crate) fn is_read(&self) -> bool {
        self.feeds.is_read()
    }

    /// Sends an event of the virtual host, as [`send`] does.
    #[must_use = "woken without a lock"]
    pub(crate) fn send(
        &self,
        kind: EventKind,
        by: Actor<'_>,
        fill: impl FnOnce(FieldTable) -> FieldTable,
    ) -> Vec<Wake> {
        let vhost = self.vhost.as_str();
        send(&self.feeds, kind, by, |fields| {
            fill(fields).with("vhost", vhost)
        })
    }

    /// Sends events that one change of the topology has caused.
    #[must_use = "woken without a lock"]
    pub(crate) fn send_all(&self, pending: Vec<Pending>, by: Actor<'_>) -> Vec<Wake> {
        let pending = pending.into_iter();
        pending
            .flat_map(|(kind, fields)| self.send(kind, by, |_| fields))
            .collect()
    }
}
