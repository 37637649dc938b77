//! Tests on shuttle's scheduler, which reports a lost wake as a deadlock.
//!
//! There is no time under shuttle, so the time-outs are those of a manual clock that another thread
//! advances.

use std::time::Duration;

use shuttle::{check_pct, check_random};

use super::*;
use crate::runtime::clock::{ManualClock, Time};

/// Runs the scenario under a uniformly random scheduler, and under one that finds bugs with few
/// context switches.
fn explore(scenario: impl Fn() + Send + Sync + Clone + 'static) {
    check_random(scenario.clone(), ITERATIONS);
    check_pct(scenario, ITERATIONS, 3);
}

const ITERATIONS: usize = 3_000;
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn no_wake_is_lost_between_two_producers_and_two_waiting_threads() {
    explore(|| {
        let items = Items::default();
        let receivers = [(); 2].map(|()| {
            let items = items.clone();
            thread::spawn(move || items.recv().unwrap() + items.recv().unwrap())
        });
        let producers = [0, 2].map(|base| {
            let items = items.clone();
            thread::spawn(move || (base..base + 2).for_each(|item| items.push(item)))
        });
        join(producers);
        let sum: u32 = receivers
            .map(|receiver| receiver.join().unwrap())
            .iter()
            .sum();
        assert_eq!(sum, 6);
    });
}

#[test]
fn no_wake_is_lost_between_a_waiting_thread_and_a_waiting_task() {
    explore(|| {
        let items = Items::default();
        let task = thread::spawn({
            let items = items.clone();
            move || {
                block_on(Waiting::new(&items)).unwrap() + block_on(Waiting::new(&items)).unwrap()
            }
        });
        let blocked = thread::spawn({
            let items = items.clone();
            move || items.recv().unwrap() + items.recv().unwrap()
        });
        let producers = [0, 2].map(|base| {
            let items = items.clone();
            thread::spawn(move || (base..base + 2).for_each(|item| items.push(item)))
        });
        join(producers);
        assert_eq!(task.join().unwrap() + blocked.join().unwrap(), 6);
    });
}

#[test]
fn a_waiter_whose_time_is_over_leaves_the_item_to_the_other() {
    explore(|| {
        let (items, clock) = (Items::default(), ManualClock::new());
        let unlimited = thread::spawn({
            let items = items.clone();
            move || items.recv().unwrap()
        });
        let limited = thread::spawn({
            let (items, time) = (items.clone(), Time::new(clock.clone()));
            move || wait(&items, time.deadline(SECOND)).flatten()
        });
        let advance = thread::spawn(move || {
            clock.advance(SECOND);
            // The wait may have begun after the first advance.
            clock.advance(SECOND);
        });
        items.push(1);
        // One of the two threads gets the first item. The other one must still be able to get the
        // second.
        items.push(2);
        let got = unlimited.join().unwrap();
        assert!(got == 1 || got == 2);
        advance.join().unwrap();
        let rest = limited.join().unwrap();
        assert_eq!(usize::from(rest.is_some()) + items.len(), 1);
    });
}

#[test]
fn one_item_and_a_timeout_at_once_leave_nobody_asleep() {
    explore(|| {
        let (items, clock) = (Items::default(), ManualClock::new());
        let time = Time::new(clock.clone());
        let limited = thread::spawn({
            let items = items.clone();
            // The deadline is set now, so that the only advance is sure to reach it.
            let at = time.now() + SECOND;
            move || wait(&items, Some(time.until(at))).flatten()
        });
        let unlimited = thread::spawn({
            let items = items.clone();
            move || items.recv()
        });
        let advance = thread::spawn(move || clock.advance(SECOND));
        items.push(1);
        if limited.join().unwrap().is_some() {
            items.push(2);
        }
        assert!(unlimited.join().unwrap().is_some());
        advance.join().unwrap();
        assert_eq!(items.len(), 0);
    });
}

#[test]
fn a_late_time_out_does_not_end_the_next_wait() {
    explore(|| {
        let (items, clock) = (Items::default(), ManualClock::new());
        let time = Time::new(clock.clone());
        let receiver = thread::spawn({
            let items = items.clone();
            let at = time.now() + SECOND;
            move || {
                let first = wait(&items, Some(time.until(at))).flatten();
                // This wait uses the same cached waiter. The clock may end the first wait only now.
                let second = items.recv();
                (first, second)
            }
        });
        let advance = thread::spawn(move || clock.advance(SECOND));
        items.push(1);
        items.push(2);
        let (_, second) = receiver.join().unwrap();
        assert!(second.is_some());
        advance.join().unwrap();
    });
}

