//! Schedules against the clock, and against the ends.

use std::{
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    time::Duration,
};

use super::*;
use crate::{
    model::error::Error,
    patterns::schedule::{Schedule, Ticks},
    runtime::clock::ManualClock,
};

const MINUTE: Duration = Duration::from_secs(60);

fn on_a_manual_clock() -> (Broker, ManualClock) {
    let clock = ManualClock::new();
    (Broker::builder().clock(clock.clone()).build(), clock)
}

/// A schedule that counts the calls of its function.
fn counting(broker: &Broker) -> (Schedule, Arc<AtomicU64>) {
    let producer = broker.producer::<u32>("q").unwrap();
    let calls = Arc::new(AtomicU64::new(0));
    let schedule = broker.every(MINUTE).publish(&producer, {
        let calls = Arc::clone(&calls);
        move || {
            calls.fetch_add(1, SeqCst);
            7
        }
    });
    (schedule.unwrap(), calls)
}

fn advancing(clock: &ManualClock) -> JoinHandle<()> {
    let clock = clock.clone();
    thread::spawn(move || clock.advance(MINUTE))
}

#[test]
fn a_schedule_that_is_cancelled_while_it_runs_drops_its_function_and_runs_no_more() {
    explore(|| {
        let (broker, clock) = on_a_manual_clock();
        let (schedule, calls) = counting(&broker);
        let advancing = advancing(&clock);
        schedule.cancel();
        advancing.join().unwrap();
        assert_eq!(Arc::strong_count(&calls), 1);
        let called = calls.load(SeqCst);
        assert!(called <= 1);
        assert_eq!((schedule.runs(), schedule.is_finished()), (called, true));
        assert_eq!(rest(&broker, "q").len() as u64, called);
        clock.advance(MINUTE);
        assert_eq!(calls.load(SeqCst), called);
    });
}

#[test]
fn a_schedule_that_is_dropped_while_it_runs_leaves_nothing_behind() {
    explore(|| {
        let (broker, clock) = on_a_manual_clock();
        let (schedule, calls) = counting(&broker);
        let advancing = advancing(&clock);
        drop(schedule);
        advancing.join().unwrap();
        assert_eq!(Arc::strong_count(&calls), 1);
        assert_eq!(rest(&broker, "q").len() as u64, calls.load(SeqCst));
        clock.forget_dead();
        assert!(clock.is_idle());
    });
}

#[test]
fn a_broker_that_is_dropped_while_a_schedule_runs_ends_it() {
    explore(|| {
        let (broker, clock) = on_a_manual_clock();
        let (schedule, calls) = counting(&broker);
        let advancing = advancing(&clock);
        drop(broker);
        advancing.join().unwrap();
        assert!(schedule.is_finished());
        clock.advance(MINUTE);
        assert_eq!(Arc::strong_count(&calls), 1);
        assert_eq!(schedule.runs(), calls.load(SeqCst));
    });
}

#[test]
fn threads_that_advance_together_run_each_tick_once() {
    explore(|| {
        let (broker, clock) = on_a_manual_clock();
        let (schedule, calls) = counting(&broker);
        join([advancing(&clock), advancing(&clock)]);
        clock.advance(Duration::ZERO);
        // Either both minutes passed one after the other, or both threads advanced to the same end.
        let called = calls.load(SeqCst);
        assert!((1..=2).contains(&called));
        assert_eq!(schedule.runs(), called);
        assert_eq!(rest(&broker, "q").len() as u64, called);
    });
}

#[test]
fn a_tick_goes_to_one_of_two_receivers_and_the_end_wakes_both() {
    explore(|| {
        let (broker, clock) = on_a_manual_clock();
        let ticks = Arc::new(broker.every(MINUTE).max_runs(1).ticks().unwrap());
        let thread = thread::spawn({
            let ticks = Arc::clone(&ticks);
            move || ticks.recv()
        });
        let task = thread::spawn({
            let ticks = Arc::clone(&ticks);
            move || block_on(ticks.recv_async())
        });
        clock.advance(MINUTE);
        let received = join([thread, task]);
        let ended = |tick: &&Result<_, _>| **tick == Err(Error::ScheduleEnded);
        assert_eq!(received.iter().filter(ended).count(), 1);
        assert_eq!(received.iter().flatten().count(), 1);
    });
}

#[test]
fn receivers_of_ticks_are_woken_by_a_cancellation_and_by_the_end_of_the_broker() {
    explore(|| {
        // The time of the clock stands still.
        let (broker, _clock) = on_a_manual_clock();
        let ticks = || Arc::new(broker.every(MINUTE).ticks().unwrap());
        let (cancelled, ended) = (ticks(), ticks());
        let receiving = |ticks: &Arc<Ticks>| {
            let ticks = Arc::clone(ticks);
            thread::spawn(move || ticks.recv())
        };
        let threads = [receiving(&cancelled), receiving(&ended)];
        let task = thread::spawn({
            let ended = Arc::clone(&ended);
            move || block_on(ended.recv_async())
        });
        cancelled.cancel();
        drop(broker);
        let [first, second] = threads.map(|thread| thread.join().unwrap());
        let first = first.unwrap_err();
        assert!(first == Error::ScheduleEnded || first == Error::BrokerDropped);
        assert_eq!(second, Err(Error::BrokerDropped));
        assert_eq!(task.join().unwrap(), Err(Error::BrokerDropped));
    });
}
