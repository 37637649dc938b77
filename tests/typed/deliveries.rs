//! What becomes of a delivery in somebody's hands.

use leveret::{Broker, Credentials, Error, Queue, Requeue, TryRecvError};

use super::{queue, rest};

#[test]
fn a_dropped_delivery_returns_to_its_place() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    let consumer = broker
        .consumer_builder::<u32>(&queue())
        .prefetch(2)
        .build()
        .unwrap();
    for id in 0..4 {
        producer.publish(id).unwrap();
    }
    let (first, second) = (consumer.recv().unwrap(), consumer.recv().unwrap());
    drop(second);
    drop(first);
    drop(consumer);
    assert_eq!(
        rest::<u32>(&broker, "q"),
        [(0, true), (1, true), (2, false), (3, false)]
    );
}

#[test]
fn a_panic_while_holding_a_delivery_returns_it() {
    let broker = Broker::new();
    broker.producer(&queue()).unwrap().publish(7u32).unwrap();
    let consumer = broker.consumer::<u32>(&queue()).unwrap();
    let worker = std::thread::spawn(move || {
        let _delivery = consumer.recv().unwrap();
        panic!("expected by this test");
    });
    assert!(worker.join().is_err());
    assert_eq!(rest::<u32>(&broker, "q"), [(7, true)]);
}

#[test]
fn what_nobody_has_seen_comes_back_as_if_never_handed_over() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    let consumer = broker.consumer::<u32>(&queue()).unwrap();
    for id in 0..3 {
        producer.publish(id).unwrap();
    }
    consumer.recv().unwrap().ack().unwrap();
    // One of the two that are left lies in the run that was taken, shown to nobody.
    consumer.cancel();
    assert_eq!(rest::<u32>(&broker, "q"), [(1, false), (2, false)]);
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
    let connection = broker.connect("/", Credentials::guest()).unwrap();
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
    // Nor does it come into the new queue of that name.
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
    assert_eq!(acked.ack(), Err(Error::ShutDown));
    assert_eq!(nacked.nack(Requeue::Yes), Err(Error::ShutDown));
    assert_eq!(taken.ack_into().unwrap(), 2);
    drop(dropped);
    assert_eq!(
        producer.publish(9).unwrap_err().into_parts(),
        (Error::ShutDown, 9)
    );
}

#[test]
fn an_auto_acked_delivery_is_settled_from_the_start() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    for id in 0..4 {
        producer.publish(id).unwrap();
    }
    let consumer = broker
        .consumer_builder::<u32>(&queue())
        .auto_ack()
        .prefetch(1)
        .build()
        .unwrap();
    drop(consumer.recv().unwrap());
    consumer.recv().unwrap().ack().unwrap();
    consumer.recv().unwrap().nack(Requeue::Yes).unwrap();
    // What lies in the inbox is nobody's yet, and is not lost with the consumer.
    drop(consumer);
    assert_eq!(rest::<u32>(&broker, "q"), [(3, false)]);
}

#[test]
fn a_rejected_delivery_is_gone() {
    let broker = Broker::new();
    broker.producer(&queue()).unwrap().publish(7u32).unwrap();
    let consumer = broker.consumer::<u32>(&queue()).unwrap();
    consumer.recv().unwrap().reject().unwrap();
    assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
}

#[test]
fn deliveries_count_how_often_they_came_back() {
    let broker = Broker::new();
    broker.producer(&queue()).unwrap().publish(7u32).unwrap();
    let consumer = broker.consumer::<u32>(&queue()).unwrap();
    for count in 0..3 {
        let delivery = consumer.recv().unwrap();
        assert_eq!(delivery.info().delivery_count(), count);
        assert_eq!(delivery.info().redelivered(), count > 0);
        assert_eq!(delivery.info().position(), 0);
    }
}

#[test]
fn a_delivery_limit_of_n_allows_n_returns() {
    let broker = Broker::new();
    let limited = queue().delivery_limit(2);
    broker.producer(&limited).unwrap().publish(7u32).unwrap();
    let consumer = broker.consumer::<u32>(&limited).unwrap();
    for _ in 0..3 {
        drop(consumer.recv().unwrap());
    }
    assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
}

#[test]
fn credit_returns_with_a_delivery_that_is_settled_after_others_were_taken_away() {
    // Out of credit with something ready, which then goes another way: what is settled after that must count, although the consumer waits
    // for nothing that is there.
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    let consumer = broker
        .consumer_builder::<u32>(&queue())
        .prefetch(16)
        .build()
        .unwrap();
    for id in 0..17 {
        producer.publish(id).unwrap();
    }
    let mut held: Vec<_> = (0..16).map(|_| consumer.recv().unwrap()).collect();
    assert_eq!(broker.purge(&queue()).unwrap(), 1);
    held.pop().unwrap().ack().unwrap();
    let alarm = super::Alarm::new();
    let mut next = std::pin::pin!(consumer.recv_async());
    assert!(alarm.poll(next.as_mut()).is_pending());
    producer.publish(17).unwrap();
    assert!(alarm.has_rung(), "it has credit for one, and waits");
    assert_eq!(*super::block_on(next).unwrap(), 17);
}

#[test]
fn exclusive_queues_are_their_connections_alone() {
    let broker = Broker::new();
    let ours = broker.connect("/", Credentials::guest()).unwrap();
    let theirs = broker.connect("/", Credentials::guest()).unwrap();
    let exclusive = ours.declare(&Queue::exclusive()).unwrap();
    let errors = [
        theirs.consumer::<u32>(&exclusive).map(drop).unwrap_err(),
        theirs.purge(&exclusive).map(drop).unwrap_err(),
        theirs.delete(&exclusive).unwrap_err(),
        theirs.declare(&exclusive).map(drop).unwrap_err(),
        theirs
            .simple_queue::<u32>(&exclusive)
            .map(drop)
            .unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.reply_code(), Some(405), "{error}");
    }
    let consumer = ours.consumer::<u32>(&exclusive).unwrap();
    // Anybody may publish to it, by the default exchange.
    let anybody = theirs
        .producer_builder::<u32>(&leveret::Exchange::existing(""))
        .routing_key(exclusive.name())
        .mandatory()
        .build()
        .unwrap();
    anybody.publish(7).unwrap();
    assert_eq!(*consumer.recv().unwrap(), 7);
}
