//! Of messages with the same id one is handled.

use std::{sync::mpsc, time::Duration};

use leveret::{
    Backoff, Broker, Message, Producer, Queue,
    middleware::{Deduplicate, Retry},
    worker::{Settle, WorkerEnd},
};

use proptest::prelude::*;

use crate::common::{HOUR, PATIENCE, SECOND, cases, on_a_manual_clock, rest};

fn publish(producer: &Producer<u32>, number: u32, id: &str) {
    let message = Message::new(number).message_id(id);
    producer.publish_message(message).unwrap();
}

#[test]
fn a_duplicate_within_the_window_is_acknowledged_and_a_later_one_is_handled() {
    let (broker, clock) = on_a_manual_clock();
    let (sender, handled) = mpsc::channel();
    let deduplicate = Deduplicate::new(HOUR);
    let worker = broker
        .worker::<u32>("tasks")
        .middleware(deduplicate.clone());
    let worker = worker.handler(move |number, _| sender.send(*number).unwrap());
    let worker = worker.spawn().unwrap();
    let tasks = broker.producer::<u32>("tasks").unwrap();
    let until_acked = |acked| {
        while worker.report().counts.acked < acked {
            std::thread::yield_now();
        }
    };
    publish(&tasks, 1, "a");
    until_acked(1);
    clock.advance(HOUR - Duration::from_nanos(1));
    publish(&tasks, 2, "a");
    publish(&tasks, 3, "b");
    tasks.publish(4).unwrap();
    tasks.publish(5).unwrap();
    until_acked(5);
    clock.advance(Duration::from_nanos(1));
    publish(&tasks, 6, "a");
    publish(&tasks, 7, "b");
    assert_eq!(worker.stop_and_drain(PATIENCE).counts.acked, 7);
    assert_eq!(handled.iter().collect::<Vec<_>>(), [1, 3, 4, 5, 6]);
    assert_eq!(deduplicate.len(), 2);
}

#[test]
fn a_message_that_fails_or_is_not_acknowledged_may_come_again() {
    let broker = Broker::new();
    broker.declare(&Queue::new("other")).unwrap();
    let deduplicate = Deduplicate::new(HOUR);
    let worker = broker
        .worker::<u32>("tasks")
        .middleware(deduplicate.clone());
    let worker = worker.handler(|number, _| match number {
        0 => Err("no"),
        1 => panic!("no"),
        2 => Ok(Settle::DeadLetter("no".to_owned())),
        3 => Ok(Settle::Forward(leveret::worker::Forward::to_queue("other"))),
        _ => Ok(Settle::Ack),
    });
    let worker = worker.spawn().unwrap();
    let tasks = broker.producer::<u32>("tasks").unwrap();
    (0..6).for_each(|number| publish(&tasks, number, "a"));
    let counts = worker.stop_and_drain(PATIENCE).counts;
    assert_eq!((counts.handled, counts.acked), (5, 2));
    assert_eq!(deduplicate.len(), 1);
}

#[test]
fn a_message_that_is_retried_is_no_duplicate_of_itself() {
    let broker = Broker::new();
    let backoff = Backoff::constant(Duration::from_millis(1));
    for retry in [Retry::new(backoff), Retry::new(backoff).through_queues()] {
        let (sender, handled) = mpsc::channel();
        let worker = broker.worker::<u32>("tasks").middleware(retry);
        let worker = worker.middleware(Deduplicate::new(HOUR));
        let worker = worker.handler(move |number, _| {
            sender.send(*number).unwrap();
            match handled_before(*number) {
                false => Err("no"),
                true => Ok(()),
            }
        });
        let worker = worker.spawn().unwrap();
        let tasks = broker.producer::<u32>("tasks").unwrap();
        publish(&tasks, 7, "a");
        for _ in 0..2 {
            assert_eq!(handled.recv().unwrap(), 7);
        }
        assert_eq!(worker.stop_and_drain(PATIENCE).counts.acked, 1);
    }
}

/// Whether this is the second call of two in a row.
fn handled_before(_: u32) -> bool {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    static BEFORE: AtomicBool = AtomicBool::new(false);
    BEFORE.fetch_xor(true, SeqCst)
}

#[test]
fn a_duplicate_waits_for_the_message_in_hand_and_takes_its_place_if_it_fails() {
    for fails in [false, true] {
        let broker = Broker::new();
        let (begins, begun) = mpsc::channel();
        let (go, going) = mpsc::channel();
        let going = std::sync::Mutex::new(going);
        let worker = broker.worker::<u32>("tasks").concurrency(3);
        let worker = worker.middleware(Deduplicate::new(HOUR));
        let worker = worker.handler(move |number, _| {
            begins.send(*number).unwrap();
            going.lock().unwrap().recv().unwrap()
        });
        let worker = worker.spawn().unwrap();
        let tasks = broker.producer::<u32>("tasks").unwrap();
        (0..3).for_each(|number| publish(&tasks, number, "a"));
        begun.recv().unwrap();
        assert!(begun.try_recv().is_err(), "the others wait");
        if fails {
            go.send(Err("no")).unwrap();
            begun.recv().unwrap();
        }
        go.send(Ok(())).unwrap();
        let counts = worker.stop_and_drain(PATIENCE).counts;
        assert_eq!(counts.handled, 1 + u64::from(fails));
        assert_eq!(counts.acked, 3 - u64::from(fails));
    }
}

