//! Handles on other threads, and their auto traits.

use std::{sync::Arc, thread};

use leveret::{Broker, Channel, Connection, Consumer, Delivery, Producer, Requeue, SimpleQueue};

use crate::common::queue;

#[test]
fn handles_go_to_other_threads_and_may_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<Broker>();
    shared::<Connection>();
    shared::<Channel>();
    shared::<Producer<String>>();
    shared::<Consumer<String>>();
    shared::<SimpleQueue<String>>();
    shared::<Delivery<String>>();
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
