//! [`ScheduleBuilder`], and the methods of the broker that begin one.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

#[cfg(feature = "cron")]
use super::cron::Cron;
use super::{
    Schedule, Ticks,
    core::{Job, ScheduleCore},
    period::Period,
    timetable::{MissedTickBehavior, Now, Options, Start, Timetable},
};
use crate::{
    handles::{broker::Broker, producer::Producer},
    message::{outgoing::Message, payload::Payload},
    model::{
        backoff::randomness::Randomness,
        error::{Error, Result, ScheduleError},
    },
    session::connection::Connection,
};

/// Builds a [`Schedule`] or [`Ticks`].
///
/// [`Broker::every`](crate::Broker::every) makes it.
///
/// # Examples
/// ```
/// use leveret::{Broker, ManualClock, Message};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let broker = Broker::builder().clock(clock.clone()).build();
/// let producer = broker.producer::<String>("reports")?;
/// let minute = Duration::from_secs(60);
/// let schedule = broker
///     .every(10 * minute)
///     .immediately()
///     .max_runs(3)
///     .publish_message(&producer, || Message::new("weekly".to_owned()).priority(3))?;
///
/// clock.advance(60 * minute);
/// assert!(schedule.is_finished());
/// assert_eq!(broker.purge("reports")?, 3);
/// # Ok::<(), leveret::Error>(())
/// ```
#[must_use = "a schedule begins when it is built"]
pub struct ScheduleBuilder {
    connection: Result<Connection>,
    rule: Rule,
    options: Options,
}

/// What the times of a schedule follow.
#[derive(Clone, Debug)]
enum Rule {
    Every(Duration),
    #[cfg(feature = "cron")]
    Cron {
        expression: String,
        time_zone: Option<String>,
    },
}

impl Rule {
    /// # Errors
    /// [`Error::InvalidSchedule`].
    fn period(self, now: Now) -> Result<Period> {
        match self {
            Rule::Every(Duration::ZERO) => Err(Error::InvalidSchedule(ScheduleError::ZeroPeriod)),
            Rule::Every(period) => Ok(Period::every(period, now)),
            #[cfg(feature = "cron")]
            Rule::Cron {
                expression,
                time_zone,
            } => {
                let cron = Cron::new(&expression, time_zone.as_deref())?;
                Ok(Period::cron(cron, now))
            }
        }
    }
}