#[test]
fn a_stop_ends_the_wait_of_a_duplicate() {
    let broker = Broker::new();
    let (begins, begun) = mpsc::channel();
    let worker = broker.worker::<u32>("tasks").concurrency(2);
    let worker = worker.middleware(Deduplicate::new(HOUR));
    let worker = worker.handler(move |_, context| {
        begins.send(()).unwrap();
        context.stop_signal().wait();
    });
    let worker = worker.spawn().unwrap();
    let tasks = broker.producer::<u32>("tasks").unwrap();
    (0..2).for_each(|number| publish(&tasks, number, "a"));
    begun.recv().unwrap();
    worker.stop();
    let report = worker.join();
    assert_eq!(report.end, WorkerEnd::Stopped);
    // The other one has returned, or was found to be a duplicate.
    let left = rest::<u32>(&broker, "tasks").len() as u64;
    assert_eq!(report.counts.acked + left, 2);
}

#[test]
fn of_too_many_ids_the_earliest_is_forgotten() {
    let broker = Broker::new();
    let deduplicate = Deduplicate::new(HOUR).max_ids(2);
    let worker = broker
        .worker::<u32>("tasks")
        .middleware(deduplicate.clone());
    let worker = worker.handler(|_, _| ()).spawn().unwrap();
    let tasks = broker.producer::<u32>("tasks").unwrap();
    for id in ["a", "b", "c", "b", "a", "c"] {
        publish(&tasks, 0, id);
    }
    // Of the last three, "b" is known. "a" takes its place, and then "c" is known still.
    assert_eq!(worker.stop_and_drain(PATIENCE).counts.handled, 4);
    assert_eq!(deduplicate.len(), 2);
}

#[test]
fn a_key_can_be_anything_and_a_duplicate_can_be_settled_otherwise() {
    let broker = Broker::new();
    let dead = broker.consumer::<u32>("dead").unwrap();
    let tasks = Queue::new("tasks")
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead");
    let deduplicate = Deduplicate::new(SECOND)
        .by_key(|context| context.properties().correlation_id.clone())
        .duplicates(Settle::DeadLetter("a duplicate".to_owned()));
    let worker = broker.worker::<u32>(&tasks).middleware(deduplicate);
    let worker = worker.handler(|_, _| ()).spawn().unwrap();
    let tasks = broker.producer::<u32>(&tasks).unwrap();
    for number in 0..2 {
        let message = Message::new(number).correlation_id("a");
        tasks
            .publish_message(message.message_id(number.to_string()))
            .unwrap();
    }
    let letter = dead.recv().unwrap();
    assert_eq!(*letter, 1);
    letter.ack().unwrap();
    assert_eq!(worker.stop_and_drain(PATIENCE).counts.acked, 1);
}

#[derive(Clone, Debug)]
enum Step {
    Publish { id: u8, fails: bool },
    Advance(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..5_u8, any::<bool>()).prop_map(|(id, fails)| Step::Publish { id, fails }),
        1 => (0..60_u8).prop_map(Step::Advance),
    ]
}

const WINDOW: u64 = 50;
const MOST: usize = 3;

/// The ids of the model with the times at which they were done, the earliest first.
type Done = Vec<(u8, u64)>;

/// Whether a message is handled, by the model.
fn expects(done: &mut Done, id: u8, fails: bool, now: u64) -> bool {
    done.retain(|(_, at)| now - at < WINDOW);
    if done.iter().any(|(known, _)| *known == id) {
        return false;
    }
    if !fails {
        done.push((id, now));
        if done.len() > MOST {
            done.remove(0);
        }
    }
    true
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn it_remembers_what_was_acknowledged_within_the_window(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let (broker, clock) = on_a_manual_clock();
        let deduplicate = Deduplicate::new(Duration::from_millis(WINDOW)).max_ids(MOST);
        let worker = broker.worker::<bool>("tasks").middleware(deduplicate);
        let worker = worker.handler(|fails, _| if *fails { Err("no") } else { Ok(()) });
        let worker = worker.spawn().unwrap();
        let tasks = broker.producer::<bool>("tasks").unwrap();
        let (mut now, mut done, mut settled, mut handled) = (0, Done::new(), 0, 0);
        for step in steps {
            match step {
                Step::Advance(millis) => {
                    now += u64::from(millis);
                    clock.advance(Duration::from_millis(millis.into()));
                }
                Step::Publish { id, fails } => {
                    let message = Message::new(fails).message_id(id.to_string());
                    tasks.publish_message(message).unwrap();
                    settled += 1;
                    handled += u64::from(expects(&mut done, id, fails, now));
                    let is_settled = || {
                        let counts = worker.report().counts;
                        counts.acked + counts.rejected == settled
                    };
                    while !is_settled() {
                        std::thread::yield_now();
                    }
                    prop_assert_eq!(worker.report().counts.handled, handled);
                }
            }
        }
        worker.stop();
    }
}
