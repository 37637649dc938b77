//! Publishers that wait for a budget, against all events that make room in it.

use super::*;
use crate::{
    model::descriptions::{Budget, Overflow},
    session::requeue::Requeue,
};

/// The budget has room for one `u32` message.
fn broker() -> Broker {
    let broker = Broker::new();
    broker.declare(&Budget::new("b", 4).block()).unwrap();
    broker
}

fn covered(name: &str) -> Queue {
    Queue::new(name).budget("b")
}

fn used(broker: &Broker) -> u64 {
    broker.budget("b").unwrap().used
}

#[test]
fn an_acknowledgement_wakes_a_publisher_that_is_about_to_wait() {
    explore(|| {
        let broker = broker();
        let consumer = broker.consumer::<u32>(&covered("q")).unwrap();
        let producer = broker.producer::<u32>(&covered("other")).unwrap();
        broker
            .producer::<u32>(&covered("q"))
            .unwrap()
            .publish(0)
            .unwrap();
        let held = consumer.recv().unwrap();
        let publishing = thread::spawn(move || producer.publish(1).unwrap().routed);
        held.ack().unwrap();
        assert_eq!(publishing.join().unwrap(), 1);
        assert_eq!((used(&broker), ids(&rest(&broker, "other"))), (4, vec![1]));
        assert_eq!(used(&broker), 0);
    });
}

#[test]
fn publishers_and_consumers_of_two_queues_pass_one_message_of_room_to_and_fro() {
    explore(|| {
        let broker = broker();
        let threads = ["one", "two"].map(|name| {
            let producer = broker.producer::<u32>(&covered(name)).unwrap();
            let consumer = broker.consumer::<u32>(&covered(name)).unwrap();
            let publishing = thread::spawn(move || {
                for id in 0..2 {
                    producer.publish(id).unwrap();
                }
            });
            let receiving = thread::spawn(move || {
                // One message is requeued on the way. It does not pay a second time.
                consumer.recv().unwrap().nack(Requeue::Yes).unwrap();
                for _ in 0..2 {
                    consumer.recv().unwrap().ack().unwrap();
                }
            });
            [publishing, receiving]
        });
        join(threads.into_iter().flatten());
        let budget = broker.budget("b").unwrap();
        assert_eq!((budget.used, budget.waiting), (0, 0));
    });
}

#[test]
fn a_deletion_wakes_its_publisher_though_the_budget_stays_spent() {
    explore(|| {
        let broker = broker();
        broker
            .producer::<u32>(&covered("other"))
            .unwrap()
            .publish(0)
            .unwrap();
        let producer = broker.producer::<u32>(&covered("q")).unwrap();
        let publishing = thread::spawn(move || producer.publish(1).unwrap_err().into_inner());
        broker.delete(&covered("q")).unwrap();
        assert_eq!(publishing.join().unwrap(), Some(1));
        assert_eq!(used(&broker), 4);
    });
}

#[test]
fn an_acknowledgement_and_a_deletion_give_the_same_bytes_back_once() {
    explore(|| {
        let broker = broker();
        let consumer = broker.consumer::<u32>(&covered("q")).unwrap();
        broker
            .producer::<u32>(&covered("q"))
            .unwrap()
            .publish(0)
            .unwrap();
        broker.declare(&covered("other")).unwrap();
        let held = consumer.recv().unwrap();
        let settling = thread::spawn(move || held.ack().unwrap());
        let deleting = {
            let broker = broker.clone();
            thread::spawn(move || broker.delete(&covered("q")).unwrap())
        };
        let other = broker.producer::<u32>(&covered("other")).unwrap();
        other.publish(1).unwrap();
        join([settling, deleting]);
        assert_eq!(used(&broker), 4);
        drop(consumer);
    });
}

