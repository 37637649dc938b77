//! Schedules by cron expressions.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant, SystemTime},
};

use leveret::{
    Broker, Clock, Error, ManualClock, MissedTickBehavior, Result, ScheduleError, Ticks,
};

use super::MINUTE;
use crate::common::{HOUR, SECOND, on_a_manual_clock};

const DAY: Duration = Duration::from_secs(86_400);

/// The hours, minutes and seconds of the ticks, in UTC, on the first day of a manual clock and
/// after it.
fn times(clock: &ManualClock, ticks: &Ticks) -> Vec<(u64, u64, u64)> {
    let (now, system) = (clock.now(), clock.system_now());
    let of = |due: Instant| {
        let wall = match due.checked_duration_since(now) {
            Some(later) => system + later,
            None => system - (now - due),
        };
        let seconds = wall
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let in_day = seconds % 86_400;
        (in_day / 3_600, in_day / 60 % 60, in_day % 60)
    };
    ticks.try_iter().map(of).collect()
}

fn ticks(broker: &Broker, expression: &str) -> Ticks {
    let builder = broker
        .cron(expression)
        .missed_ticks(MissedTickBehavior::Burst);
    builder.ticks().unwrap()
}

#[test]
fn the_runs_of_a_day_come_at_the_times_of_the_expression() {
    // It is 22:13:20.
    let (broker, clock) = on_a_manual_clock();
    let nightly = ticks(&broker, "0 3 * * *");
    let thrice = ticks(&broker, "30 8-10 * * MON-FRI");
    let seconds = ticks(&broker, "15,45 59 23 * * *");
    let daily = ticks(&broker, "@daily");
    clock.advance(DAY);
    assert_eq!(times(&clock, &nightly), [(3, 0, 0)]);
    assert_eq!(
        times(&clock, &thrice),
        [(8, 30, 0), (9, 30, 0), (10, 30, 0)]
    );
    assert_eq!(times(&clock, &seconds), [(23, 59, 15), (23, 59, 45)]);
    assert_eq!(times(&clock, &daily), [(0, 0, 0)]);
    // In winter it is an hour later in Berlin.
    let berlin = broker
        .cron("0 3 * * *")
        .time_zone("Europe/Berlin")
        .ticks()
        .unwrap();
    clock.advance(DAY);
    assert_eq!(times(&clock, &berlin), [(2, 0, 0)]);
}

#[test]
fn a_schedule_runs_at_each_time_while_the_clock_is_advanced() {
    let (broker, clock) = on_a_manual_clock();
    let producer = broker.producer::<u32>("q").unwrap();
    let noted = Arc::new(Mutex::new(Vec::new()));
    let schedule = broker.cron("*/15 * * * *").publish(&producer, {
        let (clock, noted) = (clock.clone(), Arc::clone(&noted));
        move || {
            noted.lock().unwrap().push(clock.system_now());
            7
        }
    });
    let schedule = schedule.unwrap();
    clock.advance(HOUR);
    let unix = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    // From 22:15 on.
    let first = 1_700_000_100;
    let expected = [0, 900, 1_800, 2_700].map(|later| unix(first + later));
    assert_eq!(*noted.lock().unwrap(), expected);
    assert_eq!((schedule.runs(), schedule.counts().missed), (4, 0));
}

#[test]
fn the_start_of_a_cron_schedule_can_be_chosen() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let hourly = || broker.cron("0 * * * *");
    let wait = |ticks: &Ticks| ticks.next_due().unwrap() - clock.now();
    // It is 22:13:20.
    let (to_23, unix) = (46 * MINUTE + 40 * SECOND, SystemTime::UNIX_EPOCH);
    assert_eq!(wait(&hourly().ticks()?), to_23);
    assert_eq!(
        wait(&hourly().start_after(2 * HOUR).ticks()?),
        to_23 + 2 * HOUR
    );
    assert_eq!(wait(&hourly().start_at(unix).ticks()?), to_23);
    let at_midnight = unix + Duration::from_secs(1_700_006_400);
    assert_eq!(wait(&hourly().start_at(at_midnight).ticks()?), to_23 + HOUR);
    let at_once = hourly().immediately().ticks()?;
    assert_eq!(at_once.try_recv()?, Some(clock.now()));
    assert_eq!(wait(&at_once), to_23);
    Ok(())
}

#[test]
fn missed_times_are_left_out_or_made_up_for() {
    let (broker, clock) = on_a_manual_clock();
    for (behavior, count, missed) in [
        (MissedTickBehavior::Skip, 1, 23),
        (MissedTickBehavior::Delay, 1, 23),
        (MissedTickBehavior::Burst, 24, 0),
    ] {
        let ticks = broker
            .cron("0 * * * *")
            .missed_ticks(behavior)
            .ticks()
            .unwrap();
        clock.advance(DAY);
        assert_eq!((ticks.try_iter().count(), ticks.missed()), (count, missed));
    }
}

#[test]
fn an_expression_that_is_invalid_or_never_comes_is_refused() {
    let broker = Broker::new();
    let reason = |expression: &str| match broker.cron(expression).ticks() {
        Err(Error::InvalidSchedule(reason)) => reason,
        other => panic!("{other:?}"),
    };
    assert!(matches!(
        reason("0 24 * * *"),
        ScheduleError::InvalidCron(fault) if fault.place == "the hour '24'"
    ));
    assert!(matches!(reason(""), ScheduleError::InvalidCron(_)));
    assert_eq!(reason("0 0 30 2 *"), ScheduleError::NeverDue);
    assert_eq!(reason("0 0 0 1 1 * 1999"), ScheduleError::NeverDue);
    // The last time of an expression with a year ends the schedule.
    let (broker, clock) = on_a_manual_clock();
    let once = broker.cron("0 0 0 1 1 * 2024").ticks().unwrap();
    clock.advance(365 * DAY);
    assert!(once.try_recv().unwrap().is_some());
    assert_eq!(once.recv(), Err(Error::ScheduleEnded));
}

/// A clock whose time of day can be set back.
#[derive(Clone, Debug)]
struct Adjustable {
    clock: ManualClock,
    back: Arc<AtomicU64>,
}

impl Clock for Adjustable {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn system_now(&self) -> SystemTime {
        self.clock.system_now() - Duration::from_secs(self.back.load(SeqCst))
    }

    fn manual(&self) -> Option<&ManualClock> {
        Some(&self.clock)
    }
}

#[test]
fn a_clock_that_is_set_back_makes_the_run_wait_for_its_time() {
    let clock = Adjustable {
        clock: ManualClock::new(),
        back: Arc::default(),
    };
    let broker = Broker::builder().clock(clock.clone()).build();
    let producer = broker.producer::<u32>("q").unwrap();
    let noted = Arc::new(Mutex::new(Vec::new()));
    let schedule = broker.cron("0 0 * * *").publish(&producer, {
        let (clock, noted) = (clock.clone(), Arc::clone(&noted));
        move || {
            noted.lock().unwrap().push(clock.system_now());
            7
        }
    });
    let schedule = schedule.unwrap();
    clock.back.store(3_600, SeqCst);
    clock.clock.advance(2 * HOUR);
    assert_eq!(schedule.runs(), 0);
    clock.clock.advance(HOUR);
    let midnight = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_006_400);
    assert_eq!(*noted.lock().unwrap(), [midnight]);
}
