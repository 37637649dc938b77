//! The drain of a broker: the time of its orderly shutdown, when only those publish that hold
//! deliveries. Also what is under way in a broker besides its queues, for which a shutdown waits.

use std::{
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use crate::{
    engine::queue::{InFlight, Move},
    runtime::{
        clock::Time,
        signal::Signal,
        sync::{
            Mutex,
            atomic::{AtomicBool, Ordering::SeqCst},
        },
        waiter::{Ticket, WaitList, Waitable},
    },
};

/// Whether a broker drains. All its virtual hosts share it.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    /// Set once.
    began: AtomicBool,
    times: Mutex<Option<Times>>,
    /// Whether a message returned so late that it is not delivered again.
    ran_out: AtomicBool,
    in_flight: Arc<InFlight>,
    /// Set right after `began`, for those who wait for it.
    begin: Signal,
    /// The handlers that run after the settlement of their message.
    handlers: Arc<InFlight>,
    /// Whether every publish is counted, and not only those of a drain.
    is_watched: bool,
}

/// The times of a drain.
#[derive(Clone, Copy, Debug)]
struct Times {
    began: Instant,
    /// `None` if it is too far away to be represented.
    ends: Option<Instant>,
}

/// The longest time between two deliveries of a message that returns again and again.
const MOST: Duration = Duration::from_secs(1);
/// The shortest.
const LEAST: Duration = Duration::from_millis(1);
/// How long before the end of the drain a last delivery comes.
const MARGIN: Duration = Duration::from_micros(100);

impl Drain {
    /// The drain of a broker in which everything under way is counted from the start.
    #[cfg(feature = "testing")]
    pub(crate) fn of_watched() -> Drain {
        Drain {
            is_watched: true,
            ..Drain::default()
        }
    }

    /// Begins the drain, which ends at `ends` at the latest. Must not be called under a lock.
    pub(crate) fn begin(&self, time: &Time, ends: Option<Instant>) {
        // The time of a manual clock stands still, so nothing is delayed by it.
        let times = time.manual().is_none().then(|| Times {
            began: time.now(),
            ends,
        });
        *self.times.lock() = times;
        self.began.store(true, SeqCst);
        self.begin.set();
    }

    #[inline]
    pub(crate) fn has_begun(&self) -> bool {
        self.began.load(SeqCst)
    }

    /// Whether a message returned so late that it is not delivered again.
    pub(crate) fn has_run_out(&self) -> bool {
        self.ran_out.load(SeqCst)
    }

    pub(crate) fn in_flight(&self) -> &Arc<InFlight> {
        &self.in_flight
    }

    pub(crate) fn handlers(&self) -> &Arc<InFlight> {
        &self.handlers
    }

    /// Counts the message of a publish as on its way. The shutdown waits for its arrival.
    pub(crate) fn begin_move(&self) -> Move {
        self.in_flight.begin()
    }

    /// Counts a handler that runs after the settlement of its message. Only a broker that is
    /// watched or drains asks for it.
    #[cfg(feature = "testing")]
    pub(crate) fn begin_handler(&self) -> Option<Move> {
        (self.is_watched || self.has_begun()).then(|| self.handlers.begin())
    }

    /// As [`begin_move`](Self::begin_move) before the drain, if the broker is watched.
    pub(crate) fn begin_watched_move(&self) -> Option<Move> {
        self.is_watched.then(|| self.begin_move())
    }

    /// How long a message waits for its next delivery, if it was returned `returns` times before.
    ///
    /// The first time not at all, then 1 ms, 2 ms, 4 ms and so on. Never longer than the drain has
    /// lasted, than half of the time left, and than a second.
    pub(super) fn redelivery_delay(&self, returns: u32, now: Instant) -> Duration {
        let times = *self.times.lock();
        let (Some(Times { began, ends }), 1..) = (times, returns) else {
            return Duration::ZERO;
        };
        let lasted = now.saturating_duration_since(began);
        let left = ends.map_or(2 * MOST, |ends| ends.saturating_duration_since(now));
        if left <= MARGIN {
            self.ran_out.store(true, SeqCst);
            return LEAST;
        }
        if left < 2 * LEAST {
            // The message comes just before the end, so that the shutdown waits for it till then.
            return left - MARGIN;
        }
        let doubled = LEAST * (1 << (returns - 1).min(10));
        doubled.min(lasted).min(left / 2).clamp(LEAST, MOST)
    }
}

/// Ready once the drain has begun.
impl Waitable for Drain {
    type Output = ();

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<()> {
        self.begin.attempt(ticket)
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        self.begin.with_waiters(f);
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    fn milliseconds(drain: &Drain, returns: u32, now: Instant) -> u128 {
        drain.redelivery_delay(returns, now).as_millis()
    }

    #[test]
    fn a_message_that_returns_waits_ever_longer_but_not_beyond_the_drain() {
        let (drain, time) = (Drain::default(), Time::default());
        let before = Instant::now();
        let ends = before + Duration::from_secs(10);
        drain.begin(&time, Some(ends));
        let late = before + Duration::from_secs(5);
        let delays: Vec<_> = (0..13)
            .map(|returns| milliseconds(&drain, returns, late))
            .collect();
        assert_eq!(
            delays,
            [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_000, 1_000]
        );
        // It has returned often before the drain.
        assert_eq!(milliseconds(&drain, 12, before), 1);
        // Half of the time left.
        assert_eq!(
            milliseconds(&drain, 12, ends - Duration::from_millis(100)),
            50
        );
        assert!(!drain.has_run_out());
        assert_eq!(milliseconds(&drain, 12, ends), 1);
        assert!(drain.has_run_out());
    }
}
