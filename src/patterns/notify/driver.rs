//! [`Driver`], another way for notifications than the broker, and the drivers that are here.

use std::{
    fmt,
    sync::{Arc, mpsc},
};

use super::Notification;
use crate::{model::field_value::FieldTable, runtime::sync::Mutex};

/// The error of a driver.
pub type DriverError = Box<dyn std::error::Error + Send + Sync>;

/// Gets the notifications of a notifier, beside the broker or instead of it.
///
/// A closure is a driver too.
///
/// # oslo.messaging
/// The drivers of `Notifier`: `log` is `LogDriver` (with the feature `log`), `test` and `noop` are
/// [`MemoryDriver`] and [`NoopDriver`], `messaging` is the broker, and `routing` is
/// [`Route`](super::Route).
///
/// # Examples
/// ```
/// use leveret::notify::Notification;
///
/// let broker = leveret::Broker::new();
/// let notifier = broker.notifier::<u32>("stock").without_broker();
/// let notifier = notifier.driver("stderr", |it: &Notification<u32>| {
///     eprintln!("{}: {} {}", it.priority, it.event_type, it.payload);
/// });
/// notifier.build()?.warn("short", 3)?;
/// # Ok::<(), leveret::Error>(())
/// ```
pub trait Driver<T>: Send + Sync + 'static {
    /// Takes a notification in. `context` is the request context of the notifier.
    ///
    /// # Errors
    /// Its own. The other drivers get the notification all the same.
    fn notify(
        &self,
        notification: &Notification<T>,
        context: Option<&FieldTable>,
    ) -> Result<(), DriverError>;

    /// Whether the driver does anything. A notifier whose drivers all do nothing is not
    /// [enabled](super::Notifier::is_enabled).
    fn is_enabled(&self) -> bool {
        true
    }
}

impl<T, F, R> Driver<T> for F
where
    F: Fn(&Notification<T>) -> R + Send + Sync + 'static,
    R: DriverResult,
{
    fn notify(
        &self,
        notification: &Notification<T>,
        _: Option<&FieldTable>,
    ) -> Result<(), DriverError> {
        self(notification).into_result()
    }
}

/// The result of a closure that is a [`Driver`]: `()`, or a `Result` of it.
pub trait DriverResult {
    /// Returns the error, if there is one.
    ///
    /// # Errors
    /// That of the closure.
    fn into_result(self) -> Result<(), DriverError>;
}

impl DriverResult for () {
    fn into_result(self) -> Result<(), DriverError> {
        Ok(())
    }
}

impl<E: Into<DriverError>> DriverResult for Result<(), E> {
    fn into_result(self) -> Result<(), DriverError> {
        self.map_err(Into::into)
    }
}

/// Does nothing.
///
/// # Examples
/// ```
/// let broker = leveret::Broker::new();
/// let notifier = broker.notifier::<u32>("stock").without_broker();
/// let notifier = notifier.driver("noop", leveret::notify::NoopDriver).build()?;
/// assert!(!notifier.is_enabled());
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct NoopDriver;

impl<T> Driver<T> for NoopDriver {
    fn notify(&self, _: &Notification<T>, _: Option<&FieldTable>) -> Result<(), DriverError> {
        Ok(())
    }

    fn is_enabled(&self) -> bool {
        false
    }
}

/// Keeps all notifications in memory, for tests. Clones keep the same ones.
///
/// # Examples
/// ```
/// use leveret::notify::{MemoryDriver, Priority};
///
/// let broker = leveret::Broker::new();
/// let memory = MemoryDriver::<u32>::default();
/// let notifier = broker.notifier("stock").driver("memory", memory.clone()).build()?;
/// notifier.info("sold", 7)?;
/// let [sold] = &memory.take()[..] else { panic!("one notification") };
/// assert_eq!((sold.priority, &*sold.event_type, sold.payload), (Priority::Info, "sold", 7));
/// assert!(memory.take().is_empty());
/// # Ok::<(), leveret::Error>(())
/// ```
pub struct MemoryDriver<T>(Arc<Mutex<Vec<Notification<T>>>>);

impl<T> MemoryDriver<T> {
    /// Takes the notifications out, in the order of their sending.
    pub fn take(&self) -> Vec<Notification<T>> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl<T: Clone + Send + 'static> Driver<T> for MemoryDriver<T> {
    fn notify(
        &self,
        notification: &Notification<T>,
        _: Option<&FieldTable>,
    ) -> Result<(), DriverError> {
        let copy = notification.clone();
        self.0.lock().push(copy);
        Ok(())
    }
}

impl<T> Clone for MemoryDriver<T> {
    fn clone(&self) -> MemoryDriver<T> {
        MemoryDriver(Arc::clone(&self.0))
    }
}

impl<T> Default for MemoryDriver<T> {
    fn default() -> MemoryDriver<T> {
        MemoryDriver(Arc::default())
    }
}

impl<T> fmt::Debug for MemoryDriver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDriver")
            .field("notifications", &self.0.lock().len())
            .finish()
    }
}

/// The receiver of a channel gets a copy of each notification.
impl<T: Clone + Send + 'static> Driver<T> for mpsc::Sender<Notification<T>> {
    fn notify(
        &self,
        notification: &Notification<T>,
        _: Option<&FieldTable>,
    ) -> Result<(), DriverError> {
        let sent = self.send(notification.clone());
        sent.map_err(|_| "the receiver of the channel is gone".into())
    }
}

/// Writes each notification to the logger of the crate `log`, as JSON. Needs the feature `log`.
///
/// The target is `leveret::notify`, and the level that of the priority: `critical` is an error,
/// and `audit` and `sample` are information.
///
/// # Examples
/// ```
/// let broker = leveret::Broker::new();
/// let notifier = broker.notifier::<u32>("stock").without_broker();
/// let notifier = notifier.driver("log", leveret::notify::LogDriver).build()?;
/// notifier.error("lost", 7)?;
/// # Ok::<(), leveret::Error>(())
/// ```
#[cfg(feature = "log")]
#[derive(Clone, Copy, Debug, Default)]
pub struct LogDriver;

#[cfg(feature = "log")]
impl<T: serde::Serialize> Driver<T> for LogDriver {
    fn notify(
        &self,
        notification: &Notification<T>,
        _: Option<&FieldTable>,
    ) -> Result<(), DriverError> {
        use super::Priority;

        let level = match notification.priority {
            Priority::Debug => log::Level::Debug,
            Priority::Audit | Priority::Info | Priority::Sample => log::Level::Info,
            Priority::Warn => log::Level::Warn,
            Priority::Error | Priority::Critical => log::Level::Error,
        };
        if log::log_enabled!(target: "leveret::notify", level) {
            let json = serde_json::to_string(notification)?;
            log::log!(target: "leveret::notify", level, "{json}");
        }
        Ok(())
    }
}
