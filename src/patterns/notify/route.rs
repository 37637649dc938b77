//! [`Route`], which chooses the drivers of a notification.

use super::{Notification, Priority};
use crate::model::wildcards::fits;

/// Chooses the notifications of one driver by priority and event type.
///
/// A notification takes the route if its priority is one of the route's and its event type matches
/// one of the patterns. A route without priorities takes all of them, and so does one without
/// patterns. A driver with several routes gets what takes any of them.
///
/// # oslo.messaging
/// A group of the `routing` driver: `accepted_priorities` and `accepted_events`.
///
/// # Examples
/// ```
/// use leveret::notify::{MemoryDriver, Priority, Route};
///
/// let broker = leveret::Broker::new();
/// let pager = MemoryDriver::<u32>::default();
/// let routes = [
///     Route::new().priority(Priority::Critical),
///     Route::new().priority(Priority::Error).event("payment.*"),
/// ];
/// let notifier = broker.notifier("shop").driver_for("pager", routes, pager.clone()).build()?;
/// notifier.error("payment.declined", 1)?;
/// notifier.error("mail.bounced", 2)?;
/// notifier.critical("disk.full", 3)?;
/// let paged: Vec<_> = pager.take().iter().map(|notification| notification.payload).collect();
/// assert_eq!(paged, [1, 3]);
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use = "a route is given to a driver"]
pub struct Route {
    accepted_priorities: Vec<Priority>,
    accepted_events: Vec<String>,
}

impl Route {
    /// Makes a route that takes every notification.
    pub fn new() -> Route {
        Route::default()
    }

    /// Adds a priority.
    pub fn priority(mut self, priority: Priority) -> Route {
        self.accepted_priorities.push(priority);
        self
    }

    /// Adds a pattern of event types. In it `*` is any text, also an empty one, and `?` is one
    /// character.
    pub fn event(mut self, pattern: impl Into<String>) -> Route {
        self.accepted_events.push(pattern.into());
        self
    }

    /// Whether a notification takes the route.
    pub fn takes<T>(&self, notification: &Notification<T>) -> bool {
        let priorities = &self.accepted_priorities;
        let events = &self.accepted_events;
        let is_event = |pattern: &String| fits(pattern, &notification.event_type);
        (priorities.is_empty() || priorities.contains(&notification.priority))
            && (events.is_empty() || events.iter().any(is_event))
    }
}
