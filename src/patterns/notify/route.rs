//! [`Route`], which chooses the drivers of a notification.

use super::{Notification, Priority};

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

/// Whether a text fits a pattern with `*` and `?`. The time is the product of the lengths at most.
fn fits(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // Behind the last star, and the text that it does not cover yet.
    let mut star = None;
    loop {
        let (before, next) = (text.clone(), text.next());
        match (pattern.clone().next(), next) {
            (Some('*'), _) => {
                pattern.next();
                text = before;
                star = Some((pattern.clone(), text.clone()));
            }
            (Some('?'), Some(_)) => {
                pattern.next();
            }
            (Some(wanted), Some(found)) if wanted == found => {
                pattern.next();
            }
            (None, None) => return true,
            _ => {
                // The star covers one more character.
                let Some((behind, rest)) = &mut star else {
                    return false;
                };
                if rest.next().is_none() {
                    return false;
                }
                (pattern, text) = (behind.clone(), rest.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// By recursion, character by character.
    fn fits_simply(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['*', rest @ ..], _) => {
                (0..=text.len()).any(|covered| fits_simply(rest, &text[covered..]))
            }
            (['?', rest @ ..], [_, others @ ..]) => fits_simply(rest, others),
            ([wanted, rest @ ..], [found, others @ ..]) => {
                wanted == found && fits_simply(rest, others)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_pattern_fits_as_by_recursion(pattern in "[ab*?]{0,7}", text in "[ab?*ä]{0,8}") {
            let [of_pattern, of_text] = [&pattern, &text].map(|it| it.chars().collect::<Vec<_>>());
            prop_assert_eq!(fits(&pattern, &text), fits_simply(&of_pattern, &of_text));
        }
    }
}