#[test]
fn a_future_dropped_at_any_moment_passes_its_wake_on() {
    explore(|| {
        let items = Items::default();
        let dropped = thread::spawn({
            let items = items.clone();
            move || {
                let flag = Flag::new();
                let mut future = Waiting::new(items);
                let first = poll_once(&mut future, &flag);
                thread::yield_now();
                drop(future);
                first.is_ready()
            }
        });
        let unlimited = thread::spawn({
            let items = items.clone();
            move || items.recv().unwrap()
        });
        items.push(1);
        if dropped.join().unwrap() {
            items.push(2);
        }
        unlimited.join().unwrap();
        assert_eq!(items.len(), 0);
    });
}

#[test]
fn a_select_takes_from_one_source_and_leaves_the_other_to_the_next() {
    explore(|| {
        let (a, b, end) = (Items::default(), Items::default(), Items::default());
        let select = thread::spawn({
            let sources = [a.clone(), b.clone(), end.clone()];
            // Puts an item back for the one that it took, so that both other threads end in any
            // interleaving.
            move || match wait_any(&sources, 0, None).unwrap() {
                (2, _) => {}
                (token, _) => sources[token].push(2),
            }
        });
        let others = [&a, &b].map(|items| {
            let items = items.clone();
            thread::spawn(move || items.recv().unwrap())
        });
        let producers = [&a, &b].map(|items| {
            let items = items.clone();
            thread::spawn(move || items.push(1))
        });
        join(others);
        end.push(3);
        select.join().unwrap();
        join(producers);
        assert!([a, b, end].iter().all(|items| !items.waiting()));
    });
}

#[test]
fn a_dropped_select_future_passes_on_what_either_source_gave_it() {
    explore(|| {
        let (a, b) = (Items::default(), Items::default());
        let dropped = thread::spawn({
            let mut both = WaitingAny::new([a.clone(), b.clone()]);
            move || match poll_once(&mut both, &Flag::new()) {
                Poll::Ready((token, _)) => Some(token),
                Poll::Pending => None,
            }
        });
        let others = [&a, &b].map(|items| {
            let items = items.clone();
            thread::spawn(move || items.recv().unwrap())
        });
        let producers = [&a, &b].map(|items| {
            let items = items.clone();
            thread::spawn(move || items.push(1))
        });
        if let Some(token) = dropped.join().unwrap() {
            [&a, &b][token].push(2);
        }
        join(others);
        join(producers);
        assert_eq!(a.len() + b.len(), 0);
    });
}

#[test]
fn selects_over_the_same_sources_in_opposite_order_share_them() {
    explore(|| {
        let (a, b) = (Items::default(), Items::default());
        let selects = [[a.clone(), b.clone()], [b.clone(), a.clone()]].map(|sources| {
            thread::spawn(move || {
                for _ in 0..2 {
                    wait_any(&sources, 0, None).unwrap();
                }
            })
        });
        let producers = [&a, &b].map(|items| {
            let items = items.clone();
            thread::spawn(move || (0..2).for_each(|item| items.push(item)))
        });
        join(selects);
        join(producers);
        assert_eq!(a.len() + b.len(), 0);
    });
}

#[test]
fn closing_wakes_all() {
    explore(|| {
        let (items, other) = (Items::default(), Items::default());
        let thread = thread::spawn({
            let items = items.clone();
            move || items.recv()
        });
        let task = thread::spawn({
            let items = items.clone();
            move || block_on(Waiting::new(items))
        });
        let select = thread::spawn({
            let sources = [other.clone(), items.clone()];
            move || wait_any(&sources, 0, None)
        });
        items.close();
        assert_eq!((thread.join().unwrap(), task.join().unwrap()), (None, None));
        assert_eq!(select.join().unwrap(), Some((1, None)));
        assert!(!items.waiting() && !other.waiting());
    });
}

#[test]
fn a_task_that_changes_its_waker_hears_of_everything() {
    explore(|| {
        let items = Items::default();
        let mut future = Waiting::new(items.clone());
        // The waker of this poll is dropped without being used, as when a task moves to another
        // executor.
        assert!(poll_once(&mut future, &Flag::new()).is_pending());
        let producer = thread::spawn(move || items.push(1));
        assert_eq!(block_on(future), Some(1));
        producer.join().unwrap();
    });
}
