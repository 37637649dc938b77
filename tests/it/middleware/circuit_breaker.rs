//! After many failures the messages wait.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use leveret::{
    Broker, ManualClock, Producer,
    middleware::{
        CircuitBreaker,
        CircuitState::{self, Closed, HalfOpen, Open},
    },
    worker::{Settle, WorkerEnd, WorkerHandle},
};

use crate::common::{PATIENCE, SECOND, on_a_manual_clock, rest};

const FAILS: u32 = 0;
const SUCCEEDS: u32 = 1;
const REQUEUED_ONCE: u32 = 2;

struct Scene {
    broker: Broker,
    clock: ManualClock,
    breaker: CircuitBreaker,
    changes: mpsc::Receiver<CircuitState>,
    worker: WorkerHandle,
    tasks: Producer<u32>,
}

impl Scene {
    fn new(breaker: CircuitBreaker) -> Scene {
        let (broker, clock) = on_a_manual_clock();
        let (sender, changes) = mpsc::channel();
        let breaker = breaker.on_change(move |state| sender.send(state).unwrap());
        let worker = broker.worker::<u32>("tasks").middleware(breaker.clone());
        let worker = worker.handler(|number, context| match *number {
            FAILS => Err("no"),
            REQUEUED_ONCE if context.acquired_count() == 0 => Ok(Settle::Requeue(Duration::ZERO)),
            _ => Ok(Settle::Ack),
        });
        Scene {
            worker: worker.spawn().unwrap(),
            tasks: broker.producer("tasks").unwrap(),
            broker,
            clock,
            breaker,
            changes,
        }
    }

    /// Publishes, and waits until this number of handlers has ended.
    fn publish(&self, numbers: &[u32], handled: u64) {
        for number in numbers {
            self.tasks.publish(*number).unwrap();
        }
        while self.worker.report().counts.handled < handled {
            std::thread::yield_now();
        }
    }

    /// Advances the clock until there is a change.
    fn next_change(&self) -> CircuitState {
        loop {
            match self.changes.try_recv() {
                Ok(state) => return state,
                Err(_) => self.clock.advance(SECOND),
            }
            std::thread::yield_now();
        }
    }
}

fn three_a_minute() -> CircuitBreaker {
    CircuitBreaker::new(3, 60 * SECOND).open_for(10 * SECOND)
}

#[test]
fn it_opens_after_the_failures_and_closes_after_a_probe() {
    let scene = Scene::new(three_a_minute());
    scene.publish(&[FAILS, SUCCEEDS, FAILS], 3);
    assert_eq!(scene.breaker.state(), Closed);
    scene.publish(&[FAILS], 4);
    assert_eq!(scene.changes.recv().unwrap(), Open);
    assert_eq!(scene.breaker.state(), Open);
    // The messages wait, and do not fail.
    scene.publish(&[SUCCEEDS, SUCCEEDS], 4);
    scene.clock.advance(10 * SECOND - Duration::from_nanos(1));
    assert_eq!(scene.breaker.state(), Open);
    assert_eq!(scene.next_change(), HalfOpen);
    assert_eq!(scene.changes.recv().unwrap(), Closed);
    let counts = scene.worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.failed, counts.acked), (3, 3));
    assert_eq!(scene.breaker.state(), Closed);
}

#[test]
fn a_probe_that_fails_opens_it_again() {
    let scene = Scene::new(three_a_minute().probes(2));
    scene.publish(
        &[FAILS, FAILS, FAILS, SUCCEEDS, FAILS, SUCCEEDS, SUCCEEDS],
        3,
    );
    let changes = [(); 5].map(|()| scene.next_change());
    assert_eq!(changes, [Open, HalfOpen, Open, HalfOpen, Closed]);
    let counts = scene.worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.failed, counts.acked), (4, 3));
}

#[test]
fn failures_leave_the_window() {
    let scene = Scene::new(three_a_minute());
    for handled in 1..=5 {
        scene.publish(&[FAILS], handled);
        scene.clock.advance(30 * SECOND);
    }
    assert_eq!(scene.breaker.state(), Closed);
    scene.worker.stop_and_drain(PATIENCE);
    assert!(scene.changes.try_recv().is_err());
}

#[test]
fn a_rate_wants_that_part_of_the_attempts() {
    let scene = Scene::new(three_a_minute().failure_rate(0.5));
    scene.publish(
        &[SUCCEEDS, SUCCEEDS, SUCCEEDS, SUCCEEDS, FAILS, FAILS, FAILS],
        7,
    );
    assert_eq!(scene.breaker.state(), Closed);
    scene.publish(&[FAILS], 8);
    assert_eq!(scene.changes.recv().unwrap(), Open);
    scene.worker.stop();
}

#[test]
fn a_failure_that_the_filter_refuses_does_not_count() {
    let scene = Scene::new(CircuitBreaker::new(1, SECOND).when(|error| error.message() != "no"));
    scene.publish(&[FAILS, FAILS], 2);
    assert_eq!(scene.worker.stop_and_drain(PATIENCE).counts.failed, 2);
    assert_eq!(scene.breaker.state(), Closed);
}

