//! Handles on other threads, and their auto traits.

use std::{cell::Cell, sync::Arc, thread};

use leveret::{
    Broker, Channel, Connection, Consumer, Delivery, Local, Producer, Requeue, Select, Selected,
    SimpleQueue, channel::Events,
};

use crate::common::queue;

#[test]
fn handles_go_to_other_threads_and_may_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<Broker>();
    shared::<Connection>();
    shared::<Channel>();
    shared::<Events>();
    shared::<Producer<String>>();
    shared::<Consumer<String>>();
    shared::<SimpleQueue<String>>();
    shared::<Select<'_>>();
    shared::<Selected<'_>>();
    shared::<Delivery<String>>();
}

#[test]
fn handles_for_payloads_that_are_not_sync_go_to_other_threads() {
    type Payload = Local<Cell<u8>>;
    fn sent<T: Send>() {}
    fn shared<T: Send + Sync>() {}
    shared::<Producer<Payload>>();
    shared::<Consumer<Payload>>();
    shared::<SimpleQueue<Payload>>();
    sent::<Delivery<Payload>>();
}

#[test]
fn futures_go_to_other_threads_and_a_stopper_ends_a_shared_consumer() {
    fn sent<T: Send>(_: &T) {}
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    let consumer = Arc::new(broker.consumer::<u32>(&queue()).unwrap());
    producer.publish(7).unwrap();
    let delivery = consumer.recv().unwrap();
    sent(&consumer.recv_async());
    sent(&producer.publish_async(8));
    let stopper = consumer.cancel_handle();
    let receiving = thread::spawn({
        let consumer = Arc::clone(&consumer);
        move || consumer.iter().count()
    });
    stopper.cancel();
    assert_eq!(receiving.join().unwrap(), 0);
    delivery.nack(Requeue::No).unwrap();
}
