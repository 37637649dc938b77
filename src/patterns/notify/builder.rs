//! [`NotifierBuilder`].

use std::{fmt, sync::atomic::AtomicU64};

use super::{
    Driver, Notification, Notifier, Priority, Route, error::DriverFailure, notification::IdSource,
    notifier::Core,
};
use crate::{
    message::payload::Serializable,
    model::{
        backoff::Backoff,
        descriptions::{Exchange, Overflow, Queue},
        error::Result,
        field_value::FieldTable,
        name::Name,
    },
    runtime::{catch_panic::catch_panic_text, user_drop::drop_user_value},
    session::connection::Connection,
};

/// The exchange of notifications, and the topic, if no others are given.
pub(super) const NOTIFICATIONS: &str = "notifications";

/// Builds a [`Notifier`]. [`Connection::notifier`](crate::Connection::notifier) returns it.
///
/// # Examples
/// ```
/// use leveret::notify::{MemoryDriver, Priority, Route};
///
/// let broker = leveret::Broker::new();
/// let errors = MemoryDriver::<u32>::default();
/// let notifier = broker
///     .notifier::<u32>("shop")
///     .topics(["orders", "audits"])
///     .driver_for("errors", [Route::new().priority(Priority::Error)], errors.clone())
///     .build()?;
/// notifier.info("order.paid", 1)?;
/// notifier.error("order.lost", 2)?;
/// assert_eq!(errors.take().len(), 1);
/// # Ok::<(), leveret::Error>(())
/// ```
#[must_use = "a notifier builder does nothing until `build` is called"]
pub struct NotifierBuilder<T: 'static> {
    connection: Result<Connection>,
    publisher_id: String,
    exchange: String,
    topics: Vec<String>,
    broker: bool,
    routes: Vec<Route>,
    drivers: Vec<Driven<T>>,
    retry: Option<Backoff>,
    store_and_forward: Option<u64>,
    best_effort: bool,
}

/// A driver with its name and its routes.
pub(super) struct Driven<T: 'static> {
    name: String,
    routes: Vec<Route>,
    /// `None` only while it is dropped.
    driver: Option<Box<dyn Driver<T>>>,
}

impl<T: 'static> Drop for Driven<T> {
    fn drop(&mut self) {
        drop_user_value(self.driver.take());
    }
}

impl<T: 'static> Driven<T> {
    pub(super) fn is_enabled(&self) -> bool {
        let driver = self.driver.as_ref();
        driver.is_some_and(|driver| driver.is_enabled())
    }

    /// Gives a notification to the driver, if it takes a route of the driver. A panic is a failure.
    pub(super) fn notify(
        &self,
        notification: &Notification<T>,
        context: Option<&FieldTable>,
    ) -> Option<DriverFailure> {
        let mut routes = self.routes.iter();
        if !self.routes.is_empty() && !routes.any(|route| route.takes(notification)) {
            return None;
        }
        let driver = self.driver.as_ref()?;
        let notified = catch_panic_text(|| driver.notify(notification, context));
        let error = match notified {
            Ok(Ok(())) => return None,
            Ok(Err(error)) => error,
            Err(panic) => format!("it panicked: {panic}").into(),
        };
        Some(DriverFailure {
            driver: self.name.clone(),
            error,
        })
    }
}

impl<T: Serializable> NotifierBuilder<T> {
    pub(crate) fn new(
        connection: Result<Connection>,
        publisher_id: impl Into<String>,
    ) -> NotifierBuilder<T> {
        NotifierBuilder {
            connection,
            publisher_id: publisher_id.into(),
            exchange: NOTIFICATIONS.to_owned(),
            topics: Vec::new(),
            broker: true,
            routes: Vec::new(),
            drivers: Vec::new(),
            retry: None,
            store_and_forward: None,
            best_effort: false,
        }
    }

    /// Sets the exchange. It is a topic exchange, and the default is `notifications`. The
    /// [listeners](super::ListenerBuilder::exchange) need the same.
    pub fn exchange(mut self, exchange: impl Into<String>) -> Self {
        self.exchange = exchange.into();
        self
    }

