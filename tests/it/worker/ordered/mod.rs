//! Workers that keep the order within a key.

mod ends;
mod model;

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, mpsc},
    thread,
    time::Duration,
};

use leveret::{
    Backoff, Broker, Local, ManualClock, Message, Queue,
    middleware::Retry,
    worker::{OrderedBuilder, Settle, WorkerEnd, WorkerHandle},
};

use super::{header, with_dead_letters};
use crate::common::{PATIENCE, SECOND, on_a_manual_clock};

/// A message: its key and its number.
type Step = (char, u32);

fn publish(broker: &Broker, steps: impl IntoIterator<Item = Step>) {
    let producer = broker.producer::<Step>("steps").unwrap();
    for step in steps {
        producer.publish(step).unwrap();
    }
}

fn by_key(broker: &Broker, concurrency: usize) -> OrderedBuilder<Step> {
    let worker = broker.worker::<Step>("steps").concurrency(concurrency);
    worker.ordered_by(|step| step.0)
}

/// The steps whose handlers may end.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<Vec<Step>>, Condvar)>);

impl Gate {
    fn open(&self, step: Step) {
        self.0.0.lock().unwrap().push(step);
        self.0.1.notify_all();
    }

    fn pass(&self, step: Step) {
        let open = self.0.0.lock().unwrap();
        let open = self.0.1.wait_while(open, |open| !open.contains(&step));
        drop(open.unwrap());
    }
}

/// A worker whose handlers tell of their begin, and wait at the gate for their end.
fn gated(builder: OrderedBuilder<Step>) -> (WorkerHandle, mpsc::Receiver<Step>, Gate) {
    let gate = Gate::default();
    let (begins, begun) = mpsc::channel();
    let inside = gate.clone();
    let worker = builder.handler(move |step, _| {
        begins.send(*step).unwrap();
        inside.pass(*step);
    });
    (worker.spawn().unwrap(), begun, gate)
}

/// Advances the clock until the handler has begun with a message.
fn next<T>(clock: &ManualClock, begun: &mpsc::Receiver<T>) -> T {
    loop {
        match begun.try_recv() {
            Ok(step) => return step,
            Err(mpsc::TryRecvError::Empty) => clock.advance(SECOND),
            Err(error) => panic!("{error}"),
        }
        thread::yield_now();
    }
}

/// The first messages whose handlers have begun, by their keys.
fn first_two(begun: &mpsc::Receiver<Step>) -> [Step; 2] {
    let mut steps = [begun.recv().unwrap(), begun.recv().unwrap()];
    steps.sort_unstable();
    steps
}

fn unsettled(broker: &Broker) -> u64 {
    let vhost = &broker.snapshot().unwrap().vhosts[0];
    let mut queues = vhost.queues.iter();
    let steps = queues.find(|queue| &*queue.name == "steps").unwrap();
    steps.unsettled.messages
}

#[test]
fn keys_are_handled_at_the_same_time_and_their_messages_one_after_the_other() {
    let broker = Broker::new();
    let (worker, begun, gate) = gated(by_key(&broker, 2));
    publish(&broker, [('a', 1), ('a', 2), ('b', 1), ('a', 3)]);
    assert_eq!(first_two(&begun), [('a', 1), ('b', 1)]);
    gate.open(('b', 1));
    gate.open(('a', 1));
    assert_eq!(begun.recv().unwrap(), ('a', 2));
    gate.open(('a', 3));
    assert!(begun.try_recv().is_err());
    gate.open(('a', 2));
    assert_eq!(begun.recv().unwrap(), ('a', 3));
    let report = worker.stop_and_drain(PATIENCE);
    assert_eq!((report.end, report.counts.acked), (WorkerEnd::Drained, 4));
}

#[test]
fn a_key_waits_while_its_message_is_tried_again() {
    let (broker, clock) = on_a_manual_clock();
    let (begins, begun) = mpsc::channel();
    let worker = by_key(&broker, 1).handler(move |step, context| {
        begins.send((*step, context.acquired_count())).unwrap();
        match (*step, context.acquired_count()) {
            (('a', 1), 0..2) => Settle::Requeue(SECOND),
            _ => Settle::Ack,
        }
    });
    let worker = worker.spawn().unwrap();
    publish(&broker, [('a', 1), ('a', 2), ('b', 1)]);
    assert_eq!(begun.recv().unwrap(), (('a', 1), 0));
    // One slot is enough for the other key, since none is blocked.
    assert_eq!(begun.recv().unwrap(), (('b', 1), 0));
    assert_eq!(next(&clock, &begun), (('a', 1), 1));
    assert_eq!(next(&clock, &begun), (('a', 1), 2));
    assert_eq!(begun.recv().unwrap(), (('a', 2), 0));
    let report = worker.stop_and_drain(PATIENCE);
    assert_eq!((report.counts.acked, report.counts.requeued), (3, 2));
}