impl Broker {
    /// Builds a schedule with the same time between its runs.
    ///
    /// The times are those of the broker's clock. They do not drift: a late run does not make the
    /// runs after it late. The first run comes after one period.
    ///
    /// A period of zero is an error when the schedule is built.
    ///
    /// # RabbitMQ
    /// RabbitMQ has no schedules. Celery's `beat` has a `schedule` of seconds.
    ///
    /// # Examples
    /// ```
    /// use leveret::Broker;
    /// use std::time::Duration;
    ///
    /// let broker = Broker::new();
    /// let producer = broker.producer::<String>("chores")?;
    /// let every_day = Duration::from_secs(24 * 60 * 60);
    /// let schedule =
    ///     broker.every(every_day).immediately().publish(&producer, || "sweep".to_owned())?;
    ///
    /// assert_eq!(*broker.consumer::<String>("chores")?.recv()?, "sweep");
    /// # drop(schedule);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn every(&self, period: Duration) -> ScheduleBuilder {
        self.schedule(Rule::Every(period))
    }

    /// Builds a schedule that runs at the times of a cron expression, in UTC unless
    /// [`time_zone`](ScheduleBuilder::time_zone) names another zone. Needs the feature `cron`.
    ///
    /// The fields are minute, hour, day of the month, month and day of the week. A field more, in
    /// front, is the second; one more at the end is the year. A field is `*`, a number, a range
    /// `1-5`, a step `*/15`, or a list of these. Months and weekdays have names: `JAN`, `MON`.
    /// Sunday is both 0 and 7. If both a day of the month and a weekday are given, either is
    /// enough. Also known are `L` (the last day), `15W` (the nearest working day), `MON#2` (the
    /// second Monday), and `@yearly`, `@monthly`, `@weekly`, `@daily` and `@hourly`.
    ///
    /// The times are those of the broker's wall clock. When the clocks of a time zone go forward, a
    /// time that is left out comes right after the gap. When they go back, a time that is repeated
    /// comes once. If the clock of the system is set forward, that shows from the next run on.
    ///
    /// An invalid expression is an error when the schedule is built.
    ///
    /// # RabbitMQ
    /// RabbitMQ has no schedules. Celery's `beat` has `crontab`.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Clock, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new(); // 14 November 2023, 22:13:20 UTC
    /// let broker = Broker::builder().clock(clock.clone()).build();
    /// let producer = broker.producer::<String>("chores")?;
    /// let schedule = broker.cron("0 3 * * *").publish(&producer, || "sweep".to_owned())?;
    /// let at_three = clock.now() + Duration::from_secs(4 * 3_600 + 46 * 60 + 40);
    /// assert_eq!(schedule.next_due(), Some(at_three));
    ///
    /// let error = broker.cron("0 24 * * *").ticks().unwrap_err();
    /// assert!(error.to_string().contains("the hour '24'"));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[cfg(feature = "cron")]
    pub fn cron(&self, expression: impl Into<String>) -> ScheduleBuilder {
        self.schedule(Rule::Cron {
            expression: expression.into(),
            time_zone: None,
        })
    }

    fn schedule(&self, rule: Rule) -> ScheduleBuilder {
        ScheduleBuilder {
            connection: self.implicit(),
            rule,
            options: Options::default(),
        }
    }
}

impl ScheduleBuilder {
    /// Makes the first run come at once.
    ///
    /// By a [`ManualClock`](crate::ManualClock) it comes at the next advance, also one of zero.
    pub fn immediately(mut self) -> Self {
        self.options.start = Start::Immediately;
        self
    }

    /// Makes the first run come after this time.
    ///
    /// [`start_at`](Self::start_at) has an example of both.
    pub fn start_after(mut self, delay: Duration) -> Self {
        self.options.start = Start::After(delay);
        self
    }