#[test]
fn a_probe_without_a_result_leaves_its_place_to_the_next_message() {
    let scene = Scene::new(three_a_minute());
    scene.publish(&[FAILS, FAILS, FAILS, REQUEUED_ONCE], 3);
    assert_eq!(scene.changes.recv().unwrap(), Open);
    assert_eq!(scene.next_change(), HalfOpen);
    assert_eq!(scene.changes.recv().unwrap(), Closed);
    let counts = scene.worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.requeued, counts.acked), (1, 1));
}

#[test]
fn only_the_probes_are_handled_while_it_is_half_open() {
    let (broker, clock) = on_a_manual_clock();
    let breaker = CircuitBreaker::new(1, SECOND).open_for(SECOND);
    let (begins, begun) = mpsc::channel();
    let (go, going) = mpsc::channel::<Settle>();
    let going = Arc::new(std::sync::Mutex::new(going));
    let worker = broker.worker::<u32>("tasks").concurrency(3);
    let worker = worker.middleware(breaker.clone());
    let worker = worker.handler(move |number, _| {
        if *number == FAILS {
            return Err("no");
        }
        begins.send(()).unwrap();
        Ok(going.lock().unwrap().recv().unwrap())
    });
    let worker = worker.spawn().unwrap();
    let tasks = broker.producer::<u32>("tasks").unwrap();
    // This one has begun before the circuit opens, and is no probe.
    tasks.publish(SUCCEEDS).unwrap();
    begun.recv().unwrap();
    tasks.publish(FAILS).unwrap();
    while breaker.state() != Open {
        std::thread::yield_now();
    }
    tasks.publish(SUCCEEDS).unwrap();
    tasks.publish(SUCCEEDS).unwrap();
    while begun.try_recv().is_err() {
        clock.advance(SECOND);
        std::thread::yield_now();
    }
    assert_eq!(breaker.state(), HalfOpen);
    // One of the two that have begun is done, whichever it is.
    go.send(Settle::Ack).unwrap();
    go.send(Settle::Ack).unwrap();
    // The third one may wait by a timer that was set after an advance.
    while begun.try_recv().is_err() {
        clock.advance(SECOND);
        std::thread::yield_now();
    }
    assert_eq!(breaker.state(), Closed);
    go.send(Settle::Ack).unwrap();
    assert_eq!(worker.stop_and_drain(PATIENCE).counts.acked, 3);
}

#[test]
fn a_stop_ends_the_wait_and_the_message_returns() {
    let scene = Scene::new(three_a_minute());
    scene.publish(&[FAILS, FAILS, FAILS, SUCCEEDS], 3);
    scene.worker.stop();
    let report = scene.worker.join();
    assert_eq!(report.end, WorkerEnd::Stopped);
    assert_eq!(rest::<u32>(&scene.broker, "tasks").len(), 1);
}

#[test]
fn a_hook_that_panics_harms_nothing() {
    let broker = Broker::new();
    let calls = Arc::new(AtomicU32::new(0));
    let breaker = CircuitBreaker::new(1, SECOND)
        .open_for(Duration::ZERO)
        .on_change({
            let calls = Arc::clone(&calls);
            move |_| {
                calls.fetch_add(1, SeqCst);
                panic!("the hook panics");
            }
        });
    let worker = broker.worker::<u32>("tasks").middleware(breaker.clone());
    let worker = worker.handler(|number, _| match *number {
        FAILS => Err("no"),
        _ => Ok(()),
    });
    let worker = worker.spawn().unwrap();
    let published = broker
        .producer("tasks")
        .unwrap()
        .publish_batch([FAILS, SUCCEEDS]);
    assert!(published.iter().all(|published| published.is_ok()));
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.failed, counts.panicked, counts.acked), (1, 0, 1));
    assert_eq!((breaker.state(), calls.load(SeqCst)), (Closed, 3));
}

#[test]
fn a_filter_that_panics_counts_the_failure_and_keeps_no_probe() {
    let (broker, clock) = on_a_manual_clock();
    let breaker = CircuitBreaker::new(1, SECOND)
        .open_for(SECOND)
        .when(|error| match error.message() {
            "panic" => panic!("the filter panics"),
            _ => true,
        });
    let worker = broker.worker::<u32>("numbers").middleware(breaker.clone());
    let worker = worker.handler(|number, _| match number {
        0 => Err("no"),
        1 => Err("panic"),
        _ => Ok(()),
    });
    let worker = worker.spawn().unwrap();
    let _ = broker
        .producer("numbers")
        .unwrap()
        .publish_batch([0_u32, 1, 2]);
    // The second message probes, and its failure opens the circuit again. The third one closes it.
    while worker.report().counts.acked == 0 {
        clock.advance(SECOND);
        std::thread::yield_now();
    }
    assert_eq!(worker.stop_and_drain(PATIENCE).counts.failed, 2);
    assert_eq!(breaker.state(), CircuitState::Closed);
}
