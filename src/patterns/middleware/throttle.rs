//! [`Throttle`]: a limit of the messages that are handled in a time.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::key::KeyOf;
use crate::{
    patterns::worker::{Before, Context, Middleware},
    runtime::sync::Mutex,
};

/// Limits how many messages are handled in a time, by all workers that have a clone of it.
///
/// The messages are spread evenly over the time, unless a [`burst`](Self::burst) lets several of
/// them through at once. The others wait with their workers, about as they came. In any time there
/// are at most as many messages as the rate allows in it, and a burst.
///
/// The time is that of the broker's clock. Each attempt counts, if a message is tried again. Clones
/// share the rate. The places of messages whose worker stops while they wait stay empty.
///
/// Before a [`batch`](crate::worker::WorkerBuilder::batch) a throttle that is slower than the queue
/// makes batches of one message, since a message that waits ends the batch before it. Let the
/// handler of the batch wait instead.
///
/// # Examples
/// ```
/// use leveret::{Broker, middleware::Throttle};
/// use std::time::Duration;
///
/// let broker = Broker::new();
/// // A hundred mails a second. After a pause, up to ten at once.
/// let throttle = Throttle::new(100, Duration::from_secs(1)).burst(10);
/// let worker = broker.worker::<String>("mails").concurrency(4).middleware(throttle);
/// # let worker = worker.handler(|_, _| ()).spawn()?;
/// # worker.stop();
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a middleware does nothing until a worker has it"]
pub struct Throttle {
    /// The nanoseconds between two messages.
    interval: i128,
    burst: u32,
    key: KeyOf,
    rates: Arc<Mutex<Rates>>,
}

/// The rates of the keys that were used of late. Times are in nanoseconds.
#[derive(Debug, Default)]
struct Rates {
    /// The time of the first message.
    from: Option<Instant>,
    keys: HashMap<String, Rate>,
    /// When keys may be forgotten again.
    next_sweep: i128,
}

#[derive(Clone, Copy, Debug)]
struct Rate {
    /// When the next message may pass.
    next: i128,
    /// When the last message asks again that was told to wait.
    last_wait: i128,
}

/// The most keys that are kept apart.
const MOST_KEYS: usize = 65_536;

impl Throttle {
    /// Limits to this many messages in each `per`. Zero counts as 1, and a rate of more than one
    /// message a nanosecond as that.
    pub fn new(messages: u32, per: Duration) -> Throttle {
        let interval = per.as_nanos() / u128::from(messages.max(1));
        Throttle {
            interval: i128::try_from(interval).unwrap_or(i128::MAX).max(1),
            burst: 1,
            key: KeyOf::default(),
            rates: Arc::default(),
        }
    }

    /// Sets how many messages may pass at once after a pause. The default is 1, and 0 counts as 1.
    pub fn burst(mut self, messages: u32) -> Self {
        self.burst = messages.max(1);
        self
    }