#[test]
fn a_future_that_is_dropped_leaves_the_room_to_the_next() {
    explore(|| {
        let broker = broker();
        let mailbox = broker.simple_queue::<u32>(&covered("q")).unwrap();
        mailbox.put(0).unwrap();
        let producers = [(); 2].map(|()| broker.producer::<u32>(&covered("q")).unwrap());
        let [dropping, waiting] = producers;
        let waiting = thread::spawn(move || waiting.publish(1).unwrap().routed);
        let dropping = thread::spawn(move || {
            let mut future = Box::pin(dropping.publish_async(2));
            let waker = Waker::from(Flag::new());
            let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
            polled.is_ready()
        });
        mailbox.get().unwrap().ack().unwrap();
        if dropping.join().unwrap() {
            // The dropped future was polled first and had taken the room.
            mailbox.get().unwrap().ack().unwrap();
        }
        waiting.join().unwrap();
        assert_eq!(broker.budget("b").unwrap().waiting, 0);
        assert_eq!(used(&broker), 4 * mailbox.len().unwrap() as u64);
    });
}

#[test]
fn publishers_of_two_queues_and_two_budgets_all_get_in() {
    explore(|| {
        let broker = Broker::new();
        broker.declare(&Budget::new("b", 4).block()).unwrap();
        let all = Budget::new("all", 4).block().whole_vhost();
        broker.declare(&all).unwrap();
        let named = covered("q");
        let plain = Queue::new("other").max_length(1).overflow(Overflow::Block);
        broker.producer::<u32>(&plain).unwrap().publish(0).unwrap();
        let publishing = [(&named, 1), (&plain, 2)].map(|(queue, id)| {
            let producer = broker.producer::<u32>(queue).unwrap();
            thread::spawn(move || producer.publish(id).unwrap().routed)
        });
        let takers = [(&named, 1), (&plain, 2)].map(|(queue, count)| {
            let mailbox = broker.simple_queue::<u32>(queue).unwrap();
            thread::spawn(move || {
                for _ in 0..count {
                    mailbox.get().unwrap().ack().unwrap();
                }
            })
        });
        assert_eq!(join(publishing), [1, 1]);
        join(takers);
        for name in ["b", "all"] {
            let budget = broker.budget(name).unwrap();
            assert_eq!((budget.used, budget.waiting), (0, 0));
        }
    });
}

#[test]
fn a_blocking_budget_is_not_exceeded_by_publishers_that_come_at_once() {
    explore(|| {
        let broker = broker();
        let publishing = ["one", "two"].map(|name| {
            let producer = broker.producer::<u32>(&covered(name)).unwrap();
            thread::spawn(move || producer.publish(1).unwrap().routed)
        });
        let taking = ["one", "two"].map(|name| {
            let mailbox = broker.simple_queue::<u32>(&covered(name)).unwrap();
            let broker = broker.clone();
            thread::spawn(move || {
                let held = mailbox.get().unwrap();
                assert_eq!(used(&broker), 4);
                held.ack().unwrap();
            })
        });
        assert_eq!(join(publishing), [1, 1]);
        join(taking);
        assert_eq!(used(&broker), 0);
    });
}

// The refunds were read first, and then what was paid meanwhile. The payments of one message after
// the other added up, as if none had been refunded.
#[test]
fn a_budget_that_refuses_takes_a_message_for_which_it_always_has_room() {
    explore(|| {
        let broker = Broker::new();
        broker.declare(&Budget::new("b", 8)).unwrap();
        let mailbox = broker.simple_queue::<u32>(&covered("q")).unwrap();
        let other = broker.producer::<u32>(&covered("other")).unwrap();
        let passing = thread::spawn(move || {
            for id in 0..2 {
                mailbox.put(id).unwrap();
                mailbox.get().unwrap().ack().unwrap();
            }
        });
        assert_eq!(other.publish(9).unwrap().routed, 1);
        passing.join().unwrap();
        assert_eq!(used(&broker), 4);
    });
}

// The budget seemed full, so that the room in the queue was not asked for. Then a refund came.
#[test]
fn a_refund_lets_no_message_past_the_length_of_a_blocking_queue() {
    explore(|| {
        let broker = Broker::new();
        broker.declare(&Budget::new("b", 8)).unwrap();
        let short = covered("q").max_length(1).overflow(Overflow::Block);
        let producer = broker.producer::<u32>(&short).unwrap();
        producer.publish(0).unwrap();
        let mailbox = broker.simple_queue::<u32>(&covered("other")).unwrap();
        mailbox.put(1).unwrap();
        let held = mailbox.get().unwrap();
        let settling = thread::spawn(move || held.ack().unwrap());
        assert!(producer.try_publish(2).is_err());
        settling.join().unwrap();
        assert_eq!(ids(&rest(&broker, "q")), [0]);
    });
}
