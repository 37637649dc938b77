//! [`Period`]: the regular times of a schedule, one after the other.

use std::time::{Duration, Instant, SystemTime};

#[cfg(feature = "cron")]
use super::cron::Cron;
use super::timetable::{MissedTickBehavior, Now, Start};

/// The regular times of a schedule.
#[derive(Debug)]
pub(super) enum Period {
    /// The same time after each run.
    Every {
        period: Duration,
        /// The latest time that was returned.
        last: Instant,
    },
    /// The times of a cron expression.
    #[cfg(feature = "cron")]
    Cron {
        cron: Cron,
        /// The latest time that was returned, by the wall clock.
        last: SystemTime,
    },
}

impl Period {
    /// Times at a distance of `period`, which is not zero.
    pub(super) fn every(period: Duration, now: Now) -> Period {
        Period::Every {
            period,
            last: now.instant,
        }
    }

    #[cfg(feature = "cron")]
    pub(super) fn cron(cron: Cron, now: Now) -> Period {
        Period::Cron {
            cron,
            last: now.system,
        }
    }

    /// The time of the first run. `None` if it never comes.
    pub(super) fn first(&mut self, start: Start, now: Now) -> Option<Instant> {
        match self {
            Period::Every { period, last } => {
                let wait = match start {
                    Start::Regular => *period,
                    Start::Immediately => Duration::ZERO,
                    Start::After(delay) => delay,
                    Start::At(at) => match at.duration_since(now.system) {
                        Ok(wait) => wait,
                        Err(passed) => match until_next(passed.duration(), *period).0 {
                            // This is one of the times.
                            wait if wait == *period => Duration::ZERO,
                            wait => wait,
                        },
                    },
                };
                *last = now.instant.checked_add(wait)?;
                Some(*last)
            }
            #[cfg(feature = "cron")]
            Period::Cron { cron, last } => {
                *last = match start {
                    Start::Regular => cron.after(now.system)?,
                    Start::Immediately => now.system,
                    Start::After(delay) => cron.not_before(now.system.checked_add(delay)?)?,
                    Start::At(at) => cron.not_before(at.max(now.system))?,
                };
                now.instant_of(*last)
            }
        }
    }

    /// The time of the run after the latest one, and how many runs were left out before it.
    pub(super) fn next(
        &mut self,
        missed_ticks: MissedTickBehavior,
        now: Now,
    ) -> (Option<Instant>, u64) {
        match self {
            Period::Every { period, last } => {
                let late = now.instant.saturating_duration_since(*last);
                let (wait, missed) = until_next(late, *period);
                let (next, missed) = match missed_ticks {
                    MissedTickBehavior::Burst => (last.checked_add(*period), 0),
                    MissedTickBehavior::Delay if missed > 0 => {
                        (now.instant.checked_add(*period), missed)
                    }
                    MissedTickBehavior::Delay | MissedTickBehavior::Skip => {
                        (now.instant.checked_add(wait), missed)
                    }
                };
                *last = next.unwrap_or(*last);
                (next, missed)
            }
            #[cfg(feature = "cron")]
            Period::Cron { cron, last } => {
                let (next, missed) = match missed_ticks {
                    MissedTickBehavior::Burst => (cron.after(*last), 0),
                    MissedTickBehavior::Delay | MissedTickBehavior::Skip => {
                        (cron.after(now.system.max(*last)), missed(cron, *last, now))
                    }
                };
                *last = next.unwrap_or(*last);
                (next.and_then(|next| now.instant_of(next)), missed)
            }
        }
    }

    /// A later time for the latest run, if it is not due yet after all: the wall clock was set
    /// back, or goes slower.
    pub(super) fn postponed(&self, now: Now) -> Option<Instant> {
        let wall = self.wall_time().filter(|wall| now.system < *wall)?;
        now.instant_of(wall)
    }

    /// The latest time, if the wall clock decides.
    fn wall_time(&self) -> Option<SystemTime> {
        match self {
            Period::Every { .. } => None,
            #[cfg(feature = "cron")]
            Period::Cron { last, .. } => Some(*last),
        }
    }
}

/// How many times of the expression lie after `last`, up to now.
#[cfg(feature = "cron")]
fn missed(cron: &Cron, last: SystemTime, now: Now) -> u64 {
    let mut times = std::iter::successors(cron.after(last), |time| cron.after(*time));
    let missed = times.by_ref().take(MOST_COUNTED);
    missed.take_while(|time| *time <= now.system).count() as u64
}

/// A machine that has slept may have missed very many.
#[cfg(feature = "cron")]
const MOST_COUNTED: usize = 1_000;

/// Of the times at a distance of `period`, the first one after the time that has `passed`: how long
/// until then, and how many have passed.
fn until_next(passed: Duration, period: Duration) -> (Duration, u64) {
    const SECOND: u128 = 1_000_000_000;
    let (passed, whole) = (passed.as_nanos(), period.as_nanos().max(1));
    let wait = whole - passed % whole;
    let wait = Duration::new((wait / SECOND) as u64, (wait % SECOND) as u32);
    (wait, u64::try_from(passed / whole).unwrap_or(u64::MAX))
}
