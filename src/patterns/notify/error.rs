//! [`NotifyError`], why a notification was not sent everywhere.

use std::fmt;

use super::{Notification, driver::DriverError};
use crate::model::error::Error;

/// A notification was not sent everywhere: a driver has failed, or the broker has refused it.
///
/// `?` turns it into an [`Error`].
///
/// # Examples
/// ```
/// use leveret::notify::Notification;
///
/// let broker = leveret::Broker::new();
/// let notifier = broker.notifier::<u32>("shop").without_broker();
/// let notifier = notifier.driver("mail", |_: &Notification<u32>| Err("no connection")).build()?;
/// let error = notifier.info("order.paid", 7).unwrap_err();
/// assert_eq!(error.to_string(), "driver 'mail' of a notifier: no connection");
/// assert!(error.broker().is_none());
/// # Ok::<(), leveret::Error>(())
/// ```
pub struct NotifyError<T> {
    /// Why the broker has refused the notification, and the notification if it comes back.
    refused: Option<Box<(Error, Option<Notification<T>>)>>,
    drivers: Vec<DriverFailure>,
}

/// The failure of one driver.
#[derive(Debug)]
pub(super) struct DriverFailure {
    pub(super) driver: String,
    pub(super) error: DriverError,
}

impl<T> NotifyError<T> {
    pub(super) fn of_drivers(drivers: Vec<DriverFailure>) -> NotifyError<T> {
        NotifyError {
            refused: None,
            drivers,
        }
    }

    pub(super) fn refused(
        error: Error,
        notification: Option<Notification<T>>,
        drivers: Vec<DriverFailure>,
    ) -> NotifyError<T> {
        NotifyError {
            refused: Some(Box::new((error, notification))),
            drivers,
        }
    }

    /// Why the broker has refused the notification. `None` if it has it.
    pub fn broker(&self) -> Option<&Error> {
        self.refused.as_deref().map(|(error, _)| error)
    }

    /// The names of the drivers that have failed, and their errors.
    pub fn drivers(
        &self,
    ) -> impl Iterator<Item = (&str, &(dyn std::error::Error + Send + Sync + 'static))> {
        let drivers = self.drivers.iter();
        drivers.map(|failure| (&*failure.driver, &*failure.error))
    }

    /// Returns the notification, if the broker has refused it. `None` also in the case of
    /// [`PublishError::payload`](crate::PublishError::payload).
    pub fn into_notification(self) -> Option<Notification<T>> {
        self.refused.and_then(|refused| refused.1)
    }
}

impl<T> fmt::Display for NotifyError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if let Some(error) = self.broker() {
            write!(f, "{error}")?;
            separator = "; ";
        }
        for DriverFailure { driver, error } in &self.drivers {
            write!(f, "{separator}driver '{driver}' of a notifier: {error}")?;
            separator = "; ";
        }
        Ok(())
    }
}

impl<T> fmt::Debug for NotifyError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotifyError")
            .field("broker", &self.broker())
            .field("drivers", &self.drivers)
            .finish_non_exhaustive()
    }
}

impl<T> std::error::Error for NotifyError<T> {}

impl<T> From<NotifyError<T>> for Error {
    fn from(error: NotifyError<T>) -> Error {
        match (error.refused, error.drivers.into_iter().next()) {
            (Some(refused), _) => refused.0,
            (None, Some(DriverFailure { driver, error })) => Error::NotificationDriver {
                driver: driver.into(),
                fault: error.to_string().into(),
            },
            // One of the two is there.
            (None, None) => Error::NotificationDriver {
                driver: "".into(),
                fault: "".into(),
            },
        }
    }
}