    /// Limits the messages of each key by themselves: those of a customer, say.
    ///
    /// At most 65,536 keys are kept apart that were used of late. The messages of further keys
    /// share one rate.
    pub fn by_key<K: Into<String>>(
        mut self,
        key: impl Fn(&Context<'_>) -> K + Send + Sync + 'static,
    ) -> Self {
        self.key = KeyOf::by(key);
        self
    }

    /// The earliest `next` of a key at this time: that of one that was never used.
    fn floor(&self, now: i128) -> i128 {
        now - i128::from(self.burst - 1) * self.interval
    }

    /// How long a message has to wait. `None` if it passes.
    fn wait(&self, now: Instant, key: String) -> Option<Duration> {
        let mut rates = self.rates.lock();
        let from = *rates.from.get_or_insert(now);
        let now = nanos(from, now);
        let floor = self.floor(now);
        let rate = rates.of(key, floor, now, self.interval);
        let next = rate.next.max(floor);
        if next <= now {
            rate.next = next + self.interval;
            return None;
        }
        // Each message that waits has a time of its own, so that one of them asks at a time. Those
        // that were stopped meanwhile leave a gap, and no more than that.
        let due = match rate.last_wait > now {
            true => next.max(rate.last_wait + self.interval),
            false => next,
        };
        rate.last_wait = due;
        let wait = u64::try_from(due - now).unwrap_or(u64::MAX);
        Some(Duration::from_nanos(wait))
    }
}

impl Rates {
    fn of(&mut self, key: String, floor: i128, now: i128, interval: i128) -> &mut Rate {
        let mut key = key;
        if self.keys.len() >= MOST_KEYS && !self.keys.contains_key(&key) {
            if now >= self.next_sweep {
                self.next_sweep = now + interval;
                // One that is as never used need not be kept.
                self.keys
                    .retain(|_, rate| rate.next > floor || rate.last_wait > now);
            }
            if self.keys.len() >= MOST_KEYS {
                key.clear();
            }
        }
        self.keys.entry(key).or_insert(Rate {
            next: floor,
            last_wait: now,
        })
    }
}

/// The nanoseconds from one time to another. A clock may go back a little.
fn nanos(from: Instant, now: Instant) -> i128 {
    match now.checked_duration_since(from) {
        Some(since) => i128::try_from(since.as_nanos()).unwrap_or(i128::MAX / 4),
        None => 0,
    }
}

impl Middleware for Throttle {
    fn before(&self, context: &Context<'_>) -> Before {
        // Both may be user code, and are called without the lock.
        let (key, now) = (self.key.of(context), context.now());
        match self.wait(now, key) {
            None => Before::Go,
            Some(time) => Before::Wait(time),
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INTERVAL: Duration = Duration::from_millis(10);

    /// A message comes after a pause, and asks again later than it was told to.
    #[derive(Clone, Debug)]
    struct Arrival {
        pause: u64,
        late: u64,
        /// Its worker stops as soon as it has to wait.
        is_stopped: bool,
    }

    fn arrival(most_late: u64) -> impl Strategy<Value = Arrival> {
        (0..20_u64, 0..=most_late, prop::bool::weighted(0.1)).prop_map(
            |(pause, late, is_stopped)| Arrival {
                pause,
                late,
                is_stopped,
            },
        )
    }

    /// Runs the arrivals, and returns when each message passes, and how often one asked.
    fn run(throttle: &Throttle, arrivals: &[Arrival]) -> (Vec<Duration>, usize) {
        let from = Instant::now();
        let mut at = Duration::ZERO;
        let mut asking: Vec<(Duration, usize)> = Vec::new();
        for (index, arrival) in arrivals.iter().enumerate() {
            at += Duration::from_millis(arrival.pause);
            asking.push((at, index));
        }
        let (mut passed, mut asked) = (Vec::new(), 0);
        while let Some(next) = (0..asking.len()).min_by_key(|next| asking[*next]) {
            let (now, index) = asking.remove(next);
            let Arrival {
                late, is_stopped, ..
            } = arrivals[index];
            asked += 1;
            match throttle.wait(from + now, String::new()) {
                None => passed.push(now),
                Some(_) if is_stopped => {}
                Some(wait) => asking.push((now + wait + Duration::from_millis(late), index)),
            }
        }
        (passed, asked)
    }

    proptest! {
        #![proptest_config(crate::model::test_cases::cases())]

        #[test]
        fn in_any_time_there_are_a_burst_and_what_the_rate_allows(
            arrivals in prop::collection::vec(arrival(25), 1..40),
            burst in 1..5_u32,
        ) {
            let throttle = Throttle::new(100, Duration::from_secs(1)).burst(burst);
            let (passed, _) = run(&throttle, &arrivals);
            let most_stopped = arrivals.iter().filter(|arrival| arrival.is_stopped).count();
            prop_assert!(passed.len() + most_stopped >= arrivals.len());
            for (first, from) in passed.iter().enumerate() {
                for (last, to) in passed.iter().enumerate().skip(first) {
                    let allowed = (*to - *from).as_nanos() / INTERVAL.as_nanos();
                    let count = (last - first + 1) as u128;
                    prop_assert!(count <= u128::from(burst) + allowed, "{passed:?}");
                }
            }
        }

        #[test]
        fn messages_that_come_in_time_use_the_whole_rate_and_ask_twice_at_most(
            arrivals in prop::collection::vec(arrival(0), 1..40),
            burst in 1..5_u32,
        ) {
            let arrivals: Vec<_> = arrivals
                .into_iter()
                .map(|arrival| Arrival { is_stopped: false, ..arrival })
                .collect();
            let throttle = Throttle::new(100, Duration::from_secs(1)).burst(burst);
            let (passed, asked) = run(&throttle, &arrivals);
            prop_assert!(asked <= 2 * arrivals.len());
            // The model of a bucket: each message takes a token as soon as there is one.
            let (mut at, mut next) = (Duration::ZERO, Duration::ZERO);
            let reserve = INTERVAL * (burst - 1);
            let expected: Vec<_> = arrivals
                .iter()
                .map(|arrival| {
                    at += Duration::from_millis(arrival.pause);
                    let earliest = next.saturating_sub(reserve).max(at);
                    next = next.max(at) + INTERVAL;
                    earliest
                })
                .collect();
            prop_assert_eq!(passed, expected);
        }
    }

    #[test]
    fn extreme_settings_are_sound() {
        let now = Instant::now();
        let slowest = Throttle::new(0, Duration::MAX).burst(u32::MAX);
        let fastest = Throttle::new(u32::MAX, Duration::ZERO);
        for throttle in [slowest, fastest] {
            assert_eq!(throttle.wait(now, String::new()), None);
            throttle.wait(now + Duration::from_secs(1), String::new());
        }
        let none_again = Throttle::new(1, Duration::MAX);
        assert_eq!(none_again.wait(now, String::new()), None);
        let wait = none_again.wait(now, String::new());
        assert_eq!(wait, Some(Duration::from_nanos(u64::MAX)));
    }

    #[test]
    fn keys_are_kept_apart_until_there_are_too_many() {
        let throttle = Throttle::new(1, INTERVAL);
        let now = Instant::now();
        for key in 0..MOST_KEYS {
            assert_eq!(throttle.wait(now, key.to_string()), None);
        }
        assert_eq!(throttle.wait(now, "first".to_owned()), None);
        assert!(throttle.wait(now, "second".to_owned()).is_some());
        assert!(throttle.rates.lock().keys.len() <= MOST_KEYS + 1);
        // Those that are as never used are forgotten.
        assert_eq!(throttle.wait(now + INTERVAL * 3, "third".to_owned()), None);
        assert_eq!(throttle.rates.lock().keys.len(), 1);
    }
}
