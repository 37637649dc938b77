//! Deliveries that outlive their consumer, channel, connection or queue.

use leveret::{Broker, Error, Queue, Requeue, Result, TryRecvError};

use crate::common::{connect, queue, rest};

#[test]
fn unreceived_messages_come_back_unmarked_and_in_order() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    let consumer = broker.consumer::<u32>(&queue()).unwrap();
    for id in 0..3 {
        producer.publish(id).unwrap();
    }
    consumer.recv().unwrap().ack().unwrap();
    // One of the two remaining messages is in the consumer's run, and was not received.
    consumer.cancel();
    assert_eq!(rest::<u32>(&broker, "q"), [(1, false), (2, false)]);
}

#[test]
fn a_dropped_consumer_returns_unreceived_messages_unmarked() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let producer = broker.producer::<u32>(&queue)?;
    for n in 1..=3 {
        assert_eq!(producer.publish(n)?.routed, 1);
    }
    let first = broker.consumer::<u32>(&queue)?;
    let held = first.recv()?;
    drop(first);
    let second = broker.consumer::<u32>(&queue)?;
    let seen = second.recv()?;
    assert_eq!((*seen, seen.info().redelivered()), (2, false));
    held.ack()?; // a delivery is valid after its consumer has ended
    seen.ack()?;
    second.recv()?.ack()?;
    assert!(matches!(second.try_recv(), Err(TryRecvError::Empty)));
    Ok(())
}

#[test]
fn a_delivery_can_be_settled_after_its_consumer_is_gone() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    for id in 0..3 {
        producer.publish(id).unwrap();
    }
    let consumer = broker.consumer::<u32>(&queue()).unwrap();
    let [acked, nacked, dropped] = [(); 3].map(|()| consumer.recv().unwrap());
    drop(consumer);
    assert_eq!(rest::<u32>(&broker, "q"), []);
    acked.ack().unwrap();
    nacked.nack(Requeue::Yes).unwrap();
    drop(dropped);
    assert_eq!(rest::<u32>(&broker, "q"), [(1, true), (2, true)]);
}

#[test]
fn a_delivery_can_be_settled_after_its_connection_is_closed() {
    let broker = Broker::new();
    broker.declare(&queue()).unwrap();
    let connection = connect(&broker).unwrap();
    let producer = connection.producer::<u32>(&queue()).unwrap();
    let consumer = connection.consumer::<u32>(&queue()).unwrap();
    producer.publish(0).unwrap();
    producer.publish(1).unwrap();
    let (acked, dropped) = (consumer.recv().unwrap(), consumer.recv().unwrap());
    connection.close().unwrap();
    acked.ack().unwrap();
    drop(dropped);
    assert_eq!(rest::<u32>(&broker, "q"), [(1, true)]);
}

#[test]
fn settling_when_the_queue_is_gone_is_ok_and_does_nothing() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    let consumer = broker.consumer::<u32>(&queue()).unwrap();
    for id in 0..4 {
        producer.publish(id).unwrap();
    }
    let [acked, nacked, rejected, dropped] = [(); 4].map(|()| consumer.recv().unwrap());
    broker.delete(&queue()).unwrap();
    broker.declare(&queue()).unwrap();
    acked.ack().unwrap();
    nacked.nack(Requeue::Yes).unwrap();
    rejected.reject().unwrap();
    drop(dropped);
    // The returned message does not go to the new queue of the same name.
    assert_eq!(rest::<u32>(&broker, "q"), []);
}

#[test]
fn settling_when_the_broker_is_gone_says_so() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    let consumer = broker.consumer::<u32>(&queue()).unwrap();
    for id in 0..4 {
        producer.publish(id).unwrap();
    }
    let [acked, nacked, taken, dropped] = [(); 4].map(|()| consumer.recv().unwrap());
    drop(broker);
    assert_eq!(acked.ack(), Err(Error::BrokerDropped));
    assert_eq!(nacked.nack(Requeue::Yes), Err(Error::BrokerDropped));
    assert_eq!(taken.ack_into().unwrap(), 2);
    drop(dropped);
    assert_eq!(
        producer.publish(9).unwrap_err().into_parts(),
        (Error::BrokerDropped, Some(9))
    );
}
