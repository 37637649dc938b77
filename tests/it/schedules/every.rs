//! The runs of a schedule: when they come, and what becomes of their messages.

use std::{
    panic,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant, SystemTime},
};

use leveret::{
    Backoff, Broker, Clock, Error, ManualClock, Message, Overflow, Queue, Result, Schedule,
    ScheduleBuilder, ScheduleError,
};

use super::MINUTE;
use crate::common::{HOUR, PATIENCE, SECOND, on_a_manual_clock, rest};

type Times = Arc<Mutex<Vec<Instant>>>;

/// Begins a schedule that notes the time of each of its runs.
fn noting(
    broker: &Broker,
    clock: &ManualClock,
    configure: impl FnOnce(ScheduleBuilder) -> ScheduleBuilder,
) -> (Schedule, Times) {
    let producer = broker.producer::<u32>("noted").unwrap();
    let times = Times::default();
    let schedule = configure(broker.every(MINUTE)).publish(&producer, {
        let (clock, times) = (clock.clone(), Arc::clone(&times));
        move || {
            times.lock().unwrap().push(clock.now());
            7
        }
    });
    (schedule.unwrap(), times)
}

/// How long after `start` the runs came, in seconds.
fn seconds(times: &Times, start: Instant) -> Vec<u64> {
    let times = times.lock().unwrap();
    times.iter().map(|at| (*at - start).as_secs()).collect()
}

#[test]
fn in_an_hour_a_schedule_of_a_minute_runs_sixty_times_each_at_its_time_on_the_advancing_thread() {
    let (broker, clock) = on_a_manual_clock();
    let start = clock.now();
    let producer = broker.producer::<usize>("q").unwrap();
    let noted = Arc::new(Mutex::new(Vec::new()));
    let schedule = broker.every(MINUTE).publish(&producer, {
        let (clock, noted) = (clock.clone(), Arc::clone(&noted));
        move || {
            let mut noted = noted.lock().unwrap();
            noted.push((clock.now(), thread::current().id()));
            noted.len()
        }
    });
    let schedule = schedule.unwrap();
    clock.advance(HOUR);
    let here = thread::current().id();
    let expected = (1..=60).map(|minute| (start + minute * MINUTE, here));
    assert!(noted.lock().unwrap().iter().copied().eq(expected));
    assert!(
        rest::<usize>(&broker, "q")
            .into_iter()
            .eq((1..=60).map(|number| (number, false)))
    );
    assert_eq!(schedule.runs(), 60);
    assert_eq!(schedule.counts().published, 60);
    assert_eq!(schedule.next_due(), Some(start + 61 * MINUTE));
    assert!(!schedule.is_finished());
}

#[test]
fn the_first_run_comes_after_a_period_at_once_or_when_it_is_told_to() {
    type Configure = fn(ScheduleBuilder) -> ScheduleBuilder;
    // The clock begins at 20 seconds after a full minute.
    let unix = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let began = 1_700_000_000;
    assert_eq!(began % 60, 20);
    let cases: [(Configure, [u64; 3]); 5] = [
        (|schedule| schedule, [60, 120, 180]),
        (ScheduleBuilder::immediately, [0, 60, 120]),
        (|schedule| schedule.start_after(10 * SECOND), [10, 70, 130]),
        (
            |schedule| schedule.start_after(Duration::ZERO),
            [0, 60, 120],
        ),
        // The last of several wins.
        (
            |schedule| schedule.immediately().start_after(5 * SECOND),
            [5, 65, 125],
        ),
    ];
    let at = [
        (unix(0), [40, 100, 160]),
        (unix(began - 60), [0, 60, 120]),
        (unix(began), [0, 60, 120]),
        (unix(began - 1), [59, 119, 179]),
        (unix(began + 90), [90, 150, 210]),
    ];
    let at = at.map(|(start, expected)| {
        let configure = move |schedule: ScheduleBuilder| schedule.start_at(start);
        let configure: Box<dyn FnOnce(ScheduleBuilder) -> ScheduleBuilder> = Box::new(configure);
        (configure, expected)
    });
    let cases = cases.map(|(configure, expected)| {
        let configure: Box<dyn FnOnce(ScheduleBuilder) -> ScheduleBuilder> = Box::new(configure);
        (configure, expected)
    });
    for (number, (configure, expected)) in cases.into_iter().chain(at).enumerate() {
        let (broker, clock) = on_a_manual_clock();
        let start = clock.now();
        let (_schedule, times) = noting(&broker, &clock, configure);
        clock.advance(Duration::ZERO);
        clock.advance(expected[2] as u32 * SECOND);
        assert_eq!(seconds(&times, start), expected, "{number}");
    }
}

