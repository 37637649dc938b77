//! Notifications: a program says what has happened, and others listen.
//!
//! A [`Notifier`] sends [`Notification`]s to a topic, with a [`Priority`]. A [`Listener`] has an
//! endpoint for some priorities. Each listener gets a copy, and the members of a pool share one.
//!
//! ```
//! use leveret::notify::{NotificationFilter, Priority};
//! use serde_json::{Value, json};
//!
//! let broker = leveret::Broker::new();
//! let filter = NotificationFilter::new().publisher_id("^local")?;
//! let listener = broker.listener::<Value>().pool("listener");
//! let listener = listener.on_matching(Priority::Info, filter, |it, _| {
//!     println!("Info: {} {} {}", it.publisher_id, it.event_type, it.payload);
//! });
//! let listener = listener.spawn()?;
//!
//! let notifier = broker.notifier::<Value>("local").build()?;
//! notifier.info("my_type", json!({"content": "Hello World"}))?;
//! let report = listener.stop_and_drain(std::time::Duration::from_secs(10));
//! assert_eq!(report.endpoints[0].counts.acked, 1);
//! # Ok::<(), leveret::Error>(())
//! ```
//!
//! | oslo.messaging | here |
//! |---|---|
//! | `Notifier(transport, publisher_id, driver, topics)` | [`Connection::notifier`](crate::Connection::notifier), [`NotifierBuilder`] |
//! | `notifier.info(ctxt, event_type, payload)` | [`Notifier::info`], with [`with_context`](Notifier::with_context) |
//! | `notifier.prepare(publisher_id)` | [`Notifier::with_publisher_id`] |
//! | the drivers `messaging`, `log`, `test`, `noop`, `routing` | the broker, `LogDriver` (feature `log`), [`MemoryDriver`], [`NoopDriver`], [`Route`] |
//! | `get_notification_listener(transport, targets, endpoints, pool)` | [`Connection::listener`](crate::Connection::listener), [`ListenerBuilder`] |
//! | an endpoint's methods `info`, `warn`, .. | [`ListenerBuilder::on`], [`ListenerBuilder::endpoint`] |
//! | `NotificationFilter` | [`NotificationFilter`] |
//! | `HANDLED`, `REQUEUE` | [`Settle::Ack`](crate::worker::Settle::Ack), [`Settle::Requeue`](crate::worker::Settle::Requeue) |
//!
//! The files: `priority`, `notification`: the message. `notifier`, `builder`, `error`: the sender.
//! `driver`, `route`: its other ways. `listener`, `listener_builder`, `filter`: the receiver.

mod builder;
mod driver;
mod error;
mod filter;
mod listener;
mod listener_builder;
mod notification;
mod notifier;
mod priority;
mod route;

#[cfg(feature = "log")]
pub use self::driver::LogDriver;
pub use self::{
    builder::NotifierBuilder,
    driver::{Driver, DriverError, DriverResult, MemoryDriver, NoopDriver},
    error::NotifyError,
    filter::{Condition, NotificationFilter, Pattern},
    listener::{Listener, ListenerHandle, ListenerReport},
    listener_builder::{ListenerBuilder, StartAt},
    notification::{InvalidNotificationId, Notification, NotificationId},
    notifier::Notifier,
    priority::{Priority, UnknownPriority},
    route::Route,
};
pub use crate::model::error::InvalidPattern;
