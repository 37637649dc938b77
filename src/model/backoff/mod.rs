//! [`Backoff`]: how long to wait before each further attempt, and when to give up.
//!
//! A plain value, which producers and workers share. `randomness` has the random fractions of the
//! jitter.

pub(crate) mod randomness;
#[cfg(all(test, not(shuttle)))]
mod tests;

use std::time::Duration;

use self::randomness::Randomness;

/// How long to wait after each failed attempt, and after which one to give up.
///
/// The first delay is the one given, and each further delay is the last one times a
/// [`factor`](Self::factor), up to a [maximum](Self::max_delay). [Jitter](Self::jitter) then
/// shortens each delay by a random part of it, so that many callers that fail together do not try
/// again together.
///
/// Unless told otherwise, a backoff doubles its delay up to a minute, has full jitter, and never
/// gives up.
///
/// No setting is invalid. One that is out of its range counts as the nearest value in the range, as
/// each setter says.
///
/// # RabbitMQ
/// RabbitMQ leaves the retries of a publish to the client. It is the `retry_policy` of kombu, with
/// a factor instead of its `interval_step`.
///
/// # Examples
/// ```
/// use leveret::Backoff;
/// use std::time::Duration;
///
/// let second = Duration::from_secs(1);
/// let backoff = Backoff::new(second).max_delay(5 * second).max_attempts(6).jitter(0.0);
/// let delays: Vec<_> = (1..=6).map(|attempt| backoff.delay(attempt)).collect();
/// assert_eq!(delays, [1, 2, 4, 5, 5, 0].map(|n| (n > 0).then_some(n * second)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "a backoff does nothing by itself"]
pub struct Backoff {
    initial: Duration,
    factor: f64,
    /// `None` stands for a minute, or for the first delay if that is longer.
    max_delay: Option<Duration>,
    jitter: f64,
    randomness: Randomness,
    max_attempts: u32,
    time_limit: Duration,
}

impl Backoff {
    /// Creates a backoff whose delays double, up to a minute, with full jitter. A delay of zero
    /// counts as a millisecond. A first delay of a minute or more stays as it is: set a longer
    /// [`max_delay`](Self::max_delay).
    pub const fn new(initial: Duration) -> Backoff {
        Backoff {
            initial: match initial.is_zero() {
                true => LEAST,
                false => initial,
            },
            factor: 2.0,
            max_delay: None,
            jitter: 1.0,
            randomness: Randomness::System,
            max_attempts: u32::MAX,
            time_limit: Duration::MAX,
        }
    }

    /// Creates a backoff with the same delay after every attempt, without jitter. A delay of zero
    /// counts as a millisecond.
    ///
    /// # Examples
    /// ```
    /// use leveret::Backoff;
    /// use std::time::Duration;
    ///
    /// let backoff = Backoff::constant(Duration::from_millis(20)).max_attempts(3);
    /// assert_eq!(backoff.delay(2), Some(Duration::from_millis(20)));
    /// assert_eq!(backoff.delay(3), None);
    /// ```
    pub const fn constant(delay: Duration) -> Backoff {
        let mut backoff = Backoff::new(delay);
        backoff.factor = 1.0;
        backoff.max_delay = Some(backoff.initial);
        backoff.jitter = 0.0;
        backoff
    }

    /// Sets the factor between one delay and the next, 2 by default. A factor below 1 counts as 1,
    /// and so does one that is not a number.
    pub const fn factor(mut self, factor: f64) -> Self {
        self.factor = match factor >= 1.0 {
            // An infinite one would leave no sum of delays to compute with.
            true => factor.min(f64::MAX),
            false => 1.0,
        };
        self
    }

    /// Sets the longest delay. It also shortens a longer first delay. Zero counts as a
    /// millisecond.
    ///
    /// The default is a minute, or the first delay if that is longer.
    pub const fn max_delay(mut self, max_delay: Duration) -> Self {
        self.max_delay = Some(match max_delay.is_zero() {
            true => LEAST,
            false => max_delay,
        });
        self
    }

    /// Sets the part of each delay that is random: 1 by default, for delays between nothing and the
    /// whole. With 0.25 a delay lies between three quarters and the whole, and with 0 it is exact.
    ///
    /// A value over 1 counts as 1. A value below 0 counts as 0, and so does one that is not a
    /// number.
    pub const fn jitter(mut self, fraction: f64) -> Self {
        self.jitter = match fraction {
            0.0..=1.0 => fraction,
            _ if fraction > 1.0 => 1.0,
            _ => 0.0,
        };
        self
    }

    /// Makes the jitter the same in each run of the program, for tests. The same seed and the same
    /// attempt give the same delay.
    ///
    /// # Examples
    /// ```
    /// use leveret::Backoff;
    /// use std::time::Duration;
    ///
    /// let backoff = Backoff::new(Duration::from_secs(1)).seed(7);
    /// assert_eq!(backoff.delay(3), backoff.delay(3));
    /// assert!(backoff.delay(3) < Some(Duration::from_secs(4)));
    /// ```
    pub const fn seed(mut self, seed: u64) -> Self {
        self.randomness = Randomness::Seeded(seed);
        self
    }