#[test]
fn a_retry_ends_with_its_limit_and_its_key_goes_on() {
    let (broker, clock) = on_a_manual_clock();
    let dead = broker.consumer::<Step>("dead").unwrap();
    let steps = Queue::new("steps")
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead");
    let worker = broker.worker::<Step>(steps).concurrency(2);
    let worker = worker.middleware(Retry::new(Backoff::new(SECOND).max_attempts(3)));
    let (begins, begun) = mpsc::channel();
    let worker = worker.ordered_by(|step| step.0).handler(move |step, _| {
        begins.send(*step).unwrap();
        match step.1 {
            1 => Err("it always fails"),
            _ => Ok(()),
        }
    });
    let worker = worker.spawn().unwrap();
    publish(&broker, [('a', 1), ('a', 2)]);
    let seen: Vec<_> = (0..4).map(|_| next(&clock, &begun)).collect();
    assert_eq!(seen, [('a', 1), ('a', 1), ('a', 1), ('a', 2)]);
    let letter = dead.recv().unwrap();
    let headers = letter
        .info()
        .properties()
        .headers
        .clone()
        .unwrap_or_default();
    let reason = header(&headers, "x-exception-reason");
    assert_eq!(
        (*letter, &*reason),
        (('a', 1), "failed 3 times: it always fails")
    );
    letter.ack().unwrap();
    assert_eq!(worker.stop_and_drain(PATIENCE).counts.acked, 1);
}

#[test]
fn a_hook_can_have_a_failed_message_tried_again_in_place() {
    let broker = Broker::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let worker = broker.worker::<Step>("steps").concurrency(3);
    let worker = worker.on_error(|_, _| Settle::Requeue(Duration::ZERO));
    let worker = worker
        .ordered_by(|step| step.0)
        .handler(move |step, context| {
            log.lock().unwrap().push(step.1);
            match (step.1, context.acquired_count()) {
                (1, 0) => std::panic::resume_unwind(Box::new("the first attempt")),
                (2, 0) => Err("the first attempt"),
                _ => Ok(()),
            }
        });
    publish(&broker, (1..=3).map(|number| ('a', number)));
    let counts = worker.spawn().unwrap().stop_and_drain(PATIENCE).counts;
    assert_eq!(*seen.lock().unwrap(), [1, 1, 2, 2, 3]);
    assert_eq!((counts.panicked, counts.failed, counts.acked), (1, 1, 3));
}

#[test]
fn the_key_can_come_from_the_information_about_a_message() {
    let broker = Broker::new();
    let seen = Arc::new(Mutex::new(BTreeMap::<String, Vec<u32>>::new()));
    let log = Arc::clone(&seen);
    let worker = broker.worker::<u32>("numbers").concurrency(3);
    let worker = worker.ordered_by(|number| {
        let properties = number.info().properties();
        properties.message_id.as_deref().map(str::to_owned)
    });
    let worker = worker.handler(move |number, context| {
        let key = context
            .properties()
            .message_id
            .as_deref()
            .unwrap_or_default()
            .to_owned();
        log.lock().unwrap().entry(key).or_default().push(*number);
    });
    let numbers = broker.producer::<u32>("numbers").unwrap();
    for number in 0..20 {
        let message = Message::new(number).message_id(["x", "y"][number as usize % 2]);
        numbers.publish_message(message).unwrap();
    }
    worker.spawn().unwrap().stop_and_drain(PATIENCE);
    let seen = seen.lock().unwrap();
    assert!(seen["x"].iter().copied().eq((0..20).step_by(2)));
    assert!(seen["y"].iter().copied().eq((1..20).step_by(2)));
}