#[test]
fn a_schedule_ends_after_as_many_runs_as_it_may_have() {
    let (broker, clock) = on_a_manual_clock();
    let (schedule, times) = noting(&broker, &clock, |schedule| schedule.max_runs(3));
    clock.advance(2 * MINUTE);
    assert!(!schedule.is_finished());
    clock.advance(HOUR);
    assert!(schedule.is_finished());
    assert_eq!((schedule.runs(), schedule.next_due()), (3, None));
    assert_eq!(times.lock().unwrap().len(), 3);

    let (schedule, times) = noting(&broker, &clock, |schedule| schedule.max_runs(0));
    assert!(schedule.is_finished());
    clock.advance(HOUR);
    assert_eq!(times.lock().unwrap().len(), 0);
}

#[test]
fn jitter_delays_each_run_by_another_time_and_moves_no_regular_time() {
    let (broker, clock) = on_a_manual_clock();
    let start = clock.now();
    let jitter = |seed| move |schedule: ScheduleBuilder| schedule.jitter(10 * SECOND).seed(seed);
    let (_first, times) = noting(&broker, &clock, jitter(1));
    let (_again, same) = noting(&broker, &clock, jitter(1));
    let (_other, others) = noting(&broker, &clock, jitter(2));
    clock.advance(HOUR);
    let delays: Vec<Duration> = (1_u32..)
        .zip(times.lock().unwrap().iter())
        .map(|(number, at)| *at - (start + number * MINUTE))
        .collect();
    assert!(delays.len() >= 59);
    assert!(delays.iter().all(|delay| *delay < 10 * SECOND));
    assert!(delays.windows(2).any(|pair| pair[0] != pair[1]));
    assert_eq!(*times.lock().unwrap(), *same.lock().unwrap());
    assert_ne!(*times.lock().unwrap(), *others.lock().unwrap());
}

#[test]
fn a_full_queue_counts_its_messages_and_stops_no_schedule() {
    for overflow in [Overflow::RejectPublish, Overflow::Block] {
        let (broker, clock) = on_a_manual_clock();
        let small = Queue::new("small").max_length(2).overflow(overflow);
        let producer = broker.producer::<u32>(&small).unwrap();
        // A retry would block the thread that advances the clock.
        let producer = producer.retry(Backoff::new(SECOND));
        let schedule = broker.every(MINUTE).publish(&producer, || 7).unwrap();
        clock.advance(5 * MINUTE);
        let counts = schedule.counts();
        assert_eq!((counts.runs, counts.published, counts.refused), (5, 2, 3));
        assert!(matches!(schedule.last_error(), Some(Error::Refused { .. })));
        broker.purge("small").unwrap();
        clock.advance(MINUTE);
        assert_eq!(schedule.counts().published, 3);
    }
}

#[test]
fn a_message_that_cannot_be_published_counts_and_the_next_one_may_be() {
    let (broker, clock) = on_a_manual_clock();
    let producer = broker.producer::<u32>("q").unwrap();
    let schedule = broker
        .every(MINUTE)
        .publish_message(&producer, || Message::new(7).priority(3));
    let schedule = schedule.unwrap();
    broker.delete(&Queue::new("q")).unwrap();
    clock.advance(2 * MINUTE);
    assert_eq!((schedule.counts().failed, schedule.runs()), (2, 2));
    assert_eq!(schedule.last_error().unwrap().reply_code(), Some(312));
    broker.declare(&Queue::new("q")).unwrap();
    clock.advance(MINUTE);
    assert_eq!(rest::<u32>(&broker, "q"), [(7, false)]);
}

