//! [`Notifier`], which sends notifications.

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{
    Notification, NotifyError, Priority, Route, builder::Driven, error::DriverFailure,
    notification::IdSource,
};
use crate::{
    handles::producer::{Producer, PublishError, Published},
    message::{headers::cc_bcc::CC, outgoing::Message, payload::Serializable},
    model::{
        error::Error,
        field_value::{FieldTable, FieldValue},
        name::{Name, NameTooLong},
    },
    patterns::worker::{Context, REQUEST_CONTEXT},
    runtime::{clock::Time, user_drop::drop_user_value},
};

/// Sends notifications: to all listeners of its topics, and to its drivers. Cloning is cheap.
///
/// [`Connection::notifier`](crate::Connection::notifier) makes one.
///
/// # If dropped
/// Nothing happens to what was sent.
///
/// # oslo.messaging
/// `Notifier`. Errors are returned; [`best_effort`](super::NotifierBuilder::best_effort) counts
/// them instead.
///
/// # Examples
/// ```
/// use leveret::notify::Priority;
/// use serde_json::{Value, json};
///
/// let broker = leveret::Broker::new();
/// let notifier = broker.notifier::<Value>("local").build()?;
/// let (sender, seen) = std::sync::mpsc::channel();
/// let listener = broker.listener::<Value>().on(Priority::Info, move |it, _| {
///     sender.send(format!("{} {} {}", it.publisher_id, it.event_type, it.payload))
/// });
/// let listener = listener.spawn()?;
/// assert_eq!(notifier.info("my_type", json!({"content": "Hello World"}))?.routed, 1);
/// assert_eq!(notifier.warn("my_type", json!(null))?.routed, 0); // no listener for it
/// assert_eq!(seen.recv().unwrap(), r#"local my_type {"content":"Hello World"}"#);
/// # listener.stop();
/// # Ok::<(), leveret::Error>(())
/// ```
pub struct Notifier<T: Serializable> {
    core: Arc<Core<T>>,
    /// The way through the broker. `None` without one.
    producer: Option<Producer<Notification<T>>>,
    publisher_id: Name,
    context: Option<Arc<FieldTable>>,
}

/// The parts that the clones of a notifier share.
pub(super) struct Core<T: 'static> {
    /// The routes through the broker. None takes everything.
    pub(super) routes: Vec<Route>,
    pub(super) drivers: Vec<Driven<T>>,
    /// The routing keys of each priority: one for each topic.
    pub(super) keys: [Vec<String>; Priority::ALL.len()],
    pub(super) ids: IdSource,
    pub(super) time: Time,
    pub(super) best_effort: bool,
    pub(super) failures: AtomicU64,
}

impl<T: Serializable> Notifier<T> {
    pub(super) fn new(
        core: Core<T>,
        producer: Option<Producer<Notification<T>>>,
        publisher_id: Name,
    ) -> Notifier<T> {
        Notifier {
            core: Arc::new(core),
            producer,
            publisher_id,
            context: None,
        }
    }

    /// Returns a notifier for another publisher, with the same settings.
    ///
    /// # oslo.messaging
    /// `Notifier.prepare`.
    ///
    /// # Errors
    /// [`NameTooLong`] if the id has more than 255 bytes.
    pub fn with_publisher_id(
        &self,
        publisher_id: impl AsRef<str>,
    ) -> Result<Notifier<T>, NameTooLong> {
        Ok(Notifier {
            publisher_id: Name::new(publisher_id)?,
            ..self.clone()
        })
    }

    /// Returns a notifier whose notifications carry this request context. Listeners see it by
    /// [`Context::request_context`].
    ///
    /// # Examples
    /// ```
    /// use leveret::{FieldTable, FieldValue, notify::Priority};
    ///
    /// let broker = leveret::Broker::new();
    /// let (sender, users) = std::sync::mpsc::channel();
    /// let listener = broker.listener::<u32>().on(Priority::Audit, move |_, context| {
    ///     sender.send(context.request_context().and_then(|context| context.get("user").cloned()))
    /// });
    /// let listener = listener.spawn()?;
    /// let mut request = FieldTable::new();
    /// request.insert("user", "ada");
    /// let notifier = broker.notifier::<u32>("shop").build()?.with_context(request);
    /// notifier.audit("login", 1)?;
    /// assert_eq!(users.recv().unwrap(), Some(FieldValue::from("ada")));
    /// # listener.stop();
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn with_context(&self, context: FieldTable) -> Notifier<T> {
        Notifier {
            context: (!context.is_empty()).then(|| Arc::new(context)),
            ..self.clone()
        }
    }