#[test]
fn a_key_that_panics_fails_its_message() {
    let broker = Broker::new();
    let (tasks, dead) = with_dead_letters(&broker);
    let worker = broker.worker::<u32>(tasks).concurrency(2);
    let worker = worker.ordered_by(|number| match **number {
        7 => std::panic::resume_unwind(Box::new("no key")),
        number => number,
    });
    let worker = worker.handler(|_, _| ()).spawn().unwrap();
    let _ = broker
        .producer::<u32>("tasks")
        .unwrap()
        .publish_batch([6, 7, 8]);
    let report = worker.stop_and_drain(PATIENCE);
    let counts = report.counts;
    assert_eq!((counts.handled, counts.acked, counts.panicked), (2, 2, 1));
    let letter = dead.try_recv().unwrap();
    let headers = letter
        .info()
        .properties()
        .headers
        .clone()
        .unwrap_or_default();
    assert_eq!(
        (*letter, &*header(&headers, "x-exception-message")),
        (7, "no key")
    );
    letter.ack().unwrap();
}

#[test]
fn a_future_holds_its_key_until_its_message_is_settled() {
    let broker = Broker::new();
    let (sender, jobs) = mpsc::channel();
    let worker = by_key(&broker, 2).handler_async(move |job, _| {
        sender.send(job).unwrap();
        async {}
    });
    let worker = worker.spawn().unwrap();
    publish(&broker, [('a', 1), ('a', 2), ('b', 1)]);
    let mut first = [jobs.recv().unwrap(), jobs.recv().unwrap()];
    first.sort_unstable_by_key(|job| **job);
    let [first, other] = first;
    assert_eq!([*first, *other], [('a', 1), ('b', 1)]);
    // The handler of the first one has ended, and its message is not settled.
    assert!(jobs.try_recv().is_err());
    drop(first);
    assert_eq!(*jobs.recv().unwrap(), ('a', 2));
    drop(other);
    assert_eq!(worker.stop_and_drain(PATIENCE).counts.acked, 3);
}

#[test]
fn a_future_that_fails_is_tried_again_in_place() {
    let broker = Broker::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let worker = by_key(&broker, 4).handler_async(move |job, context| {
        log.lock().unwrap().push(job.1);
        async move {
            match context.acquired_count() {
                0 => Settle::Requeue(Duration::ZERO),
                _ => Settle::Ack,
            }
        }
    });
    publish(&broker, (1..=3).map(|number| ('a', number)));
    worker.spawn().unwrap().stop_and_drain(PATIENCE);
    assert_eq!(*seen.lock().unwrap(), [1, 1, 2, 2, 3, 3]);
}

#[test]
fn a_task_keeps_the_order_of_its_futures() {
    let broker = Broker::new();
    let seen = Arc::new(Mutex::new(BTreeMap::<char, Vec<u32>>::new()));
    let log = Arc::clone(&seen);
    let worker = by_key(&broker, 4).handler_async(move |job, _| {
        log.lock().unwrap().entry(job.0).or_default().push(job.1);
        async {}
    });
    let steps = (0..100).map(|number| (['a', 'b', 'c'][number as usize % 3], number));
    publish(&broker, steps);
    let stop_handle = worker.stop_handle().unwrap();
    let running = thread::spawn(move || crate::common::block_on(worker.run_async()).unwrap());
    while unsettled(&broker) > 0 || seen.lock().unwrap().values().flatten().count() < 100 {
        thread::yield_now();
    }
    stop_handle.stop();
    assert_eq!(running.join().unwrap().counts.acked, 100);
    let seen = seen.lock().unwrap();
    assert!(seen.values().all(|numbers| numbers.is_sorted()), "{seen:?}");
}

#[test]
fn values_that_are_consumed_keep_their_order() {
    let broker = Broker::new();
    let worker = broker.worker::<Local<Step>>("locals").concurrency(3);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let worker = worker.ordered_by(|step| step.0.0);
    let worker = worker.handler_owned(move |Local((_, number)), _| {
        log.lock().unwrap().push(number);
        (number != 3).then_some(()).ok_or("three")
    });
    let worker = worker.spawn().unwrap();
    let locals = broker.producer::<Local<Step>>("locals").unwrap();
    for number in 0..50 {
        locals.publish(Local(('a', number))).unwrap();
    }
    let report = worker.stop_and_drain(PATIENCE);
    assert_eq!((report.counts.acked, report.counts.failed), (50, 1));
    assert!(seen.lock().unwrap().iter().copied().eq(0..50));
}

