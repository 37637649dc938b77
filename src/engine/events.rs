//! The sender of a broker's events.
//!
//! An event is sent under the lock under which its cause happens, so that the events have the order
//! of their causes. Only the wakes of the readers come later. Nothing is made if no one reads. The
//! time of an event is that of its cause, by a reading that is no user code.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    model::{
        broker_event::{BrokerEvent, EventKind, TIMESTAMP},
        error::CancelReason,
        field_value::FieldTable,
        name::Name,
    },
    runtime::{
        clock::Time,
        feed::{FeedLine, Feeds},
        waiter::Wake,
    },
};

/// The user of what the broker does by itself, as in RabbitMQ.
const INTERNAL: &str = "rmq-internal";

/// The user of what the program itself does.
const PROGRAM: &str = "guest";

/// The readers of the events of a broker.
#[derive(Debug, Default)]
pub(crate) struct EventFeeds {
    feeds: Feeds<BrokerEvent>,
    time: Time,
}

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
    /// The program in which the broker is, which is the user `guest`.
    Program,
    /// The broker itself.
    Internal,
    Unknown,
}

impl Actor<'_> {
    fn name(&self) -> Option<&str> {
        match self {
            Actor::User(user) => Some(user),
            Actor::Program => Some(PROGRAM),
            Actor::Internal => Some(INTERNAL),
            Actor::Unknown => None,
        }
    }
}

impl EventFeeds {
    pub(crate) fn new(time: Time) -> EventFeeds {
        EventFeeds {
            feeds: Feeds::default(),
            time,
        }
    }

    /// Whether anyone may read.
    pub(crate) fn is_read(&self) -> bool {
        self.feeds.is_read()
    }

    /// Adds a reader of the events from now on, with room for `capacity` events.
    pub(crate) fn line(&self, capacity: usize) -> Arc<FeedLine<BrokerEvent>> {
        let line = FeedLine::with(capacity, []);
        self.feeds.add((), &line);
        line
    }

    /// No event follows. Returns the readers to be woken.
    #[must_use = "woken without a lock"]
    pub(crate) fn end(&self, reason: CancelReason) -> Vec<Wake> {
        self.feeds.end(reason)
    }

    /// Sends an event if anyone reads. `fill` adds its fields. Returns the readers to be woken,
    /// without a lock.
    #[must_use = "woken without a lock"]
    pub(crate) fn send(
        &self,
        kind: EventKind,
        by: Actor<'_>,
        fill: impl FnOnce(FieldTable) -> FieldTable,
    ) -> Vec<Wake> {
        match self.is_read() {
            false => Vec::new(),
            true => self.feeds.send(&self.event(kind, by, fill)),
        }
    }

    fn event(
        &self,
        kind: EventKind,
        by: Actor<'_>,
        fill: impl FnOnce(FieldTable) -> FieldTable,
    ) -> BrokerEvent {
        let time = milliseconds(self.time.system_now_unread());
        let fields = fill(FieldTable::new()).with(TIMESTAMP, time);
        BrokerEvent::new(
            kind,
            match by.name() {
                Some(user) => fields.with("user_who_performed_action", user),
                None => fields,
            },
        )
    }
}

/// The milliseconds since 1970.
fn milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// An event of a virtual host, before it is known who makes the change. It may have a cause of its
/// own.
pub(crate) type Pending = (EventKind, Option<Actor<'static>>, FieldTable);

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

    /// Sends an event of the virtual host, as [`EventFeeds::send`] does.
    #[must_use = "woken without a lock"]
    pub(crate) fn send(
        &self,
        kind: EventKind,
        by: Actor<'_>,
        fill: impl FnOnce(FieldTable) -> FieldTable,
    ) -> Vec<Wake> {
        let vhost = self.vhost.as_str();
        self.feeds
            .send(kind, by, |fields| fill(fields).with("vhost", vhost))
    }

    /// Sends events that one change of the topology has caused.
    #[must_use = "woken without a lock"]
    pub(crate) fn send_all(&self, pending: Vec<Pending>, by: Actor<'_>) -> Vec<Wake> {
        let pending = pending.into_iter();
        pending
            .flat_map(|(kind, cause, fields)| self.send(kind, cause.unwrap_or(by), |_| fields))
            .collect()
    }
}