    /// Returns a notifier for a handler. Its notifications carry the request context of the
    /// handler's message. They may be sent while the broker shuts down, as long as the message is
    /// unsettled.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, notify::MemoryDriver};
    ///
    /// let broker = Broker::new();
    /// let memory = MemoryDriver::<u32>::default();
    /// let notifier = broker.notifier("shop").driver("memory", memory.clone()).build()?;
    /// let worker = broker.worker::<u32>("orders").handler(move |order, context| {
    ///     notifier.on_behalf_of(context).info("order.taken", *order).map(drop)
    /// });
    /// let worker = worker.spawn()?;
    /// broker.producer::<u32>("orders")?.publish(7)?;
    /// worker.stop_and_drain(std::time::Duration::from_secs(10));
    /// assert_eq!(memory.take()[0].payload, 7);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn on_behalf_of(&self, context: &Context<'_>) -> Notifier<T> {
        let producer = self.producer.as_ref();
        Notifier {
            producer: producer.map(|producer| context.producer(producer)),
            ..self.with_context(context.request_context().cloned().unwrap_or_default())
        }
    }

    /// The publisher id.
    pub fn publisher_id(&self) -> &Name {
        &self.publisher_id
    }

    /// Whether a notification has any effect: the notifier sends to the broker, or to a driver that
    /// does something.
    pub fn is_enabled(&self) -> bool {
        let mut drivers = self.core.drivers.iter();
        self.producer.is_some() || drivers.any(Driven::is_enabled)
    }

    /// The number of notifications that were not sent everywhere, if the notifier makes its
    /// [best effort](super::NotifierBuilder::best_effort).
    pub fn failures(&self) -> u64 {
        self.core.failures.load(Relaxed)
    }

    /// Sends a notification: first to the drivers, then to the broker. Waits while a queue of a
    /// listener is full and lets its publishers wait.
    ///
    /// The broker routes it to the queues of the listeners at this moment. If there is none, the
    /// notification is gone, and `routed` is 0.
    ///
    /// # Errors
    /// [`NotifyError`] if a driver has failed, or the broker has refused the notification. All
    /// other drivers have it.
    pub fn notify(
        &self,
        priority: Priority,
        event_type: impl Into<Cow<'static, str>>,
        payload: T,
    ) -> Result<Published, NotifyError<T>> {
        let (sending, failed) = self.begin(priority, event_type.into(), payload);
        self.end(sending.map(Sending::wait), failed)
    }

    /// As [`notify`](Self::notify), and does not wait: a full queue refuses the notification.
    ///
    /// # Errors
    /// Those of [`notify`](Self::notify).
    pub fn try_notify(
        &self,
        priority: Priority,
        event_type: impl Into<Cow<'static, str>>,
        payload: T,
    ) -> Result<Published, NotifyError<T>> {
        let (sending, failed) = self.begin(priority, event_type.into(), payload);
        self.end(sending.map(Sending::attempt), failed)
    }

    /// As [`notify`](Self::notify), and waits at most `timeout` of the broker's clock.
    ///
    /// # Errors
    /// Those of [`notify`](Self::notify).
    pub fn notify_timeout(
        &self,
        priority: Priority,
        event_type: impl Into<Cow<'static, str>>,
        payload: T,
        timeout: Duration,
    ) -> Result<Published, NotifyError<T>> {
        let (sending, failed) = self.begin(priority, event_type.into(), payload);
        self.end(sending.map(|sending| sending.wait_for(timeout)), failed)
    }

    /// As [`notify`](Self::notify), for a task.
    ///
    /// # If dropped
    /// The drivers have the notification. Listeners whose queues had room have it too.
    ///
    /// # Errors
    /// Those of [`notify`](Self::notify).
    pub async fn notify_async(
        &self,
        priority: Priority,
        event_type: impl Into<Cow<'static, str>>,
        payload: T,
    ) -> Result<Published, NotifyError<T>> {
        let (sending, failed) = self.begin(priority, event_type.into(), payload);
        let sent = match sending {
            Some(sending) => Some(sending.wait_async().await),
            None => None,
        };
        self.end(sent, failed)
    }

    /// Gives the notification to the drivers. Returns the sending through the broker that is left,
    /// and the failures.
    fn begin(
        &self,
        priority: Priority,
        event_type: Cow<'static, str>,
        payload: T,
    ) -> (Option<Sending<'_, T>>, Vec<DriverFailure>) {
        let core = &*self.core;
        let notification = Notification {
            message_id: core.ids.next_id(),
            publisher_id: self.publisher_id.clone(),
            event_type,
            priority,
            timestamp: core.time.system_now(),
            payload,
        };
        let context = self.context.as_deref();
        let drivers = core.drivers.iter();
        let failed = drivers.filter_map(|driven| driven.notify(&notification, context));
        let failed = failed.collect();
        let routes = &core.routes;
        let is_routed = || routes.is_empty() || routes.iter().any(|it| it.takes(&notification));
        let Some(producer) = self.producer.as_ref().filter(|_| is_routed()) else {
            drop_user_value(notification);
            return (None, failed);
        };
        let sending = Sending {
            producer,
            keys: &core.keys[priority as usize],
            context,
            notification,
        };
        (Some(sending), failed)
    }

    fn end(
        &self,
        sent: Option<Sent<T>>,
        failed: Vec<DriverFailure>,
    ) -> Result<Published, NotifyError<T>> {
        let error = match sent.unwrap_or(Ok(Published::default())) {
            Ok(published) if failed.is_empty() => return Ok(published),
            Ok(_) => NotifyError::of_drivers(failed),
            Err((error, notification)) => NotifyError::refused(error, notification, failed),
        };
        if !self.core.best_effort {
            return Err(error);
        }
        self.core.failures.fetch_add(1, Relaxed);
        drop_user_value(error);
        Ok(Published::default())
    }
}