#[test]
fn messages_that_wait_as_bytes_are_decoded_again() {
    let broker = Broker::builder().always_encode().build();
    let worker = by_key(&broker, 2).handler(|_, context| match context.acquired_count() {
        0 => Settle::Requeue(Duration::ZERO),
        _ => Settle::Ack,
    });
    publish(&broker, (0..5).map(|number| ('a', number)));
    let counts = worker.spawn().unwrap().stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.acked, counts.requeued, counts.undecoded), (5, 5, 0));
}

#[test]
fn a_key_goes_on_when_the_late_handler_has_ended() {
    let (broker, clock) = on_a_manual_clock();
    let worker = broker
        .worker::<Step>("steps")
        .concurrency(2)
        .timeout(SECOND);
    let (worker, begun, gate) = gated(worker.ordered_by(|step| step.0));
    publish(&broker, [('a', 1), ('a', 2), ('b', 1)]);
    assert_eq!(first_two(&begun), [('a', 1), ('b', 1)]);
    gate.open(('b', 1));
    while worker.report().counts.acked < 1 {
        thread::yield_now();
    }
    clock.advance(SECOND);
    while worker.report().counts.timed_out < 1 {
        thread::yield_now();
    }
    // Its message is settled, and the handler still runs.
    publish(&broker, [('c', 1)]);
    gate.open(('c', 1));
    assert_eq!(begun.recv().unwrap(), ('c', 1));
    gate.open(('a', 2));
    assert!(begun.try_recv().is_err());
    gate.open(('a', 1));
    assert_eq!(begun.recv().unwrap(), ('a', 2));
    let report = worker.stop_and_drain(PATIENCE);
    assert_eq!((report.end, report.counts.late), (WorkerEnd::Drained, 1));
}

#[test]
fn a_message_past_its_time_can_be_tried_again_in_place() {
    let (broker, clock) = on_a_manual_clock();
    let worker = broker
        .worker::<Step>("steps")
        .concurrency(2)
        .timeout(SECOND);
    let worker = worker.on_error(|_, _| Settle::Requeue(Duration::ZERO));
    let (begins, begun) = mpsc::channel();
    let worker = worker
        .ordered_by(|step| step.0)
        .handler(move |step, context| {
            begins.send((*step, context.acquired_count())).unwrap();
            if *step == ('a', 1) && context.acquired_count() == 0 {
                context.stop_signal().wait();
            }
        });
    let worker = worker.spawn().unwrap();
    publish(&broker, [('a', 1), ('a', 2)]);
    assert_eq!(begun.recv().unwrap(), (('a', 1), 0));
    clock.advance(SECOND);
    assert_eq!(begun.recv().unwrap(), (('a', 1), 1));
    assert_eq!(begun.recv().unwrap(), (('a', 2), 0));
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.acked, counts.timed_out, counts.late), (2, 1, 1));
}

#[test]
fn a_slow_key_fills_the_prefetch() {
    let broker = Broker::new();
    let worker = broker.worker::<Step>("steps").concurrency(2).prefetch(3);
    let (worker, begun, gate) = gated(worker.ordered_by(|step| step.0));
    publish(
        &broker,
        (1..=3).map(|number| ('a', number)).chain([('b', 1)]),
    );
    assert_eq!(begun.recv().unwrap(), ('a', 1));
    while unsettled(&broker) < 3 {
        thread::yield_now();
    }
    assert!(begun.try_recv().is_err());
    (1..=3).for_each(|number| gate.open(('a', number)));
    gate.open(('b', 1));
    let mut others: Vec<_> = (0..3).map(|_| begun.recv().unwrap()).collect();
    others.sort_unstable();
    assert_eq!(others, [('a', 2), ('a', 3), ('b', 1)]);
    assert_eq!(worker.stop_and_drain(PATIENCE).counts.acked, 4);
}

#[test]
fn a_key_that_fails_for_ever_leaves_the_others_their_turns() {
    let broker = Broker::new();
    let worker = broker.worker::<Step>("steps").prefetch(2);
    let (sender, others) = mpsc::channel();
    let worker = worker.ordered_by(|step| step.0).handler(move |step, _| {
        if step.0 == 'a' {
            return Settle::Requeue(Duration::ZERO);
        }
        sender.send(step.1).unwrap();
        Settle::Ack
    });
    let worker = worker.spawn().unwrap();
    publish(&broker, [('a', 0)]);
    publish(&broker, (1..=100).map(|number| ('b', number)));
    assert!(others.iter().take(100).eq(1..=100));
    worker.stop();
}
