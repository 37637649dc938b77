use std::{
    future::Future,
    pin::pin,
    task::{Context, Waker},
};

use super::*;
use crate::{engine::queue::AwaitedDelays, handles::broker::Broker, model::descriptions::Queue};

#[test]
fn what_comes_from_a_backlog_shows_at_once() {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let consumer = broker.consumer_builder::<u64>(&queue).prefetch(2);
    let consumer = consumer.build().unwrap();
    let _ = broker.producer(&queue).unwrap().publish_batch(0..6);
    let (_, credit) = consumer.queues()[0]
        .subscriber
        .origin
        .consumer
        .as_ref()
        .unwrap();
    let deliveries = [consumer.recv().unwrap(), consumer.recv().unwrap()];
    assert!(!credit.is_filled());
    for delivery in deliveries {
        delivery.ack().unwrap();
    }
    assert!(credit.is_filled());
    assert_eq!(*consumer.recv().unwrap(), 2);
}

#[test]
fn a_consumer_that_waits_keeps_no_room_of_a_burst() {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let consumer = broker.consumer::<u64>(&queue).unwrap();
    let subscriber = &consumer.queues()[0].subscriber;
    let room = || {
        let inbox = subscriber.queue().capacities(subscriber.id);
        (subscriber.run.lock().capacity(), inbox)
    };
    for burst in [1_000, 3] {
        let _ = broker.producer(&queue).unwrap().publish_batch(0..burst);
        for number in 0..burst {
            let delivery = consumer.recv().unwrap();
            assert_eq!(*delivery, number);
            delivery.ack().unwrap();
        }
        let (run, (inbox, ready)) = room();
        assert!(burst < 100 || run.max(inbox) >= 100 && ready >= 100);
        let mut next = pin!(consumer.recv_async());
        let pending = next.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(pending.is_pending());
        let (run, (inbox, ready)) = room();
        assert_eq!((run, inbox, ready), (0, 0, 0));
    }
}

#[test]
fn a_queue_that_is_idle_again_has_changed_whatever_has_happened_meanwhile() {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let producer = broker.producer::<u64>(&queue).unwrap();
    let simple = broker.simple_queue::<u64>(&queue).unwrap();
    let _ = producer.publish_batch(0..4);
    let core = {
        let consumer = broker.consumer::<u64>(&queue).unwrap();
        Arc::clone(consumer.queues()[0].subscriber.queue())
    };
    let changes = || core.idle_or_wait(AwaitedDelays::default(), None);
    let acked_by_a_consumer = || {
        let consumer = broker.consumer_builder::<u64>(&queue).prefetch(1);
        consumer.build().unwrap().recv().unwrap().ack().unwrap();
    };
    let happen: [&dyn Fn(); 4] = [
        &acked_by_a_consumer,
        &|| simple.try_get().unwrap().ack().unwrap(),
        &|| drop(simple.try_get().unwrap()),
        &|| assert_eq!(producer.publish(4).unwrap().routed, 1),
    ];
    let mut last = changes().unwrap();
    for (number, happens) in happen.iter().enumerate() {
        happens();
        let now = changes().unwrap();
        assert!(now > last, "{number}: {now}, {last}");
        last = now;
    }
}