    /// Adds a topic. Without any the topic is `notifications`.
    ///
    /// The routing key of a notification is the topic, a dot and the priority. A notification for
    /// several topics is one message: a queue that is bound to several of them gets it once.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topics.push(topic.into());
        self
    }

    /// Adds topics, as [`topic`](Self::topic) does.
    pub fn topics<I>(mut self, topics: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.topics.extend(topics.into_iter().map(Into::into));
        self
    }

    /// Adds a driver, which gets every notification. The name is for errors.
    ///
    /// Drivers are called one after the other, in the thread of the sender. A driver that panics
    /// has failed.
    pub fn driver(self, name: impl Into<String>, driver: impl Driver<T>) -> Self {
        self.driver_for(name, [], driver)
    }

    /// Adds a driver, which gets the notifications that take one of these routes. Without a route
    /// it gets all of them.
    pub fn driver_for(
        mut self,
        name: impl Into<String>,
        routes: impl IntoIterator<Item = Route>,
        driver: impl Driver<T>,
    ) -> Self {
        self.drivers.push(Driven {
            name: name.into(),
            routes: routes.into_iter().collect(),
            driver: Some(Box::new(driver)),
        });
        self
    }

    /// Adds a route to the broker. The broker gets the notifications that take one of its routes;
    /// without a route it gets all of them.
    pub fn route(mut self, route: Route) -> Self {
        self.routes.push(route);
        self
    }

    /// Sends nothing to the broker, only to the drivers.
    pub fn without_broker(mut self) -> Self {
        self.broker = false;
        self
    }

    /// Publishes again what full queues refuse, as [`Producer::retry`](crate::Producer::retry)
    /// does.
    pub fn retry(mut self, backoff: Backoff) -> Self {
        self.retry = Some(backoff);
        self
    }

    /// Keeps the notifications for those that listen later: in a queue for each topic and priority,
    /// `<exchange>.<topic>.<priority>`, with at most `limit` notifications. The oldest ones make
    /// room.
    ///
    /// A listener gets them that starts at the [backlog](super::StartAt::Backlog). The queues stay
    /// until they are deleted.
    ///
    /// # oslo.messaging
    /// A notifier there makes these queues always, and without a limit.
    pub fn store_and_forward(mut self, limit: u64) -> Self {
        self.store_and_forward = Some(limit);
        self
    }

    /// Makes failures of a notification no errors. They are [counted](Notifier::failures).
    pub fn best_effort(mut self) -> Self {
        self.best_effort = true;
        self
    }

    /// Declares the exchange, and makes the notifier.
    ///
    /// # Errors
    /// - [`Error::InvalidName`](crate::Error::InvalidName) if the publisher id, the exchange or a
    ///   topic is too long.
    /// - [`Error::Inequivalent`](crate::Error::Inequivalent) if the exchange exists and is of
    ///   another type, or a queue of [`store_and_forward`](Self::store_and_forward) exists with
    ///   another limit.
    /// - The other errors of a declaration.
    pub fn build(self) -> Result<Notifier<T>> {
        let connection = self.connection?;
        let publisher_id = Name::new(&self.publisher_id)?;
        let mut topics = self.topics;
        if topics.is_empty() {
            topics.push(NOTIFICATIONS.to_owned());
        }
        let keys: [Vec<String>; Priority::ALL.len()] = Priority::ALL.map(|priority| {
            let topics = topics.iter();
            topics.map(|topic| routing_key(topic, priority)).collect()
        });
        for key in keys.iter().flatten() {
            Name::new(key)?;
        }
        let producer = match self.broker {
            false => None,
            true => {
                let exchange = Exchange::topic(&self.exchange);
                if let Some(limit) = self.store_and_forward {
                    for key in keys.iter().flatten() {
                        connection.declare(&backlog(&exchange, key, limit))?;
                    }
                }
                let producer = connection.producer(&exchange)?;
                Some(match self.retry {
                    Some(backoff) => producer.retry(backoff),
                    None => producer,
                })
            }
        };
        let core = Core {
            routes: self.routes,
            drivers: self.drivers,
            keys,
            ids: IdSource::new(),
            time: connection.time().clone(),
            best_effort: self.best_effort,
            failures: AtomicU64::new(0),
        };
        Ok(Notifier::new(core, producer, publisher_id))
    }
}

pub(super) fn routing_key(topic: &str, priority: Priority) -> String {
    format!("{topic}.{priority}")
}

/// The name of the queue that keeps the notifications with a routing key.
pub(super) fn backlog_name(exchange: &str, key: &str) -> String {
    format!("{exchange}.{key}")
}

fn backlog(exchange: &Exchange, key: &str, limit: u64) -> Queue {
    let queue = Queue::new(backlog_name(exchange.name(), key)).bind(exchange, key);
    queue.max_length(limit).overflow(Overflow::DropHead)
}

impl<T: 'static> fmt::Debug for NotifierBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let drivers: Vec<_> = self.drivers.iter().map(|driven| &driven.name).collect();
        f.debug_struct("NotifierBuilder")
            .field("publisher_id", &self.publisher_id)
            .field("exchange", &self.exchange)
            .field("topics", &self.topics)
            .field("drivers", &drivers)
            .finish_non_exhaustive()
    }
}
