//! A clock of the user, as a broker reads it.

use std::{
    any::TypeId,
    time::{Duration, Instant, SystemTime},
};

use super::{Clock, ManualClock, SystemClock};
use crate::runtime::{catch_panic::catch_panic, sync::Mutex, user_drop::drop_user_value};

/// Reads the clock of the user, which may panic.
///
/// The panic ends here: the broker reads the clock in the middle of its work, and while another
/// panic unwinds. From the last reading on, the time then goes on as fast as real time.
#[derive(Debug)]
pub(super) struct UserClock {
    /// `None` only during the drop.
    clock: Option<Box<dyn Clock>>,
    /// Whether the clock is one of this crate, which does not panic.
    is_own: bool,
    instant: LastReading<Instant>,
    system: LastReading<SystemTime>,
}

/// A reading, and the real time when it was made.
#[derive(Debug)]
struct LastReading<T>(Mutex<Option<(T, Instant)>>);

impl UserClock {
    pub(super) fn new<C: Clock>(clock: C) -> UserClock {
        let own = [TypeId::of::<SystemClock>(), TypeId::of::<ManualClock>()];
        UserClock {
            clock: Some(Box::new(clock)),
            is_own: own.contains(&TypeId::of::<C>()),
            instant: LastReading(Mutex::new(None)),
            system: LastReading(Mutex::new(None)),
        }
    }

    /// Whether the clock is one of this crate.
    pub(super) fn is_own(&self) -> bool {
        self.is_own
    }

    #[inline]
    pub(super) fn now(&self) -> Instant {
        match &self.clock {
            Some(clock) if self.is_own => clock.now(),
            Some(clock) => self
                .instant
                .renew(|| clock.now(), Instant::checked_add, Instant::now),
            None => Instant::now(),
        }
    }

    pub(super) fn system_now(&self) -> SystemTime {
        match &self.clock {
            Some(clock) if self.is_own => clock.system_now(),
            Some(clock) => {
                let read = || clock.system_now();
                self.system
                    .renew(read, SystemTime::checked_add, SystemTime::now)
            }
            None => SystemTime::now(),
        }
    }

    /// As [`system_now`](Self::system_now), without a call of the user's clock.
    pub(super) fn system_now_unread(&self) -> SystemTime {
        match &self.clock {
            Some(clock) if self.is_own => clock.system_now(),
            _ => (self.system).extended(SystemTime::checked_add, SystemTime::now),
        }
    }
}

impl Drop for UserClock {
    fn drop(&mut self) {
        if let Some(clock) = self.clock.take() {
            drop_user_value(clock);
        }
    }
}

impl<T: Copy> LastReading<T> {
    /// Returns what `read` returns. If it panics, returns the last reading with the real time since
    /// then, and `first` if there is none.
    fn renew(
        &self,
        read: impl FnOnce() -> T,
        add: impl FnOnce(&T, Duration) -> Option<T>,
        first: impl FnOnce() -> T,
    ) -> T {
        if let Some(reading) = catch_panic(read) {
            *self.0.lock() = Some((reading, Instant::now()));
            return reading;
        }
        self.extended(add, first)
    }

    /// The last reading with the real time since then, and `first` if there is none.
    fn extended(
        &self,
        add: impl FnOnce(&T, Duration) -> Option<T>,
        first: impl FnOnce() -> T,
    ) -> T {
        let last = *self.0.lock();
        match last {
            Some((reading, made)) => add(&reading, made.elapsed()).unwrap_or(reading),
            None => first(),
        }
    }
}
