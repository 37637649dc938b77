//! Credit that comes back: no consumer with credit waits while a message is ready.

use crate::session::channel::{Multiple, QosScope};
use shuttle::sync::mpsc;

use super::*;
use crate::session::{
    channel::{ConsumeOptions, Event},
    delivery::Delivery,
    receive::RecvError,
    requeue::Requeue,
};

/// One thread publishes, one receives and one acknowledges.
fn hand_over_hand(prefetch: u32, count: u32) {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    let consumer = broker
        .consumer_builder::<u32>(&queue())
        .prefetch(prefetch)
        .build()
        .unwrap();
    let (sender, received) = mpsc::channel::<Delivery<u32>>();
    let acknowledging = thread::spawn(move || {
        received
            .iter()
            .map(|delivery| {
                let id = *delivery;
                delivery.ack().unwrap();
                id
            })
            .collect::<Vec<_>>()
    });
    let receiving = thread::spawn(move || {
        for _ in 0..count {
            sender.send(consumer.recv().unwrap()).unwrap();
        }
        consumer
    });
    for id in 0..count {
        producer.publish(id).unwrap();
    }
    let acked = acknowledging.join().unwrap();
    assert_eq!(acked, (0..count).collect::<Vec<_>>());
    drop(receiving.join().unwrap());
    assert_eq!(rest(&broker, "q"), []);
}

#[test]
fn with_prefetch_1_every_acknowledgement_lets_one_more_through() {
    explore(|| hand_over_hand(1, 3));
}

#[test]
fn with_prefetch_2_every_acknowledgement_lets_one_more_through() {
    explore(|| hand_over_hand(2, 4));
}

#[test]
fn with_prefetch_1_a_message_dropped_elsewhere_comes_again() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let consumer = broker
            .consumer_builder::<u32>(&queue())
            .prefetch(1)
            .build()
            .unwrap();
        let (sender, received) = mpsc::channel::<Delivery<u32>>();
        let returning = thread::spawn(move || {
            for (at, delivery) in received.iter().enumerate() {
                match at {
                    0 => drop(delivery),
                    1 => delivery.nack(Requeue::Yes).unwrap(),
                    _ => delivery.ack().unwrap(),
                }
            }
        });
        let receiving = thread::spawn(move || {
            (0..4)
                .map(|_| {
                    let delivery = consumer.recv().unwrap();
                    let seen = (*delivery, delivery.info().acquired_count());
                    sender.send(delivery).unwrap();
                    seen
                })
                .collect::<Vec<_>>()
        });
        producer.publish(0).unwrap();
        producer.publish(1).unwrap();
        assert_eq!(receiving.join().unwrap(), [(0, 0), (0, 1), (0, 2), (1, 0)]);
        returning.join().unwrap();
        assert_eq!(rest(&broker, "q"), []);
    });
}

#[test]
fn on_a_channel_with_prefetch_1_an_ack_from_another_thread_lets_one_more_through() {
    explore(|| {
        let broker = Broker::new();
        let channel = channel(&broker);
        channel.queue_declare(&queue()).unwrap();
        channel.basic_qos(0, 1, QosScope::Consumer).unwrap();
        channel.basic_consume("q", ConsumeOptions::new()).unwrap();
        let (sender, tags) = mpsc::channel::<u64>();
        let acknowledging = thread::spawn({
            let channel = channel.clone();
            move || {
                for tag in tags.iter() {
                    channel.basic_ack(tag, Multiple::No).unwrap();
                }
            }
        });
        let publishing = thread::spawn({
            let channel = channel.clone();
            move || publish_bytes(&channel, "q", 0..3)
        });
        for at in 0..3 {
            match channel.events().recv().unwrap() {
                Event::Delivery(delivery) => {
                    assert_eq!(*delivery.body().unwrap(), [at]);
                    sender.send(delivery.delivery_tag()).unwrap();
                }
                other => panic!("{other:?}"),
            }
        }
        drop(sender);
        join([acknowledging, publishing]);
        assert_eq!(
            channel
                .queue_delete("q", Default::default(), Default::default())
                .unwrap(),
            0
        );
    });
}