#[test]
fn a_function_that_panics_counts_and_is_called_again() {
    let (broker, clock) = on_a_manual_clock();
    let producer = broker.producer::<u32>("q").unwrap();
    let mut called = 0;
    let schedule = broker.every(MINUTE).publish(&producer, move || {
        called += 1;
        if called % 2 == 1 {
            panic::resume_unwind(Box::new("an accident"));
        }
        called
    });
    let schedule = schedule.unwrap();
    clock.advance(4 * MINUTE);
    let counts = schedule.counts();
    assert_eq!((counts.runs, counts.panicked, counts.published), (4, 2, 2));
    assert_eq!(rest::<u32>(&broker, "q"), [(2, false), (4, false)]);
}

#[test]
fn a_slow_function_delays_no_other_schedule() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>("q").unwrap();
    let (begins, begun) = mpsc::channel();
    let (lets_go, goes) = mpsc::channel::<()>();
    let tick = Duration::from_millis(1);
    let slow = broker.every(tick).publish(&producer, move || {
        begins.send(()).unwrap();
        let _ = goes.recv();
        1
    });
    let slow = slow.unwrap();
    begun.recv_timeout(PATIENCE).unwrap();
    let quick = [2, 3].map(|number| {
        broker
            .every(tick)
            .publish(&producer, move || number)
            .unwrap()
    });
    let consumer = broker.consumer::<u32>("q").unwrap();
    let mut seen = Vec::new();
    while !(seen.contains(&2) && seen.contains(&3)) {
        let delivery = consumer.recv_timeout(PATIENCE).unwrap();
        seen.push(delivery.ack_into().unwrap());
    }
    assert!(!seen.contains(&1));
    assert_eq!(slow.runs(), 0);
    drop(quick);
    drop(lets_go);
}

#[test]
fn the_runs_of_a_schedule_do_not_overlap() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>("q").unwrap();
    let running = Arc::new(Mutex::new(()));
    let (ran, runs) = mpsc::channel();
    let schedule = broker
        .every(Duration::from_micros(10))
        .publish(&producer, move || {
            let alone = running.try_lock().expect("no other run is under way");
            thread::yield_now();
            drop(alone);
            ran.send(()).unwrap();
            7
        });
    let schedule = schedule.unwrap();
    for _ in 0..200 {
        runs.recv_timeout(PATIENCE).unwrap();
    }
    schedule.cancel();
    assert_eq!(schedule.counts().panicked, 0);
}

#[test]
fn a_period_of_zero_and_one_that_never_ends_are_refused() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let producer = broker.producer::<u32>("q")?;
    let refused = |built: Result<Schedule>| match built {
        Err(Error::InvalidSchedule(reason)) => reason,
        other => panic!("{other:?}"),
    };
    let zero = broker.every(Duration::ZERO).publish(&producer, || 7);
    assert_eq!(refused(zero), ScheduleError::ZeroPeriod);
    let never = broker.every(Duration::MAX).publish(&producer, || 7);
    assert_eq!(refused(never), ScheduleError::NeverDue);
    let far = broker.every(MINUTE).start_after(Duration::MAX);
    assert_eq!(
        refused(far.publish(&producer, || 7)),
        ScheduleError::NeverDue
    );

    // The second run of this one never comes.
    let once = broker.every(Duration::MAX).immediately();
    let once = once.publish_message(&producer, || Message::new(7))?;
    clock.advance(Duration::ZERO);
    assert_eq!((once.runs(), once.is_finished()), (1, true));
    // The shortest period there is.
    let dense = broker
        .every(Duration::from_nanos(1))
        .start_at(SystemTime::UNIX_EPOCH);
    let dense = dense.publish(&producer, || 7)?;
    clock.advance(Duration::from_nanos(100));
    assert_eq!(dense.runs(), 101);
    Ok(())
}

#[test]
fn a_jitter_that_leads_beyond_all_time_ends_no_schedule() {
    let (broker, clock) = on_a_manual_clock();
    for seed in 0..20 {
        let schedule = broker
            .every(SECOND)
            .jitter(Duration::MAX)
            .seed(seed)
            .max_runs(3);
        let producer = broker.producer::<u32>("q").unwrap();
        let schedule = schedule.publish(&producer, || 7).unwrap();
        assert!(schedule.next_due().is_some(), "seed {seed}");
        schedule.cancel();
    }
    drop(clock);
}