    /// Makes the first run come at this time of day. The other times follow from it, also if it has
    /// passed already: the first run is then at the next of them.
    ///
    /// The time of day is read once, when the schedule begins. A change of the system's clock moves
    /// no run, unless the schedule follows a cron expression.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Clock, ManualClock};
    /// use std::time::{Duration, SystemTime};
    ///
    /// let clock = ManualClock::new(); // 22:13:20 UTC
    /// let broker = Broker::builder().clock(clock.clone()).build();
    /// let minute = Duration::from_secs(60);
    /// let on_the_hour = broker.every(60 * minute).start_at(SystemTime::UNIX_EPOCH).ticks()?;
    /// let at_23_00 = Duration::from_secs(46 * 60 + 40);
    /// assert_eq!(on_the_hour.next_due(), Some(clock.now() + at_23_00));
    ///
    /// let soon = broker.every(60 * minute).start_after(minute).ticks()?;
    /// assert_eq!(soon.next_due(), Some(clock.now() + minute));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn start_at(mut self, at: SystemTime) -> Self {
        self.options.start = Start::At(at);
        self
    }

    /// Sets the time zone of a [cron](crate::Broker::cron) expression, by its name in the time zone
    /// database, such as `Europe/Berlin`. The default is UTC. Other schedules have no
    /// time zone, and ignore it.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Error, ScheduleError};
    ///
    /// let broker = Broker::new();
    /// let error = broker.cron("@daily").time_zone("Atlantis").ticks().unwrap_err();
    /// let unknown = ScheduleError::UnknownTimeZone("Atlantis".to_owned());
    /// assert_eq!(error, Error::InvalidSchedule(unknown));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[cfg(feature = "cron")]
    pub fn time_zone(mut self, name: impl Into<String>) -> Self {
        if let Rule::Cron { time_zone, .. } = &mut self.rule {
            *time_zone = Some(name.into());
        }
        self
    }

    /// Ends the schedule after this number of runs. With zero it is over when it begins.
    pub fn max_runs(mut self, runs: u64) -> Self {
        self.options.max_runs = Some(runs);
        self
    }

    /// Delays each run by a random time of up to `jitter`, so that many schedules do not run at the
    /// same moment. The regular times stay as they are. The default is zero.
    ///
    /// A jitter should be shorter than the time between two runs. A longer one makes runs late.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Clock, ManualClock};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let broker = Broker::builder().clock(clock.clone()).build();
    /// let second = Duration::from_secs(1);
    /// let ticks = broker.every(60 * second).jitter(5 * second).seed(7).ticks()?;
    /// let delay = ticks.next_due().unwrap() - (clock.now() + 60 * second);
    /// assert!(delay < 5 * second);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.options.jitter = jitter;
        self
    }

    /// Makes the [jitter](Self::jitter) the same in each run of the program, for tests.
    pub fn seed(mut self, seed: u64) -> Self {
        self.options.randomness = Randomness::Seeded(seed);
        self
    }

    /// Sets what the schedule does about missed runs.
    pub fn missed_ticks(mut self, missed_ticks: MissedTickBehavior) -> Self {
        self.options.missed_ticks = missed_ticks;
        self
    }

    /// Begins a schedule that publishes the payload that `payload` makes for each run.
    ///
    /// The producer publishes with its own settings, without waiting for room. A
    /// [retry](Producer::retry) has no effect, since the next run is the retry.
    ///
    /// # Errors
    /// - [`Error::InvalidSchedule`] if the period is zero, or if no run would ever come.
    /// - [`Error::ShutDown`] or [`Error::BrokerDropped`] if the broker has ended.
    pub fn publish<T: Payload>(
        self,
        producer: &Producer<T>,
        mut payload: impl FnMut() -> T + Send + 'static,
    ) -> Result<Schedule> {
        let producer = producer.clone();
        self.start(Box::new(move || {
            producer.try_publish(payload())?;
            Ok(())
        }))
    }

    /// Begins a schedule that publishes the message that `message` makes for each run.
    ///
    /// [`ScheduleBuilder`] has an example.
    ///
    /// # Errors
    /// Those of [`publish`](Self::publish).
    pub fn publish_message<T: Payload>(
        self,
        producer: &Producer<T>,
        mut message: impl FnMut() -> Message<T> + Send + 'static,
    ) -> Result<Schedule> {
        let producer = producer.clone();
        self.start(Box::new(move || {
            producer.try_publish_message(message())?;
            Ok(())
        }))
    }

    /// Begins a schedule whose runs are code of your own: it receives the ticks.
    ///
    /// # Errors
    /// Those of [`publish`](Self::publish).
    ///
    /// # Examples
    /// ```
    /// use leveret::Broker;
    /// use std::time::Duration;
    ///
    /// let broker = Broker::new();
    /// let mut counted = 0;
    /// let ticks = broker.every(Duration::from_millis(1)).max_runs(5).ticks()?;
    /// for _due in ticks.iter() {
    ///     counted += 1;
    /// }
    /// assert_eq!(counted, 5);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn ticks(self) -> Result<Ticks> {
        let (connection, timetable) = self.begin()?;
        Ok(Ticks::new(connection, timetable))
    }

    fn start(self, job: Job) -> Result<Schedule> {
        let (connection, timetable) = self.begin()?;
        let core = ScheduleCore::start(connection, timetable, job);
        Ok(Schedule { core })
    }

    fn begin(self) -> Result<(Connection, Timetable)> {
        let connection = self.connection?;
        connection.check_open()?;
        let now = Now::read(connection.time());
        let timetable = Timetable::new(self.rule.period(now)?, self.options, now)?;
        Ok((connection, timetable))
    }
}

impl fmt::Debug for ScheduleBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScheduleBuilder")
            .field("rule", &self.rule)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