#[test]
fn a_global_prefetch_over_two_queues_serves_both_as_acks_come() {
    explore(|| {
        let broker = Broker::new();
        let channel = channel(&broker);
        channel.basic_qos(0, 1, QosScope::Channel).unwrap();
        for name in ["a", "b"] {
            channel.queue_declare(&Queue::new(name)).unwrap();
            channel.basic_consume(name, ConsumeOptions::new()).unwrap();
        }
        let (sender, tags) = mpsc::channel::<u64>();
        let acknowledging = thread::spawn({
            let channel = channel.clone();
            move || {
                for tag in tags.iter() {
                    channel.basic_ack(tag, Multiple::No).unwrap();
                }
            }
        });
        let publishing = ["a", "b"].map(|name| {
            let channel = channel.clone();
            thread::spawn(move || publish_bytes(&channel, name, 0..2))
        });
        let events = channel.events();
        for at in 1..=4 {
            match events.recv().unwrap() {
                Event::Delivery(delivery) => {
                    assert_eq!(delivery.delivery_tag(), at);
                    assert!(events.try_recv().is_err(), "one at a time");
                    sender.send(at).unwrap();
                }
                other => panic!("{other:?}"),
            }
        }
        drop(sender);
        join(publishing);
        acknowledging.join().unwrap();
    });
}

#[test]
fn two_consumers_of_one_queue_leave_nothing_while_one_can_take_it() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let consumers = [(); 2].map(|()| {
            broker
                .consumer_builder::<u32>(&queue())
                .prefetch(1)
                .build()
                .unwrap()
        });
        let stoppers = [consumers[0].cancel_handle(), consumers[1].cancel_handle()];
        let (sender, acked) = mpsc::channel::<u32>();
        let receiving = consumers.map(|consumer| {
            let sender = sender.clone();
            thread::spawn(move || {
                for delivery in consumer.iter() {
                    let delivery = delivery.unwrap();
                    let id = *delivery;
                    delivery.ack().unwrap();
                    sender.send(id).unwrap();
                }
            })
        });
        for id in 0..4 {
            producer.publish(id).unwrap();
        }
        let all = (0..4).map(|_| acked.recv().unwrap()).collect();
        assert_eq!(sorted(all), [0, 1, 2, 3]);
        for stopper in stoppers {
            stopper.cancel();
        }
        join(receiving);
        assert_eq!(rest(&broker, "q"), []);
    });
}

#[test]
fn the_messages_of_a_dropped_consumer_go_to_the_waiting_one() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let leaving = broker
            .consumer_builder::<u32>(&queue())
            .prefetch(2)
            .build()
            .unwrap();
        for id in 0..3 {
            producer.publish(id).unwrap();
        }
        let held = leaving.recv().unwrap();
        let staying = broker
            .consumer_builder::<u32>(&queue())
            .prefetch(1)
            .build()
            .unwrap();
        let receiving = thread::spawn(move || {
            let mut seen = Vec::new();
            while seen.len() < 3 {
                match staying.recv() {
                    Ok(delivery) => {
                        seen.push(*delivery);
                        delivery.ack().unwrap();
                    }
                    Err(RecvError::Cancelled(reason)) => panic!("{reason}"),
                    Err(RecvError::Decode(undecoded)) => panic!("{undecoded}"),
                }
            }
            seen
        });
        let dropping = thread::spawn(move || drop(held));
        drop(leaving);
        dropping.join().unwrap();
        assert_eq!(sorted(receiving.join().unwrap()), [0, 1, 2]);
    });
}

#[test]
fn a_raised_prefetch_is_served_at_once() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let consumer = Arc::new(
            broker
                .consumer_builder::<u32>(&queue())
                .prefetch(1)
                .build()
                .unwrap(),
        );
        let raising = thread::spawn({
            let consumer = consumer.clone();
            move || consumer.set_prefetch(2)
        });
        let publishing = thread::spawn(move || {
            producer.publish(0).unwrap();
            producer.publish(1).unwrap();
        });
        let both = [consumer.recv().unwrap(), consumer.recv().unwrap()];
        assert_eq!([*both[0], *both[1]], [0, 1]);
        join([raising, publishing]);
    });
}
