//! [`ScheduleError`], the reason why there is no schedule.

use std::fmt;

/// The reason why a schedule cannot begin: the contents of
/// [`Error::InvalidSchedule`](crate::Error::InvalidSchedule).
///
/// # Examples
/// ```
/// use leveret::{Error, ScheduleError};
/// use std::time::Duration;
/// # let broker = leveret::Broker::new();
///
/// let error = broker.every(Duration::ZERO).ticks().unwrap_err();
/// assert_eq!(error, Error::InvalidSchedule(ScheduleError::ZeroPeriod));
/// let error = broker.every(Duration::MAX).ticks().unwrap_err();
/// assert_eq!(error, Error::InvalidSchedule(ScheduleError::NeverDue));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// The period is zero.
    #[error("the period of a schedule is zero")]
    ZeroPeriod,
    /// The first run would never come, or so late that its time cannot be represented.
    #[error("the schedule is never due")]
    NeverDue,
    /// The cron expression is invalid.
    #[error("{0}")]
    InvalidCron(Box<InvalidCron>),
    /// The system knows no time zone of this name.
    #[error("there is no time zone '{0}'")]
    UnknownTimeZone(String),
}

/// The fault of a cron expression: the contents of [`ScheduleError::InvalidCron`].
///
/// `Broker::cron` (feature `cron`) has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidCron {
    /// The whole expression.
    pub expression: String,
    /// The first field that is invalid, for example `the hour '24'`, or the number of fields.
    pub place: String,
    /// The fault of the field.
    pub reason: String,
}

impl fmt::Display for InvalidCron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InvalidCron {
            expression,
            place,
            reason,
        } = self;
        write!(
            f,
            "invalid cron expression '{expression}': {place}: {reason}"
        )
    }
}
