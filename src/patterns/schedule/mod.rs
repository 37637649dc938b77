//! Schedules: messages that are published again and again, and ticks for code of the user.
//!
//! - `builder`: [`ScheduleBuilder`], and the methods of the broker that begin one.
//! - `core`: the part of a schedule that its timer calls.
//! - `ticks`: [`Ticks`], a schedule that a receiver waits for. It needs no timer of its own.
//! - `timetable`: the times of a schedule, with its options.
//! - `period`: the regular times.
//! - `cron`: the times of a cron expression (feature `cron`).

mod builder;
mod core;
#[cfg(feature = "cron")]
mod cron;
mod period;
mod ticks;
mod timetable;

use std::{fmt, sync::Arc, time::Instant};

pub use self::{builder::ScheduleBuilder, ticks::Ticks, timetable::MissedTickBehavior};

use self::core::ScheduleCore;
use crate::model::error::Error;

/// Publishes a message again and again, by the broker's clock.
///
/// [`Broker::every`](crate::Broker::every) makes one.
///
/// Each run calls the function that makes the payload, and then publishes it without waiting, as
/// [`try_publish`](crate::Producer::try_publish) does. No two runs of a schedule overlap. A run
/// that fails, or whose function panics, is counted, and the schedule goes on. A full queue counts
/// as well: its message is dropped.
///
/// The function runs on a thread of the broker that is for such calls. A slow one delays no other
/// schedule, and not the end of the broker. With a [`ManualClock`](crate::ManualClock) it runs on
/// the thread that advances the clock.
///
/// # If dropped
/// The schedule is cancelled. A run that is under way is the last one. The schedule also ends with
/// the broker, and when the connection of its producer closes.
///
/// # RabbitMQ
/// RabbitMQ has no schedules. Celery has `beat`.
///
/// # Examples
/// ```
/// use leveret::{Broker, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let broker = Broker::builder().clock(clock.clone()).build();
/// let producer = broker.producer::<String>("chores")?;
/// let minute = Duration::from_secs(60);
/// let schedule = broker.every(minute).publish(&producer, || "sweep".to_owned())?;
///
/// clock.advance(60 * minute);
/// assert_eq!(schedule.runs(), 60);
/// assert_eq!(broker.purge("chores")?, 60);
/// # Ok::<(), leveret::Error>(())
/// ```
#[must_use = "a schedule is cancelled when it is dropped"]
pub struct Schedule {
    core: Arc<ScheduleCore>,
}

/// The number of runs of a [`Schedule`], by their outcomes.
///
/// [`Schedule::counts`] has an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScheduleCounts {
    /// All runs that have ended.
    pub runs: u64,
    /// Runs whose message was published.
    pub published: u64,
    /// Runs whose message was dropped, since every queue refused it.
    pub refused: u64,
    /// Runs whose message was dropped because of another error.
    pub failed: u64,
    /// Runs whose function panicked.
    pub panicked: u64,
    /// Times that passed without a run of their own: see [`MissedTickBehavior`]. Of a cron
    /// expression, at most 1,000 are counted between two runs.
    pub missed: u64,
}

impl Schedule {
    /// Ends the schedule. A run that is under way is the last one, and the call does not wait for
    /// its end.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let broker = Broker::builder().clock(clock.clone()).build();
    /// let producer = broker.producer::<u32>("q")?;
    /// let second = Duration::from_secs(1);
    /// let schedule = broker.every(second).publish(&producer, || 7)?;
    /// clock.advance(3 * second);
    /// schedule.cancel();
    /// assert!(schedule.is_finished());
    /// clock.advance(3 * second);
    /// assert_eq!(schedule.runs(), 3);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn cancel(&self) {
        self.core.end();
    }

    /// When the next run is due, by the broker's clock. `None` once the schedule is over.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Clock, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let broker = Broker::builder().clock(clock.clone()).build();
    /// let producer = broker.producer::<u32>("q")?;
    /// let second = Duration::from_secs(1);
    /// let schedule = broker.every(10 * second).publish(&producer, || 7)?;
    /// clock.advance(4 * second);
    /// assert_eq!(schedule.next_due(), Some(clock.now() + 6 * second));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn next_due(&self) -> Option<Instant> {
        self.core.next_due()
    }

    /// How many runs have ended, whatever their outcome.
    pub fn runs(&self) -> u64 {
        self.counts().runs
    }

    /// How many runs have ended, by their outcomes.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, ManualClock, Overflow, Queue};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let broker = Broker::builder().clock(clock.clone()).build();
    /// let small = Queue::new("small").max_length(2).overflow(Overflow::RejectPublish);
    /// let producer = broker.producer::<u32>(&small)?;
    /// let second = Duration::from_secs(1);
    /// let schedule = broker.every(second).publish(&producer, || 7)?;
    /// clock.advance(5 * second);
    /// let counts = schedule.counts();
    /// assert_eq!((counts.runs, counts.published, counts.refused), (5, 2, 3));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn counts(&self) -> ScheduleCounts {
        self.core.counts()
    }

    /// The error of the latest run whose message was not published.
    pub fn last_error(&self) -> Option<Error> {
        self.core.last_error()
    }

    /// Whether no more runs begin: the schedule was cancelled, it has had all its runs, or the
    /// broker has ended.
    pub fn is_finished(&self) -> bool {
        self.next_due().is_none()
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule")
            .field("counts", &self.counts())
            .field("is_finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}
