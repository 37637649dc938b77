//! A test broker that is settled, beside threads that publish, settle and advance the clock.

use super::*;
use crate::{
    handles::producer::Producer,
    message::outgoing::Message,
    runtime::{
        clock::Clock,
        sync::atomic::{AtomicBool, Ordering::SeqCst},
    },
    testing::TestBroker,
};
use std::time::Duration;

/// How often a test looks.
const LOOKS: usize = 3;
const SECOND: Duration = Duration::from_secs(1);

/// Whether a message has come to the end of its way.
#[derive(Clone, Default)]
struct Done(Arc<AtomicBool>);

impl Done {
    /// Receives one message, which is at the end of its way.
    fn on_receive(&self, consumer: Consumer<u32>) -> JoinHandle<()> {
        let Done(done) = self.clone();
        thread::spawn(move || {
            let delivery = consumer.recv().unwrap();
            done.store(true, SeqCst);
            delivery.ack().unwrap();
        })
    }

    fn is_done(&self) -> bool {
        self.0.load(SeqCst)
    }
}

/// Publishes one message onward, and then settles it.
fn stage(from: Consumer<u32>, to: Producer<u32>) -> JoinHandle<()> {
    thread::spawn(move || {
        let delivery = from.recv().unwrap();
        to.publish(*delivery).unwrap();
        delivery.ack().unwrap();
    })
}

#[test]
fn a_broker_is_never_settled_while_a_message_is_on_its_way_through_two_stages() {
    explore(|| {
        let test = TestBroker::new();
        let first = test.consumer::<u32>("first").unwrap();
        let to = test.producer::<u32>("second").unwrap();
        let sink = test.consumer::<u32>("second").unwrap();
        test.producer::<u32>("first").unwrap().publish(7).unwrap();
        let done = Done::default();
        let threads = [stage(first, to), done.on_receive(sink)];
        for _ in 0..LOOKS {
            assert!(!test.settled() || done.is_done());
        }
        test.broker().core().wait_settled(None);
        assert!(done.is_done());
        join(threads);
        assert!(test.settled());
    });
}

#[test]
fn a_broker_is_never_settled_while_a_message_goes_round_in_a_ring() {
    explore(|| {
        let test = TestBroker::new();
        let done = Done::default();
        let consumers = ["a", "b"].map(|name| test.consumer::<u32>(name).unwrap());
        let producers = ["b", "a"].map(|name| test.producer::<u32>(name).unwrap());
        test.producer::<u32>("a").unwrap().publish(3).unwrap();
        let stages = consumers.into_iter().zip(producers).map(|(from, to)| {
            let Done(done) = done.clone();
            thread::spawn(move || {
                while let Ok(delivery) = from.recv() {
                    match delivery.checked_sub(1) {
                        Some(rest) => {
                            to.publish(rest).unwrap();
                        }
                        None => done.store(true, SeqCst),
                    }
                    delivery.ack().unwrap();
                }
            })
        });
        let stages: Vec<_> = stages.collect();
        for _ in 0..LOOKS {
            assert!(!test.settled() || done.is_done());
        }
        test.broker().core().wait_settled(None);
        assert!(done.is_done());
        drop(test);
        join(stages);
    });
}

#[test]
fn a_broker_is_never_settled_while_a_dead_letter_is_on_its_way() {
    explore(|| {
        let test = TestBroker::new();
        let work = Queue::new("work")
            .dead_letter_exchange("")
            .dead_letter_routing_key("dead");
        let sink = test.consumer::<u32>("dead").unwrap();
        let consumer = test.consumer::<u32>(&work).unwrap();
        test.producer::<u32>(&work).unwrap().publish(7).unwrap();
        let done = Done::default();
        let rejecting = thread::spawn(move || consumer.recv().unwrap().reject().unwrap());
        let threads = [rejecting, done.on_receive(sink)];
        for _ in 0..LOOKS {
            assert!(!test.settled() || done.is_done());
        }
        block_on(test.wait_settled_async());
        assert!(done.is_done());
        join(threads);
    });
}

#[test]
fn a_broker_is_never_settled_between_the_end_of_a_delay_and_the_delivery() {
    explore(|| {
        let test = TestBroker::new();
        let sink = test.consumer::<u32>("later").unwrap();
        let producer = test.producer::<u32>("later").unwrap();
        let delayed = Message::new(7).deliver_after(SECOND);
        producer.publish_message(delayed).unwrap();
        assert!(test.settled());
        let done = Done::default();
        let (clock, due) = (test.clock().clone(), test.clock().now() + SECOND);
        let advancing = thread::spawn(move || clock.advance(SECOND));
        let threads = [advancing, done.on_receive(sink)];
        for _ in 0..LOOKS {
            let is_due = test.clock().now() >= due;
            assert!(!is_due || !test.settled() || done.is_done());
        }
        join(threads);
        assert!(test.settled() && done.is_done());
    });
}

#[test]
fn a_busy_handler_counts_after_the_settlement_of_its_message() {
    explore(|| {
        let test = Arc::new(TestBroker::new());
        let first = test.consumer::<u32>("first").unwrap();
        let to = test.producer::<u32>("second").unwrap();
        let sink = test.consumer::<u32>("second").unwrap();
        test.producer::<u32>("first").unwrap().publish(7).unwrap();
        let done = Done::default();
        let handling = Arc::clone(&test);
        let handler = thread::spawn(move || {
            let delivery = first.recv().unwrap();
            let busy = handling.busy();
            let number = *delivery;
            delivery.ack().unwrap();
            to.publish(number).unwrap();
            drop(busy);
        });
        let threads = [handler, done.on_receive(sink)];
        test.broker().core().wait_settled(None);
        assert!(done.is_done());
        join(threads);
    });
}

#[test]
fn a_shutdown_and_a_test_wait_for_different_delays() {
    explore(|| {
        let test = TestBroker::new();
        let consumer = test.consumer::<u32>("q").unwrap();
        let producer = test.producer::<u32>("q").unwrap();
        let delayed = Message::new(8).deliver_after(SECOND);
        producer.publish_message(delayed).unwrap();
        producer.publish(7).unwrap();
        let broker = test.broker().clone();
        let ending = thread::spawn(move || broker.shutdown(2 * SECOND).unwrap());
        let working = thread::spawn(move || work(&consumer));
        // The delayed message is not due, so this does not wait for it. The shutdown does.
        test.broker().core().wait_settled(None);
        test.advance(SECOND);
        assert!(!ending.join().unwrap().timed_out);
        assert_eq!(working.join().unwrap(), [7, 8]);
    });
}