/// One method for each priority.
macro_rules! by_priority {
    ($($(#[$docs:meta])* $method:ident, $priority:ident;)*) => {
        impl<T: Serializable> Notifier<T> {
            $(
                $(#[$docs])*
                ///
                /// # Errors
                /// Those of [`notify`](Self::notify).
                pub fn $method(
                    &self,
                    event_type: impl Into<Cow<'static, str>>,
                    payload: T,
                ) -> Result<Published, NotifyError<T>> {
                    self.notify(Priority::$priority, event_type, payload)
                }
            )*
        }
    };
}

by_priority! {
    /// Sends a notification of the priority [`Priority::Audit`].
    audit, Audit;
    /// Sends a notification of the priority [`Priority::Debug`].
    debug, Debug;
    /// Sends a notification of the priority [`Priority::Info`].
    info, Info;
    /// Sends a notification of the priority [`Priority::Warn`].
    warn, Warn;
    /// Sends a notification of the priority [`Priority::Error`].
    error, Error;
    /// Sends a notification of the priority [`Priority::Critical`].
    critical, Critical;
    /// Sends a notification of the priority [`Priority::Sample`].
    sample, Sample;
}

/// A notification on its way to the broker.
struct Sending<'a, T: Serializable> {
    producer: &'a Producer<Notification<T>>,
    keys: &'a [String],
    context: Option<&'a FieldTable>,
    notification: Notification<T>,
}

enum Form<'a, T> {
    /// The only routing key and the value.
    Plain(&'a str, Notification<T>),
    /// With properties: further routing keys, a context.
    Whole(Message<Notification<T>>),
}

/// A refused notification comes back with the reason.
type Sent<T> = Result<Published, (Error, Option<Notification<T>>)>;

fn of_message<T>(
    refused: PublishError<Message<Notification<T>>>,
) -> (Error, Option<Notification<T>>) {
    let (error, message) = refused.into_parts();
    (error, message.map(Message::into_payload))
}

impl<'a, T: Serializable> Sending<'a, T> {
    fn form(self) -> (&'a Producer<Notification<T>>, Form<'a, T>) {
        let producer = self.producer;
        match (self.keys, self.context) {
            ([key], None) => (producer, Form::Plain(key, self.notification)),
            _ => (producer, Form::Whole(self.message())),
        }
    }

    fn message(self) -> Message<Notification<T>> {
        let (first, others) = match self.keys {
            [first, others @ ..] => (&**first, others),
            [] => ("", &[][..]),
        };
        let mut message = Message::new(self.notification).routing_key(first);
        if !others.is_empty() {
            let others = others.iter().map(|key| FieldValue::from(&**key));
            message = message.header(CC, others.collect::<Vec<_>>());
        }
        if let Some(context) = self.context {
            message = message.header(REQUEST_CONTEXT, FieldValue::Table(context.clone()));
        }
        message
    }

    fn wait(self) -> Sent<T> {
        match self.form() {
            (producer, Form::Plain(key, notification)) => producer
                .publish_to(key, notification)
                .map_err(PublishError::into_parts),
            (producer, Form::Whole(message)) => {
                producer.publish_message(message).map_err(of_message)
            }
        }
    }

    fn attempt(self) -> Sent<T> {
        match self.form() {
            (producer, Form::Plain(key, notification)) => producer
                .try_publish_to(key, notification)
                .map_err(PublishError::into_parts),
            (producer, Form::Whole(message)) => {
                producer.try_publish_message(message).map_err(of_message)
            }
        }
    }

    fn wait_for(self, timeout: Duration) -> Sent<T> {
        match self.form() {
            (producer, Form::Plain(key, notification)) => producer
                .publish_to_timeout(key, notification, timeout)
                .map_err(PublishError::into_parts),
            (producer, Form::Whole(message)) => producer
                .publish_message_timeout(message, timeout)
                .map_err(of_message),
        }
    }

    async fn wait_async(self) -> Sent<T> {
        match self.form() {
            (producer, Form::Plain(key, notification)) => producer
                .publish_to_async(key, notification)
                .await
                .map_err(PublishError::into_parts),
            (producer, Form::Whole(message)) => producer
                .publish_message_async(message)
                .await
                .map_err(of_message),
        }
    }
}

impl<T: Serializable> Clone for Notifier<T> {
    fn clone(&self) -> Notifier<T> {
        Notifier {
            core: Arc::clone(&self.core),
            producer: self.producer.clone(),
            publisher_id: self.publisher_id.clone(),
            context: self.context.clone(),
        }
    }
}

impl<T: Serializable> fmt::Debug for Notifier<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifier")
            .field("publisher_id", &self.publisher_id)
            .field("context", &self.context)
            .field("failures", &self.failures())
            .finish_non_exhaustive()
    }
}
