//! The times at which a schedule is due: plain data, without a clock and without a lock.

use std::time::{Duration, Instant, SystemTime};

use super::period::Period;
use crate::{
    model::{
        backoff::randomness::Randomness,
        error::{Error, Result, ScheduleError},
    },
    runtime::clock::Time,
};

/// What a schedule does about missed runs.
///
/// A run is late if its time has come while the run before it was under way, or while no receiver
/// took the ticks. A late run begins at once. All times that have passed by then are missed.
///
/// The behaviours are those of tokio's intervals.
///
/// # Examples
/// ```
/// use leveret::{ManualClock, MissedTickBehavior};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let broker = leveret::Broker::builder().clock(clock.clone()).build();
/// let minute = Duration::from_secs(60);
/// let skipping = broker.every(minute).ticks()?;
/// let catching_up = broker.every(minute).missed_ticks(MissedTickBehavior::Burst).ticks()?;
/// clock.advance(10 * minute);
/// assert_eq!(skipping.try_iter().count(), 1);
/// assert_eq!(catching_up.try_iter().count(), 10);
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MissedTickBehavior {
    /// Leaves missed runs out. The next run comes at its own time. This is the default.
    #[default]
    Skip,
    /// Leaves missed runs out. The next run comes one whole period later, and so do the runs after
    /// it. The times of a cron expression are fixed, so for them this is [`Skip`](Self::Skip).
    Delay,
    /// Makes up for missed runs, one after the other without a pause.
    Burst,
}

/// A reading of both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) instant: Instant,
    pub(super) system: SystemTime,
}

impl Now {
    /// Reads the clock, which may be user code.
    pub(super) fn read(time: &Time) -> Now {
        Now {
            instant: time.now(),
            system: time.system_now(),
        }
    }

    /// The instant at which the wall clock shows this time. `None` if it is too far away.
    pub(super) fn instant_of(&self, time: SystemTime) -> Option<Instant> {
        match time.duration_since(self.system) {
            Ok(wait) => self.instant.checked_add(wait),
            Err(passed) => Some(
                self.instant
                    .checked_sub(passed.duration())
                    .unwrap_or(self.instant),
            ),
        }
    }
}

/// The beginning of a schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Start {
    /// After one period, or at the first time of the cron expression.
    #[default]
    Regular,
    /// At once, and then as if that were the regular time.
    Immediately,
    /// After this time, or at the first time of the cron expression after it.
    After(Duration),
    /// At this time. If it has passed, at the first of the times that follow from it.
    At(SystemTime),
}

/// The options of a schedule.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub(super) start: Start,
    pub(super) missed_ticks: MissedTickBehavior,
    pub(super) max_runs: Option<u64>,
    pub(super) jitter: Duration,
    pub(super) randomness: Randomness,
}

/// The times of a schedule, from the next one on.
#[derive(Debug)]
pub(super) struct Timetable {
    period: Period,
    missed_ticks: MissedTickBehavior,
    jitter: Duration,
    randomness: Randomness,
    /// How many runs have been planned.
    planned: u64,
    /// How many runs may be planned yet.
    left: u64,
    /// When the next run is due, with its jitter. `None` once the schedule is over.
    due: Option<Instant>,
    missed: u64,
}

/// The result of taking the next run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is this one, which was due at this instant.
    Run(Instant),
    /// It is not due before this instant.
    NotBefore(Instant),
    /// There are no more runs.
    Over,
}

impl Timetable {
    /// # Errors
    /// [`ScheduleError::NeverDue`].
    pub(super) fn new(mut period: Period, options: Options, now: Now) -> Result<Timetable> {
        let first = period.first(options.start, now);
        let Some(first) = first else {
            return Err(Error::InvalidSchedule(ScheduleError::NeverDue));
        };
        let mut timetable = Timetable {
            period,
            missed_ticks: options.missed_ticks,
            jitter: options.jitter,
            randomness: options.randomness,
            planned: 0,
            left: options.max_runs.unwrap_or(u64::MAX),
            due: None,
            missed: 0,
        };
        timetable.plan(Some(first));
        Ok(timetable)
    }

    /// When the next run is due. `None` once the schedule is over.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// How many runs were left out.
    pub(super) fn missed(&self) -> u64 {
        self.missed
    }

    /// Takes the next run, if it is due, and plans the one after it.
    pub(super) fn take(&mut self, now: Now) -> Taken {
        let Some(due) = self.due else {
            return Taken::Over;
        };
        if now.instant < due {
            return Taken::NotBefore(due);
        }
        // Only a time of the wall clock can be.
        if let Some(later) = self.period.postponed(now) {
            self.due = Some(later);
            return Taken::NotBefore(later);
        }
        let (next, missed) = self.period.next(self.missed_ticks, now);
        self.missed = self.missed.saturating_add(missed);
        self.plan(next);
        Taken::Run(due)
    }

    /// Ends the schedule.
    pub(super) fn end(&mut self) {
        self.due = None;
    }

    /// Plans the run at `regular`, with its jitter.
    fn plan(&mut self, regular: Option<Instant>) {
        self.due = regular.filter(|_| self.left > 0).map(|regular| {
            let fraction = match self.jitter.is_zero() {
                true => 0.0,
                false => self.randomness.fraction(self.planned),
            };
            // An instant that cannot be represented is as good as none.
            let later = regular.checked_add(self.jitter.mul_f64(fraction));
            later.unwrap_or(regular)
        });
        self.planned = self.planned.wrapping_add(1);
        self.left = self.left.saturating_sub(1);
    }
}
