//! Injected time: the public [`Clock`] and its two implementations, and [`Time`] and [`Deadline`]
//! for the inner layers.
//!
//! A clock knows nothing of the broker. A [`ManualClock`] has weak references to the timers that it
//! calls when it is advanced. Every other clock is only read. A clock may be user code, so it is
//! read before a lock is taken, and never under one.

mod manual;
#[cfg(all(test, not(shuttle)))]
mod tests;
mod timer_queue;
mod user_clock;

use std::{
    any::TypeId,
    fmt::Debug,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use self::user_clock::UserClock;
pub use manual::ManualClock;
pub(crate) use timer_queue::{TimerKey, TimerPriority, TimerQueue, TimerTarget};

/// The source of a broker's time.
///
/// [`SystemClock`] is the default, and [`ManualClock`] is for tests. A broker also takes any other
/// clock. Its timer thread and the time-outs of blocked calls then compute from [`now`](Self::now)
/// how long to sleep in real time. So a clock that runs faster than real time makes them late,
/// never early. A clock that blocks delays the timers of its broker, but not the end of the broker.
///
/// A clock that panics stops nothing. The panic ends in the broker, and the panic hook reports it.
/// From the last reading on, the broker's time then goes on as fast as real time, until the clock
/// returns a time again.
///
/// # Examples
/// ```
/// use leveret::{Clock, SystemClock};
/// use std::time::{Instant, SystemTime};
///
/// /// Shows the wall-clock time of another time zone.
/// #[derive(Debug)]
/// struct Shifted(std::time::Duration);
///
/// impl Clock for Shifted {
///     fn now(&self) -> Instant {
///         SystemClock.now()
///     }
///     fn system_now(&self) -> SystemTime {
///         SystemClock.system_now() + self.0
///     }
/// }
///
/// let clock = Shifted(std::time::Duration::from_secs(3600));
/// assert!(clock.system_now() > SystemClock.system_now());
/// ```
pub trait Clock: Debug + Send + Sync + 'static {
    /// The monotonic time, for expiry, delays and time-outs. Must never go backwards.
    fn now(&self) -> Instant;

    /// The wall-clock time, for timestamps that people read (for instance the `time` of an
    /// `x-death` entry). The broker computes with it only once for a message, when it is published
    /// with [`Message::deliver_at`](crate::Message::deliver_at).
    fn system_now(&self) -> SystemTime;

    /// The manual clock whose [`advance`](ManualClock::advance) drives this one, if any.
    ///
    /// A clock that wraps a [`ManualClock`] returns it here, and the broker then starts no timer
    /// thread. Other clocks keep the default, `None`.
    fn manual(&self) -> Option<&ManualClock> {
        None
    }
}

/// The clock of the operating system.
///
/// # Examples
/// ```
/// use leveret::{Clock, SystemClock};
/// let earlier = SystemClock.now();
/// assert!(SystemClock.now() >= earlier);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn system_now(&self) -> SystemTime {
        SystemTime::now()
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Instant {
        (**self).now()
    }

    fn system_now(&self) -> SystemTime {
        (**self).system_now()
    }

    fn manual(&self) -> Option<&ManualClock> {
        (**self).manual()
    }
}

/// A broker's clock, shared by its parts. Reading it may run user code, so it must not be read
/// under a lock. It never panics.
#[derive(Clone, Debug)]
pub(crate) struct Time {
    clock: Arc<UserClock>,
    manual: Option<ManualClock>,
    /// Whether the clock is the system's, which is read without a look at the others.
    is_system: bool,
}

impl Time {
    pub(crate) fn new<C: Clock>(clock: C) -> Self {
        Time {
            is_system: TypeId::of::<C>() == TypeId::of::<SystemClock>(),
            manual: clock.manual().cloned(),
            clock: Arc::new(UserClock::new(clock)),
        }
    }

    /// Whether the clock may be user code. It may then take any time to read it.
    pub(crate) fn is_user_code(&self) -> bool {
        !self.clock.is_own()
    }

    #[inline]
    pub(crate) fn now(&self) -> Instant {
        if self.is_system {
            return Instant::now();
        }
        // The timers are in the wrapped manual clock, so its time is read and not that of the
        // wrapper.
        match &self.manual {
            Some(manual) => manual.now(),
            None => self.clock.now(),
        }
    }

    pub(crate) fn system_now(&self) -> SystemTime {
        self.clock.system_now()
    }

    /// The wall-clock time without a call of user code, so that it may be read under a lock. For a
    /// clock of the user it is the last reading and the real time since then.
    pub(crate) fn system_now_unread(&self) -> SystemTime {
        self.clock.system_now_unread()
    }

    pub(crate) fn manual(&self) -> Option<&ManualClock> {
        self.manual.as_ref()
    }

    /// The deadline of a wait that begins now and lasts at most `timeout`. `None` means no
    /// deadline, because the instant cannot be represented.
    pub(crate) fn deadline(&self, timeout: Duration) -> Option<Deadline<'_>> {
        Some(Deadline {
            time: self,
            at: self.now().checked_add(timeout)?,
        })
    }

    /// The deadline at a given instant.
    pub(crate) fn until(&self, at: Instant) -> Deadline<'_> {
        Deadline { time: self, at }
    }
}

impl Default for Time {
    fn default() -> Self {
        Time::new(SystemClock)
    }
}

/// The end of a wait, and the clock that it is measured by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline<'a> {
    time: &'a Time,
    at: Instant,
}

impl<'a> Deadline<'a> {
    pub(crate) fn has_passed(&self) -> bool {
        self.remaining().is_none()
    }

    /// The time until the deadline, never zero. `None` once the deadline has passed.
    pub(crate) fn remaining(&self) -> Option<Duration> {
        self.at
            .checked_duration_since(self.time.now())
            .filter(|left| !left.is_zero())
    }

    pub(crate) fn at(&self) -> Instant {
        self.at
    }

    pub(crate) fn manual(&self) -> Option<&'a ManualClock> {
        self.time.manual()
    }
}
