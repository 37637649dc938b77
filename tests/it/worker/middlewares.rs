//! What middlewares make of a message.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Instant,
};

use leveret::{
    Broker, Clock,
    worker::{Before, Context, HandlerError, Middleware, Outcome, Settle},
};

use crate::common::{PATIENCE, SECOND, on_a_manual_clock, queue};

/// Records its calls, and answers as it is told.
struct Recorder(&'static str, Before, mpsc::Sender<String>);

impl Middleware for Recorder {
    fn before(&self, context: &Context<'_>) -> Before {
        let Recorder(name, before, calls) = self;
        calls
            .send(format!("{name} before {}", context.acquired_count()))
            .unwrap();
        before.clone()
    }

    fn after(&self, _: &Context<'_>, outcome: &mut Outcome) {
        let Recorder(name, _, calls) = self;
        let error = outcome.error.as_ref().map(HandlerError::message);
        calls
            .send(format!("{name} after {:?} {error:?}", outcome.settle))
            .unwrap();
        if *name == "inner" && outcome.error.is_some() {
            outcome.settle = Settle::DeadLetter("inner says so".to_owned());
        }
    }
}

#[test]
fn middlewares_are_asked_in_order_and_learn_of_the_outcome_in_the_opposite_order() {
    let broker = Broker::new();
    let (calls, called) = mpsc::channel();
    let handler_calls = calls.clone();
    let worker = broker
        .worker::<u32>("q")
        .middleware(Recorder("outer", Before::Go, calls.clone()))
        .middleware(Recorder("inner", Before::Go, calls))
        .handler(move |number, _| {
            handler_calls.send("handler".to_owned()).unwrap();
            match number {
                0 => Ok(()),
                _ => Err("no"),
            }
        });
    let worker = worker.spawn().unwrap();
    let _ = broker.producer::<u32>("q").unwrap().publish_batch([0, 1]);
    let called: Vec<_> = called.iter().take(10).collect();
    assert_eq!(
        called,
        [
            "outer before 0",
            "inner before 0",
            "handler",
            "inner after Ack None",
            "outer after Ack None",
            "outer before 0",
            "inner before 0",
            "handler",
            "inner after Reject Some(\"no\")",
            "outer after DeadLetter(\"inner says so\") Some(\"no\")",
        ]
    );
    assert_eq!(worker.stop_and_drain(PATIENCE).counts.rejected, 1);
}

#[test]
fn a_middleware_that_settles_a_message_ends_its_way() {
    let broker = Broker::new();
    let (calls, called) = mpsc::channel();
    let worker = broker
        .worker::<u32>("q")
        .middleware(Recorder("outer", Before::Go, calls.clone()))
        .middleware(Recorder(
            "middle",
            Before::Settle(Settle::Ack),
            calls.clone(),
        ))
        .middleware(Recorder("last", Before::Go, calls))
        .handler(|_, _| -> () { unreachable!("it is not called") });
    let worker = worker.spawn().unwrap();
    broker.producer::<u32>("q").unwrap().publish(0).unwrap();
    let called: Vec<_> = called.iter().take(3).collect();
    assert_eq!(
        called,
        ["outer before 0", "middle before 0", "outer after Ack None"]
    );
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.acked, counts.handled), (1, 0));
}

/// Lets a message pass when the broker's time has come to an instant.
struct NotBefore(Instant, Arc<AtomicU32>);

impl Middleware for NotBefore {
    fn before(&self, context: &Context<'_>) -> Before {
        self.1.fetch_add(1, SeqCst);
        match self.0.checked_duration_since(context.now()) {
            Some(left) if !left.is_zero() => Before::Wait(left),
            _ => Before::Go,
        }
    }
}

#[test]
fn a_middleware_that_waits_is_asked_again_by_the_clock_of_the_broker() {
    let (broker, clock) = on_a_manual_clock();
    let asked = Arc::new(AtomicU32::new(0));
    let (sender, received) = mpsc::channel();
    let worker = broker
        .worker::<u32>("q")
        .middleware(NotBefore(clock.now() + SECOND, asked.clone()))
        .handler(move |number, _| sender.send(*number).unwrap());
    let worker = worker.spawn().unwrap();
    broker.producer::<u32>("q").unwrap().publish(7).unwrap();
    while asked.load(SeqCst) == 0 {
        thread::yield_now();
    }
    assert!(received.try_recv().is_err());
    // The wait may begin after the first advance.
    while received.try_recv().is_err() {
        clock.advance(SECOND);
        thread::yield_now();
    }
    drop(worker);
}

#[test]
fn a_stop_while_a_middleware_waits_returns_the_message() {
    let (broker, _clock) = on_a_manual_clock();
    let (calls, called) = mpsc::channel();
    let worker = broker
        .worker::<u32>("q")
        .middleware(Recorder("outer", Before::Go, calls.clone()))
        .middleware(Recorder("waits", Before::Wait(SECOND), calls))
        .handler(|_, _| -> () { unreachable!("it is not called") });
    let worker = worker.spawn().unwrap();
    broker.producer::<u32>("q").unwrap().publish(7).unwrap();
    let _ = called.iter().take(2).count();
    worker.stop();
    let report = worker.join();
    assert_eq!(called.recv().unwrap(), "outer after Requeue(0ns) None");
    assert_eq!((report.counts.requeued, report.counts.handled), (1, 0));
    let returned = broker
        .simple_queue::<u32>(queue())
        .unwrap()
        .try_get()
        .unwrap();
    assert!(*returned == 7 && returned.info().redelivered());
}

/// Panics in one of its methods.
struct Panics(bool);

impl Middleware for Panics {
    fn before(&self, _: &Context<'_>) -> Before {
        assert!(!self.0, "before");
        Before::Go
    }

    fn after(&self, _: &Context<'_>, _: &mut Outcome) {
        panic!("after");
    }
}

#[test]
fn a_middleware_that_panics_before_fails_the_message_and_after_changes_nothing() {
    let broker = Broker::new();
    for (before, acked, panicked) in [(true, 0, 1), (false, 1, 0)] {
        let worker = broker
            .worker::<u32>("q")
            .middleware(Panics(before))
            .handler(|_, _| ());
        let worker = worker.spawn().unwrap();
        broker.producer::<u32>("q").unwrap().publish(7).unwrap();
        let counts = worker.stop_and_drain(PATIENCE).counts;
        assert_eq!((counts.acked, counts.panicked), (acked, panicked));
    }
}
