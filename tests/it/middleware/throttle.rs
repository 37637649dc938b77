//! A limit of the messages that are handled in a time.

use std::{sync::mpsc, time::Instant};

use leveret::{
    Clock, ManualClock, Message,
    middleware::Throttle,
    worker::{Context, WorkerEnd},
};

use crate::common::{PATIENCE, SECOND, on_a_manual_clock, rest};

/// A handler that sends the time.
fn timed(sender: mpsc::Sender<Instant>) -> impl Fn(&u32, &Context<'_>) {
    move |_, context| sender.send(context.now()).unwrap()
}

/// Advances the clock in small steps until `most` times have come.
fn times(clock: &ManualClock, receiver: &mpsc::Receiver<Instant>, most: usize) -> Vec<Instant> {
    let mut times = Vec::new();
    while times.len() < most {
        match receiver.try_recv() {
            Ok(time) => times.push(time),
            Err(_) => {
                clock.advance(SECOND / 100);
                std::thread::yield_now();
            }
        }
    }
    times
}

#[test]
fn a_burst_passes_at_once_and_the_others_at_the_rate() {
    let (broker, clock) = on_a_manual_clock();
    let (sender, receiver) = mpsc::channel();
    let throttle = Throttle::new(2, SECOND).burst(3);
    // Both workers share the rate.
    let first = broker.worker::<u32>("first").concurrency(2);
    let first = first.middleware(throttle.clone());
    let first = first.handler(timed(sender.clone())).spawn().unwrap();
    let second = broker.worker::<u32>("second").middleware(throttle);
    let second = second.handler_async(move |_, context| {
        sender.send(context.now()).unwrap();
        async {}
    });
    let second = second.spawn().unwrap();
    let began = clock.now();
    for queue in ["first", "second"] {
        let messages = broker.producer::<u32>(queue).unwrap().publish_batch(0..4);
        assert!(messages.iter().all(|published| published.is_ok()));
    }
    let mut all: Vec<_> = (0..3).map(|_| receiver.recv().unwrap()).collect();
    assert!(all.iter().all(|time| *time == began), "no time has passed");
    assert!(receiver.try_recv().is_err());
    all.extend(times(&clock, &receiver, 5));
    all.sort();
    // The last message passes when five intervals are over.
    assert!(all[7] - began >= SECOND / 2 * 5);
    let acked = [first, second].map(|worker| worker.stop_and_drain(PATIENCE).counts.acked);
    assert_eq!(acked, [4, 4]);
}

#[test]
fn each_key_has_a_rate_of_its_own() {
    let (broker, _clock) = on_a_manual_clock();
    let (sender, receiver) = mpsc::channel();
    let throttle = Throttle::new(1, SECOND)
        .by_key(|context| context.properties().app_id.clone().unwrap_or_default());
    let worker = broker
        .worker::<u32>("tasks")
        .concurrency(4)
        .middleware(throttle);
    let worker = worker.handler(move |number, _| sender.send(*number).unwrap());
    let worker = worker.spawn().unwrap();
    let producer = broker.producer::<u32>("tasks").unwrap();
    for (number, app) in [(1, "a"), (2, "a"), (3, "b"), (4, "")] {
        let message = Message::new(number).app_id(app);
        producer.publish_message(message).unwrap();
    }
    let mut passed: Vec<_> = (0..3).map(|_| receiver.recv().unwrap()).collect();
    passed.sort_unstable();
    assert_eq!(passed[1..], [3, 4]);
    assert!(receiver.try_recv().is_err());
    worker.stop();
    worker.join();
    assert_eq!(rest::<u32>(&broker, "tasks").len(), 1);
}

#[test]
fn a_stop_ends_the_wait_and_the_message_returns() {
    let (broker, _clock) = on_a_manual_clock();
    let (sender, receiver) = mpsc::channel();
    let worker = broker.worker::<u32>("tasks").concurrency(2);
    let worker = worker.middleware(Throttle::new(1, SECOND));
    let worker = worker.handler(timed(sender)).spawn().unwrap();
    let producer = broker.producer::<u32>("tasks").unwrap();
    for number in 0..3 {
        producer.publish(number).unwrap();
    }
    receiver.recv().unwrap();
    worker.stop();
    let report = worker.join();
    assert_eq!((report.end, report.counts.acked), (WorkerEnd::Stopped, 1));
    assert_eq!(rest::<u32>(&broker, "tasks").len(), 2);
}
