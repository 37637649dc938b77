//! Random programs on one thread: a broker is settled exactly if its snapshot shows no work.

use std::time::Duration;

use leveret::{Consumer, Delivery, Message, Overflow, Queue, Requeue, testing::TestBroker};
use proptest::prelude::*;

use crate::common::cases;

const QUEUES: usize = 4;

#[derive(Clone, Debug)]
enum Op {
    Publish { queue: usize, millis: u64 },
    Subscribe { queue: usize, prefetch: u32 },
    Cancel { consumer: usize },
    Receive { consumer: usize },
    Get { queue: usize },
    Settle { delivery: usize, how: Settle },
    Purge { queue: usize },
    Advance { millis: u64 },
}

#[derive(Clone, Debug)]
enum Settle {
    Ack,
    Reject,
    Drop,
    Requeue { millis: u64 },
}

fn any_op() -> impl Strategy<Value = Op> {
    let millis = || prop_oneof![2 => Just(0), 1 => 0..30u64];
    let queue = 0..QUEUES;
    let settle = prop_oneof![
        3 => Just(Settle::Ack),
        2 => Just(Settle::Reject),
        1 => Just(Settle::Drop),
        2 => millis().prop_map(|millis| Settle::Requeue { millis }),
    ];
    prop_oneof![
        6 => (queue.clone(), millis()).prop_map(|(queue, millis)| Op::Publish { queue, millis }),
        2 => (queue.clone(), 0..3u32)
            .prop_map(|(queue, prefetch)| Op::Subscribe { queue, prefetch }),
        1 => (0..4usize).prop_map(|consumer| Op::Cancel { consumer }),
        5 => (0..4usize).prop_map(|consumer| Op::Receive { consumer }),
        2 => queue.clone().prop_map(|queue| Op::Get { queue }),
        6 => (0..4usize, settle).prop_map(|(delivery, how)| Op::Settle { delivery, how }),
        1 => queue.prop_map(|queue| Op::Purge { queue }),
        3 => (0..40u64).prop_map(|millis| Op::Advance { millis }),
    ]
}

/// The queues: a plain one, one that lets publishers wait, one in which messages expire, and the
/// queue for the dead letters of all.
fn queues() -> [Queue; QUEUES] {
    let dead = |queue: Queue| {
        queue
            .dead_letter_exchange("")
            .dead_letter_routing_key("dead")
    };
    [
        dead(Queue::new("plain").classic_delivery_limit(2)),
        dead(Queue::new("full").max_length(2).overflow(Overflow::Block)),
        dead(Queue::new("short").message_ttl(Duration::from_millis(20))),
        Queue::new("dead"),
    ]
}

/// Whether the snapshot shows work: the definition of the test kit's page, in other words.
fn has_work(test: &TestBroker) -> bool {
    let snapshot = test.snapshot().unwrap();
    let mut queues = snapshot.vhosts.iter().flat_map(|vhost| &vhost.queues);
    queues.any(|queue| {
        let served = queue.consumers > 0 && queue.ready.messages > 0;
        served || queue.unsettled.messages > 0
    })
}

fn settle(delivery: Delivery<u32>, how: &Settle) {
    match how {
        Settle::Ack => delivery.ack().unwrap(),
        Settle::Reject => delivery.reject().unwrap(),
        Settle::Drop => drop(delivery),
        Settle::Requeue { millis } => {
            let after = Duration::from_millis(*millis);
            delivery.nack(Requeue::After(after)).unwrap();
        }
    }
}

fn chosen<T>(all: &mut Vec<T>, index: usize) -> Option<T> {
    (!all.is_empty()).then(|| all.remove(index % all.len()))
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_broker_is_settled_exactly_if_its_snapshot_shows_no_work(
        program in prop::collection::vec(any_op(), 1..80),
    ) {
        let test = TestBroker::new();
        let queues = queues().map(|queue| test.declare(&queue).unwrap());
        let mut consumers: Vec<Consumer<u32>> = Vec::new();
        let mut deliveries: Vec<Delivery<u32>> = Vec::new();
        for op in &program {
            match op {
                Op::Publish { queue, millis } => {
                    let delay = Duration::from_millis(*millis);
                    let message = Message::new(7).deliver_after(delay);
                    let producer = test.producer::<u32>(&queues[*queue]).unwrap();
                    let _full = producer.try_publish_message(message);
                }
                Op::Subscribe { queue, prefetch } if consumers.len() < 4 => {
                    let builder = test.consumer_builder::<u32>(&queues[*queue]);
                    consumers.push(builder.prefetch(*prefetch).build().unwrap());
                }
                Op::Subscribe { .. } => {}
                Op::Cancel { consumer } => drop(chosen(&mut consumers, *consumer)),
                Op::Receive { consumer } if !consumers.is_empty() => {
                    let consumer = &consumers[consumer % consumers.len()];
                    deliveries.extend(consumer.try_recv().ok());
                }
                Op::Receive { .. } => {}
                Op::Get { queue } => {
                    let queue = test.simple_queue::<u32>(&queues[*queue]).unwrap();
                    deliveries.extend(queue.try_get().ok());
                }
                Op::Settle { delivery, how } => {
                    if let Some(delivery) = chosen(&mut deliveries, *delivery) {
                        settle(delivery, how);
                    }
                }
                Op::Purge { queue } => drop(test.purge(&queues[*queue]).unwrap()),
                Op::Advance { millis } => test.advance(Duration::from_millis(*millis)),
            }
            let settled = test.settled();
            prop_assert_eq!(settled, !has_work(&test), "after {:?}", op);
            prop_assert_eq!(settled, test.settled());
            prop_assert_eq!(settled, test.wait_settled_timeout(Duration::ZERO).is_ok());
        }
    }
}