    /// Sets how many attempts there are in all, the first one included. The default is no limit.
    /// Zero counts as 1, since the first attempt is always made.
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = match attempts {
            0 => 1,
            _ => attempts,
        };
        self
    }

    /// Sets how long to try in all. The default is no limit. The last delay is cut short, so that
    /// the last attempt comes at the end of this time.
    pub const fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// The time to wait after the attempt with this number has failed. `None` means to give up.
    ///
    /// Attempts are numbered from 1, and 0 counts as 1. As for the [time
    /// limit](Self::time_limit), the attempts themselves take no time here, and the delays before
    /// this one were as long as without jitter.
    pub fn delay(&self, attempt: u32) -> Option<Duration> {
        self.delay_after(attempt, self.waited_before(attempt))
    }

    /// The same as [`delay`](Self::delay), for a caller that knows how long it has tried.
    ///
    /// # Examples
    /// ```
    /// use leveret::Backoff;
    /// use std::time::Duration;
    ///
    /// let second = Duration::from_secs(1);
    /// let backoff = Backoff::constant(4 * second).time_limit(10 * second);
    /// assert_eq!(backoff.delay_after(1, 3 * second), Some(4 * second));
    /// assert_eq!(backoff.delay_after(2, 7 * second), Some(3 * second));
    /// assert_eq!(backoff.delay_after(3, 10 * second), None);
    /// ```
    pub fn delay_after(&self, attempt: u32, elapsed: Duration) -> Option<Duration> {
        let attempt = attempt.max(1);
        let left = self.time_limit.saturating_sub(elapsed);
        if attempt >= self.max_attempts || left.is_zero() {
            return None;
        }
        let exact = self.exact(attempt);
        // The fraction is below 1, so something is left of the delay.
        let random = self.jitter * self.randomness.fraction(attempt.into());
        let delay = exact.saturating_sub(exact.mul_f64(random));
        Some(delay.max(Duration::from_nanos(1)).min(left))
    }

    /// The delays without jitter, each one once and the shortest first: at most `most` of them,
    /// which is at least 2. Of more it leaves out some between the first and the last. There is
    /// none if there is one attempt only.
    pub(crate) fn steps(&self, most: u32) -> Vec<Duration> {
        let Some(last) = self.max_attempts.checked_sub(1).filter(|last| *last > 0) else {
            return Vec::new();
        };
        let (first, longest) = (self.exact(1), self.exact(last));
        let growth = (longest.as_secs_f64() / first.as_secs_f64()).ln() / self.factor.ln();
        // It is not a number for a factor of 1, which has one step.
        let stride = (growth / f64::from(most - 1) - ROUNDING).ceil().max(1.0) as u32;
        let mut steps = vec![first];
        let mut attempt = 1_u32;
        while steps.last().is_some_and(|step| *step < longest) {
            attempt = attempt.saturating_add(stride).min(last);
            steps.push(self.exact(attempt));
        }
        steps
    }

    fn longest(&self) -> Duration {
        match self.max_delay {
            Some(max_delay) => max_delay,
            None => self.initial.max(MINUTE),
        }
    }

    /// The delay after an attempt, without jitter.
    fn exact(&self, attempt: u32) -> Duration {
        let longest = self.longest();
        let steps = f64::from(attempt - 1);
        let seconds = self.initial.as_secs_f64() * self.factor.powf(steps);
        match seconds < longest.as_secs_f64() {
            true => Duration::try_from_secs_f64(seconds).unwrap_or(longest),
            false => longest,
        }
    }

    /// The sum of the delays before that of an attempt, without jitter.
    fn waited_before(&self, attempt: u32) -> Duration {
        if self.time_limit == Duration::MAX {
            return Duration::ZERO;
        }
        let delays = f64::from(attempt.max(1) - 1);
        let (initial, longest) = (self.initial.as_secs_f64(), self.longest().as_secs_f64());
        // How many delays are shorter than the longest one.
        let growing = match self.factor > 1.0 {
            true => ((longest / initial).ln() / self.factor.ln()).ceil(),
            false if initial < longest => f64::INFINITY,
            false => 0.0,
        };
        let growing = growing.clamp(0.0, delays);
        let sum = match self.factor > 1.0 {
            true => initial * (self.factor.powf(growing) - 1.0) / (self.factor - 1.0),
            false => initial * growing,
        };
        let seconds = sum + longest * (delays - growing);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

impl Default for Backoff {
    /// A backoff that begins with 100 milliseconds.
    fn default() -> Backoff {
        Backoff::new(Duration::from_millis(100))
    }
}

/// The delay that stands for none: without one, a caller would try again and again at full speed.
const LEAST: Duration = Duration::from_millis(1);
/// What the quotient of two logarithms may be too large by.
const ROUNDING: f64 = 1e-9;
const MINUTE: Duration = Duration::from_secs(60);
